/** `ingot diff`: where two snapshots differ, by block. */
import {
  type ChangedBlock,
  ListChangedBlocksCommand,
  type ListChangedBlocksResponse,
  ValidationException,
} from '@aws-sdk/client-ebs';
import { type Aws, connect } from './aws.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { BLOCK_BYTES } from './disk/block.ts';
import { inLanes } from './ebs/lanes.ts';
import { type ListedBlock, listBlocks, readBlock } from './ebs/read-blocks.ts';
import { resolveSnapshot } from './ebs/snapshots.ts';
import { CliError, EXIT } from './error.ts';
import { interruptSignal } from './interrupt.ts';
import { size } from './pace.ts';
import { Report } from './report.ts';
import { table } from './table.ts';

export interface DiffOptions extends ConnectionOptions {
  readonly contents?: true;
  readonly exitCode?: true;
  readonly parallel: number;
  readonly json?: true;
}

/** `added`: only the second has the block; `removed`: only the first. */
export type ChangeKind = 'changed' | 'added' | 'removed';

export interface Change {
  readonly index: number;
  readonly kind: ChangeKind;
}
export interface ChangedRange {
  readonly firstBlock: number;
  readonly lastBlock: number;
  readonly kind: ChangeKind;
}

interface Difference {
  readonly index: number;
  readonly first?: ListedBlock;
  readonly second?: ListedBlock;
}

const PAGE = 10_000;
const RANGES_SHOWN_MAX = 50;

export async function diffSnapshots(first: string, second: string, options: DiffOptions): Promise<void> {
  const report = new Report(options);
  const signal = interruptSignal();
  const aws = await connect(options);
  const [firstId, secondId] = await Promise.all(
    [first, second].map(async (subject) => (await resolveSnapshot(aws.ec2, subject, undefined, signal)).snapshotId),
  );
  const pair = { first: firstId as string, second: secondId as string };
  let differences = await report.waiting('Listing the changed blocks', () =>
    listDifferences(aws, pair, options.contents === true, signal),
  );
  if (options.contents) differences = await unequal(aws, pair, differences, options.parallel, report, signal);
  const changes = differences.map(({ index, first: before, second: after }): Change => {
    return { index, kind: before && after ? 'changed' : after ? 'added' : 'removed' };
  });
  tell(report, pair, changes, options.contents === true);
  if (options.exitCode && changes.length > 0) process.exitCode = EXIT.differs;
}

interface Pair {
  readonly first: string;
  readonly second: string;
}

async function listDifferences(aws: Aws, pair: Pair, contents: boolean, signal: AbortSignal): Promise<Difference[]> {
  try {
    return await listChanged(aws, pair, signal);
  } catch (error) {
    if (!(error instanceof ValidationException && error.Reason === 'UNRELATED_SNAPSHOTS')) throw error;
    if (contents) return listAll(aws, pair, signal);
    throw new CliError(
      `${pair.first} and ${pair.second} have no common origin, so EBS cannot tell what changed: give --contents to compare their bytes.`,
      { cause: error },
    );
  }
}

async function listChanged({ ebs }: Aws, { first, second }: Pair, signal: AbortSignal): Promise<Difference[]> {
  const found: Difference[] = [];
  let page: ListChangedBlocksResponse | undefined;
  do {
    const command = new ListChangedBlocksCommand({
      FirstSnapshotId: first,
      SecondSnapshotId: second,
      MaxResults: PAGE,
      NextToken: page?.NextToken,
    });
    page = await ebs.send(command, { abortSignal: signal });
    for (const block of page.ChangedBlocks ?? []) found.push(difference(block));
  } while (page.NextToken !== undefined);
  return found;
}

function difference({ BlockIndex, FirstBlockToken, SecondBlockToken }: ChangedBlock): Difference {
  const index = BlockIndex as number;
  return {
    index,
    ...(FirstBlockToken ? { first: { index, token: FirstBlockToken } } : {}),
    ...(SecondBlockToken ? { second: { index, token: SecondBlockToken } } : {}),
  };
}

/** Every block that either of them has. */
async function listAll({ ebs }: Aws, pair: Pair, signal: AbortSignal): Promise<Difference[]> {
  const [first, second] = await Promise.all([pair.first, pair.second].map((id) => listBlocks(ebs, id, signal)));
  const all = new Map<number, Difference>();
  for (const block of first?.blocks ?? []) all.set(block.index, { index: block.index, first: block });
  for (const block of second?.blocks ?? []) {
    all.set(block.index, { ...all.get(block.index), index: block.index, second: block });
  }
  return [...all.values()].sort((a, b) => a.index - b.index);
}

/** Those whose bytes differ; a block that is not there reads as zero. */
async function unequal(
  { ebs }: Aws,
  pair: Pair,
  differences: readonly Difference[],
  lanes: number,
  report: Report,
  signal: AbortSignal,
): Promise<Difference[]> {
  const zeroes = Buffer.alloc(BLOCK_BYTES);
  const kept: Difference[] = [];
  const queue = differences.values();
  const bar = report.bar('Comparing', differences.length * BLOCK_BYTES);
  try {
    await inLanes(lanes, signal, async (either) => {
      for (const one of queue) {
        either.throwIfAborted();
        const side = async (id: string, block: ListedBlock | undefined) =>
          block ? (await readBlock(ebs, id, block, either)).data : zeroes;
        const [before, after] = await Promise.all([side(pair.first, one.first), side(pair.second, one.second)]);
        if (!before.equals(after)) kept.push(one);
        bar.advance(BLOCK_BYTES);
      }
    });
  } finally {
    bar.stop();
  }
  return kept.sort((a, b) => a.index - b.index);
}

/** Neighbours of one kind together; `changes` in ascending order. */
export function rangesOf(changes: readonly Change[]): ChangedRange[] {
  const ranges: ChangedRange[] = [];
  for (const { index, kind } of changes) {
    const last = ranges.at(-1);
    if (last?.kind === kind && last.lastBlock + 1 === index) ranges[ranges.length - 1] = { ...last, lastBlock: index };
    else ranges.push({ firstBlock: index, lastBlock: index, kind });
  }
  return ranges;
}

function tell(report: Report, pair: Pair, changes: readonly Change[], contents: boolean): void {
  const ranges = rangesOf(changes);
  const count = (kind: ChangeKind) => changes.filter((change) => change.kind === kind).length;
  const blocks = { changed: count('changed'), added: count('added'), removed: count('removed') };
  const document = {
    first: pair.first,
    second: pair.second,
    comparedBy: contents ? 'contents' : 'writes',
    blockBytes: BLOCK_BYTES,
    blocks,
    bytes: changes.length * BLOCK_BYTES,
    ranges,
  };
  if (changes.length === 0) {
    report.result(document, `${pair.first} and ${pair.second} do not differ.`);
    return;
  }
  const lines = [rangeTable(ranges.slice(0, RANGES_SHOWN_MAX))];
  if (ranges.length > RANGES_SHOWN_MAX) {
    lines.push(`… and ${ranges.length - RANGES_SHOWN_MAX} more ranges: --json lists them all.`);
  }
  const kinds = Object.entries(blocks).filter(([, number]) => number > 0);
  lines.push(
    `${changes.length} blocks differ, ${size(changes.length * BLOCK_BYTES)}: ` +
      `${kinds.map(([kind, number]) => `${number} ${kind}`).join(', ')}.`,
  );
  report.result(document, lines.join('\n'));
}

function rangeTable(ranges: readonly ChangedRange[]): string {
  return table(
    ['Blocks', 'From', 'Size', 'Kind'],
    ranges.map(({ firstBlock, lastBlock, kind }) => [
      firstBlock === lastBlock ? `${firstBlock}` : `${firstBlock}-${lastBlock}`,
      size(firstBlock * BLOCK_BYTES),
      size((lastBlock - firstBlock + 1) * BLOCK_BYTES),
      kind,
    ]),
  );
}
