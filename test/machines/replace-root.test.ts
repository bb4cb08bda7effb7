/** CreateReplaceRootVolumeTask on a whole server without guests: sources, encryption, states, refusals (BI-13). */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  CreateReplaceRootVolumeTaskCommand,
  type CreateReplaceRootVolumeTaskCommandInput,
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DescribeReplaceRootVolumeTasksCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  DisableEbsEncryptionByDefaultCommand,
  type EbsBlockDevice,
  EC2Client,
  EnableEbsEncryptionByDefaultCommand,
  RegisterImageCommand,
  RunInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import {
  CreateKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  KMSClient,
  ListAliasesCommand,
  ListGrantsCommand,
} from '@aws-sdk/client-kms';
import { Ingot } from '../house/ingot.ts';
import { importBlocks } from './plain-snapshot.ts';
import { until } from './support.ts';

type Request = Omit<CreateReplaceRootVolumeTaskCommandInput, 'InstanceId'>;

describe('replacing root volumes', { concurrency: false }, () => {
  let ingot: Ingot;
  let ec2: EC2Client;
  let kms: KMSClient;
  const keys = { first: '', second: '' };
  const snapshots = { plain: '', encrypted: '' };
  const images = { plain: '', encrypted: '' };

  before(async () => {
    ingot = await Ingot.start({ machines: 'none' });
    const config = await ingot.client();
    ec2 = new EC2Client(config);
    kms = new KMSClient(config);
    for (const name of ['first', 'second'] as const) {
      keys[name] = (await kms.send(new CreateKeyCommand({}))).KeyMetadata!.Arn!;
    }
    snapshots.plain = await importBlocks(config);
    snapshots.encrypted = await importBlocks(config, { Encrypted: true, KmsKeyArn: keys.second });
    for (const name of ['plain', 'encrypted'] as const) images[name] = await register(name, snapshots[name]);
  });
  after(() => ingot[Symbol.asyncDispose]());

  async function register(Name: string, SnapshotId: string, more: object = {}): Promise<string> {
    const { ImageId } = await ec2.send(
      new RegisterImageCommand({
        Name,
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
        ...more,
      }),
    );
    return ImageId!;
  }
  const see = async (id: string) => {
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    const instance = Reservations![0]!.Instances![0]!;
    return { ...instance, root: instance.BlockDeviceMappings?.[0]?.Ebs ?? {} };
  };
  async function launch(Ebs: EbsBlockDevice = {}): Promise<string> {
    const { Instances } = await ec2.send(
      new RunInstancesCommand({
        ImageId: images.plain,
        InstanceType: 't3.nano',
        MinCount: 1,
        MaxCount: 1,
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs }],
      }),
    );
    const id = Instances![0]!.InstanceId!;
    await until(`${id} runs`, async () => (await see(id)).State!.Name === 'running');
    return id;
  }
  const terminate = (id: string) => ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  const ask = async (InstanceId: string, request: Request = {}) =>
    (await ec2.send(new CreateReplaceRootVolumeTaskCommand({ InstanceId, ...request }))).ReplaceRootVolumeTask!;
  const untilDone = (id: string) =>
    until(`${id} is over`, async () => {
      const { ReplaceRootVolumeTasks } = await ec2.send(
        new DescribeReplaceRootVolumeTasksCommand({ ReplaceRootVolumeTaskIds: [id] }),
      );
      const task = ReplaceRootVolumeTasks![0]!;
      return task.CompleteTime !== undefined && task;
    });
  const replace = async (id: string, request?: Request) => untilDone((await ask(id, request)).ReplaceRootVolumeTaskId!);
  const volume = async (id: string) => {
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] }));
    return Volumes![0]!;
  };
  async function newVolume(encryption: { readonly Encrypted?: boolean; readonly KmsKeyId?: string }) {
    const { VolumeId } = await ec2.send(
      new CreateVolumeCommand({ AvailabilityZone: 'eu-central-1a', SnapshotId: snapshots.plain, ...encryption }),
    );
    await until('the volume is available', async () => (await volume(VolumeId!)).State === 'available');
    return VolumeId!;
  }
  async function snapshotOf(VolumeId: string): Promise<string> {
    const { SnapshotId } = await ec2.send(new CreateSnapshotCommand({ VolumeId }));
    await until('the snapshot is completed', async () => {
      const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId!] }));
      return Snapshots![0]!.State === 'completed';
    });
    return SnapshotId!;
  }
  const grantsOf = async (KeyId: string, instanceId: string) =>
    (await kms.send(new ListGrantsCommand({ KeyId })))
      .Grants!.filter((grant) => grant.GranteePrincipal?.includes(instanceId))
      .map((grant) => grant.Constraints?.EncryptionContextSubset?.['aws:ebs:id']);

  const SOURCES: Readonly<Record<string, (rootId: string) => Promise<Request>>> = {
    'its launch state': async () => ({}),
    'a snapshot of it': async (rootId) => ({ SnapshotId: await snapshotOf(rootId) }),
    'a plain image': async () => ({ ImageId: images.plain }),
    'an encrypted image': async () => ({ ImageId: images.encrypted }),
    'an encrypted volume': async () => ({ VolumeId: await newVolume({ Encrypted: true, KmsKeyId: keys.second }) }),
  };
  /** Original root, encryption by default, source, and what the new root is under. */
  const OUTCOMES = [
    ['plain', 'off', 'its launch state', 'none'],
    ['plain', 'on', 'its launch state', 'aws/ebs'],
    ['plain', 'off', 'a snapshot of it', 'none'],
    ['plain', 'off', 'an encrypted image', 'second'],
    ['plain', 'on', 'a plain image', 'aws/ebs'],
    ['plain', 'off', 'an encrypted volume', 'second'],
    ['first', 'off', 'its launch state', 'first'],
    ['first', 'on', 'its launch state', 'first'],
    ['first', 'off', 'a snapshot of it', 'first'],
    ['first', 'off', 'a plain image', 'first'],
    ['first', 'off', 'an encrypted image', 'first'],
    ['first', 'off', 'an encrypted volume', 'second'],
  ] as const;

  for (const [root, byDefault, source, expected] of OUTCOMES) {
    test(`BI-13: root ${root}, encryption by default ${byDefault}, from ${source}: under ${expected}`, async () => {
      const id = await launch(root === 'plain' ? { VolumeSize: 2 } : { Encrypted: true, KmsKeyId: keys.first });
      const before = await see(id);
      const request = await SOURCES[source]!(before.root.VolumeId!);
      if (byDefault === 'on') await ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
      const task = await replace(id, request);
      await ec2.send(new DisableEbsEncryptionByDefaultCommand({}));
      assert.equal(task.TaskState, 'succeeded');
      const after = await see(id);
      assert.equal(after.State!.Name, 'running');
      assert.notEqual(after.root.VolumeId, before.root.VolumeId);
      assert.equal(after.root.DeleteOnTermination, true);
      assert.equal(after.BlockDeviceMappings!.length, 1);
      assert.equal(after.ImageId, request.ImageId ?? images.plain);
      const made = await volume(after.root.VolumeId!);
      const { Aliases } = await kms.send(new ListAliasesCommand({}));
      const managed = Aliases!.find(({ AliasName }) => AliasName === 'alias/aws/ebs')?.TargetKeyId;
      const key = expected === 'none' ? undefined : expected === 'aws/ebs' ? managed : keys[expected];
      assert.equal(made.Encrypted, expected !== 'none');
      if (key === undefined) assert.equal(made.KmsKeyId, undefined);
      else assert.ok(made.KmsKeyId!.endsWith(key), `${made.KmsKeyId} is not under ${key}`);
      if (!request.VolumeId) assert.equal(made.Size, root === 'plain' ? 2 : 1);
      const old = await volume(before.root.VolumeId!);
      assert.deepEqual([old.State, old.Attachments], ['available', []], 'the replaced one stays, detached');
      if (key) assert.deepEqual(await grantsOf(made.KmsKeyId!, id), [made.VolumeId], 'K-8, K-9');
      await terminate(id);
    });
  }

  test('the task: pending at first, tagged, found by its instance; DeleteReplacedRootVolume; the same for one token', async () => {
    const id = await launch();
    const { root } = await see(id);
    const request = {
      DeleteReplacedRootVolume: true,
      ClientToken: `token-${id}`,
      TagSpecifications: [
        { ResourceType: 'replace-root-volume-task' as const, Tags: [{ Key: 'why', Value: 'patch' }] },
      ],
    };
    const task = await ask(id, request);
    assert.deepEqual(
      [task.TaskState, task.InstanceId, task.SnapshotId, task.DeleteReplacedRootVolume, task.Tags],
      ['pending', id, snapshots.plain, true, [{ Key: 'why', Value: 'patch' }]],
    );
    const done = await untilDone(task.ReplaceRootVolumeTaskId!);
    assert.equal(done.TaskState, 'succeeded');
    await until('the old root is gone', async () => {
      const left = await volume(root.VolumeId!).catch((error: Error) => error.name);
      return left === 'InvalidVolume.NotFound';
    });
    assert.equal((await ask(id, request)).ReplaceRootVolumeTaskId, task.ReplaceRootVolumeTaskId);
    await assert.rejects(ask(id, { ...request, DeleteReplacedRootVolume: false }), {
      name: 'IdempotentParameterMismatch',
    });
    const { ReplaceRootVolumeTasks } = await ec2.send(
      new DescribeReplaceRootVolumeTasksCommand({ Filters: [{ Name: 'instance-id', Values: [id] }] }),
    );
    assert.deepEqual(ReplaceRootVolumeTasks, [done]);
    await terminate(id);
  });

  test('a second time: the snapshot of the first root still fits, and launch state is that of the new image', async () => {
    const id = await launch();
    const { root } = await see(id);
    const SnapshotId = await snapshotOf(root.VolumeId!);
    await replace(id, { ImageId: images.encrypted });
    const again = await replace(id);
    assert.equal(again.SnapshotId, snapshots.encrypted);
    assert.equal((await replace(id, { SnapshotId })).TaskState, 'succeeded');
    await terminate(id);
  });

  test('K-14: without the key the task fails, nothing of the new volume is left, and the old root goes on', async () => {
    const id = await launch({ Encrypted: true, KmsKeyId: keys.first });
    const before = await see(id);
    const { Volumes: all } = await ec2.send(new DescribeVolumesCommand({}));
    await kms.send(new DisableKeyCommand({ KeyId: keys.first }));
    const task = await replace(id);
    await kms.send(new EnableKeyCommand({ KeyId: keys.first }));
    assert.equal(task.TaskState, 'failed');
    const after = await see(id);
    assert.deepEqual([after.State!.Name, after.root], ['running', before.root]);
    const { Volumes: left } = await ec2.send(new DescribeVolumesCommand({}));
    const idsOf = (volumes: typeof all) => volumes!.map(({ VolumeId }) => VolumeId).toSorted();
    assert.deepEqual(idsOf(left), idsOf(all));
    await terminate(id);
  });

  test('what cannot take the place of a root volume is refused at once', async () => {
    const id = await launch({ Encrypted: true, KmsKeyId: keys.first });
    const strange = await snapshotOf(await newVolume({}));
    const elsewhere = await ec2.send(new CreateVolumeCommand({ AvailabilityZone: 'eu-central-1b', Size: 1 }));
    const other = await see(await launch());
    const uefi = await register('uefi', snapshots.plain, { BootMode: 'uefi' });
    const refused: readonly [Request, string][] = [
      [{ VolumeId: await newVolume({}) }, 'InvalidParameterValue'], // BI-13
      [{ VolumeId: elsewhere.VolumeId! }, 'InvalidVolume.ZoneMismatch'],
      [{ VolumeId: other.root.VolumeId! }, 'IncorrectState'],
      [{ VolumeId: 'vol-00000000000000001' }, 'InvalidVolume.NotFound'],
      [{ SnapshotId: strange }, 'InvalidParameterValue'],
      [{ SnapshotId: 'snap-00000000000000001' }, 'InvalidSnapshot.NotFound'],
      [{ ImageId: 'ami-00000000000000001' }, 'InvalidAMIID.NotFound'],
      [{ ImageId: uefi }, 'InvalidParameterValue'],
      [{ ImageId: images.plain, SnapshotId: strange }, 'InvalidParameterCombination'],
      [{ VolumeInitializationRate: 100 }, 'UnsupportedOperation'],
    ];
    for (const [request, name] of refused) await assert.rejects(ask(id, request), { name }, JSON.stringify(request));
    await ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    await until('it is stopped', async () => (await see(id)).State!.Name === 'stopped');
    await assert.rejects(ask(id), { name: 'IncorrectState' });
    await terminate(id);
    await terminate(other.InstanceId!);
  });

  test('ec2:Encrypted: who may have encrypted volumes only cannot get a plain root this way', async () => {
    const iam = new IAMClient(await ingot.client());
    await iam.send(new CreateUserCommand({ UserName: 'careful' }));
    const Statement = [
      { Effect: 'Allow', Action: 'ec2:*', Resource: '*' },
      {
        Effect: 'Deny',
        Action: '*',
        Resource: 'arn:aws:ec2:*:*:volume/*',
        Condition: { Bool: { 'ec2:Encrypted': 'false' } },
      },
    ];
    const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
    await iam.send(new PutUserPolicyCommand({ UserName: 'careful', PolicyName: 'p', PolicyDocument }));
    const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'careful' }));
    const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
    const careful = new EC2Client(await ingot.client('eu-central-1', credentials));
    const InstanceId = await launch();
    const plain = new CreateReplaceRootVolumeTaskCommand({ InstanceId, DryRun: true });
    await assert.rejects(careful.send(plain), { name: 'UnauthorizedOperation' });
    const encrypted = new CreateReplaceRootVolumeTaskCommand({ InstanceId, ImageId: images.encrypted, DryRun: true });
    await assert.rejects(careful.send(encrypted), { name: 'DryRunOperation' });
    await terminate(InstanceId);
  });
});
