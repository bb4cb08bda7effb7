/**
 * kill -9 at random moments of a process that serves, snapshots, uploads and collects. Afterwards every acknowledged
 * upload and every flushed write is there, and what was not flushed is old or new, whole, and readable.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import {
  CRASH_SIZE,
  CRASH_VOLUME,
  crashLayers,
  readCrashState,
  stampedBlock,
  stampedSector,
  stampOf,
} from './crash-state.ts';
import { NbdClient, openTestStorage, SECTOR, Seeded, snapshotId, testKey } from './storage-model.ts';

const ROUNDS = 6;
const SECTORS = CRASH_SIZE / SECTOR;

/** What the client of the volume knows of each sector. */
class SectorHistory {
  readonly flushed = new Uint32Array(SECTORS);
  readonly acknowledged = new Uint32Array(SECTORS);
  readonly sent = new Uint32Array(SECTORS);
}

async function writeUntilItDies(client: NbdClient, random: Seeded, history: SectorHistory, version: () => number) {
  try {
    for (;;) {
      const first = random.below(SECTORS - 64);
      const count = 1 + random.below(64);
      const stamp = version();
      const sectors = Array.from({ length: count }, (_, i) => stampedSector(first + i, stamp));
      history.sent.fill(stamp, first, first + count);
      await client.write(first * SECTOR, Buffer.concat(sectors));
      history.acknowledged.fill(stamp, first, first + count);
      if (random.below(4) === 0) {
        const covered = history.acknowledged.slice();
        await client.flush();
        history.flushed.set(covered);
      }
    }
  } catch (error) {
    assert.match(String(error), /connection has ended/);
  }
}

async function startChild(
  dir: string,
  upload: string,
  acknowledged: Map<number, number>,
): Promise<{ child: ChildProcess; socketPath: string }> {
  const script = new URL('./crash-child.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, dir, upload], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout! });
  const socketPath = await new Promise<string>((resolve, reject) => {
    child.once('exit', () => reject(new Error('the child ended by itself')));
    lines.on('line', (line) => {
      const [word, first = '', second = ''] = line.split(' ');
      if (word === 'ready') resolve(first);
      else acknowledged.set(Number(first), Math.max(Number(second), acknowledged.get(Number(first)) ?? 0));
    });
  });
  return { child, socketPath };
}

test('after kill -9 nothing acknowledged is missing and nothing is unreadable', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'ingot-crash-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const seed = Date.now() % 1_000_000;
  t.diagnostic(`seed ${seed}`);
  const random = new Seeded(seed);
  const history = new SectorHistory();
  let version = 0;
  let blocks = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const upload = `snap-${round}`;
    const uploaded = new Map<number, number>();
    const versionBefore = version;
    const { child, socketPath } = await startChild(dir, upload, uploaded);
    const client = await NbdClient.connect(socketPath);
    const writing = writeUntilItDies(client, random, history, () => ++version);
    // The random moment is the purpose here; what follows waits for the process to be gone.
    setTimeout(() => child.kill('SIGKILL'), 150 + random.below(700));
    await once(child, 'exit');
    await writing;
    assert.equal(child.signalCode, 'SIGKILL');
    assert.ok(version > versionBefore);
    blocks += uploaded.size;
    await verify(dir, history, upload, uploaded, `seed ${seed} round ${round}`);
  }
  assert.ok(blocks > 10 && history.flushed.some((stamp) => stamp > 0), 'the child did hardly anything');
});

async function verify(
  dir: string,
  history: SectorHistory,
  upload: string,
  uploaded: Map<number, number>,
  what: string,
): Promise<void> {
  await using t = await openTestStorage({ dir, durable: true });
  const state = await readCrashState(dir);
  const { socketPath } = await t.storage.attach(CRASH_VOLUME, crashLayers(state));
  await using client = await NbdClient.connect(socketPath);
  const content = await client.read(0, CRASH_SIZE);
  for (let sector = 0; sector < SECTORS; sector++) {
    const bytes = content.subarray(sector * SECTOR, (sector + 1) * SECTOR);
    const stamp = stampOf(bytes);
    const [low, high] = [history.flushed[sector]!, history.sent[sector]!];
    assert.ok(stamp >= low && stamp <= high, `${what}: sector ${sector} has version ${stamp}, not ${low} to ${high}`);
    const expected = stamp === 0 ? Buffer.alloc(SECTOR) : stampedSector(sector, stamp);
    assert.ok(bytes.equals(expected), `${what}: sector ${sector} is mixed`);
    // What is there now stays there: it was read from files, not from a process.
    history.flushed[sector] = stamp;
    history.sent[sector] = stamp;
    history.acknowledged[sector] = stamp;
  }
  await t.storage.detach(CRASH_VOLUME);

  const root = await t.db.write((tx) => t.storage.completeUpload(tx, snapshotId(upload)));
  for (const [index, lowest] of uploaded) {
    const read = await t.storage.readBlock({ root, dataKey: testKey(1) }, index);
    assert.ok(read, `${what}: acknowledged block ${index} is missing`);
    const block = Buffer.from(read);
    const stamp = stampOf(block);
    assert.ok(stamp % 64 === index && stamp >= lowest, `${what}: block ${index} has stamp ${stamp}, not ${lowest}`);
    assert.ok(block.equals(stampedBlock(stamp)), `${what}: block ${index} is mixed`);
  }
}
