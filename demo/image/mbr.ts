/** A master boot record with one partition: boot code at the front, the partition table at 446, the signature at 510. */

export const SECTOR = 512;

/** `bootCode` is at most 440 bytes. `type` is the partition type byte, for example 0x0c for FAT32 with LBA. */
export function masterBootRecord(
  bootCode: Uint8Array,
  partition: { startSector: number; sectorCount: number; type: number },
): Uint8Array {
  if (bootCode.length > 440) throw new RangeError(`boot code of ${bootCode.length} bytes does not fit into 440`);
  const record = Buffer.alloc(SECTOR);
  record.set(bootCode, 0);
  const entry = record.subarray(446, 462);
  entry[0] = 0x80; // active
  entry.set([0xfe, 0xff, 0xff], 1); // no cylinder-head-sector address: use LBA
  entry[4] = partition.type;
  entry.set([0xfe, 0xff, 0xff], 5);
  entry.writeUInt32LE(partition.startSector, 8);
  entry.writeUInt32LE(partition.sectorCount, 12);
  record.writeUInt16LE(0xaa55, 510);
  return record;
}
