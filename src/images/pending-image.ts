/** How a pending image becomes available or failed, once for CopyImage and CreateImage. */
import type { Db, Tx } from '../db/db.ts';
import type { ImageId, Region } from '../ids.ts';
import type { Outcome, Step } from '../jobs/jobs.ts';
import type { Snapshots } from '../volumes/volumes.ts';
import { findImage, replaceImage } from './image-store.ts';
import type { ImageRecord } from './images.ts';
import type { ImageTables } from './tables.ts';

export interface PendingImage {
  readonly imageId: ImageId;
  readonly region: Region;
}

const NAP_SHORTEST_MS = 50;
const NAP_LONGEST_MS = 2_000;

/** `Client.InternalError` is Ingot's choice of code (G-8). */
export const failure = (message: string) => ({ code: 'Client.InternalError', message });

/** Changes the image if it is still pending; an image that was deregistered meanwhile stays as it is. */
export async function settle(
  tx: Tx,
  { imageId, region }: PendingImage,
  change: (record: ImageRecord) => ImageRecord,
): Promise<void> {
  const record = await findImage(tx.as<ImageTables>(), region, imageId);
  if (record?.state === 'pending') await replaceImage(tx, change(record));
}

export async function failImage(db: Db, pending: PendingImage, message: string): Promise<void> {
  await db.write((tx) =>
    settle(tx, pending, (record) => ({ ...record, state: 'failed', stateReason: failure(message) })),
  );
}

/** Waits for the snapshots of the image's devices: one look, then a nap or the end. */
export async function awaitSnapshots<Payload extends PendingImage>(
  { db, snapshots }: { readonly db: Db; readonly snapshots: Snapshots },
  { payload, attempt }: Step<Payload>,
  failureMessage: string,
): Promise<Outcome<Payload>> {
  const image = await findImage(db.read<ImageTables>(), payload.region, payload.imageId);
  if (image?.state !== 'pending') return { kind: 'done' };
  const ids = image.blockDeviceMappings.flatMap(({ ebs }) => (ebs?.snapshotId ? [ebs.snapshotId] : []));
  const states = new Map(
    (await snapshots.findMany(payload.region, ids)).map((snapshot) => [snapshot.id as string, snapshot.state]),
  );
  if (ids.some((id) => states.get(id) === undefined || states.get(id) === 'error')) {
    await failImage(db, payload, failureMessage);
    return { kind: 'done' };
  }
  if (ids.some((id) => states.get(id) !== 'completed')) {
    return { kind: 'nap', ms: Math.min(NAP_SHORTEST_MS * 2 ** Math.min(attempt, 8), NAP_LONGEST_MS) };
  }
  await db.write((tx) => settle(tx, payload, (record) => ({ ...record, state: 'available' })));
  return { kind: 'done' };
}
