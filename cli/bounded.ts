/** Work on many things side by side, so many at a time. */
import { inLanes } from './ebs/lanes.ts';

/** Results in the order of `items`; the first failure stops what has not begun, and is thrown. */
export async function mapBounded<Item, Result>(
  items: readonly Item[],
  most: number,
  signal: AbortSignal,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = new Array(items.length);
  const queue = items.entries();
  await inLanes(Math.min(most, items.length), signal, async (either) => {
    for (const [index, item] of queue) {
      either.throwIfAborted();
      results[index] = await work(item);
    }
  });
  return results;
}
