/** What is asked of images from the side of instances and templates, on a whole server without guests. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CopyImageCommand,
  CreateImageUsageReportCommand,
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  DeregisterImageCommand,
  DescribeImageAttributeCommand,
  DescribeImageReferencesCommand,
  DescribeImageUsageReportEntriesCommand,
  DescribeImageUsageReportsCommand,
  DescribeInstanceImageMetadataCommand,
  DescribeInstancesCommand,
  DisableAllowedImagesSettingsCommand,
  EC2Client,
  EnableAllowedImagesSettingsCommand,
  GetLaunchTemplateDataCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
  waitUntilImageAvailable,
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

  it('a usage report counts what is there now, terminated instances left out', async () => {
    const launched = await ec2.send(new RunInstancesCommand({ ImageId: image, MinCount: 2, MaxCount: 2 }));
    const ids = launched.Instances!.map(({ InstanceId }) => InstanceId!);
    const counts = async () => {
      const { ReportId } = await ec2.send(
        new CreateImageUsageReportCommand({
          ImageId: image,
          ResourceTypes: [{ ResourceType: 'ec2:Instance' }, { ResourceType: 'ec2:LaunchTemplate' }],
        }),
      );
      const found = await until(`${ReportId} is available`, async () => {
        const { ImageUsageReports: [report] = [] } = await ec2.send(
          new DescribeImageUsageReportsCommand({ ReportIds: [ReportId!] }),
        );
        if (report?.State !== 'available') return undefined;
        return ec2.send(new DescribeImageUsageReportEntriesCommand({ ReportIds: [ReportId!] }));
      });
      return found.ImageUsageReportEntries!.map(({ ResourceType, UsageCount }) => [ResourceType, UsageCount]);
    };
    assert.deepEqual(await counts(), [
      ['ec2:Instance', 3],
      ['ec2:LaunchTemplate', 1],
    ]);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: ids }));
    await until('they are terminated', async () => {
      const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: ids }));
      return Reservations!.every(({ Instances }) => Instances!.every(({ State }) => State?.Name === 'terminated'));
    });
    assert.deepEqual((await counts())[0], ['ec2:Instance', 1]);
  });

  it('DescribeInstanceImageMetadata tells the image of each instance, also when it is deregistered or not allowed', async () => {
    const metadata = async (input: object = { InstanceIds: [instance] }) => {
      const { InstanceImageMetadata } = await ec2.send(new DescribeInstanceImageMetadataCommand(input));
      return InstanceImageMetadata!;
    };
    const [one] = await metadata();
    assert.deepEqual(
      [one?.InstanceId, one?.State?.Name, one?.ImageMetadata?.ImageId, one?.ImageMetadata?.State],
      [instance, 'running', image, 'available'],
    );
    assert.deepEqual([one?.ImageMetadata?.Name, one?.ImageMetadata?.IsPublic], ['golden', false]);
    assert.equal(one?.ImageMetadata?.ImageAllowed, undefined);
    await ec2.send(new EnableAllowedImagesSettingsCommand({ AllowedImagesSettingsState: 'audit-mode' }));
    assert.equal((await metadata())[0]?.ImageMetadata?.ImageAllowed, true);
    const filtered = { Filters: [{ Name: 'image-allowed', Values: ['false'] }] };
    assert.deepEqual(await metadata(filtered), []);
    await ec2.send(new DisableAllowedImagesSettingsCommand({}));

    const SourceImageId = image;
    const { ImageId } = await ec2.send(
      new CopyImageCommand({ Name: 'short-lived', SourceImageId, SourceRegion: 'eu-central-1' }),
    );
    await waitUntilImageAvailable({ client: ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 }, { ImageIds: [ImageId!] });
    const launched = await ec2.send(new RunInstancesCommand({ ImageId, MinCount: 1, MaxCount: 1 }));
    await ec2.send(new DeregisterImageCommand({ ImageId }));
    const [gone] = await metadata({ InstanceIds: [launched.Instances![0]!.InstanceId!] });
    assert.deepEqual([gone?.ImageMetadata?.Name, gone?.ImageMetadata?.State], ['short-lived', 'deregistered']);
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
