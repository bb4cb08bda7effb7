import type { DescribeInstanceImageMetadataCommand, ImageMetadata } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { isAllowed } from '../../images/allowed-images.ts';
import type { ImageRecord } from '../../images/images.ts';
import { type InstanceRecord, STATE_CODES } from '../../instances/instances.ts';
import { zonesOf } from '../../network/regions.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun, refuseAllBut } from './common.ts';
import { instancesAskedFor } from './describe-instances.ts';
import { compileFilters } from './filters.ts';
import { isoTime } from './image-shapes.ts';
import type { InstanceDeps } from './instance-shapes.ts';
import { page } from './paging.ts';

interface Row {
  readonly instance: InstanceRecord;
  readonly image: ImageRecord | undefined;
  /** Whether the account's settings for allowed images let it be; absent where they are off. */
  readonly allowed: boolean | undefined;
}

/** The caller's instances with what is known of the images that they were launched from, deregistered ones included. */
export const describeInstanceImageMetadata =
  (deps: InstanceDeps): OperationOf<DescribeInstanceImageMetadataCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['DryRun', 'Filters', 'InstanceIds', 'MaxResults', 'NextToken']);
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeInstanceImageMetadata');
    dryRun(input);
    const instances = await instancesAskedFor(deps, call, input.InstanceIds);
    const rows = await withImages(deps, call, instances);
    const { accountId } = call.caller;
    const ids = instances.map(({ id }) => id);
    const tags = await deps.tags.of(accountId, call.region, ids);
    const zoneId = (name: string) => zonesOf(call.region).find((zone) => zone.name === name)?.id;
    const matches = compileFilters<Row>(
      input.Filters,
      {
        'availability-zone': ({ instance }) => instance.zone,
        'instance-id': ({ instance }) => instance.id,
        'image-allowed': ({ allowed }) => allowed,
        'instance-state-name': ({ instance }) => instance.state,
        'instance-type': ({ instance }) => instance.instanceType,
        'launch-time': ({ instance }) => instance.launchTime,
        'owner-alias': () => undefined,
        'owner-id': ({ image }) => image?.ownerId,
        'zone-id': ({ instance }) => zoneId(instance.zone),
      },
      ({ instance }) => tags.get(instance.id) ?? [],
    );
    const { items, NextToken } = page(rows.filter(matches), input, {
      operation: 'DescribeInstanceImageMetadata',
      key: ({ instance }) => instance.id,
      ids: { parameter: 'instancesSet', given: input.InstanceIds },
    });
    return {
      InstanceImageMetadata: items.map((row) => {
        const { instance } = row;
        return {
          InstanceId: instance.id,
          InstanceType: instance.instanceType as NonNullable<RowShape['InstanceType']>,
          LaunchTime: instance.launchTime,
          AvailabilityZone: instance.zone,
          ZoneId: zoneId(instance.zone),
          State: { Code: STATE_CODES[instance.state], Name: instance.state },
          OwnerId: instance.ownerId,
          Tags: tags.get(instance.id) ?? [],
          ImageMetadata: imageShape(row),
        };
      }),
      ...(NextToken === undefined ? {} : { NextToken }),
    };
  };

type RowShape = NonNullable<
  Awaited<ReturnType<OperationOf<DescribeInstanceImageMetadataCommand>>>['InstanceImageMetadata']
>[number];

async function withImages(deps: InstanceDeps, call: Call, instances: readonly InstanceRecord[]): Promise<Row[]> {
  const viewer = call.caller.accountId;
  const settings = await deps.images.allowed.settings(viewer, call.region);
  const ids = [...new Set(instances.map(({ imageId }) => imageId))];
  const images = new Map((await deps.images.findMany(call.region, ids)).map((image) => [image.id as string, image]));
  return instances.map((instance) => {
    const image = images.get(instance.imageId);
    const judged = settings.state !== 'disabled' && image;
    return { instance, image, allowed: judged ? isAllowed(settings, judged, viewer, call.now) : undefined };
  });
}

function imageShape({ instance, image, allowed }: Row): ImageMetadata {
  if (!image) return { ImageId: instance.imageId };
  return {
    ImageId: image.id,
    Name: image.name,
    OwnerId: image.ownerId,
    State: image.state,
    CreationDate: isoTime(image.creationDate),
    ...(image.deprecateAt ? { DeprecationTime: isoTime(image.deprecateAt) } : {}),
    ...(allowed === undefined ? {} : { ImageAllowed: allowed }),
    IsPublic: image.public,
  };
}
