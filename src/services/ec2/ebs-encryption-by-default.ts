/** Encryption by default and its key (section 2): settings of the caller's account in one region. */
import type {
  DisableEbsEncryptionByDefaultCommand,
  EnableEbsEncryptionByDefaultCommand,
  GetEbsDefaultKmsKeyIdCommand,
  GetEbsEncryptionByDefaultCommand,
  ModifyEbsDefaultKmsKeyIdCommand,
  ResetEbsDefaultKmsKeyIdCommand,
} from '@aws-sdk/client-ec2';
import { type Call, viaEc2 } from '../../authz/caller.ts';
import { formatArn, type KeyId, keyArn, parseArn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun } from './common.ts';
import { invalidParameterValue, missingParameter } from './errors.ts';
import type { VolumeDeps } from './volume-shapes.ts';

const MANAGED = 'alias/aws/ebs';

export const enableEbsEncryptionByDefault =
  (deps: VolumeDeps): OperationOf<EnableEbsEncryptionByDefaultCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:EnableEbsEncryptionByDefault');
    dryRun(input);
    await deps.db.write((tx) => deps.ebsDefaults.setEncryptionByDefault(tx, call.caller.accountId, call.region, true));
    return { EbsEncryptionByDefault: true };
  };

export const disableEbsEncryptionByDefault =
  (deps: VolumeDeps): OperationOf<DisableEbsEncryptionByDefaultCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DisableEbsEncryptionByDefault');
    dryRun(input);
    await deps.db.write((tx) => deps.ebsDefaults.setEncryptionByDefault(tx, call.caller.accountId, call.region, false));
    return { EbsEncryptionByDefault: false };
  };

export const getEbsEncryptionByDefault =
  (deps: VolumeDeps): OperationOf<GetEbsEncryptionByDefaultCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:GetEbsEncryptionByDefault');
    dryRun(input);
    const { encryptionByDefault } = await deps.ebsDefaults.get(call.caller.accountId, call.region);
    return { EbsEncryptionByDefault: encryptionByDefault, SseType: encryptionByDefault ? 'sse-kms' : 'none' };
  };

export const getEbsDefaultKmsKeyId =
  (deps: VolumeDeps): OperationOf<GetEbsDefaultKmsKeyIdCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:GetEbsDefaultKmsKeyId');
    dryRun(input);
    const { kmsKeyId } = await deps.ebsDefaults.get(call.caller.accountId, call.region);
    return { KmsKeyId: kmsKeyId ?? MANAGED };
  };

export const modifyEbsDefaultKmsKeyId =
  (deps: VolumeDeps): OperationOf<ModifyEbsDefaultKmsKeyIdCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:ModifyEbsDefaultKmsKeyId');
    dryRun(input);
    if (!input.KmsKeyId) throw missingParameter('KmsKeyId');
    const arn = await defaultKey(deps, call, input.KmsKeyId);
    await deps.db.write((tx) => deps.ebsDefaults.setDefaultKey(tx, call.caller.accountId, call.region, arn));
    return { KmsKeyId: arn };
  };

/** D-6 and G-11: a key that is not there is accepted and fails when used; one of the wrong kind is refused. */
async function defaultKey(deps: VolumeDeps, call: Call, identifier: string): Promise<string> {
  const key = await deps.keys.resolve(viaEc2(call), identifier).catch((cause: unknown) => {
    throw invalidParameterValue(`Invalid KmsKeyId ${identifier}: ${cause instanceof Error ? cause.message : ''}`);
  });
  if (key && !key.usableByEbs) throw invalidParameterValue(`The specified keyId ${key.arn} is not symmetric`);
  if (key) return key.arn;
  if (parseArn(identifier)) return identifier;
  const { region, caller } = call;
  return identifier.startsWith('alias/')
    ? formatArn({ service: 'kms', region, account: caller.accountId, resource: identifier })
    : keyArn(region, caller.accountId, identifier as KeyId);
}

/** D-7: back to the AWS managed key, which is made if this is its first need. */
export const resetEbsDefaultKmsKeyId =
  (deps: VolumeDeps): OperationOf<ResetEbsDefaultKmsKeyIdCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:ResetEbsDefaultKmsKeyId');
    dryRun(input);
    const managed = await deps.keys.ebsManagedKey(viaEc2(call));
    await deps.db.write((tx) => deps.ebsDefaults.setDefaultKey(tx, call.caller.accountId, call.region, undefined));
    return { KmsKeyId: managed.arn };
  };
