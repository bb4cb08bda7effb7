/**
 * What the tools foresee, and what happens: over random key policies, IAM policies, boundaries and grants, the tools say
 * whether a user can make a volume under a key, and then the user makes it.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { CreateVolumeCommand, DescribeVolumesCommand, EC2Client } from '@aws-sdk/client-ec2';
import {
  CreateAccessKeyCommand,
  CreatePolicyCommand,
  CreateUserCommand,
  DeleteUserPermissionsBoundaryCommand,
  IAMClient,
  PutUserPermissionsBoundaryCommand,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam';
import {
  CreateGrantCommand,
  CreateKeyCommand,
  type GrantOperation,
  KMSClient,
  PutKeyPolicyCommand,
} from '@aws-sdk/client-kms';
import fc from 'fast-check';
import { Aws } from '../../cli/aws.ts';
import { findKey } from '../../cli/foresee/key.ts';
import { keyAccess } from '../../cli/foresee/key-access.ts';
import { volumeNeeds } from '../../cli/foresee/needs.ts';
import { readPrincipal } from '../../cli/foresee/principal.ts';
import { Views } from '../../cli/foresee/views.ts';
import { startIngot } from '../house/ingot.ts';
import { until } from '../machines/support.ts';

const REGION = 'eu-central-1';
/** Stands for the account in documents. */
const ACCOUNT = 'ACCOUNT';
const SEED = Number(process.env.FORESEE_SEED ?? randomInt(2 ** 31));
const RUNS = Number(process.env.FORESEE_RUNS ?? 40);

const VIA = `ec2.${REGION}.amazonaws.com`;
/** Conditions that calls of EBS meet, do not meet, or cannot meet. */
const CONDITIONS: readonly object[] = [
  {},
  {},
  { StringEquals: { 'kms:ViaService': VIA } },
  { StringEquals: { 'kms:ViaService': `ebs.${REGION}.amazonaws.com` } },
  { StringEquals: { 'kms:CallerAccount': ACCOUNT } },
  { Bool: { 'kms:GrantIsForAWSResource': 'true' } },
  { BoolIfExists: { 'kms:GrantIsForAWSResource': 'true' } },
  { IpAddress: { 'aws:SourceIp': '127.0.0.0/8' } },
  { NotIpAddress: { 'aws:SourceIp': '192.0.2.0/24' } },
  { Bool: { 'aws:ViaAWSService': 'false' } },
  { StringLike: { 'kms:EncryptionContext:aws:ebs:id': 'vol-*' } },
  { StringLike: { 'kms:EncryptionContext:aws:ebs:id': 'snap-*' } },
  { 'ForAllValues:StringEquals': { 'kms:GrantOperations': ['Decrypt', 'Encrypt'] } },
  { 'ForAnyValue:StringEquals': { 'kms:EncryptionContextKeys': 'aws:ebs:id' } },
  { StringEquals: { 'aws:RequestedRegion': 'us-east-1' } },
  { Null: { 'kms:GrantConstraintType': 'true' } },
];
/** Nothing that bars the root user from the key's policy. */
const ACTIONS = ['kms:CreateGrant', 'kms:GenerateDataKey*', 'kms:*Grant', 'kms:Decrypt'];

const statement = fc.record({
  Effect: fc.constantFrom('Allow', 'Allow', 'Allow', 'Deny'),
  Action: fc.subarray(ACTIONS, { minLength: 1 }),
  Condition: fc.constantFrom(...CONDITIONS),
});
const setup = fc.record({
  delegates: fc.boolean(),
  key: fc.array(fc.record({ to: fc.constantFrom('user', 'everybody', 'account'), statement }), { maxLength: 2 }),
  identity: fc.array(statement, { maxLength: 2 }),
  bounded: fc.constantFrom(false, false, true),
  grant: fc.constantFrom<readonly GrantOperation[]>(
    [],
    [],
    ['GenerateDataKeyWithoutPlaintext', 'CreateGrant', 'Decrypt'],
    ['GenerateDataKeyWithoutPlaintext', 'CreateGrant'],
  ),
});

test(`foreseen and true agree (seed ${SEED})`, async () => {
  await using ingot = await startIngot();
  const root = new Aws(REGION, await ingot.client());
  const { account } = await root.identity();
  const iam = root.use(IAMClient);
  const kms = root.use(KMSClient);
  const document = (Statement: object[]) =>
    JSON.stringify({ Version: '2012-10-17', Statement }).replaceAll(ACCOUNT, account);
  await iam.send(new CreateUserCommand({ UserName: 'maker' }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'maker' }));
  const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
  const ec2 = new EC2Client(await ingot.client(REGION, credentials));
  const arn = `arn:aws:iam::${account}:user/maker`;
  const Resource = '*';
  const boundary = await iam.send(
    new CreatePolicyCommand({
      PolicyName: 'boundary',
      PolicyDocument: document([{ Effect: 'Allow', Action: ['ec2:*', 'kms:CreateGrant'], Resource }]),
    }),
  );
  const rootArn = `arn:aws:iam::${account}:root`;
  const administers = ['kms:PutKeyPolicy', 'kms:GetKeyPolicy', 'kms:DescribeKey', 'kms:*Grants', 'kms:RevokeGrant'];
  const keeper = { Effect: 'Allow', Principal: { AWS: rootArn }, Action: administers, Resource };
  const names = { user: { AWS: arn }, everybody: '*', account: { AWS: rootArn } } as const;
  let could = 0;

  await fc.assert(
    fc.asyncProperty(setup, async ({ delegates, key, identity, bounded, grant }) => {
      const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
      const KeyId = KeyMetadata!.Arn!;
      if (grant.length > 0) {
        await kms.send(new CreateGrantCommand({ KeyId, GranteePrincipal: arn, Operations: [...grant] }));
      }
      const Policy = document([
        delegates ? { ...keeper, Action: 'kms:*' } : keeper,
        ...key.map(({ to, statement: one }) => ({ ...one, Principal: names[to], Resource })),
      ]);
      await kms.send(new PutKeyPolicyCommand({ KeyId, Policy, BypassPolicyLockoutSafetyCheck: true }));
      const PolicyDocument = document([
        { Effect: 'Allow', Action: 'ec2:*', Resource },
        ...identity.map((one) => ({ ...one, Resource })),
      ]);
      await iam.send(new PutUserPolicyCommand({ UserName: 'maker', PolicyName: 'own', PolicyDocument }));
      const PermissionsBoundary = boundary.Policy!.Arn!;
      await (bounded
        ? iam.send(new PutUserPermissionsBoundaryCommand({ UserName: 'maker', PermissionsBoundary }))
        : iam.send(new DeleteUserPermissionsBoundaryCommand({ UserName: 'maker' })).catch(() => {}));

      const views = await Views.of(root);
      const found = await findKey(views, KeyId, account);
      assert.ok(found.seen && found.value !== 'missing');
      const [need] = volumeNeeds({
        deviceName: '',
        why: '',
        outcome: 'encrypted',
        choice: 'given-key',
        key: KeyId,
        sameKey: false,
      });
      const verdicts = await keyAccess(views, { ...need!, principal: readPrincipal(arn, account), key: found.value });
      assert.ok(
        verdicts.every(({ verdict }) => verdict !== 'unknown'),
        JSON.stringify(verdicts),
      );
      const foreseen = verdicts.every(({ verdict }) => verdict === 'allowed');
      const made = await makes(ec2, KeyId);
      assert.equal(foreseen, made, `${JSON.stringify(verdicts, undefined, 1)}\n${Policy}\n${PolicyDocument}`);
      could += made ? 1 : 0;
    }),
    { seed: SEED, numRuns: RUNS },
  );
  assert.ok(could > RUNS / 20 && could < RUNS, `${could} of ${RUNS} could: hardly anything was compared`);
});

/** Whether a volume under the key comes to be; otherwise it vanishes (CV-2). */
async function makes(ec2: EC2Client, KmsKeyId: string): Promise<boolean> {
  const input = { AvailabilityZone: `${REGION}a`, Size: 1, Encrypted: true, KmsKeyId };
  const { VolumeId } = await ec2.send(new CreateVolumeCommand(input));
  const { there } = await until('the volume is there or gone', async () => {
    try {
      const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId!] }));
      return Volumes?.[0]?.State === 'available' && { there: true };
    } catch (error) {
      if ((error as Error).name !== 'InvalidVolume.NotFound') throw error;
      return { there: false };
    }
  });
  return there;
}
