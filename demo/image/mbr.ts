/** A master boot record: boot code at the front, the table of partitions at 446, the signature at 510. */

export const SECTOR = 512;

export interface Partition {
  readonly startSector: number;
  readonly sectorCount: number;
  /** For example 0x0c for FAT32 with LBA, 0x83 for Linux. */
  readonly type: number;
}

/** `bootCode` is at most 440 bytes, and boots the first of one to four partitions. */
export function masterBootRecord(bootCode: Uint8Array, ...partitions: readonly Partition[]): Uint8Array {
  if (bootCode.length > 440) throw new RangeError(`boot code of ${bootCode.length} bytes does not fit into 440`);
  if (partitions.length < 1 || partitions.length > 4) throw new RangeError(`${partitions.length} partitions`);
  const record = Buffer.alloc(SECTOR);
  record.set(bootCode, 0);
  for (const [index, partition] of partitions.entries()) {
    const entry = record.subarray(446 + 16 * index, 462 + 16 * index);
    entry[0] = index === 0 ? 0x80 : 0; // active
    entry.set([0xfe, 0xff, 0xff], 1); // no cylinder-head-sector address: use LBA
    entry[4] = partition.type;
    entry.set([0xfe, 0xff, 0xff], 5);
    entry.writeUInt32LE(partition.startSector, 8);
    entry.writeUInt32LE(partition.sectorCount, 12);
  }
  record.writeUInt16LE(0xaa55, 510);
  return record;
}
