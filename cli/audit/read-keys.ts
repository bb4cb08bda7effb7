/** The KMS keys of one account in one region, and those of others that it uses. */
import {
  DescribeKeyCommand,
  type DescribeKeyCommandOutput,
  GetKeyPolicyCommand,
  GetKeyRotationStatusCommand,
  type GrantListEntry,
  type KeyMetadata,
  NotFoundException,
  paginateListAliases,
  paginateListGrants,
  paginateListKeys,
  paginateListResourceTags,
} from '@aws-sdk/client-kms';
import type { GrantFacts, KeyFacts } from './model.ts';
import type { Reader } from './reader.ts';

export interface KeyWishes {
  /** Tags are read only where keys are approved by them. */
  readonly tags: boolean;
}

export async function readKeys(reader: Reader, wishes: KeyWishes): Promise<KeyFacts[]> {
  const [keys, aliases] = await Promise.all([
    reader.all(
      'keys',
      'kms:ListKeys',
      ({ kms }) => paginateListKeys({ client: kms, pageSize: 1000 }, {}),
      (page) => page.Keys,
    ),
    reader.all(
      'keys',
      'kms:ListAliases',
      ({ kms }) => paginateListAliases({ client: kms, pageSize: 100 }, {}),
      (page) => page.Aliases,
    ),
  ]);
  const names = new Map<string, string[]>();
  for (const { TargetKeyId, AliasName } of aliases ?? []) {
    if (TargetKeyId && AliasName) names.set(TargetKeyId, [...(names.get(TargetKeyId) ?? []), AliasName]);
  }
  const read = await Promise.all(
    (keys ?? []).map(async ({ KeyArn = '', KeyId = '' }) => {
      const metadata = await describe(reader, KeyArn);
      return metadata && withDetails(reader, metadata, names.get(KeyId) ?? [], wishes);
    }),
  );
  return read.filter((key) => key !== undefined);
}

/** A key that something here is under and that is not the account's own; `Missing` where KMS knows none. */
export async function readForeignKey(reader: Reader, arn: string): Promise<KeyFacts | undefined> {
  const known = await reader.ask(
    'keys',
    'kms:DescribeKey',
    async ({ kms }, abortSignal): Promise<DescribeKeyCommandOutput | 'missing'> => {
      try {
        return await kms.send(new DescribeKeyCommand({ KeyId: arn }), { abortSignal });
      } catch (error) {
        if (error instanceof NotFoundException) return 'missing';
        throw error;
      }
    },
    arn,
  );
  if (known === 'missing') {
    const [, , , region = '', account = '', resource = ''] = arn.split(':');
    const id = resource.slice(resource.indexOf('/') + 1);
    return { arn, id, account, region, state: 'Missing', manager: 'CUSTOMER', symmetric: true, aliases: [] };
  }
  return known?.KeyMetadata && keyFacts(known.KeyMetadata, []);
}

async function describe(reader: Reader, arn: string): Promise<KeyMetadata | undefined> {
  return reader.ask(
    'keys',
    'kms:DescribeKey',
    async ({ kms }, abortSignal) =>
      (await kms.send(new DescribeKeyCommand({ KeyId: arn }), { abortSignal })).KeyMetadata,
    arn,
  );
}

function keyFacts(metadata: KeyMetadata, aliases: readonly string[]): KeyFacts {
  const { Arn: arn = '', KeyId: id = '', AWSAccountId: account = '', MultiRegionConfiguration: multi } = metadata;
  return {
    arn,
    id,
    account,
    region: arn.split(':')[3] ?? '',
    state: metadata.KeyState ?? 'unknown',
    manager: metadata.KeyManager ?? 'CUSTOMER',
    ...(metadata.Description ? { description: metadata.Description } : {}),
    symmetric: metadata.KeyUsage === 'ENCRYPT_DECRYPT' && metadata.KeySpec === 'SYMMETRIC_DEFAULT',
    ...(metadata.Origin === undefined ? {} : { origin: metadata.Origin }),
    ...(multi?.MultiRegionKeyType === undefined ? {} : { multiRegion: multi.MultiRegionKeyType }),
    ...(metadata.DeletionDate === undefined ? {} : { deletionDate: metadata.DeletionDate.toISOString() }),
    aliases: [...aliases],
  };
}

async function withDetails(
  reader: Reader,
  metadata: KeyMetadata,
  aliases: readonly string[],
  wishes: KeyWishes,
): Promise<KeyFacts> {
  const key = keyFacts(metadata, aliases);
  // What AWS manages nobody else can change.
  if (key.manager === 'AWS') return key;
  const KeyId = key.arn;
  const [policy, rotation, grants, tags] = await Promise.all([
    reader.ask(
      'key policies',
      'kms:GetKeyPolicy',
      async ({ kms }, abortSignal) =>
        (await kms.send(new GetKeyPolicyCommand({ KeyId, PolicyName: 'default' }), { abortSignal })).Policy,
      KeyId,
    ),
    rotates(key)
      ? reader.ask(
          'key rotation',
          'kms:GetKeyRotationStatus',
          async ({ kms }, abortSignal) =>
            (await kms.send(new GetKeyRotationStatusCommand({ KeyId }), { abortSignal })).KeyRotationEnabled,
          KeyId,
        )
      : undefined,
    reader.all(
      'key grants',
      'kms:ListGrants',
      ({ kms }) => paginateListGrants({ client: kms, pageSize: 100 }, { KeyId }),
      (page) => page.Grants,
      KeyId,
    ),
    wishes.tags
      ? reader.all(
          'key tags',
          'kms:ListResourceTags',
          ({ kms }) => paginateListResourceTags({ client: kms }, { KeyId }),
          (page) => page.Tags,
          KeyId,
        )
      : undefined,
  ]);
  return {
    ...key,
    ...(policy === undefined ? {} : { policy }),
    ...(rotation === undefined ? {} : { rotation }),
    ...(grants === undefined ? {} : { grants: grants.map(grantFacts) }),
    ...(tags === undefined
      ? {}
      : { tags: Object.fromEntries(tags.map(({ TagKey, TagValue }) => [TagKey ?? '', TagValue ?? ''])) }),
  };
}

/** Rotation is a question only for symmetric keys with material that KMS made, and a replica's is that of its primary. */
function rotates(key: KeyFacts): boolean {
  return key.symmetric && key.origin === 'AWS_KMS' && key.multiRegion !== 'REPLICA' && key.state === 'Enabled';
}

function grantFacts(grant: GrantListEntry): GrantFacts {
  const { GrantId, GranteePrincipal, GranteeServicePrincipal, Operations, Constraints } = grant;
  return {
    id: GrantId ?? '',
    grantee: GranteePrincipal ?? GranteeServicePrincipal ?? '',
    operations: Operations ?? [],
    ...(Constraints?.EncryptionContextSubset ? { encryptionContextSubset: Constraints.EncryptionContextSubset } : {}),
    ...(Constraints?.EncryptionContextEquals ? { encryptionContextEquals: Constraints.EncryptionContextEquals } : {}),
    ...(Constraints?.SourceArn ? { sourceArn: Constraints.SourceArn } : {}),
  };
}
