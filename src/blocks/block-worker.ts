/**
 * A worker thread that hashes, seals, opens, reads and writes blocks. What it has in flight is bounded by its pool of
 * aligned buffers; plaintext stays within the thread, except for a block that was asked for.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { release } from '../crypto/block-cipher.ts';
import { sha256 } from '../crypto/hash.ts';
import { LIMITS } from '../limits.ts';
import { AlignedPool } from './aligned-pool.ts';
import { ENTRY_BYTES, type Entry, isDataEntry, isZeroEntry, zeroEntry } from './entry.ts';
import { scanFile } from './file-scan.ts';
import { inspectBlocks } from './inspection.ts';
import { readThrough } from './layers.ts';
import type {
  BlockReply,
  BlockRequest,
  BlockWorkerData,
  MergeRequest,
  Numbered,
  PutRequest,
  PutResult,
  ResealRequest,
} from './messages.ts';
import { failureOf } from './messages.ts';
import { Overlay, REGION_SECTORS } from './overlay.ts';
import { SegmentKeys, SegmentReader, type WorkerKey } from './segment-reader.ts';
import { type Appended, SegmentWriter } from './segment-writer.ts';

const BUFFERS = 16;
const PARALLEL = 6;

const { segmentsDir, overlaysDir } = workerData as BlockWorkerData;
const port = parentPort!;
const say = (reply: BlockReply, transfer: ArrayBuffer[] = []): void => port.postMessage(reply, transfer);

const pool = new AlignedPool(BUFFERS, LIMITS.blockBytes);
const keys = new SegmentKeys();
const reader = new SegmentReader(segmentsDir, keys);
const writer = new SegmentWriter(segmentsDir, keys, {
  opened: (segment) => say({ kind: 'opened', segment }),
  closed: (segment) => say({ kind: 'closed', segment }),
  buffered: () => say({ kind: 'buffered' }),
});

const ZEROS = Buffer.alloc(LIMITS.blockBytes);
const ZEROS_SHA256 = sha256(ZEROS);
const isZero = (block: Uint8Array): boolean => ZEROS.equals(block);

const underWay = new Set<Promise<unknown>>();

port.on('message', ({ id, body }: Numbered<BlockRequest>) => {
  const running = run(body);
  if (body.kind !== 'close') {
    underWay.add(running);
    const over = (): boolean => underWay.delete(running);
    running.then(over, over);
  }
  running.then(
    ({ result, transfer }) => {
      say({ kind: 'done', id, result }, transfer);
      if (body.kind === 'close') port.close();
    },
    (error) => say({ kind: 'failed', id, failure: failureOf(error) }),
  );
});

async function run(request: BlockRequest): Promise<{ result: unknown; transfer?: ArrayBuffer[] }> {
  switch (request.kind) {
    case 'put':
      return { result: await put(request) };
    case 'read': {
      const block = await pool.use((scratch) => reader.open(request.dataKey, request.entry, scratch));
      return { result: block, transfer: [block.buffer] };
    }
    case 'reseal':
      return { result: await reseal(request) };
    case 'merge':
      return { result: await merge(request) };
    case 'inspect':
      return {
        result: await pool.use((scratch) => inspectBlocks(segmentsDir, request.dataKey, request.entries, scratch)),
      };
    case 'scan':
      return { result: await scanFile(request.path, request.marker) };
    case 'ping':
      return { result: undefined };
    case 'close':
      await Promise.allSettled(underWay);
      reader.close();
      await writer.close();
      keys.clear();
      return { result: undefined };
  }
}

async function put({ dataKey, plaintext, expectedSha256 }: PutRequest): Promise<PutResult> {
  const block = new Uint8Array(plaintext);
  try {
    const zero = isZero(block);
    const digest = zero ? ZEROS_SHA256 : sha256(block);
    if (expectedSha256 && Buffer.compare(digest, expectedSha256) !== 0) return { sha256: digest };
    if (zero) return { entry: zeroEntry(), sha256: digest };
    const appended = await pool.use((scratch) => writer.append(dataKey, block, scratch));
    await appended.durable();
    return { entry: appended.entry, sha256: digest };
  } finally {
    release(block);
  }
}

/** Seals one block, or names it zero. */
async function sealed(dataKey: WorkerKey, block: Uint8Array, scratch: Buffer): Promise<Appended> {
  if (isZero(block)) return { entry: zeroEntry(), durable: async () => {} };
  return writer.append(dataKey, block, scratch);
}

async function reseal({ source, target, entries }: ResealRequest): Promise<Uint8Array<ArrayBuffer>> {
  return transform(entries, async (entry) => {
    // A zero block has no ciphertext that could be left under the old key.
    if (!isDataEntry(entry)) return { entry, durable: async () => {} };
    return pool.use(async (scratch) => {
      const block = await reader.open(source, entry, scratch);
      try {
        return await sealed(target, block, scratch);
      } finally {
        release(block);
      }
    });
  });
}

async function merge(request: MergeRequest): Promise<Uint8Array<ArrayBuffer>> {
  const overlays: Overlay[] = [];
  try {
    for (const name of request.overlays) {
      overlays.push(await Overlay.open(overlaysDir, name, request.dataKey, 'read'));
    }
    return await transform(request.entries, (entry, i) => mergeOne(request, overlays, request.indexes[i]!, entry));
  } finally {
    await Promise.all(overlays.map((overlay) => overlay.close()));
  }
}

async function mergeOne(request: MergeRequest, overlays: Overlay[], index: number, entry: Entry): Promise<Appended> {
  for (const overlay of overlays) await overlay.loadBits(index);
  // Zeros over nothing are nothing, and a discarded disk is not worth reading to find out.
  if (!isDataEntry(entry) && !overlays.some((overlay) => overlay.hasData(index))) {
    return { entry, durable: async () => {} };
  }
  return pool.use(async (scratch) => {
    const block = Buffer.alloc(LIMITS.blockBytes);
    const present = block.subarray(0, Math.min(LIMITS.blockBytes, request.sizeBytes - index * LIMITS.blockBytes));
    let base: Uint8Array<ArrayBuffer> | undefined;
    try {
      const readBase = async () => {
        if (!isDataEntry(entry)) return undefined;
        base ??= await reader.open(request.baseKey!, entry, scratch);
        return base;
      };
      await readThrough(overlays, readBase, index * REGION_SECTORS, present);
      if (!isDataEntry(entry) && !isZeroEntry(entry) && isZero(block)) return { entry, durable: async () => {} };
      return await sealed(request.dataKey, block, scratch);
    } finally {
      if (base) release(base);
      release(block);
    }
  });
}

/** Applies `work` to every entry, a few at a time; the result is durable as a whole when it resolves. */
async function transform(
  entries: Uint8Array,
  work: (entry: Entry, i: number) => Promise<Appended>,
): Promise<Uint8Array<ArrayBuffer>> {
  const count = entries.byteLength / ENTRY_BYTES;
  const result = new Uint8Array(entries.byteLength);
  const written: Appended[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      const appended = await work(entries.subarray(i * ENTRY_BYTES, (i + 1) * ENTRY_BYTES), i);
      written.push(appended);
      result.set(appended.entry, i * ENTRY_BYTES);
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: PARALLEL }, lane));
  const synced = await Promise.allSettled(written.map((appended) => appended.durable()));
  for (const outcome of [...lanes, ...synced]) if (outcome.status === 'rejected') throw outcome.reason;
  return result;
}
