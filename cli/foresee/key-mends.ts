/** Mends of keys: their policies, grants on them, their state. */
import {
  CancelKeyDeletionCommand,
  CreateGrantCommand,
  type CreateGrantCommandInput,
  EnableKeyCommand,
  GetKeyPolicyCommand,
  PutKeyPolicyCommand,
} from '@aws-sdk/client-kms';
import { parseArn } from '../../policy/arn.ts';
import type { Aws } from '../aws.ts';
import { type ApiCall, type Mend, mendOf, quoted } from './mend.ts';
import { type Statement, withStatements } from './statements.ts';
import { block, statementBlocks } from './terraform.ts';

/** Only this region's replica of a multi-Region key is changed: each has its own policy. */
function putKeyPolicy(keyArn: string, Policy: string): ApiCall {
  const input = { KeyId: keyArn, PolicyName: 'default', Policy };
  return call('PutKeyPolicy', keyArn, input, (aws) => aws.kms.send(new PutKeyPolicyCommand(input)));
}

function call(operation: string, keyArn: string, input: object, send: (aws: Aws) => Promise<unknown>): ApiCall {
  return { service: 'kms', operation, region: parseArn(keyArn)?.region ?? '', input, send };
}

async function readKeyPolicy(aws: Aws, keyArn: string): Promise<string> {
  const kms = aws.inRegion(parseArn(keyArn)?.region ?? aws.region).kms;
  return (await kms.send(new GetKeyPolicyCommand({ KeyId: keyArn }))).Policy ?? '';
}

/** Adds statements to a key policy. Where the policy cannot be seen, the commands are for whoever owns the key. */
export function keyPolicyMend(
  keyArn: string,
  statements: readonly Statement[],
  policy: string | undefined,
  title: string,
): Mend {
  const terraform = `# in the aws_iam_policy_document of ${keyArn}\n${statementBlocks(statements)}`;
  const common = { kind: 'key-policy-statement', title, account: parseArn(keyArn)?.account ?? '', terraform };
  if (policy === undefined) {
    return mendOf({
      ...common,
      json: statements,
      calls: [],
      commands: editingCommands(keyArn, statements),
      note: 'The policy of the key could not be seen: its owner runs this, or --owner-profile names credentials of theirs.',
    });
  }
  return keyPolicyChange(keyArn, policy, withStatements(policy, statements), { ...common, json: statements });
}

/** Puts `after` where the key policy is still `before`. */
export function keyPolicyChange(
  keyArn: string,
  before: string,
  after: string,
  mend: Pick<Mend, 'kind' | 'title'> & Partial<Mend>,
): Mend {
  return mendOf({
    account: parseArn(keyArn)?.account ?? '',
    ...mend,
    calls: [putKeyPolicy(keyArn, after)],
    guard: { was: before, read: (aws) => readKeyPolicy(aws, keyArn) },
  });
}

function editingCommands(keyArn: string, statements: readonly Statement[]): string {
  const key = `--region ${parseArn(keyArn)?.region} --key-id ${keyArn}`;
  const filter = quoted(`.Statement += ${JSON.stringify(statements)}`);
  return [
    `aws kms get-key-policy ${key} --query Policy --output text | jq ${filter} > key-policy.json`,
    `aws kms put-key-policy ${key} --policy file://key-policy.json`,
  ].join('\n');
}

/** Operations of the grant that a service-linked role needs on another account's key (P-13). */
const GRANTED = [
  'Decrypt',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'ReEncryptFrom',
  'ReEncryptTo',
  'CreateGrant',
  'DescribeKey',
] as const;

/** A grant on another account's key to a role of `account`, made by somebody of that account. */
export function grantMend(keyArn: string, GranteePrincipal: string, account: string): Mend {
  const input: CreateGrantCommandInput = { KeyId: keyArn, GranteePrincipal, Operations: [...GRANTED] };
  return mendOf({
    kind: 'grant',
    title: `Grant ${GranteePrincipal} the use of ${keyArn}`,
    account,
    json: input,
    calls: [call('CreateGrant', keyArn, input, (aws) => aws.kms.send(new CreateGrantCommand(input)))],
    terraform: block('resource "aws_kms_grant" "ebs"', {
      key_id: keyArn,
      grantee_principal: GranteePrincipal,
      operations: GRANTED,
    }),
    note: `Somebody of account ${account} makes the grant: the key policy has to let that account call kms:CreateGrant.`,
  });
}

export function enableKeyMend(keyArn: string): Mend {
  return mendOf({
    kind: 'enable-key',
    title: `Enable the key ${keyArn}`,
    account: parseArn(keyArn)?.account ?? '',
    calls: [enable(keyArn)],
    terraform: '# in the aws_kms_key\nis_enabled = true',
  });
}

function enable(keyArn: string): ApiCall {
  const input = { KeyId: keyArn };
  return call('EnableKey', keyArn, input, (aws) => aws.kms.send(new EnableKeyCommand(input)));
}

/** A key whose deletion is cancelled is disabled: it is enabled as well. */
export function cancelDeletionMend(keyArn: string): Mend {
  const input = { KeyId: keyArn };
  const cancel = call('CancelKeyDeletion', keyArn, input, (aws) => aws.kms.send(new CancelKeyDeletionCommand(input)));
  return mendOf({
    kind: 'cancel-key-deletion',
    title: `Cancel the deletion of the key ${keyArn} and enable it`,
    account: parseArn(keyArn)?.account ?? '',
    calls: [cancel, enable(keyArn)],
    note: 'Terraform has no word for it: it would make a new key.',
  });
}
