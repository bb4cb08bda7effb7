/**
 * A small real Linux that boots from a plain disk: Debian's kernel, busybox as the whole user space, SYSLINUX in a FAT
 * partition. It is put together without root, mounts or loop devices: packages are fetched by `apt-get download` and
 * unpacked by `dpkg-deb`, the partition is filled by mtools, and SYSLINUX writes itself into the file.
 *
 * What the guest does is {@link INIT}: it prints the marker, which it reads from a file on the disk's partition (not
 * from its kernel command line), counts its boots in another file there, and says it is alive every few seconds after
 * reading the marker anew from the disk. It powers off when the power button is pressed.
 *
 * Where it has a network card it asks for an address, and then the instance metadata service for who it is; it prints
 * what it hears ({@link METADATA}), and runs its user data where that is a script. On port 22 it tells its host keyless
 * visitors its name: enough to see that a connection arrives.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BOOT_PARTITION_TYPE, bootCode, writeBootPartition } from './boot-partition.ts';
import { type CpioEntry, cpioArchive } from './cpio.ts';
import { unpackedPackages } from './debian-packages.ts';
import { masterBootRecord, SECTOR } from './mbr.ts';

const run = promisify(execFile);

const IMAGE_BYTES = 64 * 1024 * 1024;
const PARTITION_START = 2048;
const PARTITION = {
  startSector: PARTITION_START,
  sectorCount: IMAGE_BYTES / SECTOR - PARTITION_START,
  type: BOOT_PARTITION_TYPE,
};

const MODULES = ['virtio_pci', 'virtio_blk', 'virtio_net', 'vfat', 'nls_cp437', 'nls_ascii', 'button', 'evdev'];

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec </dev/console >/dev/console 2>&1
while read -r module; do insmod "/modules/$module"; done </modules/order
tries=0
until [ -b /dev/vda1 ] || [ $tries -ge 300 ]; do tries=$((tries + 1)); usleep 100000; done
mount -t vfat -o rw,sync /dev/vda1 /disk || { echo "ingot-error: the root disk does not mount"; }
echo $(($(cat /disk/boots 2>/dev/null || echo 0) + 1)) >/disk/boots.new && mv /disk/boots.new /disk/boots
sync
echo "ingot-marker: $(cat /disk/marker.txt)"
echo "ingot-boots: $(cat /disk/boots)"
leave() {
  echo "ingot-powering-off"
  umount /disk
  sync
  poweroff -f
}
for event in /dev/input/event*; do
  [ -e "$event" ] && { head -c 24 "$event" >/dev/null; leave; } &
done
/metadata &
turn=0
while :; do
  turn=$((turn + 1))
  echo 3 >/proc/sys/vm/drop_caches
  disks=$(for disk in /sys/block/vd*; do printf '%s=%s ' "\${disk##*/}" "$(cat "$disk/serial")"; done)
  echo "ingot-alive: $turn $disks$(cat /disk/marker.txt >/dev/null && echo reads)$(
    [ -e /address ] && put http://169.254.169.254/latest/api/token | awk '{ print " token=" length($0) }'
  )"
  sleep 3
done
`;

/** Printed as `ingot-imds <path>: <first line>`, with a token of IMDSv2; one line each, so that tests can wait for them. */
const METADATA = `#!/bin/sh
export PATH=/bin
base=http://169.254.169.254/latest
[ -d /sys/class/net/eth0 ] || exit 0
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -n -q -t 20 -T 1 -s /lease >/dev/null 2>&1 || { echo "ingot-imds-error: no address"; exit 0; }
echo "ingot-address: $(cat /address)"
token=$(put $base/api/token)
echo "ingot-imds-token: \${#token}"
get() { wget -q -O - --header "X-aws-ec2-metadata-token: $token" "$base/$1"; }
for path in meta-data/instance-id meta-data/placement/region meta-data/public-keys/0/openssh-key user-data meta-data/iam/security-credentials/; do
  echo "ingot-imds $path: $(get "$path" 2>&1 | head -n 1)"
done
role=$(get meta-data/iam/security-credentials/ 2>/dev/null | head -n 1)
[ -n "$role" ] && echo "ingot-imds-credentials: $(get "meta-data/iam/security-credentials/$role" | tr -d '\\n ')"
echo "ingot-imds-v1: $(wget -q -O - $base/meta-data/instance-id 2>&1 | head -n 1)"
get user-data >/user-data 2>/dev/null && head -c 2 /user-data | grep -q '#!' && { chmod 755 /user-data; /user-data; }
nc -ll -p 22 -e /bin/echo "ingot-guest $(get meta-data/instance-id)" &
echo "ingot-imds-done"
`;

/** For udhcpc: takes what DHCP gives. */
const LEASE = `#!/bin/sh
[ "$1" = bound ] || exit 0
ifconfig "$interface" "$ip" netmask "$subnet" up
[ -n "$router" ] && route add default gw "$router" dev "$interface"
hostname "$hostname"
echo "$ip/$subnet via $router as $hostname.$domain" >/address
`;

/** busybox's wget knows no PUT. */
const PUT = `#!/bin/sh
host=169.254.169.254
path=\${1#http://$host}
printf 'PUT %s HTTP/1.1\\r\\nHost: %s\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\nConnection: close\\r\\n\\r\\n' "$path" "$host" >/request
# The end of input would end the connection before the answer.
(cat /request; sleep 1) | nc -w 5 $host 80 | tail -n 1
`;

const SYSLINUX_CONFIG = `SERIAL 0 115200
DEFAULT linux
PROMPT 0
TIMEOUT 0
LABEL linux
  LINUX vmlinuz
  INITRD initrd.img
  APPEND console=ttyS0,115200 quiet loglevel=3 mitigations=off panic=-1
`;

/** A reason in one sentence why this machine cannot build it, or `undefined` where it can. */
export async function whyNoLinuxImage(): Promise<string | undefined> {
  for (const tool of ['apt-get', 'apt-cache', 'dpkg-deb']) {
    try {
      await run(tool, ['--version']);
    } catch {
      return `${tool} is not here, so no Linux image can be built from Debian packages`;
    }
  }
  if (process.arch !== 'x64') return `the image is for x86-64 and this machine is ${process.arch}`;
  return undefined;
}

/** Builds the disk image at `path` for `marker`, a line of printable ASCII. Packages are kept in `cacheDir`. */
export async function buildLinuxImage(path: string, marker: string, cacheDir: string): Promise<void> {
  const root = await unpackedPackages(cacheDir);
  const work = await mkdtemp(`${path}.`);
  try {
    const image = join(work, 'disk.img');
    await fillImage(image, work, root, marker);
    await rename(image, path);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function fillImage(image: string, work: string, root: string, marker: string): Promise<void> {
  const kernel = (await readdir(join(root, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (!kernel) throw new Error('the kernel package holds no kernel');
  const release = kernel.slice('vmlinuz-'.length);
  await writeFile(join(work, 'initrd.img'), cpioArchive(await initialFiles(root, release)));
  await writeFile(join(work, 'syslinux.cfg'), SYSLINUX_CONFIG);
  await writeFile(join(work, 'marker.txt'), `${marker}\n`);

  const disk = await open(image, 'w');
  try {
    await disk.truncate(IMAGE_BYTES);
    await disk.write(masterBootRecord(await bootCode(root), PARTITION), 0, SECTOR, 0);
  } finally {
    await disk.close();
  }

  await writeBootPartition(image, PARTITION, root, [
    { from: join(root, 'boot', kernel), as: 'vmlinuz' },
    ...['initrd.img', 'syslinux.cfg', 'marker.txt'].map((name) => ({ from: join(work, name) })),
  ]);
}

async function initialFiles(root: string, release: string): Promise<CpioEntry[]> {
  const modules = await orderedModules(join(root, 'lib/modules', release, 'kernel'), MODULES);
  const directories = ['bin', 'dev', 'proc', 'sys', 'disk', 'modules'];
  return [
    ...directories.map((path): CpioEntry => ({ kind: 'directory', path })),
    { kind: 'character-device', path: 'dev/console', major: 5, minor: 1 },
    { kind: 'file', path: 'bin/busybox', bytes: await readFile(join(root, 'bin/busybox')), executable: true },
    { kind: 'file', path: 'init', bytes: Buffer.from(INIT), executable: true },
    { kind: 'file', path: 'metadata', bytes: Buffer.from(METADATA), executable: true },
    { kind: 'file', path: 'lease', bytes: Buffer.from(LEASE), executable: true },
    { kind: 'file', path: 'bin/put', bytes: Buffer.from(PUT), executable: true },
    { kind: 'file', path: 'modules/order', bytes: Buffer.from(modules.map((it) => `${it.name}.ko\n`).join('')) },
    ...modules.map((it): CpioEntry => ({ kind: 'file', path: `modules/${it.name}.ko`, bytes: it.bytes })),
  ];
}

/** The modules and what they need, in an order in which each can be inserted. Built-in ones are left out. */
async function orderedModules(
  kernelDir: string,
  wanted: readonly string[],
): Promise<{ name: string; bytes: Buffer }[]> {
  const files = new Map<string, string>();
  for (const entry of await readdir(kernelDir, { recursive: true })) {
    const match = /([^/]+)\.ko(\.xz|\.zst)?$/.exec(entry);
    if (match) files.set(match[1]!.replaceAll('-', '_'), join(kernelDir, entry));
  }
  const ordered = new Map<string, Buffer>();
  const add = async (name: string): Promise<void> => {
    const file = files.get(name);
    if (ordered.has(name) || !file) return;
    const bytes = await readModule(file);
    const depends = /\0depends=([^\0]*)\0/.exec(bytes.toString('latin1'))?.[1] ?? '';
    for (const needed of depends.split(',').filter((it) => it !== '')) await add(needed.replaceAll('-', '_'));
    ordered.set(name, bytes);
  };
  for (const name of wanted) await add(name);
  return [...ordered].map(([name, bytes]) => ({ name, bytes }));
}

async function readModule(file: string): Promise<Buffer> {
  if (file.endsWith('.ko')) return readFile(file);
  const tool = file.endsWith('.xz') ? 'xz' : 'zstd';
  const { stdout } = await run(tool, ['-dc', file], { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}
