/** Which format a disk file has, by its first and last bytes. */
import { UsageError } from '../error.ts';

/** Formats that qemu reads, by our name, with qemu's name. */
export const FOREIGN_FORMATS = { qcow2: 'qcow2', vmdk: 'vmdk', vhd: 'vpc', vhdx: 'vhdx' } as const;
export const COMPRESSIONS = ['gzip', 'zstd', 'xz'] as const;

export type ForeignFormat = keyof typeof FOREIGN_FORMATS;
export type Compression = (typeof COMPRESSIONS)[number];
export type DiskFormat = 'raw' | ForeignFormat | Compression;

export const FORMATS: readonly DiskFormat[] = [
  'raw',
  ...(Object.keys(FOREIGN_FORMATS) as ForeignFormat[]),
  ...COMPRESSIONS,
];

/** So many bytes from the start are enough for {@link formatOf}. */
export const HEAD_BYTES = 512;
/** A fixed VHD is raw but for a footer of so many bytes. */
export const FOOTER_BYTES = 512;

const MAGICS: readonly (readonly [DiskFormat, Buffer])[] = [
  ['qcow2', Buffer.from('QFI\xfb', 'latin1')],
  ['vmdk', Buffer.from('KDMV')],
  ['vmdk', Buffer.from('# Disk DescriptorFile')],
  ['vhdx', Buffer.from('vhdxfile')],
  ['vhd', Buffer.from('conectix')],
  ['gzip', Buffer.from([0x1f, 0x8b, 0x08])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])],
];
const VHD_COOKIE = Buffer.from('conectix');

/** `footer`: the last 512 bytes, where the end can be read. */
export function formatOf(head: Buffer, footer?: Buffer): DiskFormat {
  for (const [format, magic] of MAGICS) {
    if (head.subarray(0, magic.length).equals(magic)) return format;
  }
  return footer?.subarray(0, VHD_COOKIE.length).equals(VHD_COOKIE) ? 'vhd' : 'raw';
}

export function isForeign(format: DiskFormat): format is ForeignFormat {
  return Object.hasOwn(FOREIGN_FORMATS, format);
}

export function isCompression(format: DiskFormat): format is Compression {
  return (COMPRESSIONS as readonly string[]).includes(format);
}

export function parseFormat(text: string): DiskFormat {
  const format = FORMATS.find((one) => one === text);
  if (!format) throw new UsageError(`--format must be one of ${FORMATS.join(', ')}, not ${JSON.stringify(text)}.`);
  return format;
}
