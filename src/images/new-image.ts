/** What images are built from, and a fresh record. */
import type { Db, Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { type AccountId, type ImageId, newEc2Id, type Region } from '../ids.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { RecycleBin } from '../recycle-bin/recycle-bin.ts';
import type { Tags } from '../tags/tags.ts';
import type { Snapshots } from '../volumes/volumes.ts';
import { findByName } from './image-store.ts';
import type { ImageRecord, ImageRefusalReason, InstancesForImages, NewImage, OrganizationOf } from './images.ts';
import type { ImageTables } from './tables.ts';
import type { ImageUsers } from './usage-reports.ts';

export interface ImagesDeps {
  readonly db: Db;
  readonly clock: () => Date;
  readonly jobs: Jobs;
  readonly snapshots: Snapshots;
  readonly tags: Tags;
  readonly bin: RecycleBin;
  /** Late, because instances stand above images and are made after them. */
  readonly instances: () => InstancesForImages;
  readonly users: ImageUsers;
  readonly organizationOf: OrganizationOf;
}

/** A fresh record; the caller fills in what its origin is. */
export async function newImageRecord(
  tx: Tx,
  origin: { readonly owner: AccountId; readonly region: Region; readonly at: Date },
  image: NewImage,
  more: Pick<ImageRecord, 'state'> & Partial<ImageRecord>,
): Promise<ImageRecord> {
  const { owner, region, at } = origin;
  const holder = await findByName(tx.as<ImageTables>(), owner, region, image.name);
  if (holder) throw new Refusal<ImageRefusalReason>('image-name-in-use', { name: image.name, imageId: holder });
  return {
    ...image,
    id: newEc2Id<ImageId>('ami'),
    ownerId: owner,
    region,
    creationDate: at,
    rootDeviceType: 'ebs',
    public: false,
    deregistrationProtection: { mode: 'disabled' },
    ...more,
  };
}
