/** What the first sectors of a disk say: its size, and how it boots. UEFI specification 2.10, section 5.3. */

export type BootMode = 'legacy-bios' | 'uefi' | 'uefi-preferred';

const SECTOR = 512;
const ENTRY_BYTES_MIN = 128;
/** Partition types as they stand in an entry: the first three fields are little-endian. */
const EFI_SYSTEM = guid('C12A7328-F81F-11D2-BA4B-00A0C93EC93B');
const BIOS_BOOT = guid('21686148-6449-6E6F-744E-656564454649');

/** The header, both copies of the table's usual size, and room to spare. */
export const HEAD_FOR_PARTITIONS_BYTES = 64 * SECTOR;

interface Gpt {
  readonly diskBytes: number;
  readonly types: ReadonlySet<string>;
}

function guid(text: string): string {
  const [a = '', b = '', c = '', d = '', e = ''] = text.split('-');
  const reversed = (part: string) => Buffer.from(part, 'hex').reverse().toString('hex');
  return `${reversed(a)}${reversed(b)}${reversed(c)}${d}${e}`.toLowerCase();
}

function readGpt(head: Buffer): Gpt | undefined {
  const header = head.subarray(SECTOR, 2 * SECTOR);
  if (header.length < SECTOR || header.toString('latin1', 0, 8) !== 'EFI PART') return undefined;
  const lastSector = Number(header.readBigUInt64LE(32));
  const table = Number(header.readBigUInt64LE(72)) * SECTOR;
  const count = header.readUInt32LE(80);
  const entryBytes = header.readUInt32LE(84);
  const types = new Set<string>();
  if (entryBytes >= ENTRY_BYTES_MIN) {
    for (let index = 0; index < count; index += 1) {
      const start = table + index * entryBytes;
      if (start + 16 > head.length) break;
      types.add(head.toString('hex', start, start + 16));
    }
  }
  return { diskBytes: (lastSector + 1) * SECTOR, types };
}

/** Size of the disk by its GUID partition table, which names the last sector; undefined where there is none. */
export function sizeByGpt(head: Buffer): number | undefined {
  return readGpt(head)?.diskBytes;
}

/** A GPT with an EFI system partition boots by UEFI; with a BIOS boot partition beside it, either way. */
export function bootModeOf(head: Buffer): BootMode {
  const types = readGpt(head)?.types;
  if (!types?.has(EFI_SYSTEM)) return 'legacy-bios';
  return types.has(BIOS_BOOT) ? 'uefi-preferred' : 'uefi';
}
