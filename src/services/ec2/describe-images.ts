/**
 * DescribeImages. Who owns an image and who may see it is asked of the database by index; other filters are applied to
 * one batch after another, so that neither memory nor a page grows with the number of images.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { DescribeImagesRequest, DescribeImagesResult, Image } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { type AccountId, isAccountId } from '../../ids.ts';
import { isAllowed } from '../../images/allowed-images.ts';
import type { ImageDevice, ImageQuery, ImageRecord } from '../../images/images.ts';
import type { Tag } from '../../tags/tags.ts';
import { authorizeAny, dryRun } from './common.ts';
import { ec2Error, imageNotFound, invalidParameterValue, requireImageId } from './errors.ts';
import { compileFilters, type FilterReaders, plainFilterValues } from './filters.ts';
import type { ImageDeps } from './image-access.ts';
import { imageShape } from './image-shapes.ts';
import { pagingOf, sealToken } from './paging.ts';

const OPERATION = 'DescribeImages';
/** Rows asked for at a time: about a page first, more where filters leave few of them. */
const BATCH_MIN = 100;
const BATCH_MAX = 1000;
/** Owners that AWS names instead of numbering (SH-22); none of them has images here. */
const OWNER_ALIASES = ['amazon', 'aws-marketplace', 'aws-backup-vault'];

interface Row {
  readonly image: ImageRecord;
  readonly tags: readonly Tag[];
  /** Absent while the account has not turned the settings on (SH-34). */
  readonly allowed: boolean | undefined;
}

const ofDevices = (read: (device: ImageDevice) => string | number | boolean | undefined) => (row: Row) =>
  row.image.blockDeviceMappings.flatMap((device) => {
    const value = read(device);
    return value === undefined ? [] : [String(value)];
  });

const FILTERS: FilterReaders<Row> = {
  architecture: ({ image }) => image.architecture,
  'block-device-mapping.delete-on-termination': ofDevices(({ ebs }) => ebs?.deleteOnTermination),
  'block-device-mapping.device-name': ofDevices(({ deviceName }) => deviceName),
  'block-device-mapping.snapshot-id': ofDevices(({ ebs }) => ebs?.snapshotId),
  'block-device-mapping.volume-size': ofDevices(({ ebs }) => ebs?.volumeSizeGiB),
  'block-device-mapping.volume-type': ofDevices(({ ebs }) => ebs?.volumeType),
  'block-device-mapping.encrypted': ofDevices(({ ebs }) => ebs?.encrypted),
  'creation-date': ({ image }) => image.creationDate,
  description: ({ image }) => image.description,
  'ena-support': ({ image }) => image.enaSupport,
  hypervisor: () => 'xen',
  'image-allowed': ({ allowed }) => allowed,
  'image-id': ({ image }) => image.id,
  'image-type': () => 'machine',
  'is-public': ({ image }) => image.public,
  'kernel-id': () => undefined,
  'manifest-location': ({ image }) => image.imageLocation,
  name: ({ image }) => image.name,
  'owner-alias': () => undefined,
  'owner-id': ({ image }) => image.ownerId,
  platform: ({ image }) => image.platform,
  'product-code': () => undefined,
  'product-code.type': () => undefined,
  'ramdisk-id': () => undefined,
  'root-device-name': ({ image }) => image.rootDeviceName,
  'root-device-type': ({ image }) => image.rootDeviceType,
  'source-image-id': ({ image }) => image.sourceImageId,
  'source-image-region': ({ image }) => image.sourceImageRegion,
  'source-instance-id': ({ image }) => image.sourceInstanceId,
  'sriov-net-support': ({ image }) => image.sriovNetSupport,
  state: ({ image }) => image.state,
  'state-reason-code': ({ image }) => image.stateReason?.code,
  'state-reason-message': ({ image }) => image.stateReason?.message,
  'virtualization-type': ({ image }) => image.virtualizationType,
};

export const describeImages =
  (deps: ImageDeps) =>
  async (call: Call, input: DescribeImagesRequest): Promise<DescribeImagesResult> => {
    const { Filters: filters, ImageIds: ids } = input;
    for (const id of ids ?? []) requireImageId(id);
    const asked = { parameter: 'imageIdsSet', given: ids };
    const { size, after } = pagingOf(input, { operation: OPERATION, ids: asked });
    const matches = compileFilters(filters, FILTERS, (row) => row.tags);
    if (
      !input.IncludeDisabled &&
      filters?.some(({ Name, Values }) => Name === 'state' && Values?.includes('disabled'))
    ) {
      throw ec2Error(
        'InvalidParameter',
        "When filtering by the 'disabled' state, 'IncludeDisabled' must be set to 'true' in the request.",
      );
    }
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeImages');
    dryRun(input);
    if (ids?.length) await requireKnown(deps, call, ids);

    const viewer = call.caller.accountId;
    const owners = ownersOf(call, input.Owners);
    const names = plainFilterValues(filters, 'name');
    const settings = await deps.images.allowed.settings(viewer, call.region);
    const allows = (image: ImageRecord): boolean | undefined =>
      settings.state === 'disabled' ? undefined : isAllowed(settings, image, viewer, call.now);
    const wanted = ({ image, allowed }: Row): boolean => {
      if (settings.state === 'enabled' && allowed === false) return false;
      if (owners && !owners.includes(image.ownerId)) return false;
      if (image.state === 'disabled' && !input.IncludeDisabled) return false;
      const deprecated = image.deprecateAt !== undefined && image.deprecateAt <= call.now;
      // L-12: others stop seeing it, unless they ask for it by id.
      return !deprecated || image.ownerId === viewer || Boolean(input.IncludeDeprecated) || Boolean(ids?.length);
    };
    const query: Omit<ImageQuery, 'scope' | 'limit' | 'afterId'> = {
      region: call.region,
      viewer,
      ...(ids?.length ? { ids } : {}),
      ...(names ? { name: names } : {}),
    };

    const images: Image[] = [];
    let last: string | undefined = after;
    let limit = size === undefined ? BATCH_MAX : Math.min(Math.max(size + 1, BATCH_MIN), BATCH_MAX);
    for (let more = true; more; limit = Math.min(limit * 2, BATCH_MAX)) {
      const batch = await deps.images.list({
        ...query,
        scope: scopeOf(call, input.ExecutableUsers, owners),
        ...(last === undefined ? {} : { afterId: last }),
        limit,
      });
      more = batch.length === limit;
      const tags = await deps.tags.of(
        viewer,
        call.region,
        batch.filter(({ ownerId }) => ownerId === viewer).map(({ id }) => id),
      );
      for (const image of batch) {
        const row: Row = { image, tags: tags.get(image.id) ?? [], allowed: allows(image) };
        if (wanted(row) && matches(row)) {
          if (size !== undefined && images.length === size) {
            return { Images: images, NextToken: sealToken(OPERATION, last!) };
          }
          const ImageAllowed = row.allowed;
          const shape = imageShape(image, viewer, row.tags);
          images.push(ImageAllowed === undefined ? shape : { ...shape, ImageAllowed });
        }
        last = image.id;
      }
      // Other calls get their turn between batches.
      if (more) await turn();
    }
    return { Images: images };
  };

/** Ids that never were are an error; those the caller may not see are left out (SH-19, L-6). */
async function requireKnown(deps: ImageDeps, call: Call, ids: readonly string[]): Promise<void> {
  const known = new Set((await deps.images.findMany(call.region, ids)).map(({ id }) => id as string));
  const unknown = ids.filter((id) => !known.has(id));
  if (unknown.length > 0) throw imageNotFound(unknown);
}

/** Account ids of `Owners`; `undefined` where any will do. */
function ownersOf(call: Call, owners: readonly string[] | undefined): AccountId[] | undefined {
  if (!owners?.length) return undefined;
  return owners.flatMap((owner) => {
    if (owner === 'self') return [call.caller.accountId];
    if (isAccountId(owner)) return [owner];
    if (OWNER_ALIASES.includes(owner)) return [];
    throw ec2Error('InvalidUserID.Malformed', `Invalid user id: "${owner}"`);
  });
}

/** SH-21, SH-22. */
function scopeOf(
  call: Call,
  executableUsers: readonly string[] | undefined,
  owners: readonly AccountId[] | undefined,
): ImageQuery['scope'] {
  if (!executableUsers?.length) return owners ? { kind: 'owned-by', accounts: owners } : { kind: 'launchable' };
  if (executableUsers.length > 1) {
    throw ec2Error('InvalidParameterValue', 'At most one value can be given for ExecutableUsers.');
  }
  const user = executableUsers[0]!;
  if (user === 'all') return { kind: 'public' };
  if (user === 'self' || user === call.caller.accountId) return { kind: 'shared-with-viewer' };
  if (isAccountId(user)) return { kind: 'shared-with-account', account: user };
  throw invalidParameterValue(`Invalid value '${user}' for executableBy.`);
}
