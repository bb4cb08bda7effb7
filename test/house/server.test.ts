/** The server as a process: starting, answering, refusing a second one, stopping. */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { CloudTrailClient, type LookupAttributeKey, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import { CompleteSnapshotCommand, EBSClient, GetSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  DeleteSnapshotCommand,
  EC2Client,
  RegisterImageCommand,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import { CreateKeyCommand, DecryptCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { DescribeOrganizationCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { runIngot, startIngot } from './ingot.ts';

describe('the server', () => {
  it('answers /health with small JSON', async () => {
    await using ingot = await startIngot();
    const answer = await fetch(`${ingot.endpoint}/health`);
    assert.equal(answer.status, 200);
    assert.equal(typeof (await answer.json()), 'object');
  });

  it('makes the management account at its first start, with credentials only the owner may read', async () => {
    await using ingot = await startIngot();
    const path = join(ingot.dataDir, 'credentials');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await stat(ingot.dataDir)).mode & 0o077, 0);
    const identity = await new STSClient(await ingot.client()).send(new GetCallerIdentityCommand({}));
    assert.match(identity.Account ?? '', /^\d{12}$/);
    assert.equal(identity.Arn, `arn:aws:iam::${identity.Account}:root`);
    const { Organization } = await new OrganizationsClient(await ingot.client()).send(
      new DescribeOrganizationCommand({}),
    );
    assert.equal(Organization?.MasterAccountId, identity.Account);
  });

  it('takes root credentials from the environment', async () => {
    const environment = {
      INGOT_ROOT_ACCESS_KEY_ID: 'AKIAFROMENVIRONMENT1',
      INGOT_ROOT_SECRET_ACCESS_KEY: 's'.repeat(40),
    };
    await using ingot = await startIngot({ environment });
    const credentials = { accessKeyId: 'AKIAFROMENVIRONMENT1', secretAccessKey: 's'.repeat(40) };
    const sts = new STSClient(await ingot.client('us-east-1', credentials));
    assert.match((await sts.send(new GetCallerIdentityCommand({}))).Arn ?? '', /:root$/);
  });

  it('keeps keys and what they sealed over a restart, and has all of it on record', async () => {
    await using ingot = await startIngot();
    const before = new KMSClient(await ingot.client());
    const { KeyMetadata } = await before.send(new CreateKeyCommand({}));
    const Plaintext = Buffer.from('golden');
    const EncryptionContext = { image: 'golden-1' };
    const { CiphertextBlob } = await before.send(
      new EncryptCommand({ KeyId: KeyMetadata?.KeyId, Plaintext, EncryptionContext }),
    );
    await ingot.restart();
    const after = new KMSClient(await ingot.client());
    const opened = await after.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }));
    assert.deepEqual(Buffer.from(opened.Plaintext ?? []), Plaintext);
    const trail = new CloudTrailClient(await ingot.client());
    const { Events = [] } = await trail.send(
      new LookupEventsCommand({
        LookupAttributes: [{ AttributeKey: 'EventSource', AttributeValue: 'kms.amazonaws.com' }],
      }),
    );
    assert.deepEqual(
      Events.map((event) => event.EventName),
      ['Decrypt', 'Encrypt', 'CreateKey'],
    );
    assert.deepEqual(
      JSON.parse(Events[0]?.CloudTrailEvent ?? '').requestParameters.encryptionContext,
      EncryptionContext,
    );
  });

  it('finds the events of EC2 and EBS by the resources they name, and no token among them', async () => {
    await using ingot = await startIngot();
    const ec2 = new EC2Client(await ingot.client());
    const ebs = new EBSClient(await ingot.client());
    const trail = new CloudTrailClient(await ingot.client());
    const { SnapshotId = '' } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1 }));
    await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 0 }));
    await waitUntilSnapshotCompleted({ client: ec2, maxWaitTime: 60, minDelay: 1 }, { SnapshotIds: [SnapshotId] });
    const Ebs = { SnapshotId };
    const { ImageId = '' } = await ec2.send(
      new RegisterImageCommand({
        Name: 'golden',
        RootDeviceName: '/dev/sda1',
        BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs }],
      }),
    );
    await assert.rejects(ec2.send(new DeleteSnapshotCommand({ SnapshotId })), { name: 'InvalidSnapshot.InUse' });
    const BlockToken = 'token-that-nobody-gave';
    await assert.rejects(ebs.send(new GetSnapshotBlockCommand({ SnapshotId, BlockIndex: 0, BlockToken })), /token/);
    const eventsBy = async (AttributeKey: LookupAttributeKey, AttributeValue: string) =>
      (await trail.send(new LookupEventsCommand({ LookupAttributes: [{ AttributeKey, AttributeValue }] }))).Events ??
      [];

    const [refused, registered, ...uploaded] = await eventsBy('ResourceName', SnapshotId);
    assert.deepEqual(
      [refused, registered, ...uploaded].map((event) => event?.EventName),
      ['DeleteSnapshot', 'RegisterImage', 'CompleteSnapshot', 'StartSnapshot'],
    );
    assert.deepEqual(
      new Set(registered?.Resources?.map(({ ResourceName, ResourceType }) => `${ResourceType} ${ResourceName}`)),
      new Set([`AWS::EC2::Snapshot ${SnapshotId}`, `AWS::EC2::Ami ${ImageId}`]),
    );
    assert.equal((await eventsBy('ResourceName', ImageId)).length, 1);
    assert.equal((await eventsBy('ResourceType', 'AWS::EC2::Ami')).length, 1);
    const [read] = await eventsBy('EventName', 'GetSnapshotBlock');
    assert.match(read?.CloudTrailEvent ?? '', /"errorMessage":"The block token HIDDEN_DUE_TO_SECURITY_REASONS is/);
    assert.ok(!read?.CloudTrailEvent?.includes(BlockToken));
  });

  it('refuses a second server on the same data directory in one sentence, and goes on', async () => {
    await using ingot = await startIngot();
    const second = await runIngot(['serve', '--data', ingot.dataDir, '--listen', '127.0.0.1:0', '--machines', 'none']);
    assert.equal(second.code, 1);
    assert.equal(second.stdout, '');
    assert.equal(second.stderr, `Another Ingot server is using ${ingot.dataDir}; stop it, or choose another --data.\n`);
    assert.equal((await fetch(`${ingot.endpoint}/health`)).status, 200);
  });

  it('says in one sentence why there can be no data directory', async () => {
    for (const [directory, code] of [
      [import.meta.filename, 'EEXIST'],
      [join(import.meta.filename, 'below'), 'ENOTDIR'],
      ['/proc/ingot', 'ENOENT'],
    ]) {
      const { code: exit, stderr } = await runIngot(['serve', '--data', directory ?? '', '--listen', '127.0.0.1:0']);
      assert.equal(exit, 1);
      assert.equal(stderr, `The data directory ${directory} cannot be made: ${code}. Choose another --data.\n`);
    }
  });

  it('can be started again at once after kill -9', async () => {
    await using ingot = await startIngot();
    await ingot.kill();
    await ingot.restart();
    assert.equal((await fetch(`${ingot.endpoint}/health`)).status, 200);
  });

  it('stops cleanly on SIGTERM', async () => {
    await using ingot = await startIngot();
    await new STSClient(await ingot.client()).send(new GetCallerIdentityCommand({}));
    assert.equal(await ingot.stop(), 0);
    assert.equal(ingot.said, '');
  });

  const misuses: readonly [string[], RegExp][] = [
    [['serve', '--listen', 'nonsense'], /--listen must be HOST:PORT/],
    [['serve', '--machines', 'vmware'], /--machines must be one of/],
    [['serve', '--colour', 'red'], /unknown option/],
    [['bake'], /unknown command/],
  ];
  for (const [args, message] of misuses) {
    it(`refuses \`ingot ${args.join(' ')}\` with exit code 2`, async () => {
      const result = await runIngot(args);
      assert.match(result.stderr, message);
      assert.equal(result.code, 2);
    });
  }

  it('says in a sentence that an address is taken', async () => {
    await using ingot = await startIngot();
    await using other = await startIngot();
    await other.stop();
    const listen = new URL(ingot.endpoint).host;
    const result = await runIngot(['serve', '--data', other.dataDir, '--listen', listen, '--machines', 'none']);
    assert.equal(result.stderr, `Ingot cannot listen on ${listen}: EADDRINUSE.\n`);
    assert.equal(result.code, 1);
  });
});
