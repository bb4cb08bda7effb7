/**
 * The worked scenarios of the specification, S1 to S16, against a whole server: setup, call and what is expected as the
 * table of authorization-and-wire 8a has them.
 */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  AttachVolumeCommand,
  CopyImageCommand,
  CreateLaunchTemplateCommand,
  CreateVolumeCommand,
  DescribeImagesCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  EC2Client,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
} from '@aws-sdk/client-ec2';
import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import {
  CreateGrantCommand,
  CreateKeyCommand,
  DecryptCommand,
  DisableKeyCommand,
  EncryptCommand,
  KMSClient,
  PutKeyPolicyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  DetachPolicyCommand,
  OrganizationsClient,
} from '@aws-sdk/client-organizations';
import { DecodeAuthorizationMessageCommand, STSClient } from '@aws-sdk/client-sts';
import type { ClientConfig } from '../house/ingot.ts';
import { until } from '../machines/support.ts';
import { NbdClient } from '../sim/storage-model.ts';
import { rootAccessKeyOf } from './member-root.ts';
import {
  type Account,
  allow,
  deny,
  documentOf,
  EBS_KEY_ACTIONS,
  keyPolicy,
  ROOT_DEVICE,
  refused,
  type User,
  World,
} from './world.ts';

const REGION = 'us-east-1';
const ZONE = `${REGION}a`;
const EC2_ONLY = allow('ec2:*');
const OTHER_REGION = 'eu-west-1';
const INVALID_KEY = {
  Code: 'Client.InvalidKMSKey.InvalidState',
  Message: 'Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state',
};

let world: World;
let a: Account;
let b: Account;
let plainImage: string;

before(async () => {
  world = await World.open(REGION);
  a = await world.account('a');
  b = await world.account('b');
  plainImage = await world.image(a.admin, await world.snapshot(a.admin));
});
after(() => world[Symbol.asyncDispose]());

async function createVolume(config: ClientConfig, key?: string): Promise<string> {
  const { VolumeId } = await new EC2Client(config).send(
    new CreateVolumeCommand({
      AvailabilityZone: `${config.region}a`,
      Size: 1,
      Encrypted: true,
      ...(key ? { KmsKeyId: key } : {}),
    }),
  );
  return VolumeId!;
}

async function launch(config: ClientConfig, input: Partial<RunInstancesCommandInput>): Promise<string> {
  const { Instances } = await new EC2Client(config).send(
    new RunInstancesCommand({ InstanceType: 't3.micro', MinCount: 1, MaxCount: 1, ...input }),
  );
  return Instances![0]!.InstanceId!;
}

const encryptedRoot = (key: string) => [{ DeviceName: ROOT_DEVICE, Ebs: { Encrypted: true, KmsKeyId: key } }];

async function rootVolumeOf(config: ClientConfig, instance: string) {
  const { BlockDeviceMappings } = await world.instance(config, instance, 'running');
  const id = BlockDeviceMappings?.[0]?.Ebs?.VolumeId ?? '';
  const { Volumes } = await new EC2Client(config).send(new DescribeVolumesCommand({ VolumeIds: [id] }));
  return Volumes![0]!;
}

/** What KMS said when EBS asked for the user: the first denial whose record names `word`. */
const denialNaming = (account: Account, word: string) =>
  until(`KMS denies something that names ${word}`, async () =>
    (await world.kmsEvents(account.admin, word)).find(({ errorCode }) => errorCode === 'AccessDenied'),
  );

describe('authz 8a: one account', () => {
  it('S1: with rights on EC2 alone, an encrypted volume under alias/aws/ebs is made', async () => {
    const user = await world.user(a, EC2_ONLY);
    const volume = await world.volumeInTheEnd(user.config, await createVolume(user.config));
    assert.equal(volume?.Encrypted, true);
    const events = await world.kmsEvents(a.admin, volume!.VolumeId!);
    const [made] = events;
    assert.deepEqual(
      [made?.eventName, made?.errorCode, made?.resources?.[0]?.ARN],
      ['GenerateDataKeyWithoutPlaintext', undefined, volume!.KmsKeyId],
    );
    assert.ok(events.every(({ errorCode }) => !errorCode));
    const kms = new KMSClient(user.config);
    await refused(
      kms.send(new EncryptCommand({ KeyId: volume!.KmsKeyId!, Plaintext: Buffer.of(1) })),
      'AccessDeniedException',
    );
  });

  it('S2: under a customer key with the default policy KMS denies, and the volume never becomes available', async () => {
    const user = await world.user(a, EC2_ONLY);
    const key = await world.key(a);
    const id = await createVolume(user.config, key);
    assert.equal(await world.volumeInTheEnd(user.config, id), undefined);
    const denial = await denialNaming(a, key);
    assert.match(denial.errorMessage ?? '', /no identity-based policy allows the kms:\w+ action/);
    assert.equal(denial.userIdentity?.arn, user.arn);
  });

  it('S3: with the actions of kms 27.1 it is made by GenerateDataKeyWithoutPlaintext, and CreateGrant comes on attach', async () => {
    const key = await world.key(a);
    const user = await world.user(a, EC2_ONLY, allow(EBS_KEY_ACTIONS, { Resource: key }));
    const id = await createVolume(user.config, key);
    const volume = await world.volumeInTheEnd(user.config, id);
    assert.equal(volume?.KmsKeyId, key);
    const grantsToInstances = async () =>
      (await world.kmsEvents(a.admin, id)).filter(
        ({ eventName, requestParameters }) =>
          eventName === 'CreateGrant' && /ec2-infrastructure/.test(String(requestParameters?.granteePrincipal)),
      );
    const made = await world.kmsEvents(a.admin, id);
    assert.ok(made.some(({ eventName }) => eventName === 'GenerateDataKeyWithoutPlaintext'));
    assert.deepEqual(await grantsToInstances(), []);
    const instance = await launch(user.config, { ImageId: plainImage, Placement: { AvailabilityZone: ZONE } });
    await world.instance(user.config, instance, 'running');
    await new EC2Client(user.config).send(
      new AttachVolumeCommand({ VolumeId: id, InstanceId: instance, Device: '/dev/sdf' }),
    );
    const [grant, ...more] = await grantsToInstances();
    assert.deepEqual([grant?.userIdentity?.arn, grant?.errorCode, more], [user.arn, undefined, []]);
    assert.ok(String(grant?.requestParameters?.granteePrincipal).endsWith(`/${instance}`));
  });

  it('S4: kms:CreateGrant for AWS resources only serves a launch, and no direct call', async () => {
    const key = await world.key(a);
    const forResources = { Bool: { 'kms:GrantIsForAWSResource': 'true' } };
    const user = await world.user(
      a,
      EC2_ONLY,
      allow(EBS_KEY_ACTIONS.filter((action) => action !== 'kms:CreateGrant')),
      allow('kms:CreateGrant', { Condition: forResources }),
    );
    const instance = await launch(user.config, { ImageId: plainImage, BlockDeviceMappings: encryptedRoot(key) });
    assert.equal((await rootVolumeOf(user.config, instance)).KmsKeyId, key);
    const direct = new CreateGrantCommand({ KeyId: key, GranteePrincipal: user.arn, Operations: ['Decrypt'] });
    await refused(new KMSClient(user.config).send(direct), 'AccessDeniedException', /kms:CreateGrant/);
  });

  it('S5: rights by kms:ViaService ec2.us-east-1 hold for EBS there, for no direct call and in no other region', async () => {
    const key = await world.key(a);
    const viaHere = { StringEquals: { 'kms:ViaService': `ec2.${REGION}.amazonaws.com` } };
    const user = await world.user(a, EC2_ONLY, allow(EBS_KEY_ACTIONS, { Condition: viaHere }));
    assert.equal((await world.volumeInTheEnd(user.config, await createVolume(user.config, key)))?.KmsKeyId, key);

    const kms = new KMSClient(a.admin);
    const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId: key, Plaintext: Buffer.of(1) }));
    await refused(new KMSClient(user.config).send(new DecryptCommand({ CiphertextBlob })), 'AccessDeniedException');

    const { KeyMetadata } = await new KMSClient({ ...a.admin, region: OTHER_REGION }).send(new CreateKeyCommand({}));
    const elsewhere = { ...user.config, region: OTHER_REGION };
    const id = await createVolume(elsewhere, KeyMetadata!.Arn!);
    assert.equal(await world.volumeInTheEnd(elsewhere, id), undefined);
  });

  it('S6: a key policy against kms:CreateGrant ends the launch with the reason of KMS, and touches no other volume', async () => {
    const user = await world.user(a, EC2_ONLY, allow(EBS_KEY_ACTIONS));
    const key = await world.key(a);
    const before = await world.volumeInTheEnd(user.config, await createVolume(user.config, key));
    const Policy = keyPolicy(a.id, deny('kms:CreateGrant', { Principal: { AWS: user.arn } }));
    await new KMSClient(a.admin).send(new PutKeyPolicyCommand({ KeyId: key, PolicyName: 'default', Policy }));
    const id = await launch(user.config, { ImageId: plainImage, BlockDeviceMappings: encryptedRoot(key) });
    const instance = await world.instance(user.config, id, 'terminated');
    assert.deepEqual(instance.StateReason, INVALID_KEY);
    const denial = await until('CreateGrant is denied', async () =>
      (await world.kmsEvents(a.admin, key)).find(
        ({ eventName, errorCode }) => eventName === 'CreateGrant' && errorCode,
      ),
    );
    assert.match(denial.errorMessage ?? '', /with an explicit deny in a resource-based policy/);
    assert.equal((await world.volumeInTheEnd(user.config, before!.VolumeId!))?.State, 'available');
  });

  it('S7: a Deny on plain volumes refuses the launch from a plain image, naming volume/*, with an encoded message', async () => {
    const user = await world.user(
      a,
      EC2_ONLY,
      allow('sts:DecodeAuthorizationMessage'),
      deny('ec2:RunInstances', {
        Resource: 'arn:aws:ec2:*:*:volume/*',
        Condition: { Bool: { 'ec2:Encrypted': 'false' } },
      }),
    );
    const { message } = await refused(
      launch(user.config, { ImageId: plainImage }),
      'UnauthorizedOperation',
      new RegExp(
        `ec2:RunInstances on resource: arn:aws:ec2:${REGION}:${a.id}:volume/\\* with an explicit deny in an identity-based policy`,
      ),
    );
    const EncodedMessage = /Encoded authorization failure message: (\S+)/.exec(message)?.[1] ?? '';
    const { DecodedMessage } = await new STSClient(user.config).send(
      new DecodeAuthorizationMessageCommand({ EncodedMessage }),
    );
    const decoded = JSON.parse(DecodedMessage ?? '{}') as { allowed: boolean; explicitDeny: boolean };
    assert.deepEqual([decoded.allowed, decoded.explicitDeny], [false, true]);
  });
});

describe('authz 8a: an image of account A under its customer key, shared with account B', () => {
  let keyOfA: string;
  let keyOfB: string;
  let imageId: string;
  let user: User;

  before(async () => {
    keyOfA = await world.key(a);
    keyOfB = await world.key(b);
    const snapshot = await world.snapshot(a.admin, { key: keyOfA });
    imageId = await world.image(a.admin, snapshot);
    const ec2 = new EC2Client(a.admin);
    await ec2.send(
      new ModifyImageAttributeCommand({ ImageId: imageId, LaunchPermission: { Add: [{ UserId: b.id }] } }),
    );
    await ec2.send(
      new ModifySnapshotAttributeCommand({ SnapshotId: snapshot, CreateVolumePermission: { Add: [{ UserId: b.id }] } }),
    );
    user = await world.user(b, EC2_ONLY);
  });

  const keyOfANames = (...statements: Parameters<typeof keyPolicy>[1][]) =>
    new KMSClient(a.admin).send(
      new PutKeyPolicyCommand({ KeyId: keyOfA, PolicyName: 'default', Policy: keyPolicy(a.id, ...statements) }),
    );
  const forRootOfB = () => allow(EBS_KEY_ACTIONS, { Principal: { AWS: `arn:aws:iam::${b.id}:root` } });
  const rightsOfUser = () => user.may(EC2_ONLY, allow(EBS_KEY_ACTIONS, { Resource: [keyOfA, keyOfB] }));

  async function deniedLaunch(reason: RegExp): Promise<void> {
    const known = (await world.kmsEvents(b.admin, keyOfA)).length;
    const id = await launch(user.config, { ImageId: imageId });
    assert.deepEqual((await world.instance(user.config, id, 'terminated')).StateReason, INVALID_KEY);
    const denials = (await world.kmsEvents(b.admin, keyOfA)).slice(known).filter(({ errorCode }) => errorCode);
    assert.ok(denials.length > 0);
    for (const { errorMessage } of denials) assert.match(errorMessage ?? '', reason);
  }

  it('S8, kms 27.6: with both sides allowing, B launches it and copies it under its own key', async () => {
    await keyOfANames(forRootOfB());
    await rightsOfUser();
    const volume = await rootVolumeOf(user.config, await launch(user.config, { ImageId: imageId }));
    assert.equal(volume.Encrypted, true);

    const ec2 = new EC2Client(user.config);
    const { ImageId } = await ec2.send(
      new CopyImageCommand({
        Name: 'own',
        SourceImageId: imageId,
        SourceRegion: REGION,
        Encrypted: true,
        KmsKeyId: keyOfB,
      }),
    );
    await until('the copy is available', async () => {
      const { Images } = await ec2.send(new DescribeImagesCommand({ ImageIds: [ImageId!] }));
      assert.notEqual(Images?.[0]?.State, 'failed');
      return Images?.[0]?.State === 'available';
    });
    const namesOn = async (key: string) => (await world.kmsEvents(b.admin, key)).map(({ eventName }) => eventName);
    const [onA, onB] = [await namesOn(keyOfA), await namesOn(keyOfB)];
    assert.ok(onA.includes('ReEncrypt') || onA.includes('Decrypt'), onA.join());
    assert.ok(onB.includes('GenerateDataKeyWithoutPlaintext') || onB.includes('ReEncrypt'), onB.join());
    const inA = (await world.kmsEvents(a.admin, keyOfA)).filter(({ userIdentity }) => userIdentity?.accountId === b.id);
    assert.ok(inA.length > 0, 'A does not see in its own trail that B uses its key');
  });

  it('S9: without the statement for B in the key policy, no resource-based policy allows', async () => {
    await keyOfANames();
    await rightsOfUser();
    await deniedLaunch(/because no resource-based policy allows the kms:\w+ action/);
  });

  it('S10: without the user’s own actions on the key, no identity-based policy allows', async () => {
    await keyOfANames(forRootOfB());
    await user.may(EC2_ONLY);
    await deniedLaunch(/because no identity-based policy allows the kms:\w+ action/);
  });

  it('S11: what is under alias/aws/ebs is refused when it is shared, snapshot and image', async () => {
    const ec2 = new EC2Client(a.admin);
    const SnapshotId = await world.snapshot(a.admin, { encrypted: true });
    const ImageId = await world.image(a.admin, SnapshotId);
    const Add = [{ UserId: b.id }];
    await refused(
      ec2.send(new ModifySnapshotAttributeCommand({ SnapshotId, CreateVolumePermission: { Add } })),
      'OperationNotPermitted',
      /^Encrypted snapshots with EBS default key cannot be shared$/,
    );
    await refused(
      ec2.send(new ModifyImageAttributeCommand({ ImageId, LaunchPermission: { Add } })),
      'InvalidParameter',
      /^Snapshots encrypted with the AWS Managed CMK can't be shared\. Specify another snapshot\.$/,
    );
    await refused(
      launch((await world.user(b, EC2_ONLY)).config, { ImageId }),
      'AuthFailure',
      /^Not authorized for images: /,
    );
  });

  it('S12: a grant to a role of B opens what A encrypted, without a key policy for B', async () => {
    const key = await world.key(a);
    const iam = new IAMClient(b.admin);
    const trust = documentOf({ Effect: 'Allow', Principal: { AWS: b.id }, Action: 'sts:AssumeRole' });
    const { Role } = await iam.send(new CreateRoleCommand({ RoleName: 'opener', AssumeRolePolicyDocument: trust }));
    await iam.send(
      new PutRolePolicyCommand({
        RoleName: 'opener',
        PolicyName: 'p',
        PolicyDocument: documentOf(allow('kms:Decrypt')),
      }),
    );
    const opener = await world.user(b, allow('sts:AssumeRole'));
    const role = new KMSClient(await world.assume(opener.config, Role!.Arn!));
    const owner = new KMSClient(a.admin);
    const { CiphertextBlob } = await owner.send(new EncryptCommand({ KeyId: key, Plaintext: Buffer.from('hello') }));
    const decrypt = () => role.send(new DecryptCommand({ CiphertextBlob, KeyId: key }));
    await refused(decrypt(), 'AccessDeniedException', /no resource-based policy allows the kms:Decrypt action/);
    await owner.send(new CreateGrantCommand({ KeyId: key, GranteePrincipal: Role!.Arn!, Operations: ['Decrypt'] }));
    assert.equal(Buffer.from((await decrypt()).Plaintext!).toString(), 'hello');
  });
});

describe('authz 8a: sessions, organizations, revoked keys, templates', () => {
  it('S13: a session policy without kms:* denies the use of EBS, and says which policy', async () => {
    const key = await world.key(a);
    const session = await world.assume(
      world.operator,
      `arn:aws:iam::${a.id}:role/OrganizationAccountAccessRole`,
      documentOf(EC2_ONLY),
    );
    assert.equal(await world.volumeInTheEnd(session, await createVolume(session, key)), undefined);
    const denial = await denialNaming(a, key);
    assert.match(denial.errorMessage ?? '', /because no session policy allows the kms:\w+ action/);
  });

  it('S14: a service control policy binds the root user of a member account', async () => {
    await using installation = await World.open(REGION);
    const member = await installation.account();
    const organizations = new OrganizationsClient(await installation.ingot.client(REGION));
    const { Policy } = await organizations.send(
      new CreatePolicyCommand({
        Name: 'keep-keys',
        Description: '',
        Type: 'SERVICE_CONTROL_POLICY',
        Content: documentOf(deny('kms:ScheduleKeyDeletion')),
      }),
    );
    const PolicyId = Policy!.PolicySummary!.Id!;
    await organizations.send(new AttachPolicyCommand({ PolicyId, TargetId: member.id }));
    const credentials = await rootAccessKeyOf(installation, member);
    const root = new KMSClient(await installation.as(credentials));
    const { KeyMetadata } = await root.send(new CreateKeyCommand({}));
    const KeyId = KeyMetadata!.KeyId!;
    await refused(
      root.send(new ScheduleKeyDeletionCommand({ KeyId })),
      'AccessDeniedException',
      new RegExp(`^User: arn:aws:iam::${member.id}:root is not .* with an explicit deny in a service control policy`),
    );
    const after = new OrganizationsClient(await installation.ingot.client(REGION));
    await after.send(new DetachPolicyCommand({ PolicyId, TargetId: member.id }));
    await root.send(new ScheduleKeyDeletionCommand({ KeyId }));
  });

  it('S15, kms 19.5, 27.8: a key that is disabled after the attachment leaves it readable; detached, the volume attaches no more', async () => {
    const key = await world.key(a);
    const SnapshotId = await world.snapshot(a.admin, { key, fill: 0x5a });
    const ec2 = new EC2Client(a.admin);
    const { VolumeId } = await ec2.send(new CreateVolumeCommand({ AvailabilityZone: ZONE, SnapshotId }));
    await world.volumeInTheEnd(a.admin, VolumeId!);
    const InstanceId = await launch(a.admin, { ImageId: plainImage, Placement: { AvailabilityZone: ZONE } });
    await world.instance(a.admin, InstanceId, 'running');
    const attach = () => ec2.send(new AttachVolumeCommand({ VolumeId: VolumeId!, InstanceId, Device: '/dev/sdf' }));
    await attach();
    const read = async (): Promise<Buffer> => {
      await using client = await NbdClient.connect(await socketOf(VolumeId!));
      return await client.read(4096, 4096);
    };
    const written = Buffer.alloc(4096, 0x5a);
    assert.deepEqual(await read(), written);
    await new KMSClient(a.admin).send(new DisableKeyCommand({ KeyId: key }));
    assert.deepEqual(await read(), written, 'after the key was disabled');

    await ec2.send(new DetachVolumeCommand({ VolumeId: VolumeId! }));
    assert.equal((await world.volumeInTheEnd(a.admin, VolumeId!))?.State, 'available');
    await refused(attach(), 'CustomerKeyHasBeenRevoked', /The encrypted volume was unable to access the KMS key/);
    assert.deepEqual((await world.volumeInTheEnd(a.admin, VolumeId!))?.Attachments, []);
  });

  it('S16: where everything must come from the template, an override is denied on instance/*', async () => {
    const LaunchTemplateName = 'golden';
    await new EC2Client(a.admin).send(
      new CreateLaunchTemplateCommand({
        LaunchTemplateName,
        LaunchTemplateData: { ImageId: plainImage, InstanceType: 't3.micro' },
      }),
    );
    const user = await world.user(
      a,
      EC2_ONLY,
      deny('ec2:RunInstances', { Condition: { BoolIfExists: { 'ec2:IsLaunchTemplateResource': 'false' } } }),
    );
    const byTemplate = (more: Partial<RunInstancesCommandInput>) =>
      new EC2Client(user.config).send(
        new RunInstancesCommand({ LaunchTemplate: { LaunchTemplateName }, MinCount: 1, MaxCount: 1, ...more }),
      );
    const { Instances } = await byTemplate({});
    await world.instance(user.config, Instances![0]!.InstanceId!, 'running');
    await refused(
      byTemplate({ InstanceType: 't3.large' }),
      'UnauthorizedOperation',
      new RegExp(`on resource: arn:aws:ec2:${REGION}:${a.id}:instance/\\* with an explicit deny`),
    );
  });
});

/** Where the server serves an attached volume. */
async function socketOf(volume: string): Promise<string> {
  const folder = join(world.ingot.dataDir, 'run');
  const socket = (await readdir(folder, { recursive: true })).find((entry) => entry.includes(volume));
  assert.ok(socket, `no socket of ${volume}`);
  return join(folder, socket);
}
