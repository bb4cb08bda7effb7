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
  DeleteUserPolicyCommand,
  IAMClient,
  ListUserPoliciesCommand,
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
import { mendsOfDenial } from '../../cli/foresee/denial-mends.ts';
import { findKey } from '../../cli/foresee/key.ts';
import { type KeyVerdict, keyAccess } from '../../cli/foresee/key-access.ts';
import { applyMend } from '../../cli/foresee/mend.ts';
import { volumeNeeds } from '../../cli/foresee/needs.ts';
import { readPrincipal } from '../../cli/foresee/principal.ts';
import { Views } from '../../cli/foresee/views.ts';
import { type Ingot, startIngot } from '../house/ingot.ts';
import { until } from '../machines/support.ts';

const REGION = 'eu-central-1';
/** Stands for the account in documents. */
const ACCOUNT = 'ACCOUNT';
const SEED = Number(process.env.FORESEE_SEED ?? randomInt(2 ** 31));
const RUNS = Number(process.env.FORESEE_RUNS ?? 30);

const Resource = '*';
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

type Setup = typeof setup extends fc.Arbitrary<infer Value> ? Value : never;

/** One user, and a key of its own for every setup. */
class Stage implements AsyncDisposable {
  readonly #ingot: Ingot;
  readonly root: Aws;
  readonly account: string;
  readonly ec2: EC2Client;
  #count = 0;

  private constructor(ingot: Ingot, root: Aws, account: string, ec2: EC2Client) {
    this.#ingot = ingot;
    this.root = root;
    this.account = account;
    this.ec2 = ec2;
  }

  static async open(): Promise<Stage> {
    const ingot = await startIngot();
    const root = new Aws(REGION, await ingot.client());
    const iam = root.use(IAMClient);
    await iam.send(new CreateUserCommand({ UserName: 'maker' }));
    const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'maker' }));
    const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
    const { account } = await root.identity();
    return new Stage(ingot, root, account, new EC2Client(await ingot.client(REGION, credentials)));
  }

  get arn(): string {
    return `arn:aws:iam::${this.account}:user/maker`;
  }

  /** Puts every policy in place; gives the key. */
  async set({ delegates, key, identity, bounded, grant }: Setup): Promise<string> {
    const iam = this.root.use(IAMClient);
    const kms = this.root.use(KMSClient);
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
    const KeyId = KeyMetadata!.Arn!;
    if (grant.length > 0) {
      await kms.send(new CreateGrantCommand({ KeyId, GranteePrincipal: this.arn, Operations: [...grant] }));
    }
    const root = `arn:aws:iam::${this.account}:root`;
    const administers = ['kms:PutKeyPolicy', 'kms:GetKeyPolicy', 'kms:DescribeKey', 'kms:ListGrants'];
    const keeper = { Effect: 'Allow', Principal: { AWS: root }, Action: delegates ? 'kms:*' : administers, Resource };
    const names = { user: { AWS: this.arn }, everybody: '*', account: { AWS: root } } as const;
    const Policy = this.#document([
      keeper,
      ...key.map(({ to, statement: one }) => ({ ...one, Principal: names[to], Resource })),
    ]);
    await kms.send(new PutKeyPolicyCommand({ KeyId, Policy }));
    const own = [{ Effect: 'Allow', Action: 'ec2:*', Resource }, ...identity.map((one) => ({ ...one, Resource }))];
    const user = { UserName: 'maker' };
    // Those of earlier setups, and their mends.
    const { PolicyNames } = await iam.send(new ListUserPoliciesCommand(user));
    for (const PolicyName of PolicyNames ?? []) await iam.send(new DeleteUserPolicyCommand({ ...user, PolicyName }));
    const PolicyDocument = this.#document(own);
    await iam.send(new PutUserPolicyCommand({ ...user, PolicyName: 'own', PolicyDocument }));
    if (bounded) {
      const limits = [{ Effect: 'Allow', Action: ['ec2:*', 'kms:CreateGrant'], Resource }];
      const { Policy: boundary } = await iam.send(
        new CreatePolicyCommand({ PolicyName: `boundary-${++this.#count}`, PolicyDocument: this.#document(limits) }),
      );
      await iam.send(new PutUserPermissionsBoundaryCommand({ ...user, PermissionsBoundary: boundary!.Arn! }));
    } else {
      await iam.send(new DeleteUserPermissionsBoundaryCommand(user)).catch((error: Error) => {
        if (error.name !== 'NoSuchEntityException') throw error;
      });
    }
    return KeyId;
  }

  async foresee(key: string): Promise<{ readonly views: Views; readonly verdicts: readonly KeyVerdict[] }> {
    const views = await Views.of(this.root);
    const found = await findKey(views, key, this.account);
    assert.ok(found.seen && found.value !== 'missing');
    const device = { deviceName: '', why: '', outcome: 'encrypted', choice: 'given-key', key, sameKey: false } as const;
    const [need] = volumeNeeds(device);
    const principal = readPrincipal(this.arn, this.account);
    const verdicts = await keyAccess(views, { ...need!, principal, key: found.value });
    assert.ok(
      verdicts.every(({ verdict }) => verdict !== 'unknown'),
      JSON.stringify(verdicts),
    );
    return { views, verdicts };
  }

  #document(Statement: readonly object[]): string {
    return JSON.stringify({ Version: '2012-10-17', Statement }).replaceAll(ACCOUNT, this.account);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ingot[Symbol.asyncDispose]();
  }
}

test(`foreseen and true agree (seed ${SEED})`, async () => {
  await using stage = await Stage.open();
  let could = 0;
  const agree = fc.asyncProperty(setup, async (given) => {
    const key = await stage.set(given);
    const { verdicts } = await stage.foresee(key);
    const made = await makes(stage.ec2, key);
    assert.equal(
      verdicts.every(({ verdict }) => verdict === 'allowed'),
      made,
      JSON.stringify(verdicts, undefined, 1),
    );
    could += made ? 1 : 0;
  });
  await fc.assert(agree, { seed: SEED, numRuns: RUNS });
  assert.ok(could > RUNS / 20 && could < RUNS, `${could} of ${RUNS} could: hardly anything was compared`);
});

/** Every layer can be in the way once by a Deny and once by silence, for each of two actions. */
const MENDS_MAX = 12;

test(`what is foreseen to be missing is enough, once it is mended (seed ${SEED})`, async () => {
  await using stage = await Stage.open();
  let mended = 0;
  const suffices = fc.asyncProperty(setup, async (given) => {
    const key = await stage.set(given);
    const applied: string[] = [];
    for (;;) {
      const { views, verdicts } = await stage.foresee(key);
      const denied = verdicts.find((one) => one.verdict === 'denied');
      if (denied?.verdict !== 'denied') break;
      const [mend] = await mendsOfDenial(views, { denied, side: 'target', keyAccount: stage.account });
      assert.ok(mend && applied.length < MENDS_MAX, `${JSON.stringify(denied)}\n${applied.join('\n')}`);
      await applyMend(views, mend);
      applied.push(mend.commands);
    }
    assert.ok(await makes(stage.ec2, key), applied.join('\n'));
    mended += applied.length > 0 ? 1 : 0;
  });
  await fc.assert(suffices, { seed: SEED, numRuns: RUNS / 2 });
  assert.ok(mended > RUNS / 8, `only ${mended} had to be mended`);
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
