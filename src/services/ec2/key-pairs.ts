/** CreateKeyPair, ImportKeyPair, DescribeKeyPairs, DeleteKeyPair. */
import type {
  CreateKeyPairCommand,
  DeleteKeyPairCommand,
  DescribeKeyPairsCommand,
  ImportKeyPairCommand,
} from '@aws-sdk/client-ec2';
import { ec2Arn } from '../../ids.ts';
import type { KeyPairRecord } from '../../network/key-pairs.ts';
import type { Tag } from '../../tags/tags.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, authorizeOne, authorizeTagsOnCreate, dryRun, requestTagContext } from './common.ts';
import { ec2Error, invalidParameterValue, missingParameter, unsupportedParameter } from './errors.ts';
import { compileFilters } from './filters.ts';
import { type InstanceDeps, showTags } from './instance-shapes.ts';
import { tagRecord } from './tag-resources.ts';
import { tagSpecifications } from './tag-specifications.ts';

const notFound = (code: string, what: string) => ec2Error(code, `The key pair '${what}' does not exist`);

function requireName(name: string | undefined): string {
  if (!name) throw missingParameter('KeyName');
  if (!/^[\x20-\x7e]{1,255}$/.test(name) || name !== name.trim()) {
    throw invalidParameterValue(`Invalid value '${name}' for keyName.`);
  }
  return name;
}

export const createKeyPair =
  (deps: InstanceDeps): OperationOf<CreateKeyPairCommand> =>
  async (call, input) => {
    const name = requireName(input.KeyName);
    const type = input.KeyType ?? 'rsa';
    if (type !== 'rsa' && type !== 'ed25519') throw invalidParameterValue(`Invalid value '${type}' for keyType.`);
    if (input.KeyFormat && input.KeyFormat !== 'pem') throw unsupportedParameter('KeyFormat');
    const { accountId } = call.caller;
    const tags = tagSpecifications(input.TagSpecifications, ['key-pair']).get('key-pair') ?? [];
    const resource = { arn: ec2Arn(call.region, accountId, 'key-pair', name) };
    const context = { 'ec2:KeyPairName': name, 'ec2:KeyPairType': type, ...requestTagContext(tags) };
    const permit = await authorizeOne(deps.authorizer, call, 'ec2:CreateKeyPair', resource, context);
    await authorizeTagsOnCreate(deps.authorizer, call, 'CreateKeyPair', [{ resource, tags }]);
    dryRun(input);
    const pair = { accountId, region: call.region, name, type } as const;
    const { record, privateKey } = await deps.keyPairs.create(permit, pair, (tx, made) =>
      deps.tags.put(tx, accountId, call.region, 'key-pair', made.id, tags),
    );
    return {
      KeyName: name,
      KeyPairId: record.id,
      KeyFingerprint: record.fingerprint,
      KeyMaterial: privateKey,
      Tags: showTags(tags),
    };
  };

export const importKeyPair =
  (deps: InstanceDeps): OperationOf<ImportKeyPairCommand> =>
  async (call, input) => {
    const name = requireName(input.KeyName);
    const material = input.PublicKeyMaterial;
    if (!material) throw missingParameter('PublicKeyMaterial');
    const { accountId } = call.caller;
    const tags = tagSpecifications(input.TagSpecifications, ['key-pair']).get('key-pair') ?? [];
    const resource = { arn: ec2Arn(call.region, accountId, 'key-pair', name) };
    const context = { 'ec2:KeyPairName': name, ...requestTagContext(tags) };
    const permit = await authorizeOne(deps.authorizer, call, 'ec2:ImportKeyPair', resource, context);
    await authorizeTagsOnCreate(deps.authorizer, call, 'ImportKeyPair', [{ resource, tags }]);
    dryRun(input);
    const record = await deps.db.write(async (tx) => {
      const made = await deps.keyPairs.import(tx, permit, { accountId, region: call.region, name }, material);
      await deps.tags.put(tx, accountId, call.region, 'key-pair', made.id, tags);
      return made;
    });
    return { KeyName: name, KeyPairId: record.id, KeyFingerprint: record.fingerprint, Tags: showTags(tags) };
  };

export const describeKeyPairs =
  (deps: InstanceDeps): OperationOf<DescribeKeyPairsCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeKeyPairs');
    dryRun(input);
    const all = await deps.keyPairs.list(call.caller.accountId, call.region);
    const { KeyNames, KeyPairIds } = input;
    const missingName = KeyNames?.find((name) => !all.some((pair) => pair.name === name));
    if (missingName !== undefined) throw notFound('InvalidKeyPair.NotFound', missingName);
    const missingId = KeyPairIds?.find((id) => !all.some((pair) => pair.id === id));
    if (missingId !== undefined) throw notFound('InvalidKeyPair.NotFound', missingId);
    const asked = all.filter(
      ({ name, id }) =>
        (!KeyNames?.length || KeyNames.includes(name)) && (!KeyPairIds?.length || KeyPairIds.includes(id)),
    );
    const found = await deps.tags.of(
      call.caller.accountId,
      call.region,
      asked.map((pair) => pair.id),
    );
    const tags = (pair: KeyPairRecord): readonly Tag[] => found.get(pair.id) ?? [];
    const matches = compileFilters<KeyPairRecord>(
      input.Filters,
      {
        fingerprint: (pair) => pair.fingerprint,
        'key-name': (pair) => pair.name,
        'key-pair-id': (pair) => pair.id,
      },
      tags,
    );
    return {
      KeyPairs: asked.filter(matches).map((pair) => ({
        KeyPairId: pair.id,
        KeyName: pair.name,
        KeyType: pair.type,
        KeyFingerprint: pair.fingerprint,
        CreateTime: pair.createdAt,
        Tags: showTags(tags(pair)),
        ...(input.IncludePublicKey ? { PublicKey: pair.publicKey } : {}),
      })),
    };
  };

/** Deleting what is not there succeeds, as in EC2. */
export const deleteKeyPair =
  (deps: InstanceDeps): OperationOf<DeleteKeyPairCommand> =>
  async (call, input) => {
    const { KeyName, KeyPairId } = input;
    if (!KeyName && !KeyPairId) throw missingParameter('KeyName');
    const { accountId } = call.caller;
    const all = await deps.keyPairs.list(accountId, call.region);
    const pair = all.find((each) => (KeyPairId ? each.id === KeyPairId : each.name === KeyName));
    const name = pair?.name ?? KeyName ?? '*';
    const tags = pair && (await deps.tags.of(accountId, call.region, [pair.id])).get(pair.id);
    const resource = { arn: ec2Arn(call.region, accountId, 'key-pair', name), tags: tagRecord(tags ?? []) };
    const permit = await authorizeOne(deps.authorizer, call, 'ec2:DeleteKeyPair', resource, {
      'ec2:KeyPairName': name,
    });
    dryRun(input);
    if (!pair) return { Return: true };
    await deps.db.write(async (tx) => {
      await deps.keyPairs.delete(tx, permit, pair.id);
      await deps.tags.removeAll(tx, accountId, call.region, pair.id);
    });
    return { Return: true, KeyPairId: pair.id };
  };
