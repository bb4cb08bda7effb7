/**
 * CopyImage: one transaction records the new image, its pending snapshots and the job that waits for them. The copies
 * themselves are the snapshots' own jobs; a key that cannot be used fails there, and the image with it (CI-3).
 */
import type { Call } from '../authz/caller.ts';
import type { Tx } from '../db/db.ts';
import { type ImageId, newEc2Id } from '../ids.ts';
import type { Program } from '../jobs/jobs.ts';
import { insertImage, replaceImage } from './image-store.ts';
import type { ImageCopy, ImageRecord } from './images.ts';
import { type ImagesDeps, newImageRecord } from './new-image.ts';
import { awaitSnapshots, failImage, type PendingImage } from './pending-image.ts';

const KIND = 'images.copy';
const FAILED = 'Copy image failed with an internal error';

export async function startCopy(deps: ImagesDeps, tx: Tx, call: Call, copy: ImageCopy): Promise<ImageRecord> {
  const { source } = copy;
  const owner = call.caller.accountId;
  const { description: _, ...inherited } = source;
  const id = newEc2Id<ImageId>('ami');
  const record = await newImageRecord(
    tx,
    { owner, region: call.region, at: deps.clock() },
    {
      ...pickNewImage(inherited),
      name: copy.name,
      ...(copy.description === undefined ? {} : { description: copy.description }),
      imageLocation: `${owner}/${copy.name}`,
      blockDeviceMappings: [],
    },
    { id, state: 'pending', sourceImageId: source.id, sourceImageRegion: source.region },
  );
  await insertImage(tx, record);

  const devices = new Map<string, { snapshotId: ImageDeviceSnapshot; encrypted: boolean }>();
  for (const { deviceName, snapshot, outcome } of copy.devices) {
    const started = await deps.snapshots.startCopy(tx, call, {
      source: snapshot,
      sourceId: snapshot.id,
      sourceRegion: source.region,
      destinationRegion: call.region,
      description: `Copied for DestinationAmi ${id} from SourceAmi ${source.id} for SourceSnapshot ${snapshot.id}.`,
      outcome,
      forImage: true,
    });
    devices.set(deviceName, { snapshotId: started.id, encrypted: outcome.encrypted });
    await deps.tags.put(tx, owner, call.region, 'snapshot', started.id, copy.snapshotTags);
  }
  const copied: ImageRecord = {
    ...record,
    blockDeviceMappings: source.blockDeviceMappings.map((device) => {
      const made = devices.get(device.deviceName);
      return made && device.ebs ? { ...device, ebs: { ...device.ebs, ...made } } : device;
    }),
  };
  await replaceImage(tx, copied);
  await deps.tags.put(tx, owner, call.region, 'image', id, copy.imageTags);
  await deps.jobs.enqueue<PendingImage>(tx, KIND, { imageId: id, region: call.region });
  return copied;
}

type ImageDeviceSnapshot = NonNullable<NonNullable<ImageRecord['blockDeviceMappings'][number]['ebs']>['snapshotId']>;

/** What a copy takes over: everything needed to boot, nothing about who owns, shares or protects it (CI-6). */
function pickNewImage(source: Omit<ImageRecord, 'description'>) {
  const {
    architecture,
    bootMode,
    rootDeviceName,
    virtualizationType,
    enaSupport,
    sriovNetSupport,
    imdsSupport,
    tpmSupport,
    uefiData,
    platform,
    platformDetails,
  } = source;
  return {
    architecture,
    rootDeviceName,
    virtualizationType,
    enaSupport,
    platformDetails,
    ...(bootMode && { bootMode }),
    ...(sriovNetSupport && { sriovNetSupport }),
    ...(imdsSupport && { imdsSupport }),
    ...(tpmSupport && { tpmSupport }),
    ...(uefiData && { uefiData }),
    ...(platform && { platform }),
  };
}

export function copyProgram(deps: ImagesDeps): Program<PendingImage> {
  return {
    kind: KIND,
    start: 'wait',
    steps: { wait: (step) => awaitSnapshots(deps, step, FAILED) },
    failed: (pending) => failImage(deps.db, pending, FAILED),
  };
}
