/** Options of the instance metadata service: at launch, from the image, and changed later. */
import type { InstanceMetadataOptionsRequest, ModifyInstanceMetadataOptionsCommand } from '@aws-sdk/client-ec2';
import type { ConditionValues } from '../../authz/authorizer.ts';
import type { ImageRecord } from '../../images/images.ts';
import type { MetadataOptions } from '../../instances/instances.ts';
import { isMetadataTagKey } from '../../instances/tag-keys.ts';
import type { Tag } from '../../tags/tags.ts';
import type { OperationOf } from '../operation.ts';
import { dryRun, refuseAllBut } from './common.ts';
import { invalidParameterCombination, invalidParameterValue, unsupportedParameter } from './errors.ts';
import { type InstanceDeps, showMetadataOptions, useInstance } from './instance-shapes.ts';

const HONOURED = [
  'HttpEndpoint',
  'HttpProtocolIpv6',
  'HttpPutResponseHopLimit',
  'HttpTokens',
  'InstanceMetadataTags',
] as const;
const HOP_LIMIT_MAX = 64;

/** What the request gives; nothing of it is a default. */
function read(input: InstanceMetadataOptionsRequest, path: string): Partial<MetadataOptions> {
  refuseAllBut(input, [...HONOURED], path);
  if (input.HttpProtocolIpv6 === 'enabled') throw unsupportedParameter(`${path}HttpProtocolIpv6`);
  const { HttpPutResponseHopLimit: hopLimit } = input;
  if (hopLimit !== undefined && (!Number.isInteger(hopLimit) || hopLimit < 1 || hopLimit > HOP_LIMIT_MAX)) {
    throw invalidParameterValue(
      `Invalid value '${hopLimit}' for HttpPutResponseHopLimit. Expecting a value between 1 and ${HOP_LIMIT_MAX}.`,
    );
  }
  const httpEndpoint = oneOf('HttpEndpoint', input.HttpEndpoint, ['enabled', 'disabled']);
  const httpTokens = oneOf('HttpTokens', input.HttpTokens, ['optional', 'required']);
  const instanceTags = oneOf('InstanceMetadataTags', input.InstanceMetadataTags, ['enabled', 'disabled']);
  return {
    ...(httpEndpoint && { httpEndpoint }),
    ...(httpTokens && { httpTokens }),
    ...(hopLimit === undefined ? {} : { hopLimit }),
    ...(instanceTags && { instanceTags }),
  };
}

function oneOf<Value extends string>(
  name: string,
  value: string | undefined,
  values: readonly Value[],
): Value | undefined {
  if (value === undefined) return undefined;
  const known = values.find((each) => each === value);
  if (!known) throw invalidParameterValue(`Invalid value '${value}' for ${name}.`);
  return known;
}

/** A launch without options allows both versions, unless the image asks for the second (L-17). */
export function launchMetadata(
  input: InstanceMetadataOptionsRequest | undefined,
  image: Pick<ImageRecord, 'imdsSupport'>,
): MetadataOptions {
  const given = read(input ?? {}, 'MetadataOptions.');
  const byImage =
    image.imdsSupport === 'v2.0'
      ? ({ httpTokens: 'required', hopLimit: 2 } as const)
      : ({ httpTokens: 'optional', hopLimit: 1 } as const);
  return { httpEndpoint: 'enabled', instanceTags: 'disabled', ...byImage, ...given };
}

/** Tags that the guest shall see must be names in a path. */
export function requireMetadataTags(options: Pick<MetadataOptions, 'instanceTags'>, tags: readonly Tag[]): void {
  const wrong = options.instanceTags === 'enabled' ? tags.find(({ Key }) => !isMetadataTagKey(Key)) : undefined;
  if (!wrong) return;
  throw invalidParameterValue(
    `'${wrong.Key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{1,255}), and must not be a reserved name ('.', '..', '_index')`,
  );
}

export function metadataContext(options: MetadataOptions): ConditionValues {
  return {
    'ec2:MetadataHttpEndpoint': options.httpEndpoint,
    'ec2:MetadataHttpPutResponseHopLimit': options.hopLimit,
    'ec2:MetadataHttpTokens': options.httpTokens,
  };
}

export const modifyInstanceMetadataOptions =
  (deps: InstanceDeps): OperationOf<ModifyInstanceMetadataOptionsCommand> =>
  async (call, input) => {
    const { InstanceId, DryRun: _, ...options } = input;
    const change = read(options, '');
    const { record, permit } = await useInstance(deps, call, 'ec2:ModifyInstanceMetadataOptions', InstanceId, {
      'ec2:Attribute/HttpEndpoint': change.httpEndpoint,
      'ec2:Attribute/HttpPutResponseHopLimit': change.hopLimit,
      'ec2:Attribute/HttpTokens': change.httpTokens,
    });
    dryRun(input);
    if (Object.keys(change).length === 0) throw invalidParameterCombination('No metadata options specified.');
    if (change.instanceTags === 'enabled') {
      const tags = await deps.tags.of(record.ownerId, record.region, [record.id]);
      requireMetadataTags({ instanceTags: 'enabled' }, tags.get(record.id) ?? []);
    }
    const metadata = await deps.db.write((tx) => deps.instances.modifyMetadata(tx, permit, change));
    return { InstanceId: record.id, InstanceMetadataOptions: showMetadataOptions({ ...record, metadata }) };
  };
