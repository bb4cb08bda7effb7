import type { CopyImageRequest, CopyImageResult } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { hashParameters } from '../../idempotency/idempotency.ts';
import { imageArn, type Region, snapshotArn } from '../../ids.ts';
import type { ImageCopy, ImageRecord } from '../../images/images.ts';
import { LIMITS } from '../../limits.ts';
import type { Tag } from '../../tags/tags.ts';
import { authorizeAll, authorizeTagsOnCreate, dryRun, refuseAllBut, requestTagContext } from './common.ts';
import {
  ec2Error,
  imageNotFound,
  imageUnavailable,
  invalidParameterCombination,
  missingParameter,
  requireImageId,
} from './errors.ts';
import {
  checkImageDescription,
  type ImageDeps,
  imageContext,
  imageResource,
  requireImageName,
} from './image-access.ts';
import { tagSpecifications } from './tag-specifications.ts';

/** CopyImage: the call goes to the destination region, and the image is `pending` until its snapshots are there. */
export const copyImage =
  (deps: ImageDeps) =>
  async (call: Call, input: CopyImageRequest): Promise<CopyImageResult> => {
    const destinations = [
      input.DestinationAvailabilityZone,
      input.DestinationAvailabilityZoneId,
      input.DestinationOutpostArn,
    ];
    if (destinations.filter(Boolean).length > 1) {
      throw invalidParameterCombination(
        'Only one of DestinationAvailabilityZone, DestinationAvailabilityZoneId and DestinationOutpostArn can be specified.',
      );
    }
    refuseAllBut(input, [
      'ClientToken',
      'Description',
      'Encrypted',
      'KmsKeyId',
      'Name',
      'SourceImageId',
      'SourceRegion',
      'CopyImageTags',
      'TagSpecifications',
      'DryRun',
    ]);
    requireImageName(input.Name);
    checkImageDescription(input.Description);
    if (!input.SourceImageId) throw missingParameter('SourceImageId');
    requireImageId(input.SourceImageId);
    if (!input.SourceRegion) throw missingParameter('SourceRegion');
    if (!deps.isRegion(input.SourceRegion)) {
      throw ec2Error('InvalidRegion', `${input.SourceRegion} is not a valid region name.`);
    }
    const { accountId } = call.caller;
    const given = tagSpecifications(input.TagSpecifications, ['image', 'snapshot']);
    const snapshotTags = given.get('snapshot') ?? [];
    const copied = input.CopyImageTags ? await tagsToCopy(deps, call, input.SourceRegion, input.SourceImageId) : [];
    const imageTags = overlaid(copied, given.get('image') ?? []);

    const source = await deps.images.find(input.SourceRegion, input.SourceImageId);
    const newImage = { arn: imageArn(call.region, '*') };
    const newSnapshot = { arn: snapshotArn(call.region, '*') };
    // What stands in the way of a copy is told after who may ask for one (L-28).
    const decided = await decide(deps, call, input, input.Name, source, { imageTags, snapshotTags }).then(
      (copy) => ({ copy }),
      (refusal: unknown) => ({ refusal }),
    );
    const [, permit] = await authorizeAll(deps.authorizer, call, 'ec2:CopyImage', [
      {
        resource: await imageResource(deps, call, input.SourceRegion, input.SourceImageId),
        ...(source ? { context: imageContext(source) } : {}),
      },
      { resource: newImage, context: requestTagContext(imageTags) },
      { resource: newSnapshot, context: { ...encryptionContext(decided), ...requestTagContext(snapshotTags) } },
    ]);
    await authorizeTagsOnCreate(deps.authorizer, call, 'CopyImage', [
      { resource: newImage, tags: imageTags },
      { resource: newSnapshot, tags: snapshotTags },
    ]);
    dryRun(input);

    const hash = await hashParameters(input);
    const use = input.ClientToken
      ? { account: accountId, region: call.region, action: 'ec2:CopyImage', token: input.ClientToken }
      : undefined;
    const before = use && (await deps.idempotency.find(use));
    if (before) return { ImageId: replayed(before, hash) };

    // CI-8.
    if ((await deps.images.countRunningCopies(call.region, accountId)) >= LIMITS.imageCopiesMax) {
      throw ec2Error(
        'ResourceLimitExceeded',
        `Too many AMI copies in progress. The limit is ${LIMITS.imageCopiesMax} for this destination region.`,
      );
    }
    if ('refusal' in decided) throw decided.refusal;
    const { copy } = decided;
    const id = await deps.db.write(async (tx) => {
      const raced = use && (await deps.idempotency.find(use, tx));
      if (raced) return replayed(raced, hash);
      const image = await deps.images.startCopy(tx, permit!, call, copy);
      if (use) await deps.idempotency.remember(tx, use, hash, image.id);
      return image.id;
    });
    return { ImageId: id };
  };

/** Whether every new snapshot is encrypted: the final state, encryption by default included (7.3). */
const encryptionContext = (decided: { readonly copy: ImageCopy } | { readonly refusal: unknown }) =>
  'copy' in decided ? { 'ec2:Encrypted': decided.copy.devices.every(({ outcome }) => outcome.encrypted) } : {};

function replayed(before: { readonly parametersHash: string; readonly resultId: string }, hash: string): string {
  if (before.parametersHash === hash) return before.resultId;
  throw ec2Error(
    'IdempotentParameterMismatch',
    'Parameters on this idempotent request are inconsistent with parameters used in previous request(s).',
  );
}

/** Own user tags only: neither `aws:` ones nor those another account put on the image (CI-6). */
async function tagsToCopy(deps: ImageDeps, call: Call, region: Region, id: string): Promise<Tag[]> {
  const tags = (await deps.tags.of(call.caller.accountId, region, [id])).get(id) ?? [];
  return tags.filter(({ Key }) => !Key.startsWith('aws:'));
}

function overlaid(under: readonly Tag[], over: readonly Tag[]): Tag[] {
  return [...new Map([...under, ...over].map((tag) => [tag.Key, tag])).values()];
}

/** Everything that can be refused before anything is made: visibility, access to the storage, table 1.5. */
async function decide(
  deps: ImageDeps,
  call: Call,
  input: CopyImageRequest,
  name: string,
  source: ImageRecord | undefined,
  tags: Pick<ImageCopy, 'imageTags' | 'snapshotTags'>,
): Promise<ImageCopy> {
  const { accountId } = call.caller;
  if (!source || !(await deps.images.mayLaunch(source, accountId))) throw imageNotFound([input.SourceImageId!]);
  if (source.state !== 'available') throw imageUnavailable(source.id);
  const snapshots = new Map<string, Awaited<ReturnType<typeof deps.snapshots.findMany>>[number]>();
  const ids = source.blockDeviceMappings.flatMap(({ ebs }) => (ebs?.snapshotId ? [ebs.snapshotId] : []));
  for (const snapshot of await deps.snapshots.findMany(source.region, ids)) snapshots.set(snapshot.id, snapshot);

  const devices: ImageCopy['devices'][number][] = [];
  for (const { deviceName, ebs } of source.blockDeviceMappings) {
    if (!ebs?.snapshotId) continue;
    const snapshot = snapshots.get(ebs.snapshotId);
    if (!snapshot || !deps.snapshots.mayUse(snapshot, accountId)) {
      throw ec2Error('InvalidRequest', 'You do not have permission to access the storage of this ami');
    }
    if (snapshot.storageTier === 'archive') {
      throw ec2Error('IncorrectState', `The snapshot ${snapshot.id} is archived.`);
    }
    const outcome = await deps.snapshots.decideCopy(call, {
      kind: 'image',
      source: snapshot,
      encrypted: input.Encrypted,
      // Some clients send an empty key for none.
      kmsKeyId: input.KmsKeyId || undefined,
    });
    devices.push({ deviceName, snapshot, outcome });
  }
  return { source, name, ...(input.Description ? { description: input.Description } : {}), devices, ...tags };
}
