/** A KMS key as its users and its owner see it. */
import {
  DescribeKeyCommand,
  GetKeyPolicyCommand,
  type KeyMetadata,
  ListAliasesCommand,
  ListResourceTagsCommand,
  paginateListGrants,
} from '@aws-sdk/client-kms';
import { parseArn } from '../../policy/arn.ts';
import type { GrantView } from '../../policy/decision.ts';
import { AWS_MANAGED_KEY } from './devices.ts';
import type { PlacedPolicy } from './identity-policies.ts';
import type { Seen, Views } from './views.ts';

/** What EBS asks of a key before it can be used at all. */
export type KeyProblem =
  | 'missing'
  | 'other-region'
  | 'disabled'
  | 'pending-deletion'
  | 'pending-import'
  | 'unavailable'
  | 'not-symmetric';

export interface FoundKey {
  readonly arn: string;
  readonly account: string;
  readonly region: string;
  readonly awsManaged: boolean;
  /** `Enabled`, `Disabled`, `PendingDeletion`, … */
  readonly state: string;
  readonly metadata: KeyMetadata;
}

/**
 * The key behind an identifier as EBS will find it in the region of `views`: in the account of `account` for ids and
 * alias names. `missing` where there is none; unseen where only its owner may look.
 */
export async function findKey(views: Views, identifier: string, account: string): Promise<Seen<FoundKey | 'missing'>> {
  const parts = parseArn(identifier);
  const owner = parts?.account ?? account;
  const region = parts?.region ?? views.region;
  const place = { what: `the key ${identifier}`, wants: 'kms:DescribeKey', account: owner };
  return views.once(`key ${identifier} ${owner} ${region}`, () =>
    views.look(
      place,
      async (aws) => {
        try {
          const { KeyMetadata: metadata } = await aws
            .inRegion(region)
            .kms.send(new DescribeKeyCommand({ KeyId: identifier }));
          return metadata?.Arn ? found(metadata) : 'missing';
        } catch (error) {
          if (error instanceof Error && error.name === 'NotFoundException') return 'missing';
          throw error;
        }
      },
      views.inAccount(owner) ?? (parts ? views.own : undefined),
    ),
  );
}

function found(metadata: KeyMetadata): FoundKey {
  const arn = metadata.Arn ?? '';
  const parts = parseArn(arn);
  return {
    arn,
    account: parts?.account ?? '',
    region: parts?.region ?? '',
    awsManaged: metadata.KeyManager === 'AWS',
    state: metadata.KeyState ?? 'Unavailable',
    metadata,
  };
}

/** Why EBS cannot use the key in `region`, whoever asks; `undefined` where it can. */
export function keyProblem(key: FoundKey | 'missing', region: string): KeyProblem | undefined {
  if (key === 'missing') return 'missing';
  if (key.region !== region) return 'other-region';
  const { KeySpec: spec, KeyUsage: usage } = key.metadata;
  if (spec !== 'SYMMETRIC_DEFAULT' || usage !== 'ENCRYPT_DECRYPT') return 'not-symmetric';
  switch (key.state) {
    case 'Enabled':
    case 'Updating':
      return undefined;
    case 'Disabled':
      return 'disabled';
    case 'PendingDeletion':
    case 'PendingReplicaDeletion':
      return 'pending-deletion';
    case 'PendingImport':
      return 'pending-import';
    default:
      return 'unavailable';
  }
}

/** Whether this names the AWS managed key of EBS: by its alias, in either spelling. */
export function isEbsManagedAlias(identifier: string): boolean {
  return identifier === AWS_MANAGED_KEY || identifier.endsWith(`:${AWS_MANAGED_KEY}`);
}

/** Only its own account is shown a key's policy. */
export function keyPolicy(views: Views, keyArn: string): Promise<Seen<PlacedPolicy>> {
  const { account, region } = placeOf(keyArn);
  const place = { what: `the key policy of ${keyArn}`, wants: 'kms:GetKeyPolicy', account };
  return views.once(`key policy ${keyArn}`, () =>
    views.look(place, async (aws): Promise<PlacedPolicy> => {
      const { Policy } = await aws.inRegion(region).kms.send(new GetKeyPolicyCommand({ KeyId: keyArn }));
      return { name: 'key policy', document: Policy ?? '', place: { kind: 'key', keyArn } };
    }),
  );
}

/** Every grant on the key; a key policy may let other accounts list them too. */
export function keyGrants(views: Views, keyArn: string): Promise<Seen<GrantView[]>> {
  const { account, region } = placeOf(keyArn);
  const place = { what: `the grants on ${keyArn}`, wants: 'kms:ListGrants', account };
  return views.once(`grants ${keyArn}`, () =>
    views.look(
      place,
      async (aws) => {
        const grants: GrantView[] = [];
        for await (const page of paginateListGrants({ client: aws.inRegion(region).kms }, { KeyId: keyArn })) {
          for (const grant of page.Grants ?? []) {
            const {
              EncryptionContextSubset: subset,
              EncryptionContextEquals: equals,
              SourceArn,
            } = grant.Constraints ?? {};
            const retiring = grant.RetiringPrincipal ?? grant.RetiringServicePrincipal;
            const issuer = accountIn(grant.IssuingAccount);
            grants.push({
              grantId: grant.GrantId ?? '',
              granteePrincipal: grant.GranteePrincipal ?? grant.GranteeServicePrincipal ?? '',
              operations: grant.Operations ?? [],
              ...(subset ? { encryptionContextSubset: subset } : {}),
              ...(equals ? { encryptionContextEquals: equals } : {}),
              ...(SourceArn ? { sourceArn: SourceArn } : {}),
              ...(retiring ? { retiringPrincipal: retiring } : {}),
              ...(issuer ? { issuingAccount: issuer } : {}),
            });
          }
        }
        return grants;
      },
      views.inAccount(account) ?? views.own,
    ),
  );
}

/** Aliases and tags of the key, for conditions that ask for them. */
export function keyAliases(views: Views, keyArn: string): Promise<Seen<string[]>> {
  const { account, region } = placeOf(keyArn);
  return views.once(`aliases ${keyArn}`, () =>
    views.look({ what: `the aliases of ${keyArn}`, wants: 'kms:ListAliases', account }, async (aws) => {
      const { Aliases } = await aws.inRegion(region).kms.send(new ListAliasesCommand({ KeyId: keyArn }));
      return (Aliases ?? []).flatMap(({ AliasName }) => (AliasName ? [AliasName] : []));
    }),
  );
}

export function keyTags(views: Views, keyArn: string): Promise<Seen<Record<string, string>>> {
  const { account, region } = placeOf(keyArn);
  return views.once(`tags ${keyArn}`, () =>
    views.look({ what: `the tags of ${keyArn}`, wants: 'kms:ListResourceTags', account }, async (aws) => {
      const { Tags } = await aws.inRegion(region).kms.send(new ListResourceTagsCommand({ KeyId: keyArn }));
      return Object.fromEntries((Tags ?? []).map(({ TagKey, TagValue }) => [TagKey ?? '', TagValue ?? '']));
    }),
  );
}

function placeOf(keyArn: string): { account: string; region: string } {
  const parts = parseArn(keyArn);
  return { account: parts?.account ?? '', region: parts?.region ?? '' };
}

function accountIn(issuer: string | undefined): string | undefined {
  return issuer === undefined ? undefined : (parseArn(issuer)?.account ?? issuer);
}
