import type { CopySnapshotCommand } from '@aws-sdk/client-ec2';
import { type Call, viaEc2 } from '../../authz/caller.ts';
import { isEc2Id, snapshotArn } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import { isRegion } from '../../network/regions.ts';
import type { EncryptionOutcome } from '../../volumes/volumes.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { authorizeAll, authorizeTagsOnCreate, dryRun, refuseAllBut, requestTagContext } from './common.ts';
import { ec2Error, invalidParameterValue, missingParameter } from './errors.ts';
import { tagSpecifications } from './tag-specifications.ts';
import { snapshotResource, tagSet, type VolumeDeps } from './volume-shapes.ts';

/** CS-12. */
const COMPLETION_MINUTES = { min: 15, max: 2880, step: 15 };

export const copySnapshot =
  (deps: VolumeDeps): OperationOf<CopySnapshotCommand> =>
  async (call, input) => {
    const { sourceId, sourceRegion } = check(call, input);
    const tags = tagSpecifications(input.TagSpecifications, ['snapshot']).get('snapshot');
    const found = await deps.snapshots.find(sourceRegion, sourceId);
    const source = found && deps.snapshots.mayUse(found, call.caller.accountId) ? found : undefined;
    const outcome = await deps.snapshots.decideCopy(call, {
      kind: 'snapshot',
      source,
      encrypted: input.Encrypted,
      kmsKeyId: input.KmsKeyId,
    });

    const newArn = snapshotArn(call.region, '*');
    await authorizeAll(deps.authorizer, call, 'ec2:CopySnapshot', [
      await snapshotResource(deps, call, source, sourceId, sourceRegion),
      {
        resource: { arn: newArn },
        context: {
          'ec2:Owner': call.caller.accountId,
          'ec2:Encrypted': outcome.encrypted,
          ...(source && { 'ec2:VolumeSize': source.volumeSizeGiB }),
          ...requestTagContext(tags),
        },
      },
    ]);
    await authorizeTagsOnCreate(deps.authorizer, call, 'CopySnapshot', [{ resource: { arn: newArn }, tags }]);
    dryRun(input);
    if (source?.storageTier === 'archive') {
      throw ec2Error('IncorrectState', `The snapshot ${sourceId} is archived.`);
    }
    await checkKey(deps, call, outcome);
    await checkConcurrency(deps, call);

    const copy = await deps.db.write(async (tx) => {
      const made = await deps.snapshots.startCopy(tx, call, {
        source,
        sourceId,
        sourceRegion,
        destinationRegion: call.region,
        description: input.Description ?? '',
        outcome,
        completionMinutes: input.CompletionDurationMinutes,
      });
      if (tags) await deps.tags.put(tx, made.ownerId, made.region, 'snapshot', made.id, tags);
      return made;
    });
    return { SnapshotId: copy.id, ...tagSet(tags) };
  };

function check(call: Call, input: InputOf<CopySnapshotCommand>) {
  refuseAllBut(input, [
    'CompletionDurationMinutes',
    'Description',
    'DestinationRegion',
    'DryRun',
    'Encrypted',
    'KmsKeyId',
    'PresignedUrl',
    'SourceRegion',
    'SourceSnapshotId',
    'TagSpecifications',
  ]);
  const { SourceSnapshotId: sourceId, SourceRegion: sourceRegion, DestinationRegion: destination } = input;
  if (!sourceId) throw missingParameter('sourceSnapshotId');
  if (!sourceRegion) throw missingParameter('sourceRegion');
  // CS-10.
  if (!isEc2Id(sourceId, 'snap')) throw invalidParameterValue('The specified snapshotId is invalid');
  if (!isRegion(sourceRegion)) throw ec2Error('InvalidRegion', `${sourceRegion} is not a valid region name.`);
  // CS-3: the request goes to the destination.
  if (destination && destination !== call.region) {
    throw invalidParameterValue(`The destination region ${destination} does not match the region of the request`);
  }
  checkCompletionDuration(input.CompletionDurationMinutes);
  if (input.PresignedUrl) checkPresignedUrl(input.PresignedUrl, sourceId, call.region);
  return { sourceId, sourceRegion };
}

/** CS-11: the signature is not verified, the contents are compared. */
function checkPresignedUrl(text: string, sourceId: string, destinationRegion: string): void {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw invalidParameterValue('The protocol in PresignedUrl should be http or https');
  }
  const parameter = (name: string) =>
    [...url.searchParams].find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1] ?? '';
  const source = parameter('SourceSnapshotId');
  if (source !== sourceId) {
    throw invalidParameterValue(
      `The source snapshot specified in PresignedUrl '${source}' does not match the source snapshot in the request: '${sourceId}'`,
    );
  }
  const destination = parameter('DestinationRegion');
  if (destination !== destinationRegion) {
    throw invalidParameterValue(`The destination region specified in PresignedUrl: '${destination}' is incorrect`);
  }
}

/** CS-4 and CS-5: of all operations, this one looks at the key before it answers. */
async function checkKey(deps: VolumeDeps, call: Call, outcome: EncryptionOutcome): Promise<void> {
  if (!outcome.encrypted) return;
  const invalid = () => invalidParameterValue(`The specified keyId ${outcome.kmsKey} is invalid`);
  if (!outcome.kmsKeyArn) throw invalid();
  const key = await deps.keys.describeKey(viaEc2(call), outcome.kmsKeyArn);
  if (key.state === 'Disabled') throw invalidParameterValue(`The specified keyId ${key.arn} is disabled`);
  if (key.state !== 'Enabled' && key.state !== 'Updating') {
    throw invalidParameterValue(`The specified keyId ${key.arn} is in state ${key.state}`);
  }
  if (!key.usableByEbs || key.region !== call.region) throw invalid();
}

function checkCompletionDuration(minutes: number | undefined): void {
  const { min, max, step } = COMPLETION_MINUTES;
  if (minutes === undefined || (minutes >= min && minutes <= max && minutes % step === 0)) return;
  throw invalidParameterValue(
    `Invalid value '${minutes}' for CompletionDurationMinutes. Expecting a multiple of ${step} between ${min} and ${max}.`,
  );
}

/** CS-14. */
async function checkConcurrency(deps: VolumeDeps, call: Call): Promise<void> {
  const running = await deps.snapshots.countRunningCopies(call.region, call.caller.accountId);
  if (running < LIMITS.snapshotCopiesMax) return;
  throw ec2Error(
    'ResourceLimitExceeded',
    `Too many snapshot copies in progress. The limit is ${LIMITS.snapshotCopiesMax} for this destination region.`,
  );
}
