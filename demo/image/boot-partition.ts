/** The partition that a machine's BIOS starts from: FAT16 with SYSLINUX, a kernel and what it needs, written into a file. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { type Partition, SECTOR } from './mbr.ts';

const run = promisify(execFile);

/** FAT16 with LBA. */
export const BOOT_PARTITION_TYPE = 0x0e;

/** Boot code for the master boot record, which starts the active partition. */
export function bootCode(packages: string): Promise<Uint8Array> {
  return readFile(join(packages, 'usr/lib/syslinux/mbr/mbr.bin'));
}

/**
 * Formats the partition within `image`, puts `files` in its root folder, and makes it bootable. `syslinux.cfg` is one
 * of the files. `packages` holds SYSLINUX and mtools, unpacked.
 */
export async function writeBootPartition(
  image: string,
  { startSector, sectorCount }: Pick<Partition, 'startSector' | 'sectorCount'>,
  packages: string,
  files: readonly { readonly from: string; readonly as?: string }[],
): Promise<void> {
  // SYSLINUX calls mtools by name, so the unpacked ones come first.
  const env = {
    ...process.env,
    PATH: `${join(packages, 'usr/bin')}:${process.env.PATH ?? ''}`,
    MTOOLS_SKIP_CHECK: '1',
  };
  const partition = `${image}@@${startSector * SECTOR}`;
  const mtools = (tool: string, ...args: string[]) => run(join(packages, 'usr/bin', tool), args, { env });
  const geometry = ['-T', String(sectorCount), '-h', '255', '-s', '63', '-H', String(startSector)];
  await mtools('mformat', '-i', partition, ...geometry, '-v', 'INGOT', '-N', '16071107', '::');
  for (const { from, as = basename(from) } of files) await mtools('mcopy', '-i', partition, from, `::${as}`);
  const install = ['--offset', String(startSector * SECTOR), '--install', image];
  await run(join(packages, 'usr/bin/syslinux'), install, { env });
}
