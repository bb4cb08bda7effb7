/**
 * An attached volume against a plain byte array: random writes, reads, discards, flushes, freezes, seals, changes of
 * base and restarts. The seed is in the name of the test.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { lstat, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { IntegrityError } from '../../src/errors.ts';
import type { MapRoot, SealedMap, VolumeLayers } from '../../src/volumes/storage.ts';
import {
  BLOCK,
  NbdClient,
  NEVER,
  openTestStorage,
  quiet,
  SECTOR,
  Seeded,
  snapshotId,
  type TestStorage,
  testKey,
  volumeId,
} from './storage-model.ts';

const VOLUME = volumeId('vol-0123456789abcdef0');
const [key, baseKey] = [testKey(1), testKey(2)];
const SIZE = 6 * BLOCK;

/** What volumes/ keeps in its record. */
interface VolumeState {
  base?: SealedMap;
  frozen: string[];
  overlay: string;
}
const layersOf = (state: VolumeState, sizeBytes = SIZE): VolumeLayers => ({ sizeBytes, dataKey: key, ...state });

async function attachNew(t: TestStorage, base?: SealedMap): Promise<{ state: VolumeState; socketPath: string }> {
  const state: VolumeState = { frozen: [], overlay: await t.storage.createOverlay(VOLUME), ...(base && { base }) };
  return { state, ...(await t.storage.attach(VOLUME, layersOf(state))) };
}

async function baseOf(t: TestStorage, content: Buffer): Promise<SealedMap> {
  for (let index = 0; index * BLOCK < content.byteLength; index += 2) {
    const block = Buffer.from(content.subarray(index * BLOCK, (index + 1) * BLOCK));
    await t.storage.putBlock(snapshotId('snap-base'), baseKey, index, block);
    content.fill(0, (index + 1) * BLOCK, (index + 2) * BLOCK); // every other block is absent
  }
  const root = await t.db.write((tx) => t.storage.completeUpload(tx, snapshotId('snap-base')));
  return { root, dataKey: baseKey };
}

async function readMap(t: TestStorage, map: SealedMap, sizeBytes = SIZE): Promise<Buffer> {
  const blocks: Uint8Array[] = [];
  for (let index = 0; index * BLOCK < sizeBytes; index++) {
    blocks.push((await t.storage.readBlock(map, index)) ?? Buffer.alloc(BLOCK));
  }
  return Buffer.concat(blocks);
}

function assertSame(actual: Buffer, expected: Buffer, what: string): void {
  if (actual.equals(expected)) return;
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  assert.fail(`${what}: differs at byte ${at} (sector ${Math.floor(at / SECTOR)}, block ${Math.floor(at / BLOCK)})`);
}

const SEEDS = [1, 20_261_123, 4_000_000_007];

for (const seed of SEEDS) {
  test(`a volume behaves as a byte array through freezes, seals and restarts (seed ${seed})`, async () => {
    await using t = await openTestStorage();
    const random = new Seeded(seed);
    const truth = randomBytes(SIZE);
    const base = await baseOf(t, truth);
    let { state, socketPath } = await attachNew(t, base);
    let client = await NbdClient.connect(socketPath);
    let snapshots = 0;
    const range = (): [number, number] => {
      // Around edges of sectors and blocks, aligned or not, from one byte to more than a block.
      const length = [1, 512, 4095, 4096, 4097, 8192, 65_536, BLOCK, BLOCK + 513][random.below(9)]!;
      const unit = [1, 512, SECTOR, BLOCK][random.below(4)]!;
      const offset = Math.min(SIZE - length, random.below(Math.ceil(SIZE / unit)) * unit);
      return [offset, length];
    };
    const trace: string[] = [];
    const steps: [number, () => Promise<void>][] = [
      [30, async () => {
        const [offset, length] = range();
        trace.push(`write ${offset} ${length}`);
        const data = random.bytes(length);
        await client.write(offset, data, random.below(4) === 0 ? 1 : 0);
        data.copy(truth, offset);
      }],
      [30, async () => {
        const [offset, length] = range();
        trace.push(`read ${offset} ${length}`);
        assertSame(await client.read(offset, length), truth.subarray(offset, offset + length), trace.slice(-12).join('; '));
      }],
      [8, async () => {
        const [offset, length] = range();
        trace.push(`zero ${offset} ${length}`);
        if (random.below(2) === 0) await client.zero(offset, length);
        else await client.trim(offset, length);
        truth.fill(0, offset, offset + length);
      }],
      [4, async () => {
        trace.push('flush');
        await client.flush();
      }],
      [3, async () => {
        trace.push('freeze');
        const old = state;
        const writing = client.write(0, Buffer.alloc(0x1000, 0xee)); // on its way while the overlay freezes
        await t.storage.freeze(VOLUME, async (overlay) => {
          state = { ...old, frozen: [...old.frozen, old.overlay], overlay };
        });
        await writing;
        truth.fill(0xee, 0, 0x1000);
      }],
      [3, async () => {
        if (state.frozen.length === 0) return;
        trace.push(`seal ${state.frozen.length}`);
        const sealing = { ...layersOf(state) };
        const job = `seal-${++snapshots}`;
        const root = await t.storage.sealOverlays(job, sealing, quiet, NEVER);
        const removed = state.frozen;
        state = { frozen: [], overlay: state.overlay, base: { root, dataKey: key } };
        await t.storage.rebase(VOLUME, state.base!, removed);
        await t.db.write((tx) => t.storage.finishReseal(tx, job));
        await t.storage.collectGarbage(async () => [root]);
      }],
      [3, async () => {
        trace.push('restart');
        await client[Symbol.asyncDispose]();
        await t.reopen();
        const again = await t.storage.attach(VOLUME, layersOf(state));
        assert.equal(again.socketPath, socketPath);
        client = await NbdClient.connect(socketPath);
      }],
    ]; // biome-ignore format: a table
    const total = steps.reduce((sum, [weight]) => sum + weight, 0);
    for (let i = 0; i < 250; i++) {
      let pick = random.below(total);
      for (const [weight, step] of steps) {
        if (pick >= 0 && pick < weight) await step();
        pick -= weight;
      }
    }
    assertSame(await client.read(0, SIZE), truth, `the end, after ${trace.slice(-12).join('; ')}`);
    await client[Symbol.asyncDispose]();
  });
}

test('a snapshot holds exactly what was acknowledged before the freeze, from under another key (BI-6)', async () => {
  await using t = await openTestStorage();
  const truth = randomBytes(SIZE);
  const base = await baseOf(t, truth);
  const { state, socketPath } = await attachNew(t, base);
  await using client = await NbdClient.connect(socketPath);
  await client.write(BLOCK - 5000, Buffer.alloc(10_000, 7));
  truth.fill(7, BLOCK - 5000, BLOCK + 5000);
  await client.zero(4 * BLOCK, BLOCK);
  truth.fill(0, 4 * BLOCK, 5 * BLOCK);
  await t.storage.freeze(VOLUME, async () => {});
  await client.write(0, Buffer.alloc(SIZE, 9));
  const sealed = { ...layersOf(state), frozen: [state.overlay] };
  const root = await t.storage.sealOverlays('job', sealed, quiet, NEVER);
  assertSame(await readMap(t, { root, dataKey: key }), truth, 'the snapshot');
  assertSame(await client.read(0, SIZE), Buffer.alloc(SIZE, 9), 'the volume');
});

test('freezing changes nothing when its record cannot be made', async () => {
  await using t = await openTestStorage();
  const { socketPath } = await attachNew(t);
  await using client = await NbdClient.connect(socketPath);
  await client.write(0, Buffer.alloc(SECTOR, 1));
  const folder = join(t.dir, 'overlays', VOLUME);
  const before = await readdir(folder);
  await assert.rejects(
    t.storage.freeze(VOLUME, async () => {
      throw new Error('no record');
    }),
    /no record/,
  );
  assert.deepEqual(await readdir(folder), before);
  await client.write(SECTOR, Buffer.alloc(SECTOR, 2));
  assert.deepEqual(await client.read(0, 2 * SECTOR), Buffer.concat([Buffer.alloc(SECTOR, 1), Buffer.alloc(SECTOR, 2)]));
});

test('a later snapshot shares every page and block that did not change', async () => {
  await using t = await openTestStorage();
  const { state, socketPath } = await attachNew(t);
  await using client = await NbdClient.connect(socketPath);
  await client.write(0, randomBytes(SIZE));
  let latest = state;
  const snapshot = async (job: string): Promise<MapRoot> => {
    const old = latest;
    await t.storage.freeze(VOLUME, async (overlay) => {
      latest = { ...old, frozen: [...old.frozen, old.overlay], overlay };
    });
    const root = await t.storage.sealOverlays(job, layersOf(latest), quiet, NEVER);
    const removed = latest.frozen;
    latest = { frozen: [], overlay: latest.overlay, base: { root, dataKey: key } };
    await t.storage.rebase(VOLUME, latest.base!, removed);
    return root;
  };
  const first = await snapshot('one');
  await client.write(3 * BLOCK + 17, Buffer.from('x'));
  const second = await snapshot('two');
  const changed = await t.storage.listChangedBlocks(first, second, 0, 100);
  assert.deepEqual(
    changed.blocks.map(({ index }) => index),
    [3],
  );
  assert.equal(await snapshot('three'), second);
});

test('four connections at once do not mix data up', async () => {
  await using t = await openTestStorage();
  const { socketPath } = await attachNew(t);
  const clients = await Promise.all(Array.from({ length: 4 }, () => NbdClient.connect(socketPath)));
  const length = 12_288;
  await Promise.all(
    clients.map(async (client, lane) => {
      const random = new Seeded(lane);
      const truth = new Map<number, Buffer>();
      for (let round = 0; round < 40; round++) {
        await Promise.all(
          Array.from({ length: 8 }, async () => {
            // Each lane has its own places, next to those of the others: shared sectors at both ends.
            const place = random.below(60);
            const offset = 100 + (place * 4 + lane) * (length + 100);
            if (truth.has(offset)) return;
            const data = random.bytes(length);
            truth.set(offset, data);
            await client.write(offset, data);
          }),
        );
      }
      for (const [offset, data] of truth)
        assertSame(await clients[(lane + 1) % 4]!.read(offset, length), data, `lane ${lane}`);
    }),
  );
  for (const client of clients) await client[Symbol.asyncDispose]();
});

test('no plaintext written to a volume is found in any file; the socket is for its owner alone', async () => {
  await using t = await openTestStorage();
  const { socketPath } = await attachNew(t);
  await using client = await NbdClient.connect(socketPath);
  const marker = Buffer.from('a marker that is easy to find 0123456789');
  await client.write(3, Buffer.alloc(3 * BLOCK, marker));
  await client.flush();
  for (const entry of await readdir(t.dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    assert.ok(!(await readFile(join(entry.parentPath, entry.name))).includes(marker.subarray(0, 16)), entry.name);
  }
  assert.equal((await lstat(socketPath)).mode & 0o777, 0o600);
  assert.equal((await lstat(join(socketPath, '..'))).mode & 0o777, 0o700);
});

test('detaching is idempotent, deleting needs it, and equal sectors of two overlays differ on disk', async () => {
  await using t = await openTestStorage();
  const { state, socketPath } = await attachNew(t);
  await using client = await NbdClient.connect(socketPath);
  const twins = Buffer.alloc(2 * SECTOR, 5);
  await client.write(0, twins);
  await assert.rejects(t.storage.deleteOverlays(VOLUME), /attached/);
  await t.storage.detach(VOLUME);
  await t.storage.detach(VOLUME);
  assert.equal(t.storage.isAttached(VOLUME), false);
  const second = await t.storage.createOverlay(VOLUME);
  await t.storage.attach(VOLUME, { ...layersOf(state), overlay: second, frozen: [] });
  await using other = await NbdClient.connect(socketPath);
  await other.write(0, twins);
  await t.storage.detach(VOLUME);
  const data = (name: string) => readFile(join(t.dir, 'overlays', `${name}.data`));
  const [a, b] = [await data(state.overlay), await data(second)];
  const sectors = [
    a.subarray(0, SECTOR),
    a.subarray(SECTOR, 2 * SECTOR),
    b.subarray(0, SECTOR),
    b.subarray(SECTOR, 2 * SECTOR),
  ];
  assert.equal(new Set(sectors.map((sector) => sector.toString('hex'))).size, 4);
  await t.storage.deleteOverlays(VOLUME);
  await t.storage.deleteOverlays(VOLUME);
  assert.deepEqual(await readdir(join(t.dir, 'overlays')), []);
});

test('a volume whose overlay is missing or damaged is not served, and can be once it is whole', async () => {
  await using t = await openTestStorage();
  const { state, socketPath } = await attachNew(t);
  await t.storage.detach(VOLUME);
  const bits = join(t.dir, 'overlays', `${state.overlay}.bits`);
  const whole = await readFile(bits);
  await writeFile(bits, Buffer.concat([Buffer.from('X'), whole.subarray(1)]));
  await assert.rejects(t.storage.attach(VOLUME, layersOf(state)), IntegrityError);
  await rm(bits);
  await assert.rejects(t.storage.attach(VOLUME, layersOf(state)), /ENOENT/);
  assert.equal(t.storage.isAttached(VOLUME), false);
  await writeFile(bits, whole);
  assert.deepEqual(await t.storage.attach(VOLUME, layersOf(state)), { socketPath });
});

test('a base block that was tampered with is EIO for the guest, and the rest is served', async () => {
  await using t = await openTestStorage();
  const truth = randomBytes(SIZE);
  const base = await baseOf(t, truth);
  await t.reopen();
  const [segment] = await readdir(join(t.dir, 'segments'));
  const path = join(t.dir, 'segments', segment!);
  const bytes = await readFile(path);
  bytes[4096 + 77]! ^= 1;
  await writeFile(path, bytes);
  const { socketPath } = await attachNew(t, base);
  await using client = await NbdClient.connect(socketPath);
  const errors: number[] = [];
  for (let index = 0; index < SIZE / BLOCK; index++) {
    const { errno, data } = await client.request({ type: 0, offset: index * BLOCK, length: 100 });
    if (errno !== 0) errors.push(errno);
    else assertSame(data, truth.subarray(index * BLOCK, index * BLOCK + 100), `block ${index}`);
  }
  assert.deepEqual(errors, [5]);
});

test('discarding a whole large disk is quick, leaves small files, and seals to nothing', async () => {
  await using t = await openTestStorage();
  const sizeBytes = 1024 * 1024 * 1024 * 1024;
  const state: VolumeState = { frozen: [], overlay: await t.storage.createOverlay(VOLUME) };
  const { socketPath } = await t.storage.attach(VOLUME, layersOf(state, sizeBytes));
  await using client = await NbdClient.connect(socketPath);
  const step = 2 ** 32 - SECTOR;
  for (let at = 0; at < 4 * step; at += step) await client.trim(at, step);
  await client.write(sizeBytes - 1, Buffer.from('x'));
  await t.storage.freeze(VOLUME, async () => {});
  const layers = { ...layersOf(state, sizeBytes), frozen: [state.overlay] };
  const root = await t.storage.sealOverlays('job', layers, quiet, NEVER);
  const listed = await t.storage.listBlocks(root, 0, 10);
  assert.deepEqual(
    listed.blocks.map(({ index }) => index),
    [sizeBytes / BLOCK - 1],
  );
});
