/** Packer's amazon-ebs builder, unmodified: an image per region, each under its own key, shared with an account. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CompleteSnapshotCommand, EBSClient, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeKeyPairsCommand,
  DescribeSecurityGroupsCommand,
  DescribeSnapshotAttributeCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  type Image,
  RegisterImageCommand,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import { CreateKeyCommand, DisableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { type Ingot, REPOSITORY, runIngot, startIngot } from '../house/ingot.ts';
import { missing, type Outcome, rootEnvironment, runProgram } from './programs.ts';

const FIRST = 'us-east-1';
const SECOND = 'eu-central-1';
const BLOCK = 524_288;
const skip = missing('packer', ['version'], 'Packer');

describe('Packer', { skip }, () => {
  let ingot: Ingot;
  let directory: string;
  let environment: Record<string, string>;
  let consumer: string;
  let base: string;
  let keys: { first: string; second: string };

  const ec2 = async (region: string) => new EC2Client(await ingot.client(region));
  const newKey = async (region: string): Promise<string> =>
    (await new KMSClient(await ingot.client(region)).send(new CreateKeyCommand({}))).KeyMetadata!.Arn!;

  const build = (name: string, using = keys): Promise<Outcome> => {
    const values = {
      name,
      consumer,
      endpoint: ingot.endpoint,
      source_ami: base,
      key: using.first,
      second_key: using.second,
    };
    const variables = Object.entries(values).flatMap(([variable, value]) => ['-var', `${variable}=${value}`]);
    const template = join(REPOSITORY, 'test/clients/packer/golden.pkr.hcl');
    return runProgram('packer', ['build', '-color=false', ...variables, template], { cwd: directory, environment });
  };

  const imagesNamed = async (region: string, name: string): Promise<Image[]> =>
    (
      await (
        await ec2(region)
      ).send(new DescribeImagesCommand({ Owners: ['self'], Filters: [{ Name: 'name', Values: [name] }] }))
    ).Images!;

  before(async () => {
    ingot = await startIngot();
    directory = await mkdtemp(join(tmpdir(), 'ingot-packer-'));
    environment = {
      ...(await rootEnvironment(ingot)),
      HOME: directory,
      PACKER_CONFIG_DIR: directory,
      CHECKPOINT_DISABLE: '1',
      AWS_POLL_DELAY_SECONDS: '1',
    };
    const added = await runIngot(['account', 'add', 'consumer', '--data', ingot.dataDir]);
    assert.equal(added.code, 0, added.stderr);
    consumer = /\d{12}/.exec(added.stdout)![0];
    keys = { first: await newKey(FIRST), second: await newKey(SECOND) };
    base = await plainImage(ingot);
  });
  after(async () => {
    await ingot?.[Symbol.asyncDispose]();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  it('builds an encrypted image per region, each under its own key, and shares them', async () => {
    const { code, stdout, stderr } = await build('packed');
    assert.equal(code, 0, stdout + stderr);
    for (const [region, key] of [
      [FIRST, keys.first],
      [SECOND, keys.second],
    ] as const) {
      const client = await ec2(region);
      const [image, ...others] = await imagesNamed(region, 'packed');
      assert.ok(image && others.length === 0, `one image in ${region}`);
      assert.match(stdout, new RegExp(`^${region}: ${image.ImageId}$`, 'm'));
      assert.equal(image.Description, 'made by Packer');
      assert.deepEqual(image.Tags, [{ Key: 'Base', Value: base }]);
      const SnapshotId = image.BlockDeviceMappings![0]!.Ebs!.SnapshotId!;
      const { Snapshots } = await client.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }));
      assert.equal(Snapshots![0]!.KmsKeyId, key);
      assert.ok(Snapshots![0]!.Tags!.some(({ Key }) => Key === 'Part'));
      const users = [{ UserId: consumer }];
      const launch = new DescribeImageAttributeCommand({ ImageId: image.ImageId, Attribute: 'launchPermission' });
      assert.deepEqual((await client.send(launch)).LaunchPermissions, users);
      const create = new DescribeSnapshotAttributeCommand({ SnapshotId, Attribute: 'createVolumePermission' });
      assert.deepEqual((await client.send(create)).CreateVolumePermissions, users);
    }
  });

  it('leaves nothing behind that it needed on the way', async () => {
    const client = await ec2(FIRST);
    const { Reservations } = await client.send(new DescribeInstancesCommand({}));
    const states = Reservations!.flatMap(({ Instances }) => Instances!.map(({ State }) => State!.Name));
    assert.deepEqual(new Set(states), new Set(['terminated']));
    assert.deepEqual((await client.send(new DescribeVolumesCommand({}))).Volumes, []);
    assert.deepEqual((await client.send(new DescribeKeyPairsCommand({}))).KeyPairs, []);
    const { SecurityGroups } = await client.send(new DescribeSecurityGroupsCommand({}));
    assert.deepEqual(
      SecurityGroups!.map(({ GroupName }) => GroupName),
      ['default'],
    );
    const images = await imagesNamed(FIRST, '*');
    assert.deepEqual(images.map(({ Name }) => Name).sort(), ['base', 'packed']);
    const { Snapshots } = await client.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
    assert.equal(Snapshots!.length, images.length, 'the plain snapshot between is deleted');
  });

  it('fails with its own error where the key of the second region is none', async () => {
    const nowhere = `arn:aws:kms:${SECOND}:111122223333:key/00000000-0000-4000-8000-000000000000`;
    const { code, stdout } = await build('no-key', { ...keys, second: nowhere });
    assert.equal(code, 1, stdout);
    assert.match(stdout, /Error waiting for AMI \(ami-\w+\) in region \(eu-central-1\): Failed with ResourceNotReady/);
    const [image] = await imagesNamed(SECOND, 'no-key');
    assert.equal(image?.State, 'failed');
  });

  it('fails where the key is disabled', async () => {
    const disabled = await newKey(FIRST);
    await new KMSClient(await ingot.client(FIRST)).send(new DisableKeyCommand({ KeyId: disabled }));
    const { code, stdout } = await build('disabled', { ...keys, first: disabled });
    assert.equal(code, 1, stdout);
    assert.match(stdout, /us-east-1/);
    assert.equal((await imagesNamed(FIRST, 'disabled')).filter(({ State }) => State === 'available').length, 0);
  });

  it('refuses a name that is taken before anything is launched', async () => {
    const { code, stdout } = await build('packed');
    assert.equal(code, 1);
    assert.match(stdout, /Error: AMI Name: 'packed' is used by an existing AMI: ami-/);
    assert.doesNotMatch(stdout, /Launching/);
  });
});

/** A plain image to build on, of one block. */
async function plainImage(ingot: Ingot): Promise<string> {
  const config = await ingot.client(FIRST);
  const ebs = new EBSClient(config);
  const ec2 = new EC2Client(config);
  const { SnapshotId } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1 }));
  const BlockData = new Uint8Array(BLOCK).fill(1);
  const Checksum = Buffer.from(await crypto.subtle.digest('SHA-256', BlockData)).toString('base64');
  await ebs.send(
    new PutSnapshotBlockCommand({
      SnapshotId,
      BlockIndex: 0,
      BlockData,
      DataLength: BLOCK,
      Checksum,
      ChecksumAlgorithm: 'SHA256',
    }),
  );
  await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 1 }));
  await waitUntilSnapshotCompleted(
    { client: ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 },
    { SnapshotIds: [SnapshotId!] },
  );
  const { ImageId } = await ec2.send(
    new RegisterImageCommand({
      Name: 'base',
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      EnaSupport: true,
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
    }),
  );
  return ImageId!;
}
