import type { CreateVolumeCommand } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { hashParameters, type TokenUse } from '../../idempotency/idempotency.ts';
import { ec2Arn, type SnapshotId, snapshotArn, type VolumeId } from '../../ids.ts';
import { zonesOf } from '../../network/regions.ts';
import type { EncryptionOutcome, VolumeRecord, VolumeRequest } from '../../volumes/volumes.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import {
  authorizeAll,
  authorizeTagsOnCreate,
  dryRun,
  type ResourceCheck,
  refuseAllBut,
  requestTagContext,
} from './common.ts';
import { ec2Error, missingParameter, requireSnapshotId } from './errors.ts';
import { tagSpecifications } from './tag-specifications.ts';
import { requireZone, showVolume, snapshotResource, type VolumeDeps, visibleSnapshot } from './volume-shapes.ts';
import { multiAttach, volumeKind } from './volume-types.ts';

const ACTION = 'ec2:CreateVolume';

export const createVolume =
  (deps: VolumeDeps): OperationOf<CreateVolumeCommand> =>
  async (call, input) => {
    const request = await checkedRequest(deps, call, input);
    const tags = tagSpecifications(input.TagSpecifications, ['volume']).get('volume');
    const source = request.snapshotId && (await visibleSnapshot(deps, call, request.snapshotId));
    const outcome = await deps.volumes.decideEncryption(call, request);

    const volumeArn = ec2Arn(call.region, call.caller.accountId, 'volume', '*');
    const checks: ResourceCheck[] = [
      {
        resource: { arn: volumeArn },
        context: { ...newVolumeContext(call, request, outcome), ...requestTagContext(tags) },
      },
    ];
    if (source) checks.push(await snapshotResource(deps, call, source, source.id));
    await authorizeAll(deps.authorizer, call, ACTION, checks);
    await authorizeTagsOnCreate(deps.authorizer, call, 'CreateVolume', [{ resource: { arn: volumeArn }, tags }]);
    dryRun(input);

    const token = tokenOf(call, input);
    const hash = await hashParameters(input);
    const volume = await deps.db.write(async (tx) => {
      const earlier = token && (await deps.idempotency.find(token, tx));
      if (earlier) return replayed(deps, call, token, hash, earlier);
      const made = await deps.volumes.startCreate(tx, call, request, outcome);
      if (tags) await deps.tags.put(tx, made.ownerId, made.region, 'volume', made.id, tags);
      if (token) await deps.idempotency.remember(tx, token, hash, made.id);
      return made;
    });
    return answer(deps, call, volume, outcome, input);
  };

async function checkedRequest(
  deps: VolumeDeps,
  call: Call,
  input: InputOf<CreateVolumeCommand>,
): Promise<VolumeRequest> {
  refuseAllBut(input, [
    'AvailabilityZone',
    'AvailabilityZoneId',
    'ClientToken',
    'DryRun',
    'Encrypted',
    'Iops',
    'KmsKeyId',
    'MultiAttachEnabled',
    'Size',
    'SnapshotId',
    'TagSpecifications',
    'Throughput',
    'VolumeType',
  ]);
  const zone = requireZone(zonesOf(call.region), input);
  if (input.SnapshotId !== undefined && input.SnapshotId !== '') requireSnapshotId(input.SnapshotId);
  const source = input.SnapshotId ? await visibleSnapshot(deps, call, input.SnapshotId) : undefined;
  // CV-9.
  if (input.SnapshotId && !source) throw ec2Error('InvalidSnapshot.NotFound', 'Snapshot does not exist');
  const sizeGiB = input.Size ?? source?.volumeSizeGiB;
  if (sizeGiB === undefined) throw missingParameter('size or snapshotId');
  if (source && sizeGiB < source.volumeSizeGiB) {
    throw ec2Error(
      'InvalidParameterValue',
      `Volume of ${sizeGiB}GiB is smaller than snapshot '${source.id}', expect size >= ${source.volumeSizeGiB}GiB`,
    );
  }
  const kind = volumeKind(input, sizeGiB);
  return {
    availabilityZone: zone.name,
    sizeGiB,
    ...kind,
    ...multiAttach(input.MultiAttachEnabled, kind),
    ...(source && { snapshotId: source.id as SnapshotId }),
    ...(input.Encrypted !== undefined && { encrypted: input.Encrypted }),
    ...(input.KmsKeyId !== undefined && { kmsKeyId: input.KmsKeyId }),
  };
}

/** Condition keys of the volume to be (7.3, 7.4, 7.7): the final state, encryption by default included. */
export function newVolumeContext(call: Call, request: VolumeRequest, outcome: EncryptionOutcome) {
  const key = outcome.kmsKeyArn ?? outcome.kmsKey;
  return {
    'ec2:AvailabilityZone': request.availabilityZone,
    'ec2:Encrypted': outcome.encrypted,
    ...(key !== undefined && { 'ec2:KmsKeyId': key }),
    ...(request.snapshotId && { 'ec2:ParentSnapshot': snapshotArn(call.region, request.snapshotId) }),
    'ec2:VolumeSize': request.sizeGiB,
    'ec2:VolumeType': request.volumeType,
    ...(request.iops !== undefined && { 'ec2:VolumeIops': request.iops }),
    ...(request.throughput !== undefined && { 'ec2:VolumeThroughput': request.throughput }),
  };
}

function tokenOf(call: Call, input: InputOf<CreateVolumeCommand>): TokenUse | undefined {
  if (!input.ClientToken) return undefined;
  return { account: call.caller.accountId, region: call.region, action: ACTION, token: input.ClientToken };
}

/** CV-5. */
export const tokenMismatch = () =>
  ec2Error(
    'IdempotentParameterMismatch',
    'Parameters on this idempotent request are inconsistent with parameters used in previous request(s).',
  );

async function replayed(
  deps: VolumeDeps,
  call: Call,
  use: TokenUse,
  hash: string,
  earlier: { parametersHash: string; resultId: string },
): Promise<VolumeRecord> {
  const volume = await deps.volumes.find(call.region, earlier.resultId as VolumeId);
  // CV-4.
  if (!volume || volume.state === 'deleting') {
    throw ec2Error(
      'IdempotentParameterMismatch',
      `The client token '${use.token}' is associated with resource '${earlier.resultId}' which has already been deleted. Please use a different client token.`,
    );
  }
  if (earlier.parametersHash !== hash) throw tokenMismatch();
  return volume;
}

async function answer(
  deps: VolumeDeps,
  call: Call,
  volume: VolumeRecord,
  outcome: EncryptionOutcome,
  input: InputOf<CreateVolumeCommand>,
) {
  const tags = (await deps.tags.of(volume.ownerId, volume.region, [volume.id])).get(volume.id);
  const { KmsKeyId: keyArn, Attachments: _, ...shown } = showVolume(volume, tags, zonesOf(call.region));
  // CV-6: a key chosen by default is not told; CV-1: an unknown one is echoed as given.
  const key = outcome.source === 'default-key' ? undefined : (outcome.kmsKeyArn ?? input.KmsKeyId ?? keyArn);
  return { ...shown, ...(key !== undefined && { KmsKeyId: key }) };
}
