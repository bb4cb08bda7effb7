/** What is taken back is gone with the answer to the call that takes it: keys, users, roles, sharing. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  CompleteSnapshotCommand,
  EBSClient,
  GetSnapshotBlockCommand,
  ListSnapshotBlocksCommand,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
} from '@aws-sdk/client-ebs';
import {
  CopySnapshotCommand,
  CreateVolumeCommand,
  DescribeSnapshotsCommand,
  EC2Client,
  ModifySnapshotAttributeCommand,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import * as iam from '@aws-sdk/client-iam';
import {
  CreateKeyCommand,
  DecryptCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  EncryptCommand,
  KMSClient,
  PutKeyPolicyCommand,
} from '@aws-sdk/client-kms';
import { CreateAccountCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { type ClientConfig, type Ingot, startIngot } from './ingot.ts';

const EVERYTHING = 'arn:aws:iam::aws:policy/AdministratorAccess';
const BLOCK = new Uint8Array(524_288).fill(7);
const CHECKSUM = createHash('sha256').update(BLOCK).digest('base64');

let ingot: Ingot;
let root: ClientConfig;
let account: string;

before(async () => {
  ingot = await startIngot();
  root = await ingot.client();
  account = (await new STSClient(root).send(new GetCallerIdentityCommand({}))).Account!;
});
after(() => ingot[Symbol.asyncDispose]());

async function userNamed(UserName: string): Promise<ClientConfig> {
  const client = new iam.IAMClient(root);
  await client.send(new iam.CreateUserCommand({ UserName }));
  await client.send(new iam.AttachUserPolicyCommand({ UserName, PolicyArn: EVERYTHING }));
  const { AccessKey } = await client.send(new iam.CreateAccessKeyCommand({ UserName }));
  return ingot.client(root.region, {
    accessKeyId: AccessKey?.AccessKeyId ?? '',
    secretAccessKey: AccessKey?.SecretAccessKey ?? '',
  });
}

async function assumed(config: ClientConfig, RoleArn: string): Promise<ClientConfig> {
  const { Credentials } = await new STSClient(config).send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'test' }));
  return ingot.client(root.region, {
    accessKeyId: Credentials?.AccessKeyId ?? '',
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    sessionToken: Credentials?.SessionToken ?? '',
  });
}

const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'served',
    (error: Error) => error.name,
  );

async function snapshotUnder(KmsKeyArn: string, config = root): Promise<string> {
  const ebs = new EBSClient(config);
  const { SnapshotId } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1, Encrypted: true, KmsKeyArn }));
  await ebs.send(
    new PutSnapshotBlockCommand({
      SnapshotId,
      BlockIndex: 0,
      BlockData: BLOCK,
      DataLength: BLOCK.byteLength,
      Checksum: CHECKSUM,
      ChecksumAlgorithm: 'SHA256',
    }),
  );
  await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 1 }));
  await waitUntilSnapshotCompleted(
    { client: new EC2Client(config), maxWaitTime: 30, minDelay: 1, maxDelay: 1 },
    { SnapshotIds: [SnapshotId!] },
  );
  return SnapshotId!;
}

describe('a right that is taken back', () => {
  it('K-26: ends opened keys of direct reads when the key is disabled or its policy changes', async () => {
    const kms = new KMSClient(root);
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
    const KeyId = KeyMetadata!.Arn!;
    const SnapshotId = await snapshotUnder(KeyId);
    const reader = await userNamed('reader');
    const ebs = new EBSClient(reader);
    const { Blocks } = await ebs.send(new ListSnapshotBlocksCommand({ SnapshotId }));
    const read = () =>
      codeOf(ebs.send(new GetSnapshotBlockCommand({ SnapshotId, BlockIndex: 0, BlockToken: Blocks![0]!.BlockToken })));
    assert.equal(await read(), 'served');
    await kms.send(new DisableKeyCommand({ KeyId }));
    assert.notEqual(await read(), 'served', 'after the key was disabled');
    await kms.send(new EnableKeyCommand({ KeyId }));
    assert.equal(await read(), 'served');
    const all = { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' };
    const not = {
      ...all,
      Effect: 'Deny',
      Principal: { AWS: `arn:aws:iam::${account}:user/reader` },
      Action: 'kms:Decrypt',
    };
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [all, not] });
    await kms.send(new PutKeyPolicyCommand({ KeyId, Policy }));
    assert.equal(await read(), 'ResourceNotFoundException', 'E-21: after the policy of the key changed');
  });

  it('ends a user: keys made inactive, deleted, and of a user who is gone', async () => {
    const client = new iam.IAMClient(root);
    const config = await userNamed('leaver');
    const who = () => codeOf(new STSClient(config).send(new GetCallerIdentityCommand({})));
    const { accessKeyId: AccessKeyId } = config.credentials;
    assert.equal(await who(), 'served');
    await client.send(new iam.UpdateAccessKeyCommand({ UserName: 'leaver', AccessKeyId, Status: 'Inactive' }));
    assert.equal(await who(), 'InvalidClientTokenId');
    await client.send(new iam.UpdateAccessKeyCommand({ UserName: 'leaver', AccessKeyId, Status: 'Active' }));
    assert.equal(await who(), 'served');
    await client.send(new iam.DeleteAccessKeyCommand({ UserName: 'leaver', AccessKeyId }));
    assert.equal(await who(), 'InvalidClientTokenId');
  });

  it('ends sessions of a deleted role, and does not hand them to a new role of the same name', async () => {
    const client = new iam.IAMClient(root);
    const admin = await userNamed('assumer');
    const trust = { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'sts:AssumeRole' };
    const AssumeRolePolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [trust] });
    const make = async () => {
      await client.send(new iam.CreateRoleCommand({ RoleName: 'worker', AssumeRolePolicyDocument }));
      await client.send(new iam.AttachRolePolicyCommand({ RoleName: 'worker', PolicyArn: EVERYTHING }));
    };
    await make();
    const session = await assumed(admin, `arn:aws:iam::${account}:role/worker`);
    const describe = () => codeOf(new EC2Client(session).send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] })));
    assert.equal(await describe(), 'served');
    await client.send(new iam.DetachRolePolicyCommand({ RoleName: 'worker', PolicyArn: EVERYTHING }));
    assert.equal(await describe(), 'UnauthorizedOperation');
    await client.send(new iam.DeleteRoleCommand({ RoleName: 'worker' }));
    assert.notEqual(await describe(), 'served');
    await make();
    assert.notEqual(await describe(), 'served', 'a session of the old role in the new one');
  });

  it('ends the use of a shared snapshot, and of its key', async () => {
    const kms = new KMSClient(root);
    const ec2 = new EC2Client(root);
    const { CreateAccountStatus } = await new OrganizationsClient(root).send(
      new CreateAccountCommand({ AccountName: 'friend', Email: 'friend@example.com' }),
    );
    const friendId = CreateAccountStatus?.AccountId ?? '';
    const friend = await assumed(
      await userNamed('opener'),
      `arn:aws:iam::${friendId}:role/OrganizationAccountAccessRole`,
    );
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
    const KeyId = KeyMetadata!.Arn!;
    const SnapshotId = await snapshotUnder(KeyId);
    const own = { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' };
    const theirs = { ...own, Principal: { AWS: `arn:aws:iam::${friendId}:root` } };
    const policy = (...Statement: object[]) =>
      kms.send(new PutKeyPolicyCommand({ KeyId, Policy: JSON.stringify({ Version: '2012-10-17', Statement }) }));
    const share = (OperationType: 'add' | 'remove') =>
      ec2.send(
        new ModifySnapshotAttributeCommand({
          SnapshotId,
          Attribute: 'createVolumePermission',
          OperationType,
          UserIds: [friendId],
        }),
      );
    const make = () =>
      codeOf(new EC2Client(friend).send(new CreateVolumeCommand({ SnapshotId, AvailabilityZone: 'eu-central-1a' })));
    const copied = async () => {
      const client = new EC2Client(friend);
      const made = await client.send(
        new CopySnapshotCommand({ SourceSnapshotId: SnapshotId, SourceRegion: root.region, Encrypted: true }),
      );
      for (;;) {
        const { Snapshots } = await client.send(new DescribeSnapshotsCommand({ SnapshotIds: [made.SnapshotId!] }));
        if (Snapshots?.[0]?.State !== 'pending') return Snapshots?.[0]?.State;
      }
    };

    assert.equal(await make(), 'InvalidSnapshot.NotFound');
    await share('add');
    await policy(own, theirs);
    assert.equal(await make(), 'served');
    assert.equal(await copied(), 'completed');
    const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId, Plaintext: new Uint8Array(8) }));
    const decrypt = () => codeOf(new KMSClient(friend).send(new DecryptCommand({ CiphertextBlob })));
    assert.equal(await decrypt(), 'served');

    await policy(own);
    assert.equal(await decrypt(), 'AccessDeniedException', 'the key was taken back');
    assert.equal(await copied(), 'error');
    await policy(own, theirs);
    await share('remove');
    assert.equal(await make(), 'InvalidSnapshot.NotFound', 'the snapshot was taken back');
    assert.equal(await copied(), 'error');
  });
});
