/** Small disks with data in odd places, and GUID partition tables. */
import { randomBytes } from 'node:crypto';
import { BLOCK } from './rig.ts';

const SECTOR = 512;
export const EFI_SYSTEM = '28732ac11ff8d211ba4b00a0c93ec93b';
export const BIOS_BOOT = '4861682149646f6e744e656564454649';

/** 20 MiB and a bit: data at the start, across a block's edge, and at the very end, which is within a block. */
export function oddDisk(): Buffer {
  const disk = Buffer.alloc(40 * BLOCK + 3 * SECTOR);
  for (const at of [0, 4 * BLOCK - 1000, 17 * BLOCK + 5, disk.length - 2000]) randomBytes(2000).copy(disk, at);
  return disk;
}

/** Writes a table with these partition types (as they stand in an entry, in hex) for a disk of `sizeBytes`. */
export function putGpt(disk: Buffer, types: readonly string[], sizeBytes = disk.length): Buffer {
  const header = disk.subarray(SECTOR, 2 * SECTOR);
  header.fill(0);
  header.write('EFI PART', 'latin1');
  header.writeBigUInt64LE(BigInt(sizeBytes / SECTOR - 1), 32);
  header.writeBigUInt64LE(2n, 72);
  header.writeUInt32LE(128, 80);
  header.writeUInt32LE(128, 84);
  disk.fill(0, 2 * SECTOR, 34 * SECTOR);
  types.forEach((type, index) => {
    disk.write(type, 2 * SECTOR + index * 128, 'hex');
  });
  return disk;
}
