/** Looking an image up for an operation: authorize first, then say what is wrong with the id (7.2, SH-20). */
import type { ConditionValues, ResourceRef } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import type { Idempotency } from '../../idempotency/idempotency.ts';
import { imageArn, isEc2Id, type Region } from '../../ids.ts';
import type { ImageRecord, ImageRefusalReason, Images, InstancesForImages } from '../../images/images.ts';
import type { SnapshotRecord, Snapshots, Volumes } from '../../volumes/volumes.ts';
import { authorizeOne, dryRun, type Ec2Deps } from './common.ts';
import {
  ec2Error,
  imageNotFound,
  imageNotOwned,
  imageUnavailable,
  invalidParameterValue,
  missingParameter,
  type RefusalTable,
  requireImageId,
} from './errors.ts';
import { tagRecord } from './tag-resources.ts';

export interface ImageDeps extends Ec2Deps {
  readonly images: Images;
  readonly snapshots: Snapshots;
  readonly volumes: Volumes;
  readonly idempotency: Idempotency;
  readonly instances: InstancesForImages;
  readonly isRegion: (name: string) => name is Region;
}

/** Condition keys of an image (authorization-and-wire 7.5). */
export function imageContext(image: ImageRecord): ConditionValues {
  return {
    'ec2:Owner': image.ownerId,
    'ec2:Public': image.public,
    'ec2:ImageID': image.id,
    'ec2:ImageType': 'machine',
    'ec2:RootDeviceType': image.rootDeviceType,
  };
}

/** The image as a resource, with the tags the caller's account put on it. */
export async function imageResource(
  deps: Pick<ImageDeps, 'tags'>,
  call: Call,
  region: Region,
  id: string,
): Promise<ResourceRef> {
  const tags = await deps.tags.of(call.caller.accountId, region, [id]);
  return { arn: imageArn(region, id), tags: tagRecord(tags.get(id) ?? []) };
}

/**
 * The caller's own image, authorized for `action` on it. A dry run ends here. Throws for ids that are missing,
 * malformed, unknown, deregistered or of another account.
 */
export async function useOwnImage<Action extends string>(
  deps: ImageDeps,
  call: Call,
  action: Action,
  input: { readonly ImageId: string | undefined; readonly DryRun?: boolean | undefined },
  context: ConditionValues = {},
): Promise<{ readonly image: ImageRecord; readonly permit: Permit<Action> }> {
  const { image, permit } = await useImage(deps, call, action, input, context);
  if (image.ownerId !== call.caller.accountId) throw imageNotOwned(image.id);
  return { image, permit };
}

/** As {@link useOwnImage}, whoever owns it. */
export async function useImage<Action extends string>(
  deps: ImageDeps,
  call: Call,
  action: Action,
  input: { readonly ImageId: string | undefined; readonly DryRun?: boolean | undefined },
  context: ConditionValues = {},
): Promise<{ readonly image: ImageRecord; readonly permit: Permit<Action> }> {
  const id = input.ImageId;
  requireImageId(id);
  const image = await deps.images.find(call.region, id);
  const resource = await imageResource(deps, call, call.region, id);
  const permit = await authorizeOne(deps.authorizer, call, action, resource, {
    ...(image ? imageContext(image) : {}),
    ...context,
  });
  dryRun(input);
  if (!image) throw imageNotFound([id]);
  if (image.state === 'deregistered') throw imageUnavailable(id);
  return { image, permit };
}

const NAME = /^[A-Za-z0-9()[\] ./\-'@_]{3,128}$/;

/** L-5: the alphabet is wider than the text of the error says. */
export function requireImageName(name: string | undefined): asserts name is string {
  if (!name) throw missingParameter('Name');
  if (NAME.test(name)) return;
  throw ec2Error(
    'InvalidAMIName.Malformed',
    "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'",
  );
}

const DESCRIPTION_LENGTH_MAX = 255;

export function checkImageDescription(description: string | undefined): void {
  if (description !== undefined && description.length > DESCRIPTION_LENGTH_MAX) {
    throw invalidParameterValue(
      `Character sets beyond ASCII are not supported, and descriptions are at most ${DESCRIPTION_LENGTH_MAX} characters long.`,
    );
  }
}

/** What a device of RegisterImage or CreateImage names: a snapshot of the caller's own (BI-8). */
export function requireOwnSnapshot(call: Call, id: string, snapshot: SnapshotRecord | undefined): SnapshotRecord {
  if (!isEc2Id(id, 'snap')) {
    throw ec2Error('InvalidSnapshotID.Malformed', `Value ( ${id} ) for parameter SNAPSHOT is invalid. `);
  }
  const { accountId } = call.caller;
  if (!snapshot || (snapshot.ownerId !== accountId && !snapshot.sharedWith.includes(accountId) && !snapshot.public)) {
    throw ec2Error('InvalidSnapshotID.NotFound', `The snapshot ID '${id}' does not exist`);
  }
  if (snapshot.ownerId !== accountId) {
    throw invalidParameterValue(`Invalid value '${id}' for snapshotId. Snapshot does not belong to ${accountId}`);
  }
  if (snapshot.state !== 'completed') {
    throw ec2Error('IncorrectState', `Snapshot is in invalid state - ${snapshot.state}`);
  }
  return snapshot;
}

export const imageRefusals: RefusalTable<ImageRefusalReason> = {
  'image-name-in-use': ({ facts }) =>
    ec2Error('InvalidAMIName.Duplicate', `AMI name ${facts.name} is already in use by AMI ${facts.imageId}`),
  'image-not-found': ({ facts }) => imageNotFound([String(facts.imageId)]),
  'image-deregistered': ({ facts }) => imageUnavailable(String(facts.imageId)),
  'image-deregistration-protected': ({ facts }) =>
    ec2Error(
      'OperationNotPermitted',
      facts.until
        ? `Deregistration protection of the image ${facts.imageId} ends at ${facts.until}. Until then it can't be deregistered.`
        : `Deregistration protection is enabled for the image ${facts.imageId}. To deregister it, disable the protection first.`,
    ),
  'image-state': ({ facts }) =>
    ec2Error(
      'IncorrectState',
      `The image ${facts.imageId} is not in a valid state for this operation - ${facts.state}`,
    ),
  'image-sharing-limit': ({ facts }) =>
    ec2Error('ResourceLimitExceeded', `The image ${facts.imageId} can be shared with at most ${facts.max} entities.`),
};
