/** What QEMU on this host can do, found out by trying. */
import { spawn } from 'node:child_process';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { QemuSetup } from './arguments.ts';

export const QEMU = 'qemu-system-x86_64';

const UEFI_FIRMWARE = ['/usr/share/ovmf/OVMF.fd', '/usr/share/qemu/OVMF.fd', '/usr/share/edk2/ovmf/OVMF.fd'];
const TRY_MS = 10_000;

/** The first with the `stream` network backend. */
export const OLDEST = '7.2';

interface Found extends QemuSetup {
  readonly version: string;
  /** Not older than {@link OLDEST}. */
  readonly fit: boolean;
}

/** `undefined` where there is no QEMU. */
export async function probeQemu(): Promise<Found | undefined> {
  const version = await run(['--version']);
  if (version.code !== 0) return undefined;
  const [kvm, sandbox, uefiFirmware] = await Promise.all([
    kvmWorks(),
    run(['-sandbox', 'on', '-M', 'none', '-display', 'none', '-nodefaults', '-version']).then(({ code }) => code === 0),
    firstThere(UEFI_FIRMWARE),
  ]);
  const [, number, major, minor] = /version ((\d+)\.(\d+)\S*)/.exec(version.output) ?? [];
  return {
    version: number ?? 'of unknown version',
    fit: Number(major) * 100 + Number(minor) >= 702,
    accelerator: kvm ? 'kvm' : 'tcg',
    sandbox,
    ...(uefiFirmware === undefined ? {} : { uefiFirmware }),
  };
}

/**
 * Whether guest code really runs under KVM: /dev/kvm may be there, open, and still of no use in a nested machine. The
 * guest is a firmware whose first instructions write 0x10 to the port of `isa-debug-exit`, which ends QEMU with 33.
 */
async function kvmWorks(): Promise<boolean> {
  if (!(await there('/dev/kvm'))) return false;
  const folder = await mkdtemp(join(tmpdir(), 'ingot-kvm-'));
  try {
    const firmware = new Uint8Array(65_536).fill(0xf4); // hlt
    firmware.set([0xb0, 0x10, 0xe6, 0xf4, 0xf4], 65_536 - 16); // mov al, 0x10; out 0xf4, al; hlt
    const path = join(folder, 'firmware');
    await writeFile(path, firmware);
    const machine = ['-machine', 'pc', '-accel', 'kvm', '-cpu', 'host', '-m', '16', '-bios', path];
    const ending = ['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'];
    const { code } = await run(['-nodefaults', '-no-user-config', '-display', 'none', ...machine, ...ending]);
    return code === 33;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function run(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const shell = ['-c', 'ulimit -c 0; exec "$0" "$@"', QEMU, ...args];
    const child = spawn('/bin/sh', shell, { stdio: ['ignore', 'pipe', 'ignore'], timeout: TRY_MS });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
    child.once('error', () => resolve({ code: null, output }));
    child.once('close', (code) => resolve({ code, output }));
  });
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await there(path)) return path;
  return undefined;
}

function there(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
