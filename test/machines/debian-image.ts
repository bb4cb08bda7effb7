/**
 * Debian as its own packages install it: systemd, Debian's cloud kernel, cloud-init and the SSH server, configured by nothing
 * but what cloud-init finds at the first boot. SYSLINUX starts it, because that can be written without mounting.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BOOT_PARTITION_TYPE, bootCode, writeBootPartition } from '../../demo/image/boot-partition.ts';
import { unpackedPackages } from '../../demo/image/debian-packages.ts';
import { whyNoLinuxImage } from '../../demo/image/linux.ts';
import { masterBootRecord, SECTOR } from '../../demo/image/mbr.ts';

const run = promisify(execFile);

const MIB = 1024 * 1024;
const IMAGE_BYTES = 1536 * MIB;
const BOOT = { startSector: 2048, sectorCount: (128 * MIB) / SECTOR, type: BOOT_PARTITION_TYPE };
const ROOT_START = BOOT.startSector + BOOT.sectorCount;
const ROOT = { startSector: ROOT_START, sectorCount: IMAGE_BYTES / SECTOR - ROOT_START, type: 0x83 };

const PACKAGES = [
  ...['systemd-sysv', 'systemd-resolved', 'udev', 'dbus', 'linux-image-cloud-amd64', 'initramfs-tools'],
  ...['cloud-init', 'cloud-guest-utils', 'openssh-server', 'sudo', 'locales', 'iproute2', 'netbase', 'e2fsprogs'],
];

const SYSLINUX_CONFIG = `SERIAL 0 115200
DEFAULT linux
PROMPT 0
TIMEOUT 0
LABEL linux
  LINUX vmlinuz
  INITRD initrd.img
  APPEND root=LABEL=cloudimg-root ro console=ttyS0,115200
`;

/** A reason in one sentence why this machine cannot build it, or `undefined` where it can. */
export async function whyNoDebianImage(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'installing Debian into a folder needs root';
  for (const tool of ['perl', 'mke2fs', 'tar']) {
    if (spawnSync(tool, ['--version']).error) return `${tool} is not here, so Debian cannot be put into an image`;
  }
  return whyNoLinuxImage();
}

/** Builds the raw disk image once and keeps it in `cacheDir`; gives its path. A minute, and 2 GB of temporary space. */
export async function buildDebianImage(cacheDir = join(tmpdir(), 'ingot-images')): Promise<string> {
  const path = join(cacheDir, 'debian.img');
  await mkdir(cacheDir, { recursive: true });
  if ((await readdir(cacheDir)).includes('debian.img')) return path;
  const packages = await unpackedPackages(cacheDir);
  const work = await mkdtemp(`${path}.`);
  try {
    const root = join(work, 'root');
    await installDebian(work, root);
    const image = join(work, 'disk.img');
    await fillImage(image, work, root, packages);
    await rename(image, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return path;
}

async function installDebian(work: string, root: string): Promise<void> {
  const sandbox = 'APT::Sandbox::User=root';
  await run('apt-get', ['-q', '-o', sandbox, 'download', 'mmdebstrap'], { cwd: work });
  const [archive] = (await readdir(work)).filter((name) => name.endsWith('.deb'));
  await run('dpkg-deb', ['-x', join(work, archive!), join(work, 'tool')]);
  const { stdout } = await run('sh', ['-c', '. /etc/os-release && echo "$VERSION_CODENAME"']);
  await run(
    join(work, 'tool/usr/bin/mmdebstrap'),
    [
      ...['--quiet', '--mode=root', '--variant=minbase', '--format=directory', '--aptopt=APT::Sandbox::User "root"'],
      ...['--dpkgopt=path-exclude=/usr/share/doc/*', '--dpkgopt=path-exclude=/usr/share/man/*'],
      `--include=${PACKAGES.join(',')}`,
      '--customize-hook=chroot "$1" systemctl enable systemd-networkd systemd-resolved',
      '--customize-hook=echo "LABEL=cloudimg-root / ext4 defaults 0 1" > "$1/etc/fstab"',
      // No locale is generated in an image as small as this.
      '--customize-hook=echo "locale: C.UTF-8" > "$1/etc/cloud/cloud.cfg.d/10_locale.cfg"',
      // Of the machine that builds: the image is to have keys, name and id of its own.
      '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/hostname" && : > "$1/etc/machine-id"',
      ...[stdout.trim(), root],
    ],
    { maxBuffer: 64 * MIB },
  );
}

async function fillImage(image: string, work: string, root: string, packages: string): Promise<void> {
  const kernel = (await readdir(join(root, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (!kernel) throw new Error('Debian was installed without a kernel');
  const release = kernel.slice('vmlinuz-'.length);
  const disk = await open(image, 'w');
  try {
    await disk.truncate(IMAGE_BYTES);
    await disk.write(masterBootRecord(await bootCode(packages), BOOT, ROOT), 0, SECTOR, 0);
  } finally {
    await disk.close();
  }
  await writeFile(join(work, 'syslinux.cfg'), SYSLINUX_CONFIG);
  await writeBootPartition(image, BOOT, packages, [
    { from: join(root, 'boot', kernel), as: 'vmlinuz' },
    { from: join(root, 'boot', `initrd.img-${release}`), as: 'initrd.img' },
    { from: join(work, 'syslinux.cfg') },
  ]);
  const offset = `offset=${ROOT.startSector * SECTOR},lazy_itable_init=0,lazy_journal_init=0`;
  const blocks = String((ROOT.sectorCount * SECTOR) / 4096);
  await run('mke2fs', [
    '-q',
    '-t',
    'ext4',
    '-b',
    '4096',
    '-L',
    'cloudimg-root',
    '-d',
    root,
    '-E',
    offset,
    image,
    blocks,
  ]);
}
