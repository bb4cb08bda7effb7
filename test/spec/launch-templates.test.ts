/** Launches by template (1.7): table 1.1 with its devices in templates, and what precedes what. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  DescribeInstancesCommand,
  type LaunchTemplateEbsBlockDeviceRequest,
  ModifyLaunchTemplateCommand,
  type RequestLaunchTemplateData,
  type RunInstancesCommandInput,
} from '@aws-sdk/client-ec2';
import type { Row } from '../../policy/test-encryption-outcomes.ts';
import { LaunchTable } from './launch-table.ts';
import { ROOT_DEVICE } from './world.ts';

let table: LaunchTable;
before(async () => {
  table = await LaunchTable.open();
});
after(() => table[Symbol.asyncDispose]());

async function template(LaunchTemplateData: RequestLaunchTemplateData): Promise<string> {
  const LaunchTemplateName = table.world.fresh('template');
  await table.ec2.send(new CreateLaunchTemplateCommand({ LaunchTemplateName, LaunchTemplateData }));
  return LaunchTemplateName;
}
const ONE = { InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 } as const;
const rootDevice = (Ebs: LaunchTemplateEbsBlockDeviceRequest) => [{ DeviceName: ROOT_DEVICE, Ebs }];

describe('table 1.1 by template, by the key that really wraps the data key', () => {
  /** The row's device in the template, whole. */
  const inTemplate = async (row: Row): Promise<string> => {
    const { ImageId, BlockDeviceMappings } = table.inputOf(row);
    const LaunchTemplateName = await template({ ImageId, BlockDeviceMappings: [...BlockDeviceMappings] });
    return table.launch({ ...ONE, LaunchTemplate: { LaunchTemplateName } });
  };
  /** What the row says of encryption in the request, over a device of the template that says the opposite. */
  const overTemplate = async (row: Row): Promise<string> => {
    const { ImageId, BlockDeviceMappings = [] } = table.inputOf(row);
    const [device] = BlockDeviceMappings;
    const opposite = row.encrypted === undefined ? {} : { Encrypted: !row.encrypted };
    const LaunchTemplateName = await template({
      BlockDeviceMappings: [{ DeviceName: `${device?.DeviceName}`, Ebs: { VolumeSize: 2, ...opposite } }],
    });
    return table.launch({ ...ONE, ImageId, BlockDeviceMappings, LaunchTemplate: { LaunchTemplateName } });
  };
  /** Encryption from the template and the key from the request: the fields of one device meet (G-12). */
  const byHalves = async (row: Row): Promise<string> => {
    const { ImageId, BlockDeviceMappings = [] } = table.inputOf(row);
    const DeviceName = `${BlockDeviceMappings[0]?.DeviceName}`;
    const { KmsKeyId, ...rest } = BlockDeviceMappings[0]?.Ebs ?? {};
    const LaunchTemplateName = await template({ ImageId, BlockDeviceMappings: [{ DeviceName, Ebs: rest }] });
    return table.launch({
      ...ONE,
      LaunchTemplate: { LaunchTemplateName },
      ...(KmsKeyId ? { BlockDeviceMappings: [{ DeviceName, Ebs: { KmsKeyId } }] } : {}),
    });
  };
  const ways = {
    'LT-4: the devices of the template': inTemplate,
    'LT-1: the request over the template': overTemplate,
    'LT-2, G-12: encrypted by the template, the key by the request': byHalves,
  };
  for (const [way, send] of Object.entries(ways)) {
    for (const on of [false, true]) {
      it(`${way}: thirty rows, encryption by default ${on ? 'on' : 'off'}`, async () => {
        await table.encryptByDefault(on);
        const wrong = await table.differences(on, send);
        assert.equal(wrong.length, 0, `\n  ${wrong.join('\n  ')}\n`);
      });
    }
  }
});

for (const on of [false, true]) {
  describe(`templates with encryption by default ${on ? 'on' : 'off'}`, () => {
    before(() => table.encryptByDefault(on));
    const otherwise = () => (on ? table.keys['default-key'] : 'plain');
    const keyed = () => rootDevice({ Encrypted: true, KmsKeyId: table.keys['given-key'] });
    const keyOf = async (input: Partial<RunInstancesCommandInput>) =>
      table.keyOfDevice(await table.launch({ ...ONE, ...input }));

    it('LT-1: request, then template version, then image, then the settings of the account', async () => {
      const { 'given-key': given, 'snapshot-key': own } = table.keys;
      const plain = { ImageId: table.images['own-plain'] };
      const sealed = { ImageId: table.images['own-encrypted'] };
      const another = await table.world.key(table.user);
      const byKey = { LaunchTemplate: { LaunchTemplateName: await template({ BlockDeviceMappings: keyed() }) } };
      assert.equal(
        await keyOf({ ...plain, ...byKey, BlockDeviceMappings: rootDevice({ KmsKeyId: another }) }),
        another,
      );
      assert.equal(await keyOf({ ...sealed, ...byKey }), given);
      assert.equal(await keyOf({ ...plain, ...byKey, BlockDeviceMappings: rootDevice({ VolumeSize: 3 }) }), given);
      assert.equal(await keyOf(sealed), own);
      assert.equal(await keyOf(plain), otherwise());
    });

    it('LT-3: a version that gives devices loses those of its source, with their key', async () => {
      const LaunchTemplateName = await template({
        ImageId: table.images['own-plain'],
        BlockDeviceMappings: keyed(),
      });
      const version = async (LaunchTemplateData: RequestLaunchTemplateData) => {
        const made = await table.ec2.send(
          new CreateLaunchTemplateVersionCommand({ LaunchTemplateName, SourceVersion: '1', LaunchTemplateData }),
        );
        return `${made.LaunchTemplateVersion?.VersionNumber}`;
      };
      const by = (Version: string) => keyOf({ LaunchTemplate: { LaunchTemplateName, Version } });
      assert.equal(await by(await version({ InstanceType: 't3.micro' })), table.keys['given-key']);
      assert.equal(await by(await version({ BlockDeviceMappings: rootDevice({ VolumeSize: 2 }) })), otherwise());
    });

    it('LT-6, LT-7, LT-14: selectors choose the key, and the instance says the number', async () => {
      const LaunchTemplateName = await template({ ImageId: table.images['own-plain'] });
      await table.ec2.send(
        new CreateLaunchTemplateVersionCommand({
          LaunchTemplateName,
          SourceVersion: '1',
          LaunchTemplateData: { BlockDeviceMappings: keyed() },
        }),
      );
      const launched = async (Version?: string) => {
        const LaunchTemplate = { LaunchTemplateName, ...(Version ? { Version } : {}) };
        const id = await table.launch({ ...ONE, LaunchTemplate });
        const key = await table.keyOfDevice(id);
        const { Reservations } = await table.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
        const tags = Reservations?.[0]?.Instances?.[0]?.Tags ?? [];
        return [key, tags.find(({ Key }) => Key === 'aws:ec2launchtemplate:version')?.Value];
      };
      const [first, second] = [
        [otherwise(), '1'],
        [table.keys['given-key'], '2'],
      ];
      assert.deepEqual(await launched(), first);
      assert.deepEqual(await launched('$Default'), first);
      assert.deepEqual(await launched('1'), first);
      assert.deepEqual(await launched('2'), second);
      assert.deepEqual(await launched('$Latest'), second);
      await table.ec2.send(new ModifyLaunchTemplateCommand({ LaunchTemplateName, DefaultVersion: '$Latest' }));
      assert.deepEqual(await launched(), second);
    });

    it('RI-4: a template may encrypt a device whose snapshot it names, which AWS once refused', async () => {
      const SnapshotId = await table.world.snapshot(table.user.admin);
      const LaunchTemplateName = await template({
        ImageId: table.images['own-plain'],
        BlockDeviceMappings: rootDevice({ SnapshotId, Encrypted: true }),
      });
      assert.equal(await keyOf({ LaunchTemplate: { LaunchTemplateName } }), table.keys['default-key']);
    });

    it('LT-5: a template takes any key, and a launch by it ends by the key', async () => {
      const KmsKeyId = `arn:aws:kms:${table.world.region}:${table.user.id}:key/11111111-2222-3333-4444-555555555555`;
      const LaunchTemplateName = await template({
        ImageId: table.images['own-plain'],
        BlockDeviceMappings: rootDevice({ Encrypted: true, KmsKeyId }),
      });
      assert.equal(await keyOf({ LaunchTemplate: { LaunchTemplateName } }), 'Client.InvalidKMSKey.InvalidState');
    });
  });
}
