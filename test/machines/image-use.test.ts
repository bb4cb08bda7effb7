/** What is asked of images from the side of instances and templates, on a whole server without guests. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  DescribeImageAttributeCommand,
  DescribeImageReferencesCommand,
  EC2Client,
  GetLaunchTemplateDataCommand,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { Ingot } from '../house/ingot.ts';
import { SAMPLE_IDS } from '../house/operations.ts';
import { makeResources } from '../house/resources.ts';
import { until } from './support.ts';

describe('the use of an image', () => {
  let ingot: Ingot;
  let ec2: EC2Client;
  let image: string;
  let instance: string;
  before(async () => {
    ingot = await Ingot.start({ machines: 'none' });
    const config = await ingot.client();
    ec2 = new EC2Client(config);
    const { ids } = await makeResources(config);
    image = ids.get(SAMPLE_IDS.image)!;
    instance = ids.get(SAMPLE_IDS.instance)!;
  });
  after(() => ingot[Symbol.asyncDispose]());

  const references = async (input: object) => {
    const { ImageReferences } = await ec2.send(new DescribeImageReferencesCommand({ ImageIds: [image], ...input }));
    return ImageReferences!.map(({ ResourceType }) => ResourceType).sort();
  };

  it('DescribeImageReferences names instances and templates, also by older versions as deep as asked', async () => {
    assert.deepEqual(await references({ IncludeAllResourceTypes: true }), ['ec2:Instance', 'ec2:LaunchTemplate']);
    await ec2.send(
      new CreateLaunchTemplateVersionCommand({
        LaunchTemplateName: 'sample',
        LaunchTemplateData: { InstanceType: 't3.micro' },
      }),
    );
    const depth = (value: string) => [
      {
        ResourceType: 'ec2:LaunchTemplate',
        ResourceTypeOptions: [{ OptionName: 'version-depth', OptionValues: [value] }],
      },
    ];
    assert.deepEqual(await references({ ResourceTypes: depth('1') }), []);
    assert.deepEqual(await references({ ResourceTypes: depth('2') }), ['ec2:LaunchTemplate']);
    const inState = (state: string) => [
      { ResourceType: 'ec2:Instance', ResourceTypeOptions: [{ OptionName: 'state-name', OptionValues: [state] }] },
    ];
    assert.deepEqual(await references({ ResourceTypes: inState('running') }), ['ec2:Instance']);
    assert.deepEqual(await references({ ResourceTypes: inState('stopped') }), []);
    assert.deepEqual(await references({ ResourceTypes: [{ ResourceType: 'ssm:Parameter' }] }), []);
    await assert.rejects(references({}), { name: 'MissingParameter' });
    await assert.rejects(references({ ResourceTypes: [{ ResourceType: 'moon' }] }), { name: 'InvalidParameterValue' });
  });

  it('L-18: lastLaunchedTime is there after the first launch', async () => {
    const lastLaunched = await until('launch noted', async () => {
      const found = await ec2.send(
        new DescribeImageAttributeCommand({ ImageId: image, Attribute: 'lastLaunchedTime' }),
      );
      return found.LastLaunchedTime?.Value;
    });
    assert.match(lastLaunched, /^\d{4}-\d\d-\d\dT/);
  });

  it('GetLaunchTemplateData gives data from which a template launches an instance alike', async () => {
    const { LaunchTemplateData: data } = await ec2.send(new GetLaunchTemplateDataCommand({ InstanceId: instance }));
    assert.deepEqual([data?.ImageId, data?.InstanceType], [image, 't3.micro']);
    const [root] = data!.BlockDeviceMappings!;
    assert.deepEqual([root?.DeviceName, root?.Ebs?.Encrypted], ['/dev/xvda', true]);
    assert.match(root?.Ebs?.KmsKeyId ?? '', /^arn:aws:kms:/);
    await ec2.send(
      new CreateLaunchTemplateCommand({ LaunchTemplateName: 'alike', LaunchTemplateData: data as object }),
    );
    const { Instances } = await ec2.send(
      new RunInstancesCommand({ LaunchTemplate: { LaunchTemplateName: 'alike' }, MinCount: 1, MaxCount: 1 }),
    );
    assert.equal(Instances![0]!.ImageId, image);
    await assert.rejects(ec2.send(new GetLaunchTemplateDataCommand({ InstanceId: 'i-00000000000000001' })), {
      name: 'InvalidInstanceID.NotFound',
    });
  });
});
