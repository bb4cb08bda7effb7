/** Table 1.1 for the devices of RunInstances, and what launches have of their own (1.3). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  AttachVolumeCommand,
  CopyImageCommand,
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeInstanceTypesCommand,
  EC2Client,
  ImportSnapshotCommand,
  ModifyImageAttributeCommand,
  ModifyInstanceAttributeCommand,
  ModifySnapshotAttributeCommand,
  RegisterImageCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  waitUntilImageAvailable,
} from '@aws-sdk/client-ec2';
import { DisableKeyCommand, KMSClient, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { LaunchTable } from './launch-table.ts';
import { allow, deny, EBS_KEY_ACTIONS, keyPolicy, ROOT_DEVICE, refused, type User } from './world.ts';

const ZONE = 'eu-central-1a';
const OTHER_ZONE = 'eu-central-1b';
let table: LaunchTable;
before(async () => {
  table = await LaunchTable.open();
});
after(() => table[Symbol.asyncDispose]());

const nothing = (wrong: string[]) => assert.equal(wrong.length, 0, `\n  ${wrong.join('\n  ')}\n`);

describe('table 1.1 for RunInstances, by the key that really wraps the data key', () => {
  for (const on of [false, true]) {
    it(`RI-1, RI-3, G-1, SH-14, BI-11, D-4: thirty combinations, encryption by default ${on ? 'on' : 'off'}`, async () => {
      await table.encryptByDefault(on);
      nothing(await table.differences(on, (row) => table.launch(table.inputOf(row))));
      await table.encryptByDefault(false);
    });
  }
});

describe('launches', () => {
  const base = () => ({
    ImageId: table.images['own-encrypted'],
    InstanceType: 't3.micro' as const,
    MinCount: 1,
    MaxCount: 1,
  });

  /** An administrator but for these actions. */
  const limited = (actions: string[]): Promise<User> => table.world.user(table.user, allow('*'), deny(actions));
  const REASON = {
    Code: 'Client.InvalidKMSKey.InvalidState',
    Message: 'Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state',
  };

  it('RI-5, G-10, K-15: KMS is not asked before the answer; what it denies ends the instance', async () => {
    for (const denied of ['kms:CreateGrant', 'kms:ReEncryptFrom']) {
      const { config } = await limited([denied]);
      const client = new EC2Client(config);
      await assert.rejects(client.send(new RunInstancesCommand({ ...base(), DryRun: true })), {
        name: 'DryRunOperation',
      });
      const instance = await table.world.instance(config, await table.launch(base(), client), 'terminated');
      assert.deepEqual(instance.StateReason, REASON, denied);
    }
  });

  it('K-15, G-10: a key that is disabled ends the instance in the same words', async () => {
    const key = await table.world.key(table.user);
    await new KMSClient(table.user.admin).send(new DisableKeyCommand({ KeyId: key }));
    const id = await table.launch({
      ...base(),
      ImageId: table.images['own-plain'],
      BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs: { Encrypted: true, KmsKeyId: key } }],
    });
    const instance = await table.world.instance(table.user.admin, id, 'terminated');
    // L-1, K-23: the code is not in AWS's list and yet what AWS says.
    assert.deepEqual([instance.StateReason, instance.StateTransitionReason], [REASON, 'Client.InternalError']);
  });

  it('L-23, L-28: statuses of errors, and references before rights', async () => {
    const nobody = new EC2Client((await limited(['*'])).config);
    const statusOf = (client: EC2Client, input: RunInstancesCommandInput) =>
      client.send(new RunInstancesCommand(input)).then(
        () => assert.fail('launched'),
        (error: { name: string; $metadata: { httpStatusCode: number } }) => [
          error.name,
          error.$metadata.httpStatusCode,
        ],
      );
    assert.deepEqual(await statusOf(nobody, { ...base(), ImageId: 'ami-00000000000000001' }), [
      'InvalidAMIID.NotFound',
      400,
    ]);
    assert.deepEqual(await statusOf(nobody, base()), ['UnauthorizedOperation', 403]);
    assert.deepEqual(await statusOf(table.ec2, { ...base(), DryRun: true }), ['DryRunOperation', 412]);
  });

  it('L-27: codes of attachments and of running instances', async () => {
    const { ec2, world, user } = table;
    const InstanceId = await table.launch({ ...base(), Placement: { AvailabilityZone: ZONE } });
    const other = await table.launch({ ...base(), Placement: { AvailabilityZone: ZONE } });
    for (const id of [InstanceId, other]) await world.instance(user.admin, id, 'running');
    const volume = async (AvailabilityZone: string) => {
      const { VolumeId } = await ec2.send(new CreateVolumeCommand({ AvailabilityZone, Size: 1 }));
      await world.volumeInTheEnd(user.admin, VolumeId!);
      return VolumeId!;
    };
    const [here, elsewhere] = [await volume(ZONE), await volume(OTHER_ZONE)];
    const attach = (VolumeId: string, to = InstanceId) =>
      ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId: to, Device: '/dev/sdf' }));
    await refused(attach(elsewhere), 'InvalidVolume.ZoneMismatch');
    await attach(here);
    await refused(attach(here, other), 'VolumeInUse');
    const InstanceType = { Value: 't3.small' };
    await refused(ec2.send(new ModifyInstanceAttributeCommand({ InstanceId, InstanceType })), 'IncorrectInstanceState');
    const BlockDeviceMappings = Array.from('bcdefghijklmnopqrstuvwxyz', (letter) => ({
      DeviceName: `/dev/xvd${letter}`,
      Ebs: { VolumeSize: 1 },
    }));
    const tooMany = [...BlockDeviceMappings, { DeviceName: '/dev/xvdba', Ebs: { VolumeSize: 1 } }];
    await refused(table.launch({ ...base(), BlockDeviceMappings: tooMany }), 'AttachmentLimitExceeded');
  });

  it('RI-8: every instance type takes encrypted volumes', async () => {
    const { InstanceTypes = [] } = await table.ec2.send(new DescribeInstanceTypesCommand({}));
    assert.ok(InstanceTypes.length > 0);
    for (const { InstanceType, EbsInfo } of InstanceTypes) {
      assert.equal(EbsInfo?.EncryptionSupport, 'supported', `${InstanceType}`);
    }
  });

  it('D-13: a plain image of a third party is launched into encryption by default; disks are not imported by EC2', async () => {
    await table.encryptByDefault(true);
    const id = await table.launch({ ...base(), ImageId: table.images['shared-plain'] });
    assert.equal(await table.keyOfDevice(id), table.keys['default-key']);
    const { BlockDeviceMappings } = await table.world.instance(table.user.admin, id, 'running');
    const VolumeId = BlockDeviceMappings![0]!.Ebs!.VolumeId!;
    const snapshot = await table.ec2.send(new CreateSnapshotCommand({ VolumeId }));
    assert.equal(snapshot.Encrypted, true);
    await table.encryptByDefault(false);
    await refused(table.ec2.send(new ImportSnapshotCommand({})), 'UnsupportedOperation', /ImportSnapshot/);
  });

  it('P-16: what the owner of an encrypted image does to share it, and what each step is for', async () => {
    const { world, user } = table;
    const owner = await world.account();
    const ownerEc2 = new EC2Client(owner.admin);
    const key = await world.key(owner);
    const copied = await ownerEc2.send(
      new CopyImageCommand({
        Name: 'to-share',
        SourceRegion: world.region,
        SourceImageId: await world.image(owner.admin, await world.snapshot(owner.admin)),
        Encrypted: true,
        KmsKeyId: key,
      }),
    );
    const ImageId = copied.ImageId!;
    await waitUntilImageAvailable(
      { client: ownerEc2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 },
      { ImageIds: [ImageId] },
    );
    await refused(table.launch({ ...base(), ImageId }), 'AuthFailure', /Not authorized for images/);
    await ownerEc2.send(new ModifyImageAttributeCommand({ ImageId, LaunchPermission: { Add: [{ UserId: user.id }] } }));
    assert.equal(await table.keyOfDevice(await table.launch({ ...base(), ImageId })), REASON.Code, 'without the key');
    // K-27: an edit of a key policy holds from the next call on.
    const consumer = { Principal: { AWS: `arn:aws:iam::${user.id}:root` } };
    const Policy = keyPolicy(owner.id, allow(EBS_KEY_ACTIONS, consumer));
    await new KMSClient(owner.admin).send(new PutKeyPolicyCommand({ KeyId: key, Policy }));
    const launched = await table.keyOfDevice(await table.launch({ ...base(), ImageId }));
    assert.equal(launched, table.keys['default-key']);
    const copy = () =>
      table.ec2.send(new CopyImageCommand({ Name: 'mine', SourceRegion: world.region, SourceImageId: ImageId }));
    await refused(copy(), 'InvalidRequest', /permission to access the storage of this ami/);
    const { Images } = await ownerEc2.send(new DescribeImagesCommand({ ImageIds: [ImageId] }));
    await ownerEc2.send(
      new ModifySnapshotAttributeCommand({
        SnapshotId: Images![0]!.BlockDeviceMappings![0]!.Ebs!.SnapshotId!,
        CreateVolumePermission: { Add: [{ UserId: user.id }] },
      }),
    );
    await copy();
  });

  it('SH-10: no image comes to have product codes, and one that would is refused by name', async () => {
    const ImageId = table.images['own-plain'];
    const codes = await table.ec2.send(new DescribeImageAttributeCommand({ ImageId, Attribute: 'productCodes' }));
    assert.deepEqual(codes.ProductCodes ?? [], []);
    const registered = table.ec2.send(
      new RegisterImageCommand({ Name: 'billed', RootDeviceName: ROOT_DEVICE, BillingProducts: ['bp-1'] }),
    );
    await refused(registered, 'UnsupportedOperation', /BillingProducts/);
  });

  it('K-8, K-10: EC2’s own principal of an instance, in both spellings', async () => {
    const id = await table.launch(base());
    await table.world.instance(table.user.admin, id, 'running');
    const events = await table.world.kmsEvents(table.user.admin, id);
    const grant = events.find(({ eventName }) => eventName === 'CreateGrant');
    const opened = events.find(({ eventName }) => eventName === 'Decrypt');
    assert.equal(
      grant?.requestParameters?.granteePrincipal,
      `arn:aws:sts::${table.user.id}:assumed-role/aws:ec2-infrastructure/${id}`,
    );
    assert.equal(opened?.userIdentity?.principalId, `${table.user.id}:aws:ec2-infrastructure:${id}`);
  });
});
