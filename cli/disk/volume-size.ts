/** How large the volume of a disk is. */
import { CliError, UsageError } from '../error.ts';
import { size } from '../pace.ts';
import { GIB } from './block.ts';
import { sizeByGpt } from './partitions.ts';
import type { Disk } from './source.ts';

/**
 * In GiB: as asked for, else as small as the disk allows; never below `leastGiB`. `option` is what asks for it.
 *
 * @throws {UsageError} if the disk does not fit, or does not tell its size; {CliError} if it is cut short.
 */
export function volumeSizeOf(disk: Disk, askedGiB: number | undefined, leastGiB: number, option: string): number {
  const byTable = sizeByGpt(disk.head);
  if (askedGiB !== undefined) {
    const needed = Math.ceil((disk.sizeBytes ?? 0) / GIB);
    if (disk.identity.kind === 'file' && askedGiB < needed) {
      throw new UsageError(`${option} ${askedGiB} is too small: the disk needs ${needed} GiB.`);
    }
    return Math.max(askedGiB, leastGiB);
  }
  if (disk.sizeBytes === undefined) {
    throw new UsageError(`How large the disk is cannot be seen from its beginning: say it with ${option} GIB.`);
  }
  if (byTable !== undefined && byTable > disk.sizeBytes) {
    throw new CliError(
      `The disk is cut short: its partition table is for ${size(byTable)}, and there are ${size(disk.sizeBytes)}. ` +
        `To import it all the same, give ${option}.`,
    );
  }
  return Math.max(Math.ceil(disk.sizeBytes / GIB), leastGiB);
}
