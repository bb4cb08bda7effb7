/** Mends of IAM, and of control policies. */
import {
  CreatePolicyVersionCommand,
  CreateServiceLinkedRoleCommand,
  IAMClient,
  PutGroupPolicyCommand,
  PutRolePolicyCommand,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam';
import { DescribePolicyCommand, OrganizationsClient, UpdatePolicyCommand } from '@aws-sdk/client-organizations';
import type { Aws } from '../aws.ts';
import { ACCOUNT_IN_ARN } from './ec2-access.ts';
import { inlineDocument, managedDocument, type PlacedPolicy, type PolicyPlace } from './identity-policies.ts';
import { keyPolicyChange } from './key-mends.ts';
import { type ApiCall, type Mend, mendOf } from './mend.ts';
import type { Principal } from './principal.ts';
import { withChanged, withStatements } from './statements.ts';
import { block, type PolicyStatement, statementBlocks } from './terraform.ts';

type NamedStatement = PolicyStatement & { readonly Sid: string };

/** An inline policy of the user or role that allows what is missing; with `before`, the policy of that name. */
export function identityPolicyMend(
  principal: Principal,
  policyName: string,
  statements: readonly NamedStatement[],
  before: string | undefined,
  title: string,
): Mend {
  const kind = principal.kind === 'user' ? 'user' : 'role';
  const document = withStatements(before, statements);
  return mendOf({
    kind: 'iam-policy-statement',
    title,
    account: principal.account,
    json: statements,
    calls: [putInline(kind, principal.name, policyName, document)],
    terraform: [
      block('data "aws_iam_policy_document" "ebs"', {}, statementBlocks(statements)),
      block(`resource "aws_iam_${kind}_policy" "ebs"`, {
        name: policyName,
        [kind]: principal.name,
        policy: { expression: 'data.aws_iam_policy_document.ebs.json' },
      }),
    ].join('\n'),
  });
}

function putInline(
  kind: 'user' | 'role' | 'group',
  owner: string,
  PolicyName: string,
  PolicyDocument: string,
): ApiCall {
  const rest = { PolicyName, PolicyDocument };
  const inputs = {
    user: { UserName: owner, ...rest },
    role: { RoleName: owner, ...rest },
    group: { GroupName: owner, ...rest },
  };
  const send = {
    user: (aws: Aws) => aws.use(IAMClient).send(new PutUserPolicyCommand(inputs.user)),
    role: (aws: Aws) => aws.use(IAMClient).send(new PutRolePolicyCommand(inputs.role)),
    group: (aws: Aws) => aws.use(IAMClient).send(new PutGroupPolicyCommand(inputs.group)),
  };
  const operation = { user: 'PutUserPolicy', role: 'PutRolePolicy', group: 'PutGroupPolicy' }[kind];
  return { service: 'iam', operation, input: inputs[kind], send: send[kind] };
}

/** Makes the role that a service launches with, as its first use would. */
export function serviceLinkedRoleMend({ arn, account, name }: Principal): Mend {
  const CustomSuffix = name.split('_')[1];
  const input = { AWSServiceName: arn.split('/').at(-2), ...(CustomSuffix ? { CustomSuffix } : {}) };
  return mendOf({
    kind: 'service-linked-role',
    title: `Make ${name} in account ${account}`,
    account,
    calls: [
      {
        service: 'iam',
        operation: 'CreateServiceLinkedRole',
        input,
        send: (aws) => aws.use(IAMClient).send(new CreateServiceLinkedRoleCommand(input)),
      },
    ],
    terraform: block('resource "aws_iam_service_linked_role" "it"', {
      aws_service_name: input.AWSServiceName,
      custom_suffix: CustomSuffix,
    }),
  });
}

/** Adds statements to a policy where it is kept: a boundary that leaves something out, for example. */
export function addToPolicyMend(
  policy: PlacedPolicy,
  account: string,
  statements: readonly NamedStatement[],
  title: string,
): Mend {
  return documentMend(policy, account, withStatements(policy.document, statements), {
    kind: 'policy-statement',
    title,
    json: statements,
    terraform: statementBlocks(statements),
  });
}

/** Narrows a Deny statement so that it no longer stands in the way: `conditions` are added to those it has. */
export function narrowMend(
  policy: PlacedPolicy,
  account: string,
  index: number,
  conditions: Readonly<Record<string, Readonly<Record<string, string>>>>,
  title: string,
): Mend {
  let narrowed: object = {};
  const after = withChanged(policy.document, index, (statement) => {
    narrowed = { ...statement, Condition: merged(statement.Condition, conditions) };
    return narrowed as Record<string, unknown>;
  });
  return documentMend(policy, account, after, { kind: 'narrow-deny', title, json: narrowed });
}

/** P-8: ARNs of images and snapshots have no account. */
export function accountInArnMend(policy: PlacedPolicy, account: string, title: string): Mend {
  const after = policy.document.replace(new RegExp(ACCOUNT_IN_ARN, 'g'), '$1$2');
  return documentMend(policy, account, after, {
    kind: 'arn-without-account',
    title,
    json: JSON.parse(after) as object,
  });
}

type Conditions = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Values of one operator and key stand together: a negated operator must then differ from every one of them. */
function merged(before: unknown, added: Conditions): Conditions {
  const result: Record<string, Record<string, unknown>> = structuredClone(
    (before ?? {}) as Record<string, Record<string, unknown>>,
  );
  for (const [operator, keys] of Object.entries(added)) {
    const into = result[operator] ?? {};
    result[operator] = into;
    for (const [key, value] of Object.entries(keys)) {
      const there = into[key];
      into[key] = there === undefined ? value : [...[there].flat(), value];
    }
  }
  return result;
}

/** Puts a changed document where the policy is kept. */
function documentMend(
  policy: PlacedPolicy,
  account: string,
  after: string,
  mend: Pick<Mend, 'kind' | 'title'> & Partial<Mend>,
): Mend {
  const { place, document } = policy;
  if (place.kind === 'key') return keyPolicyChange(place.keyArn, document, after, mend);
  if (place.kind === 'managed' && place.arn.includes('::aws:policy/')) {
    return mendOf({
      account,
      ...mend,
      calls: [],
      commands: '',
      note: `${place.arn} is AWS's own and cannot be changed: attach another policy.`,
    });
  }
  return mendOf({
    account,
    ...mend,
    calls: [callFor(place, after)],
    guard: { was: document, read: (aws) => readDocument(aws, place) },
    ...(place.kind === 'control'
      ? { note: 'Control policies are changed by the management account of the organization.' }
      : {}),
  });
}

function callFor(place: Exclude<PolicyPlace, { kind: 'key' }>, document: string): ApiCall {
  if (place.kind === 'managed') {
    const input = { PolicyArn: place.arn, PolicyDocument: document, SetAsDefault: true };
    const send = (aws: Aws) => aws.use(IAMClient).send(new CreatePolicyVersionCommand(input));
    return { service: 'iam', operation: 'CreatePolicyVersion', input, send };
  }
  if (place.kind === 'control') {
    const input = { PolicyId: place.policyId, Content: document };
    const send = (aws: Aws) => aws.use(OrganizationsClient).send(new UpdatePolicyCommand(input));
    return { service: 'organizations', operation: 'UpdatePolicy', input, send };
  }
  return putInline(place.kind, place.owner, place.policyName, document);
}

async function readDocument(aws: Aws, place: Exclude<PolicyPlace, { kind: 'key' }>): Promise<string> {
  if (place.kind === 'managed') return managedDocument(aws, place.arn);
  if (place.kind === 'control') {
    const command = new DescribePolicyCommand({ PolicyId: place.policyId });
    return (await aws.use(OrganizationsClient).send(command)).Policy?.Content ?? '';
  }
  return inlineDocument(aws, place.kind, place.owner, place.policyName);
}
