/** EC2's images, volumes, launch templates and tags for one test, on everything real below them; no instances. */
import assert from 'node:assert/strict';
import type { Call } from '../../authz/caller.ts';
import { ApiError } from '../../errors.ts';
import {
  type AccountId,
  type Arn,
  type InstanceId,
  newEc2Id,
  type Region,
  type SnapshotId,
  type VolumeId,
} from '../../ids.ts';
import { createImages } from '../../images/create-images.ts';
import type { Images, InstanceSource, OrganizationPlace } from '../../images/images.ts';
import { imagesMigrations } from '../../images/tables.ts';
import { createLaunchTemplates, launchTemplateMigrations } from '../../launch-templates/create-launch-templates.ts';
import type { LaunchTemplates } from '../../launch-templates/launch-templates.ts';
import { openTestVolumes, type TestVolumes, testRootKey, until } from '../../volumes/test-volumes.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { imageOperations } from './images-table.ts';
import { ec2Service } from './index.ts';
import { launchTemplateOperations } from './launch-templates-table.ts';
import { tagOperations } from './tag-resources.ts';
import { imageTaggables } from './taggable.ts';
import { volumeTaggables } from './volume-shapes.ts';
import { volumeOperations } from './volumes-table.ts';

export interface TestEc2 extends TestVolumes {
  readonly images: Images;
  readonly launchTemplates: LaunchTemplates;
  /** Runs one operation as the front door would, domain refusals in EC2's words. */
  call<Output = Record<string, unknown>>(call: Call, operation: string, input: object): Promise<Output>;
  /** A completed snapshot of one block, written through the direct APIs. */
  snapshot(call: Call, options?: { readonly encrypted?: boolean; readonly keyArn?: Arn }): Promise<SnapshotRecord>;
  /** A volume of 1 GiB, when it is available. */
  volume(call: Call, more?: object): Promise<VolumeId>;
  /** A running instance of the caller's, as far as images look at one. */
  instance(call: Call, more: Partial<InstanceSource>): InstanceId;
  /** A registered image of one root snapshot. */
  image(call: Call, snapshot: SnapshotRecord, name?: string): Promise<string>;
  /** What `imageSource` answers for, by instance id. */
  readonly instances: Map<string, InstanceSource>;
  /** Calls that CreateImage made of the instances: `pause i-…`, `resume i-…`. */
  readonly guestCalls: string[];
  /** Places of accounts in organizations. */
  readonly places: Map<AccountId, OrganizationPlace>;
}

function byOwner(instances: ReadonlyMap<string, InstanceSource>, region: Region, image: string) {
  const counts = new Map<AccountId, number>();
  for (const { ownerId, ...source } of instances.values()) {
    if (source.region === region && source.imageId === image) counts.set(ownerId, (counts.get(ownerId) ?? 0) + 1);
  }
  return counts;
}

const EC2_REGION = /^[a-z]{2}-[a-z]+-\d$/;

export async function openTestEc2(): Promise<TestEc2> {
  const instances = new Map<string, InstanceSource>();
  const guestCalls: string[] = [];
  const places = new Map<AccountId, OrganizationPlace>();
  const view = {
    imageSource: async (region: Region, id: string) => {
      const source = instances.get(id);
      return source?.region === region ? source : undefined;
    },
    pauseForImage: async (id: string) => void guestCalls.push(`pause ${id}`),
    resumeAfterImage: async (id: string) => void guestCalls.push(`resume ${id}`),
  };
  let images: Images | undefined;
  const test = await openTestVolumes({
    migrations: [...imagesMigrations, ...launchTemplateMigrations(testRootKey())],
    above(parts) {
      images = createImages({
        ...parts,
        instances: () => view,
        users: {
          instances: async (region, image) => byOwner(instances, region, image),
          launchTemplates: (...asked) => launchTemplates.countByImage(...asked),
        },
        organizationOf: async (account) => places.get(account),
      });
    },
  });
  assert.ok(images);
  const made = images;
  const launchTemplates = createLaunchTemplates(test);
  const service = ec2Service({
    encodeAuthorizationFailure: () => 'TOKEN',
    parts: [
      imageOperations({
        ...test,
        images: made,
        instances: view,
        isRegion: (name): name is Region => EC2_REGION.test(name),
      }),
      launchTemplateOperations({ ...test, launchTemplates, isInstanceType: (name) => name === 't3.micro' }),
      tagOperations({
        ...test,
        taggable: { ...imageTaggables({ images: made, launchTemplates }), ...volumeTaggables(test) },
      }),
      volumeOperations({
        ...test,
        keys: test.onBehalf,
        imagesUsingSnapshot: (id) => made.imagesUsingSnapshot(id),
      }),
    ],
  });

  const run = async <Output>(call: Call, operation: string, input: object): Promise<Output> => {
    const handler = service.operations[operation] as ((call: Call, input: object) => Promise<unknown>) | undefined;
    assert.ok(handler, `no operation ${operation}`);
    try {
      return (await handler(call, input)) as Output;
    } catch (error) {
      throw service.translate(error, call, operation) ?? error;
    }
  };

  return {
    ...test,
    images: made,
    launchTemplates,
    instances,
    guestCalls,
    places,
    call: run,
    async snapshot(call, { encrypted, keyArn } = {}) {
      const outcome = await test.direct.decide(call, { parent: undefined, encrypted, kmsKeyArn: keyArn });
      const request = { volumeSizeGiB: 1, parent: undefined, description: '', timeoutMinutes: 60, outcome };
      const { id } = await test.direct.start(call, request, async () => {});
      const block = new Uint8Array(524_288).fill(0x5a);
      const sha256 = new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', block));
      await test.direct.put(call, call.region, id, 0, block, sha256);
      await test.direct.complete(call.region, id, { changedBlocks: 1 });
      return until(`snapshot ${id} completed`, async () => {
        const record = await test.snapshots.find(call.region, id as SnapshotId);
        return record?.state === 'completed' && record;
      });
    },
    async volume(call, more = {}) {
      const asked = { AvailabilityZone: `${call.region}a`, ...('SnapshotId' in more ? {} : { Size: 1 }), ...more };
      const { VolumeId } = await run<{ VolumeId: VolumeId }>(call, 'CreateVolume', asked);
      return until(`${VolumeId} is available`, async () => {
        const record = await test.volumes.find(call.region, VolumeId);
        return record?.state === 'available' && VolumeId;
      });
    },
    instance(call, more) {
      const instanceId = newEc2Id<InstanceId>('i');
      instances.set(instanceId, {
        instanceId,
        ownerId: call.caller.accountId,
        region: call.region,
        running: true,
        architecture: 'x86_64',
        rootDeviceName: '/dev/xvda',
        virtualizationType: 'hvm',
        enaSupport: true,
        devices: [],
        ...more,
      });
      return instanceId;
    },
    async image(call, snapshot, name = `image of ${snapshot.id}`) {
      const { ImageId } = await run<{ ImageId: string }>(call, 'RegisterImage', registration(name, snapshot.id));
      return ImageId;
    },
  };
}

export const registration = (Name: string, SnapshotId: string) => ({
  Name,
  Architecture: 'x86_64',
  VirtualizationType: 'hvm',
  RootDeviceName: '/dev/xvda',
  BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
});

/** Asserts that `promise` fails with this code, and with this message where one is given. */
export async function refused(promise: Promise<unknown>, code: string, message?: string | RegExp): Promise<ApiError> {
  const error = await promise.then(
    (value) => assert.fail(`answered ${JSON.stringify(value)} instead of ${code}`),
    (caught: unknown) => caught,
  );
  if (!(error instanceof ApiError)) throw error;
  assert.equal(error.code, code, error.message);
  if (typeof message === 'string') assert.equal(error.message, message);
  else if (message) assert.match(error.message, message);
  return error;
}

export interface ShownImage extends Record<string, unknown> {
  readonly State: string;
  readonly BlockDeviceMappings: readonly { readonly DeviceName: string; readonly Ebs?: Record<string, unknown> }[];
}

/** Waits until the image is in `state`, and gives it as its owner's DescribeImages does. */
export async function imageIn(test: TestEc2, call: Call, id: string, state: string): Promise<ShownImage> {
  return until(`image ${id} ${state}`, async () => {
    const { Images } = await test.call<{ Images: ShownImage[] }>(call, 'DescribeImages', {
      ImageIds: [id],
      IncludeDisabled: true,
    });
    return Images.find((image) => image.State === state);
  });
}
