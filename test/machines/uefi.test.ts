/** Images that want UEFI, its variables or a TPM: kept, carried by copies, and never launched without them (L-15, L-16). */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  CopyImageCommand,
  CreateReplaceRootVolumeTaskCommand,
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  EC2Client,
  GetInstanceUefiDataCommand,
  RegisterImageCommand,
  type RegisterImageCommandInput,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { Ingot } from '../house/ingot.ts';
import { importBlocks } from './plain-snapshot.ts';
import { until } from './support.ts';

const STORE = Buffer.from('AMZNUEFI and then the variables').toString('base64');

describe('UEFI and TPM of images', { concurrency: false }, () => {
  let ingot: Ingot;
  let ec2: EC2Client;
  let SnapshotId: string;

  before(async () => {
    ingot = await Ingot.start({ machines: 'none' });
    ec2 = new EC2Client(await ingot.client());
    SnapshotId = await importBlocks(await ingot.client());
  });
  after(() => ingot[Symbol.asyncDispose]());

  let images = 0;
  const register = async (input: Partial<RegisterImageCommandInput>) => {
    const { ImageId } = await ec2.send(
      new RegisterImageCommand({
        Name: `image ${++images}`,
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
        ...input,
      }),
    );
    return ImageId!;
  };
  const attribute = async (ImageId: string, Attribute: 'uefiData' | 'tpmSupport') => {
    const answer = await ec2.send(new DescribeImageAttributeCommand({ ImageId, Attribute }));
    return (Attribute === 'uefiData' ? answer.UefiData : answer.TpmSupport)?.Value;
  };
  const launch = (ImageId: string) =>
    ec2.send(new RunInstancesCommand({ ImageId, InstanceType: 't3.nano', MinCount: 1, MaxCount: 1 }));
  const instance = async (id: string) =>
    (await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }))).Reservations![0]!.Instances![0]!;

  test('L-16: variables and TPM are checked, shown, and carried by a copy', async () => {
    const id = await register({ BootMode: 'uefi', TpmSupport: 'v2.0', UefiData: STORE });
    const { ImageId: copy } = await ec2.send(
      new CopyImageCommand({ Name: 'copy', SourceImageId: id, SourceRegion: 'eu-central-1' }),
    );
    for (const each of [id, copy!]) {
      assert.deepEqual([await attribute(each, 'uefiData'), await attribute(each, 'tpmSupport')], [STORE, 'v2.0']);
    }
    const { Images } = await ec2.send(new DescribeImagesCommand({ ImageIds: [copy!] }));
    assert.deepEqual([Images![0]!.BootMode, Images![0]!.TpmSupport], ['uefi', 'v2.0']);
    const plain = await register({});
    assert.deepEqual(
      [await attribute(plain, 'uefiData'), await attribute(plain, 'tpmSupport')],
      [undefined, undefined],
    );
    const refused: readonly [Partial<RegisterImageCommandInput>, string][] = [
      [{ BootMode: 'uefi', UefiData: 'no base64!' }, 'InvalidParameterValue'],
      [{ BootMode: 'uefi', UefiData: Buffer.alloc(65_537).toString('base64') }, 'InvalidParameterValue'],
      [{ UefiData: STORE }, 'InvalidParameterCombination'],
      [{ BootMode: 'legacy-bios', UefiData: STORE }, 'InvalidParameterCombination'],
      [{ BootMode: 'uefi-preferred', TpmSupport: 'v2.0' }, 'InvalidParameterCombination'],
    ];
    for (const [input, name] of refused)
      await assert.rejects(register(input), { name }, JSON.stringify(input).slice(0, 80));
  });

  test('L-16: what no machine has is not left away in silence', async () => {
    const { Instances } = await launch(await register({ BootMode: 'uefi' }));
    const id = Instances![0]!.InstanceId!;
    await until('it runs', async () => (await instance(id)).State!.Name === 'running');
    for (const wanted of [{ TpmSupport: 'v2.0' as const }, { UefiData: STORE }]) {
      const ImageId = await register({ BootMode: 'uefi', ...wanted });
      await assert.rejects(launch(ImageId), { name: 'Unsupported', message: /TPM|UefiData/ });
      const replacing = new CreateReplaceRootVolumeTaskCommand({ InstanceId: id, ImageId });
      await assert.rejects(ec2.send(replacing), { name: 'Unsupported' });
    }
    await assert.rejects(ec2.send(new GetInstanceUefiDataCommand({ InstanceId: id })), {
      name: 'UnsupportedOperation',
    });
  });

  test('L-15: the boot mode of the image, and what the instance boots with', async () => {
    const modes = [
      [undefined, undefined, 'legacy-bios'],
      ['legacy-bios', 'legacy-bios', 'legacy-bios'],
      ['uefi', 'uefi', 'uefi'],
      ['uefi-preferred', 'uefi-preferred', 'uefi'],
    ] as const;
    for (const [BootMode, shown, current] of modes) {
      const { Instances } = await launch(await register({ BootMode }));
      const { BootMode: seen, CurrentInstanceBootMode } = await instance(Instances![0]!.InstanceId!);
      assert.deepEqual([seen, CurrentInstanceBootMode], [shown, current]);
    }
  });
});
