/** An administrator of another account, with the real ids of ours: sees nothing, changes nothing. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CloudTrailClient, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import {
  CreateLaunchTemplateCommand,
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  RegisterImageCommand,
  RunInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilSnapshotCompleted,
  waitUntilVolumeAvailable,
} from '@aws-sdk/client-ec2';
import { AttachUserPolicyCommand, CreateAccessKeyCommand, CreateUserCommand, IAMClient } from '@aws-sdk/client-iam';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GetKeyPolicyCommand,
  KMSClient,
  ListGrantsCommand,
} from '@aws-sdk/client-kms';
import { CreateAccountCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { type ClientConfig, type Credentials, type Ingot, startIngot } from './ingot.ts';
import { call, implementedOperations, KEY_ID, SAMPLE_IDS, sampleInput } from './operations.ts';

const ADMINISTRATOR = 'arn:aws:iam::aws:policy/AdministratorAccess';

/** Operations that make or list something of the caller's own whatever ids they are given, or ask nothing of a resource. */
const NEEDS_A_RESOURCE = (input: string, real: ReadonlyMap<string, string>) =>
  [...real.values()].some((id) => input.includes(id));

let ingot: Ingot;
let owner: ClientConfig;
let stranger: ClientConfig;
let real: Map<string, string>;
let ciphertext: Uint8Array;

before(async () => {
  ingot = await startIngot();
  owner = await ingot.client();
  stranger = await ingot.client('eu-central-1', await administratorOf('stranger'));
  real = await resourcesOf(owner);
});
after(() => ingot[Symbol.asyncDispose]());

async function administratorOf(name: string): Promise<Credentials> {
  const iam = new IAMClient(owner);
  await iam.send(new CreateUserCommand({ UserName: 'admin' }));
  await iam.send(new AttachUserPolicyCommand({ UserName: 'admin', PolicyArn: ADMINISTRATOR }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'admin' }));
  const credentials = { accessKeyId: AccessKey?.AccessKeyId ?? '', secretAccessKey: AccessKey?.SecretAccessKey ?? '' };
  const organizations = new OrganizationsClient(owner);
  const { CreateAccountStatus } = await organizations.send(
    new CreateAccountCommand({ AccountName: name, Email: `${name}@example.com` }),
  );
  const sts = new STSClient({ ...owner, credentials });
  const RoleArn = `arn:aws:iam::${CreateAccountStatus?.AccountId}:role/OrganizationAccountAccessRole`;
  const { Credentials } = await sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'admin' }));
  return {
    accessKeyId: Credentials?.AccessKeyId ?? '',
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    sessionToken: Credentials?.SessionToken ?? '',
  };
}

/** One of everything, private to its owner; maps the ids of sample inputs to the real ones. */
async function resourcesOf(config: ClientConfig): Promise<Map<string, string>> {
  const kms = new KMSClient(config);
  const ec2 = new EC2Client(config);
  const waiter = { client: ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
  const key = KeyMetadata!.Arn!;
  await kms.send(new CreateAliasCommand({ AliasName: 'alias/sample', TargetKeyId: key }));
  ciphertext = (await kms.send(new EncryptCommand({ KeyId: key, Plaintext: new Uint8Array(16) }))).CiphertextBlob!;
  const volume = await ec2.send(
    new CreateVolumeCommand({ AvailabilityZone: 'eu-central-1a', Size: 1, Encrypted: true, KmsKeyId: key }),
  );
  await waitUntilVolumeAvailable(waiter, { VolumeIds: [volume.VolumeId!] });
  const snapshot = await ec2.send(new CreateSnapshotCommand({ VolumeId: volume.VolumeId! }));
  await waitUntilSnapshotCompleted(waiter, { SnapshotIds: [snapshot.SnapshotId!] });
  const image = await ec2.send(
    new RegisterImageCommand({
      Name: 'golden',
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: snapshot.SnapshotId! } }],
    }),
  );
  const launched = await ec2.send(
    new RunInstancesCommand({ ImageId: image.ImageId!, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 }),
  );
  const instance = launched.Instances?.[0]?.InstanceId ?? '';
  await waitUntilInstanceRunning(waiter, { InstanceIds: [instance] });
  await ec2.send(
    new CreateLaunchTemplateCommand({ LaunchTemplateName: 'sample', LaunchTemplateData: { ImageId: image.ImageId! } }),
  );
  return new Map([
    [KEY_ID, key],
    [SAMPLE_IDS.volume, volume.VolumeId!],
    [SAMPLE_IDS.snapshot, snapshot.SnapshotId!],
    [SAMPLE_IDS.image, image.ImageId!],
    [SAMPLE_IDS.instance, instance],
  ]);
}

/** All that the owner can see of it. */
async function state(): Promise<unknown> {
  const kms = new KMSClient(owner);
  const ec2 = new EC2Client(owner);
  const KeyId = real.get(KEY_ID)!;
  const { Images } = await ec2.send(new DescribeImagesCommand({ Owners: ['self'] }));
  const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
  const { Volumes } = await ec2.send(new DescribeVolumesCommand({}));
  const { Reservations } = await ec2.send(new DescribeInstancesCommand({}));
  return {
    key: (await kms.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata,
    policy: (await kms.send(new GetKeyPolicyCommand({ KeyId }))).Policy,
    grants: (await kms.send(new ListGrantsCommand({ KeyId }))).Grants,
    Images: Images?.map(({ LastLaunchedTime: _, ...image }) => image),
    Snapshots,
    Volumes,
    Reservations,
  };
}

describe("an administrator of another account, with our resources' ids", () => {
  it('is refused by every operation that names one, and changes nothing', async (context) => {
    const before = await state();
    const served: string[] = [];
    const codes = new Set<string>();
    let asked = 0;
    for (const { service, operation } of await implementedOperations()) {
      const input = sampleInput(service, operation, real);
      const opens = ['Decrypt', 'ReEncrypt'].includes(operation) ? { CiphertextBlob: ciphertext } : {};
      if (!NEEDS_A_RESOURCE(JSON.stringify(input), real) && Object.keys(opens).length === 0) continue;
      asked += 1;
      const failure = await call(stranger, service, operation, { ...input, ...opens });
      if (!failure) served.push(`${service} ${operation}`);
      else if (failure.status >= 500) served.push(`${service} ${operation}: ${JSON.stringify(failure)}`);
      else codes.add(failure.code);
    }
    context.diagnostic(`${asked} operations refused with ${[...codes].sort().join(', ')}`);
    assert.deepEqual(served, []);
    assert.ok(asked > 50, `only ${asked} operations name a resource`);
    assert.deepEqual(await state(), before);
  });

  it('sees none of it in lists, and nothing of it in the trail', async () => {
    const ec2 = new EC2Client(stranger);
    assert.deepEqual((await ec2.send(new DescribeImagesCommand({ Owners: ['self'] }))).Images, []);
    assert.deepEqual((await ec2.send(new DescribeImagesCommand({}))).Images, []);
    assert.deepEqual((await ec2.send(new DescribeSnapshotsCommand({}))).Snapshots, []);
    assert.deepEqual((await ec2.send(new DescribeVolumesCommand({}))).Volumes, []);
    assert.deepEqual((await ec2.send(new DescribeInstancesCommand({}))).Reservations, []);
    const { Events = [] } = await new CloudTrailClient(stranger).send(
      new LookupEventsCommand({ LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: 'RunInstances' }] }),
    );
    assert.ok(Events.every((event) => event.CloudTrailEvent?.includes('"errorCode"')));
  });
});
