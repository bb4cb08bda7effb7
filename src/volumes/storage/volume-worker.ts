/** The worker thread of one attached volume: its layers, its NBD server, its keys. It ends with the attachment. */
import { parentPort, workerData } from 'node:worker_threads';
import { AlignedPool } from '../../blocks/aligned-pool.ts';
import { findBlock, type PageSource } from '../../blocks/block-map.ts';
import { isDataEntry } from '../../blocks/entry.ts';
import type { BaseReader } from '../../blocks/layers.ts';
import { Lru } from '../../blocks/lru.ts';
import { EMPTY_ROOT, EMPTY_ROOT_PAGE, type Page } from '../../blocks/map-page.ts';
import { errorOf, failureOf } from '../../blocks/messages.ts';
import { Overlay } from '../../blocks/overlay.ts';
import { SegmentKeys, SegmentReader } from '../../blocks/segment-reader.ts';
import { LIMITS } from '../../limits.ts';
import { NbdServer } from '../../nbd/server.ts';
import { LayeredDevice } from './device.ts';
import type { FromVolume, ToVolume, VolumeCommand, VolumeWorkerData, WorkerBase } from './volume-messages.ts';

const BLOCKS_CACHED_MAX = 48;
const PAGES_CACHED_BYTES = 4 * 1024 * 1024;
const BUFFERS = 4;

const setup = workerData as VolumeWorkerData;
const port = parentPort!;
const say = (message: FromVolume): void => port.postMessage(message);

interface Waiting<Value> {
  resolve(value: Value): void;
  reject(error: Error): void;
}
const loads = new Map<number, Waiting<Page>>();
const records = new Map<number, Waiting<void>>();
let lastLoad = 0;

const pageCache = new Lru<Page>(PAGES_CACHED_BYTES, (page) => page.byteLength);
const pages: PageSource = {
  async load(id, level) {
    if (id === EMPTY_ROOT) return EMPTY_ROOT_PAGE;
    const cached = pageCache.get(id);
    if (cached) return cached;
    const page = await new Promise<Page>((resolve, reject) => {
      loads.set(++lastLoad, { resolve, reject });
      say({ kind: 'load', id: lastLoad, page: id, level });
    });
    pageCache.set(id, page);
    return page;
  },
};

const keys = new SegmentKeys();
const segments = new SegmentReader(setup.segmentsDir, keys);
const pool = new AlignedPool(BUFFERS, LIMITS.blockBytes);
/** Plaintext of base blocks. Wiped when the thread ends; what falls out before is left to the garbage collector. */
const blockCache = new Lru<Promise<Uint8Array | undefined>>(BLOCKS_CACHED_MAX);

function baseReader(base: WorkerBase | undefined): BaseReader {
  if (!base) return async () => undefined;
  return (index) => {
    const name = `${base.root}/${index}`;
    let block = blockCache.get(name);
    if (!block) {
      block = readBase(base, index);
      blockCache.set(name, block);
      block.catch(() => blockCache.delete(name));
    }
    return block;
  };
}

async function readBase(base: WorkerBase, index: number): Promise<Uint8Array | undefined> {
  const entry = await findBlock(pages, base.root, index);
  if (!entry || !isDataEntry(entry)) return undefined;
  return pool.use((scratch) => segments.open(base.dataKey, entry, scratch));
}

const openOverlay = (name: string): Promise<Overlay> => Overlay.open(setup.overlaysDir, name, setup.dataKey, 'write');

async function start(): Promise<{ device: LayeredDevice; server: NbdServer }> {
  const overlays: Overlay[] = [];
  for (const name of setup.overlays) overlays.unshift(await openOverlay(name));
  const device = new LayeredDevice(setup.sizeBytes, overlays, baseReader(setup.base));
  const server = await NbdServer.listen({
    socketPath: setup.socketPath,
    exportName: setup.volume,
    device,
    onError: (error) => say({ kind: 'trouble', failure: failureOf(error) }),
  });
  return { device, server };
}

async function obey(
  { device, server }: { device: LayeredDevice; server: NbdServer },
  id: number,
  command: VolumeCommand,
): Promise<void> {
  if (command.kind === 'freeze') {
    const next = await openOverlay(command.newOverlay);
    const record = () =>
      new Promise<void>((resolve, reject) => {
        records.set(id, { resolve, reject });
        say({ kind: 'record', id });
      });
    await device.freeze(next, record).catch(async (error) => {
      await next.close();
      throw error;
    });
  } else if (command.kind === 'rebase') {
    await device.rebase(baseReader(command.base), new Set(command.removed));
  } else {
    await server.close();
    try {
      await device.close();
    } finally {
      await forget();
    }
  }
}

/** Wipes plaintext and drops keys before the thread ends. */
async function forget(): Promise<void> {
  const held = [...blockCache.values()];
  blockCache.clear();
  for (const outcome of await Promise.allSettled(held)) if (outcome.status === 'fulfilled') outcome.value?.fill(0);
  segments.close();
  keys.clear();
}

const started = start();
started.then(
  () => say({ kind: 'listening' }),
  (error) => {
    say({ kind: 'unfit', failure: failureOf(error) });
    port.close();
  },
);

port.on('message', (message: ToVolume) => {
  if (message.kind === 'command') {
    started
      .then((parts) => obey(parts, message.id, message.command))
      .then(
        () => say({ kind: 'done', id: message.id }),
        (error) => say({ kind: 'done', id: message.id, failure: failureOf(error) }),
      )
      .then(() => {
        if (message.command.kind === 'close') port.close();
      });
    return;
  }
  const waitingFor: Map<number, Waiting<Page> | Waiting<void>> = message.kind === 'page' ? loads : records;
  const waiting = waitingFor.get(message.id);
  waitingFor.delete(message.id);
  if (!waiting) return;
  if (message.failure) waiting.reject(errorOf(message.failure));
  else if (message.kind === 'page') (waiting as Waiting<Page>).resolve(Buffer.from(message.page!));
  else (waiting as Waiting<void>).resolve();
});
