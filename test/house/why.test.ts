/** Every refusal explains itself, to those who may see it: `ingot why` over real denials (authorization-and-wire 8.7, 8a). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CloudTrailClient, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import {
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeVolumesCommand,
  EC2Client,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  RegisterImageCommand,
  RunInstancesCommand,
  waitUntilSnapshotCompleted,
  waitUntilVolumeAvailable,
} from '@aws-sdk/client-ec2';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import {
  CreateKeyCommand,
  DescribeKeyCommand,
  GetKeyPolicyCommand,
  KMSClient,
  PutKeyPolicyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { AttachPolicyCommand, CreatePolicyCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, DecodeAuthorizationMessageCommand, STSClient } from '@aws-sdk/client-sts';
import { type Credentials, type Ingot, runIngot, startIngot } from './ingot.ts';

const REGION = 'eu-central-1';
let ingot: Ingot;
let build: { id: string; admin: Credentials };
let prod: { id: string; admin: Credentials };

before(async () => {
  ingot = await startIngot();
  build = await account('build');
  prod = await account('prod');
});
after(() => ingot[Symbol.asyncDispose]());

async function account(name: string): Promise<{ id: string; admin: Credentials }> {
  const added = await runIngot(['account', 'add', name, '--data', ingot.dataDir]);
  const id = /^Account \w+ is (\d{12})\./.exec(added.stdout)?.[1];
  assert.ok(id, added.stderr);
  const { stdout } = await runIngot(['env', '--data', ingot.dataDir, '--account', name]);
  const value = (variable: string) => new RegExp(`^export ${variable}='?([^'\n]+)`, 'm').exec(stdout)?.[1] ?? '';
  const admin = {
    accessKeyId: value('AWS_ACCESS_KEY_ID'),
    secretAccessKey: value('AWS_SECRET_ACCESS_KEY'),
    sessionToken: value('AWS_SESSION_TOKEN'),
  };
  return { id, admin };
}

async function user(admin: Credentials, UserName: string, statements: readonly object[]): Promise<Credentials> {
  const iam = new IAMClient(await ingot.client(REGION, admin));
  await iam.send(new CreateUserCommand({ UserName }));
  await allow(admin, UserName, 'own', statements);
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return { accessKeyId: AccessKey?.AccessKeyId ?? '', secretAccessKey: AccessKey?.SecretAccessKey ?? '' };
}

async function allow(admin: Credentials, UserName: string, PolicyName: string, Statement: readonly object[]) {
  if (Statement.length === 0) return;
  const iam = new IAMClient(await ingot.client(REGION, admin));
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
  await iam.send(new PutUserPolicyCommand({ UserName, PolicyName, PolicyDocument }));
}

async function newKey(admin: Credentials): Promise<string> {
  const { KeyMetadata } = await new KMSClient(await ingot.client(REGION, admin)).send(new CreateKeyCommand({}));
  return KeyMetadata?.Arn ?? '';
}

/** Request id of a call that must fail. */
async function refused(sent: Promise<unknown>, name: string | RegExp): Promise<string> {
  const error = await sent.then(
    () => assert.fail('it was allowed'),
    (reason: Error & { $metadata: { requestId?: string } }) => reason,
  );
  assert.match(error.name, new RegExp(name), error.message);
  return error.$metadata.requestId ?? '';
}

interface Told {
  readonly event?: { readonly eventName: string };
  readonly message: {
    readonly layer: string;
    readonly explicitDeny: boolean;
    readonly context: { readonly action: string; readonly conditions: { readonly items: readonly { key: string }[] } };
    readonly matchedStatements: { readonly items: readonly { statementId: string; sourcePolicyId: string }[] };
    readonly remedies: readonly { kind: string; layer: string; policy: string; statement?: object }[];
    readonly remediesSuffice: boolean;
    readonly nearMisses: readonly { failed: { key?: string } }[];
  };
}

async function why(subject: string, profile: string): Promise<Told[]> {
  const asked = ['why', subject, '--data', ingot.dataDir, '--account', profile, '--region', REGION, '--json'];
  const { stdout, stderr, code } = await runIngot(asked);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Told[];
}

/** Waits until a KMS call that EBS made for a request has been denied. */
async function denialOnBehalf(admin: Credentials, requestId: string): Promise<void> {
  const trail = new CloudTrailClient(await ingot.client(REGION, admin));
  const by = { LookupAttributes: [{ AttributeKey: 'EventSource' as const, AttributeValue: 'kms.amazonaws.com' }] };
  for (let round = 0; round < 600; round += 1) {
    const { Events = [] } = await trail.send(new LookupEventsCommand(by));
    const texts = Events.map(({ CloudTrailEvent }) => CloudTrailEvent ?? '');
    if (texts.some((text) => text.includes(requestId) && text.includes('AccessDenied'))) return;
  }
  assert.fail('no denied call of EBS was recorded');
}

/** A volume whose key was refused disappears. */
async function becomesAvailable(ec2: EC2Client, id: string): Promise<boolean> {
  for (let round = 0; round < 600; round += 1) {
    const { Volumes = [] } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] })).catch((error: Error) => {
      if (error.name === 'InvalidVolume.NotFound') return { Volumes: [] };
      throw error;
    });
    if (Volumes[0]?.State === 'available') return true;
    if (!Volumes[0] || Volumes[0].State === 'error') return false;
  }
  return assert.fail(`${id} stays as it is`);
}

describe('ingot why', () => {
  it('names principal, action, resource, values, statements, layer and the statement to add (EC2)', async () => {
    const ann = await user(build.admin, 'ann', [
      {
        Sid: 'OnlyIreland',
        Effect: 'Allow',
        Action: 'ec2:CreateVolume',
        Resource: '*',
        Condition: { StringEquals: { 'aws:RequestedRegion': 'eu-west-1' } },
      },
    ]);
    const ec2 = new EC2Client(await ingot.client(REGION, ann));
    const create = new CreateVolumeCommand({ AvailabilityZone: `${REGION}a`, Size: 1 });
    const requestId = await refused(ec2.send(create), 'UnauthorizedOperation');
    const { stdout, stderr } = await runIngot([
      'why',
      requestId,
      '--data',
      ingot.dataDir,
      '--account',
      'build',
      '--region',
      REGION,
    ]);
    assert.equal(stderr, '');
    const says = [
      /^Denied: ec2:CreateVolume on arn:aws:ec2:eu-central-1:\d{12}:volume\/\*, because no identity-based policy allows the ec2:CreateVolume action\.$/m,
      /^ {2}call +CreateVolume of ec2\.amazonaws\.com, /m,
      /^ {2}principal +arn:aws:iam::\d{12}:user\/ann \(AIDA\w+\)$/m,
      /^ {2}layer +identity, by silence$/m,
      /^ {2}aws:RequestedRegion = eu-central-1$/m,
      /^ {2}ALLOW statement 1 of arn:aws:organizations::aws:policy\/service_control_policy\/p-FullAWSAccess \(service-control\)$/m,
      /"OnlyIreland" of own \(identity\): StringEquals wants aws:requestedregion eu-west-1, and it is eu-central-1$/m,
      /^It would be allowed with:\n {2}in an identity-based policy of arn:aws:iam::\d{12}:user\/ann:$/m,
      /"Action": "ec2:CreateVolume"/,
    ];
    for (const pattern of says) assert.match(stdout, pattern);
  });

  it('is answered only with LookupEvents and DecodeAuthorizationMessage, and only in the own account', async () => {
    const eve = await user(build.admin, 'eve', [{ Effect: 'Allow', Action: 'cloudtrail:LookupEvents', Resource: '*' }]);
    const key = await newKey(build.admin);
    const kms = new KMSClient(await ingot.client(REGION, eve));
    const requestId = await refused(kms.send(new DescribeKeyCommand({ KeyId: key })), 'AccessDeniedException');
    const { Events = [] } = await new CloudTrailClient(await ingot.client(REGION, eve)).send(
      new LookupEventsCommand({ LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: 'DescribeKey' }] }),
    );
    const text = Events.map(({ CloudTrailEvent }) => CloudTrailEvent ?? '').find((event) => event.includes(requestId));
    const token: unknown = JSON.parse(text ?? '{}').additionalEventData?.encodedAuthorizationMessage;
    assert.ok(typeof token === 'string');
    const decode = async (who: Credentials) =>
      new STSClient(await ingot.client(REGION, who)).send(
        new DecodeAuthorizationMessageCommand({ EncodedMessage: token }),
      );
    await refused(decode(eve), 'AccessDenied');
    await refused(decode(prod.admin), 'InvalidAuthorizationMessageException');
    const [told] = await why(token, 'build');
    assert.equal(told?.message.context.action, 'kms:DescribeKey');
  });

  it('explains what EBS met on the caller’s behalf, and following it leads to a volume (S2, S3)', async () => {
    const key = await newKey(build.admin);
    const bob = await user(build.admin, 'bob', [{ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }]);
    const ec2 = new EC2Client(await ingot.client(REGION, bob));
    const create = () =>
      ec2.send(new CreateVolumeCommand({ AvailabilityZone: `${REGION}a`, Size: 1, Encrypted: true, KmsKeyId: key }));
    const followed: object[] = [];
    for (let round = 0; ; round += 1) {
      assert.ok(round < 6, `not available after ${JSON.stringify(followed)}`);
      const { VolumeId, $metadata } = await create();
      const made = await becomesAvailable(ec2, VolumeId!);
      if (made) break;
      const requestId = $metadata.requestId ?? '';
      await denialOnBehalf(build.admin, requestId);
      for (const { message } of await why(requestId, 'build')) {
        assert.equal(message.layer, 'identity');
        assert.ok(message.context.conditions.items.some(({ key }) => key === 'kms:ViaService'));
        assert.ok(message.remediesSuffice);
        for (const { statement } of message.remedies) followed.push(statement!);
      }
      await allow(build.admin, 'bob', 'advice', followed);
    }
    assert.ok(followed.length > 0);
    for (const statement of followed) {
      const { Resource, Condition } = statement as { Resource: string; Condition: object };
      assert.equal(Resource, key);
      assert.deepEqual((Condition as { StringEquals: object }).StringEquals, {
        'kms:ViaService': `ec2.${REGION}.amazonaws.com`,
      });
    }
    const direct = new KMSClient(await ingot.client(REGION, bob));
    await refused(direct.send(new DescribeKeyCommand({ KeyId: key })), 'AccessDeniedException');
  });

  it('tells which side of two accounts is missing (S9, S10), and no more of the other account than the denial', async () => {
    const key = await newKey(build.admin);
    const owner = new EC2Client(await ingot.client(REGION, build.admin));
    const waiter = { client: owner, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
    const volume = await owner.send(
      new CreateVolumeCommand({ AvailabilityZone: `${REGION}a`, Size: 1, Encrypted: true, KmsKeyId: key }),
    );
    await waitUntilVolumeAvailable(waiter, { VolumeIds: [volume.VolumeId!] });
    const { SnapshotId } = await owner.send(new CreateSnapshotCommand({ VolumeId: volume.VolumeId! }));
    await waitUntilSnapshotCompleted(waiter, { SnapshotIds: [SnapshotId!] });
    await owner.send(
      new ModifySnapshotAttributeCommand({
        SnapshotId: SnapshotId!,
        Attribute: 'createVolumePermission',
        OperationType: 'add',
        UserIds: [prod.id],
      }),
    );
    const cat = await user(prod.admin, 'cat', [{ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }]);
    const ec2 = new EC2Client(await ingot.client(REGION, cat));
    const attempt = async (): Promise<Told[]> => {
      const { $metadata } = await ec2.send(
        new CreateVolumeCommand({ AvailabilityZone: `${REGION}a`, SnapshotId: SnapshotId! }),
      );
      await denialOnBehalf(prod.admin, $metadata.requestId ?? '');
      return why($metadata.requestId ?? '', 'prod');
    };
    const onKey = (told: Told[]) =>
      told.map(({ message }) => [message.layer, message.remedies.map(({ layer }) => layer)]);
    const s9 = await attempt();
    assert.deepEqual(onKey(s9)[0], ['resource', ['resource', 'identity']]);
    assert.ok(!JSON.stringify(s9).includes('kms:KeySpec'));

    // A launch answers before it fails: its request id leads to what EBS met.
    const { ImageId } = await owner.send(
      new RegisterImageCommand({
        Name: 'golden',
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: SnapshotId! } }],
      }),
    );
    await owner.send(
      new ModifyImageAttributeCommand({ ImageId: ImageId!, LaunchPermission: { Add: [{ UserId: prod.id }] } }),
    );
    const launched = await ec2.send(
      new RunInstancesCommand({ ImageId: ImageId!, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 }),
    );
    await denialOnBehalf(prod.admin, launched.$metadata.requestId ?? '');
    assert.equal(onKey(await why(launched.$metadata.requestId ?? '', 'prod'))[0]?.[0], 'resource');

    const kms = new KMSClient(await ingot.client(REGION, build.admin));
    const { Policy = '' } = await kms.send(new GetKeyPolicyCommand({ KeyId: key, PolicyName: 'default' }));
    const document = JSON.parse(Policy) as { Statement: object[] };
    const forProd = { Sid: 'Prod', Effect: 'Allow', Principal: { AWS: prod.id }, Action: 'kms:*', Resource: '*' };
    const opened = JSON.stringify({ ...document, Statement: [...document.Statement, forProd] });
    await kms.send(new PutKeyPolicyCommand({ KeyId: key, Policy: opened }));
    const s10 = await attempt();
    assert.deepEqual(onKey(s10)[0], ['identity', ['identity']]);
    assert.ok(!JSON.stringify(s10).includes('"Prod"'), 'a statement of the other account was shown');
  });

  it('names the session policy (S13) and the service control policy (S14)', async () => {
    const key = await newKey(build.admin);
    const sts = new STSClient(await ingot.client(REGION));
    const admin = await user((await ingot.root()) as Credentials, 'operator', [
      { Effect: 'Allow', Action: 'sts:AssumeRole', Resource: '*' },
    ]);
    sts.destroy();
    const { Credentials: narrow } = await new STSClient(await ingot.client(REGION, admin)).send(
      new AssumeRoleCommand({
        RoleArn: `arn:aws:iam::${build.id}:role/OrganizationAccountAccessRole`,
        RoleSessionName: 'narrow',
        Policy: JSON.stringify({
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }],
        }),
      }),
    );
    const session = {
      accessKeyId: narrow?.AccessKeyId ?? '',
      secretAccessKey: narrow?.SecretAccessKey ?? '',
      sessionToken: narrow?.SessionToken ?? '',
    };
    const describeKey = new DescribeKeyCommand({ KeyId: key });
    const s13 = await refused(
      new KMSClient(await ingot.client(REGION, session)).send(describeKey),
      'AccessDeniedException',
    );
    const [bySession] = await why(s13, 'build');
    assert.equal(bySession?.message.layer, 'session');
    assert.deepEqual(
      bySession?.message.remedies.map(({ kind, layer }) => [kind, layer]),
      [['add', 'session']],
    );

    const organizations = new OrganizationsClient(await ingot.client('us-east-1'));
    const { Policy } = await organizations.send(
      new CreatePolicyCommand({
        Name: 'keep-keys',
        Description: '',
        Type: 'SERVICE_CONTROL_POLICY',
        Content: JSON.stringify({
          Version: '2012-10-17',
          Statement: [{ Sid: 'KeepKeys', Effect: 'Deny', Action: 'kms:ScheduleKeyDeletion', Resource: '*' }],
        }),
      }),
    );
    const PolicyId = Policy?.PolicySummary?.Id ?? '';
    await organizations.send(new AttachPolicyCommand({ PolicyId, TargetId: build.id }));
    const kms = new KMSClient(await ingot.client(REGION, build.admin));
    const s14 = await refused(kms.send(new ScheduleKeyDeletionCommand({ KeyId: key })), 'AccessDeniedException');
    const [byOrganization] = await why(s14, 'build');
    assert.deepEqual([byOrganization?.message.layer, byOrganization?.message.explicitDeny], ['service-control', true]);
    assert.ok(byOrganization?.message.matchedStatements.items.some(({ statementId }) => statementId === 'KeepKeys'));
    assert.match(byOrganization?.message.remedies[0]?.policy ?? '', new RegExp(`/${PolicyId}$`));
    assert.equal(byOrganization?.message.remedies[0]?.kind, 'remove');
  });

  it('says so where nothing was refused, or nothing is known of the request', async () => {
    const ok = await new KMSClient(await ingot.client(REGION)).send(new CreateKeyCommand({}));
    const ask = async (id: string) =>
      (await runIngot(['why', id, '--data', ingot.dataDir, '--region', REGION])).stderr.trim();
    assert.equal(await ask(ok.$metadata.requestId ?? ''), 'This request was not refused.');
    assert.match(
      await ask('00000000-0000-4000-8000-000000000000'),
      /^No event of the last 24 hours has the request id/,
    );
  });
});
