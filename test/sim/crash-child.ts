/**
 * A process to be killed: serves a volume, snapshots it over and over, and uploads blocks, saying each acknowledgement
 * on standard output. Arguments: folder, name of the upload.
 */
import { rename, writeFile } from 'node:fs/promises';
import { CRASH_VOLUME, crashLayers, readCrashState, stampedBlock, statePath } from './crash-state.ts';
import { NEVER, openTestStorage, quiet, snapshotId, testKey } from './storage-model.ts';

const [dir = '', upload = ''] = process.argv.slice(2);
const { storage, db } = await openTestStorage({ dir, durable: true });
const key = testKey(1);
let state = await readCrashState(dir);

/** The record of the volume: whole and durable enough for a process that is killed. */
async function record(next: typeof state): Promise<void> {
  await writeFile(`${statePath(dir)}.new`, JSON.stringify(next));
  await rename(`${statePath(dir)}.new`, statePath(dir));
  state = next;
}

if (state.overlay === '') await record({ ...state, overlay: await storage.createOverlay(CRASH_VOLUME) });
const { socketPath } = await storage.attach(CRASH_VOLUME, crashLayers(state));
process.stdout.write(`ready ${socketPath}\n`);

async function snapshots(): Promise<never> {
  for (;;) {
    if (state.frozen.length === 0) {
      await storage.freeze(CRASH_VOLUME, (overlay) =>
        record({ ...state, frozen: [state.overlay], overlay, jobs: state.jobs + 1 }),
      );
    }
    const job = `seal-${state.jobs}`;
    const root = await storage.sealOverlays(job, crashLayers(state), quiet, NEVER);
    const removed = state.frozen;
    await record({ ...state, base: root, frozen: [] });
    await storage.rebase(CRASH_VOLUME, { root, dataKey: key }, removed);
    await db.write((tx) => storage.finishReseal(tx, job));
    await storage.collectGarbage(async () => [root]);
  }
}

async function uploads(lane: number): Promise<never> {
  // Each lane has its own indexes, so that stamps of one index ascend.
  for (let turn = 1; ; turn++) {
    const index = lane * 16 + (turn % 16);
    const stamp = turn * 64 + index;
    await storage.putBlock(snapshotId(upload), key, index, stampedBlock(stamp));
    process.stdout.write(`put ${index} ${stamp}\n`);
  }
}

await Promise.all([snapshots(), uploads(0), uploads(1), uploads(2)]);
