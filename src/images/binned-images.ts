/** Deregistered images that a rule of the Recycle Bin keeps (L-9). In the bin an image is deregistered for everybody. */
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { type AccountId, type ImageId, parseArn, type Region } from '../ids.ts';
import type { Outcome, Program } from '../jobs/jobs.ts';
import { findByName, findImage, replaceImage } from './image-store.ts';
import type { ImageRecord, ImageRefusalReason, ImageState } from './images.ts';
import type { ImagesDeps } from './new-image.ts';
import type { ImageTables } from './tables.ts';

const EMPTY_BIN = 'images.empty-bin';

interface BinnedImage {
  readonly id: ImageId;
  readonly owner: AccountId;
  readonly region: Region;
}

/** Whether a rule keeps the image. Only what could be launched is kept. */
export async function throwAway(deps: ImagesDeps, tx: Tx, image: ImageRecord): Promise<boolean> {
  const { id, ownerId: owner, region, state } = image;
  if (state !== 'available' && state !== 'disabled') return false;
  const tags = (await deps.tags.of(owner, region, [id])).get(id) ?? [];
  const place = { account: owner, region, type: 'EC2_IMAGE' as const, id };
  if (!(await deps.bin.enter(tx, { ...place, tags, detail: state }))) return false;
  await deps.jobs.enqueue<BinnedImage>(tx, EMPTY_BIN, { id, owner, region });
  return true;
}

export async function restoreImage(
  deps: ImagesDeps,
  tx: Tx,
  permit: Permit<'ec2:RestoreImageFromRecycleBin'>,
): Promise<void> {
  const arn = parseArn(permit.resource);
  const id = arn?.resource.replace(/^image\//, '') ?? '';
  const record = await findImage(tx.as<ImageTables>(), (arn?.region ?? '') as Region, id);
  const item = record && (await deps.bin.item(record.ownerId, record.region, id));
  if (!record || !item) throw new Refusal<ImageRefusalReason>('image-not-found', { imageId: id });
  const holder = await findByName(tx.as<ImageTables>(), record.ownerId, record.region, record.name);
  if (holder) throw new Refusal<ImageRefusalReason>('image-name-in-use', { name: record.name, imageId: holder });
  await replaceImage(tx, { ...record, state: item.detail as ImageState });
  await deps.bin.leave(tx, id);
}

/** Forgets what nobody restored in time. */
export function emptyBinProgram(deps: ImagesDeps): Program<BinnedImage> {
  return {
    kind: EMPTY_BIN,
    start: 'wait',
    steps: {
      async wait({ payload: { id, owner, region } }): Promise<Outcome<BinnedImage>> {
        const item = await deps.bin.item(owner, region, id);
        if (!item) return { kind: 'done' };
        const leftMs = item.exitsAt.getTime() - deps.clock().getTime();
        if (leftMs > 0) return { kind: 'nap', ms: leftMs };
        await deps.db.write(async (tx) => {
          await deps.bin.leave(tx, id);
          await deps.tags.removeAll(tx, owner, region, id);
        });
        return { kind: 'done' };
      },
    },
  };
}
