/** The identity policies of a user or role, one by one with the place they are kept in, so that a mend can change it. */
import {
  GetGroupPolicyCommand,
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRolePolicyCommand,
  GetUserPolicyCommand,
  IAMClient,
  paginateListAttachedGroupPolicies,
  paginateListAttachedRolePolicies,
  paginateListAttachedUserPolicies,
  paginateListGroupPolicies,
  paginateListGroupsForUser,
  paginateListRolePolicies,
  paginateListUserPolicies,
} from '@aws-sdk/client-iam';
import type { Aws } from '../aws.ts';
import type { KnownPrincipal } from './principal.ts';
import type { Seen, Unseen, Views } from './views.ts';

/** Where a policy document is kept. */
export type PolicyPlace =
  | { readonly kind: 'user' | 'role' | 'group'; readonly owner: string; readonly policyName: string }
  | { readonly kind: 'managed'; readonly arn: string }
  | { readonly kind: 'key'; readonly keyArn: string }
  | { readonly kind: 'control'; readonly policyId: string; readonly policyName: string };

export interface PlacedPolicy {
  /** As decisions name it: its ARN, the name of an inline policy, or `key policy`. */
  readonly name: string;
  readonly document: string;
  readonly place: PolicyPlace;
}

export interface IdentityPolicies {
  readonly identity: readonly PlacedPolicy[];
  readonly boundary?: PlacedPolicy;
}

type Listed = Omit<Unseen, 'seen'>;

/** Everything that speaks for the principal; unseen as a whole where one document is. */
export async function identityPolicies(
  views: Views,
  { principal, boundaryArn }: KnownPrincipal,
): Promise<Seen<IdentityPolicies>> {
  if (principal.kind === 'root') return { seen: true, value: { identity: [] } };
  return views.once(`identity policies ${principal.arn}`, async () => {
    const identity: PlacedPolicy[] = [];
    const what = `the policies of ${principal.arn}`;
    const place = (wants: string): Listed => ({ what, wants, account: principal.account });
    const owners: { kind: 'user' | 'role' | 'group'; owner: string }[] = [
      { kind: principal.kind === 'user' ? 'user' : 'role', owner: principal.name },
    ];
    if (principal.kind === 'user') {
      const groups = await views.look(place('iam:ListGroupsForUser'), (aws) => groupsOf(aws, principal.name));
      if (!groups.seen) return groups;
      for (const owner of groups.value) owners.push({ kind: 'group', owner });
    }
    for (const { kind, owner } of owners) {
      const capital = `${kind[0]!.toUpperCase()}${kind.slice(1)}`;
      const names = await views.look(place(`iam:List${capital}Policies`), (aws) => inlineNames(aws, kind, owner));
      if (!names.seen) return names;
      for (const policyName of names.value) {
        const document = await views.look(place(`iam:Get${capital}Policy`), (aws) =>
          inlineDocument(aws, kind, owner, policyName),
        );
        if (!document.seen) return document;
        identity.push({ name: policyName, document: document.value, place: { kind, owner, policyName } });
      }
      const attached = await views.look(place(`iam:ListAttached${capital}Policies`), (aws) =>
        attachedArns(aws, kind, owner),
      );
      if (!attached.seen) return attached;
      for (const arn of attached.value) {
        const document = await managedPolicy(views, principal.account, arn);
        if (!document.seen) return document;
        identity.push(document.value);
      }
    }
    if (!boundaryArn) return { seen: true, value: { identity } };
    const boundary = await managedPolicy(views, principal.account, boundaryArn);
    return boundary.seen ? { seen: true, value: { identity, boundary: boundary.value } } : boundary;
  });
}

/** A managed policy in the version that is in force. */
export function managedPolicy(views: Views, account: string, arn: string): Promise<Seen<PlacedPolicy>> {
  const what = `the policy ${arn}`;
  return views.once(`${account} ${what}`, async () => {
    const version = await views.look({ what, wants: 'iam:GetPolicy', account }, (aws) => defaultVersion(aws, arn));
    if (!version.seen) return version;
    return views.look({ what, wants: 'iam:GetPolicyVersion', account }, async (aws): Promise<PlacedPolicy> => {
      return { name: arn, document: await versionDocument(aws, arn, version.value), place: { kind: 'managed', arn } };
    });
  });
}

async function defaultVersion(aws: Aws, PolicyArn: string): Promise<string | undefined> {
  return (await aws.use(IAMClient).send(new GetPolicyCommand({ PolicyArn }))).Policy?.DefaultVersionId;
}

async function versionDocument(aws: Aws, PolicyArn: string, VersionId: string | undefined): Promise<string> {
  const { PolicyVersion } = await aws.use(IAMClient).send(new GetPolicyVersionCommand({ PolicyArn, VersionId }));
  return decodeURIComponent(PolicyVersion?.Document ?? '');
}

export async function managedDocument(aws: Aws, arn: string): Promise<string> {
  return versionDocument(aws, arn, await defaultVersion(aws, arn));
}

async function groupsOf(aws: Aws, UserName: string): Promise<string[]> {
  const names: string[] = [];
  for await (const page of paginateListGroupsForUser({ client: aws.use(IAMClient) }, { UserName })) {
    for (const { GroupName } of page.Groups ?? []) if (GroupName) names.push(GroupName);
  }
  return names;
}

type Kind = 'user' | 'role' | 'group';

async function inlineNames(aws: Aws, kind: Kind, owner: string): Promise<string[]> {
  const config = { client: aws.use(IAMClient) };
  const pages =
    kind === 'user'
      ? paginateListUserPolicies(config, { UserName: owner })
      : kind === 'role'
        ? paginateListRolePolicies(config, { RoleName: owner })
        : paginateListGroupPolicies(config, { GroupName: owner });
  const names: string[] = [];
  for await (const page of pages) names.push(...(page.PolicyNames ?? []));
  return names;
}

export async function inlineDocument(aws: Aws, kind: Kind, owner: string, PolicyName: string): Promise<string> {
  const iam = aws.use(IAMClient);
  const { PolicyDocument } =
    kind === 'user'
      ? await iam.send(new GetUserPolicyCommand({ UserName: owner, PolicyName }))
      : kind === 'role'
        ? await iam.send(new GetRolePolicyCommand({ RoleName: owner, PolicyName }))
        : await iam.send(new GetGroupPolicyCommand({ GroupName: owner, PolicyName }));
  return decodeURIComponent(PolicyDocument ?? '');
}

async function attachedArns(aws: Aws, kind: Kind, owner: string): Promise<string[]> {
  const config = { client: aws.use(IAMClient) };
  const pages =
    kind === 'user'
      ? paginateListAttachedUserPolicies(config, { UserName: owner })
      : kind === 'role'
        ? paginateListAttachedRolePolicies(config, { RoleName: owner })
        : paginateListAttachedGroupPolicies(config, { GroupName: owner });
  const arns: string[] = [];
  for await (const page of pages) {
    for (const { PolicyArn } of page.AttachedPolicies ?? []) if (PolicyArn) arns.push(PolicyArn);
  }
  return arns;
}
