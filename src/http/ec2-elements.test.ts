/** Events of EC2 in CloudTrail's form (authorization-and-wire 8.6, ec2-encryption L-25): early and later operations. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { REGISTRY } from '../wire/registry.ts';
import { Wire } from '../wire/wire.ts';
import { ec2Request, ec2Response } from './ec2-elements.ts';

const wire = new Wire(REGISTRY);
function operation(name: string) {
  const found = wire.service('ec2')?.operation(name);
  assert.ok(found, name);
  return found;
}

const REQUESTS: readonly [operation: string, input: object, told: unknown][] = [
  [
    'RunInstances',
    {
      ImageId: 'ami-1',
      MinCount: 1,
      MaxCount: 2,
      KeyName: 'k',
      InstanceType: 't3.micro',
      SecurityGroupIds: ['sg-1'],
      SecurityGroups: ['web'],
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { Encrypted: true, KmsKeyId: 'alias/k', VolumeSize: 8 } }],
      TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'Name', Value: 'web' }] }],
      LaunchTemplate: { LaunchTemplateId: 'lt-1', Version: '$Latest' },
    },
    {
      instancesSet: { items: [{ imageId: 'ami-1', minCount: 1, maxCount: 2, keyName: 'k' }] },
      instanceType: 't3.micro',
      groupSet: { items: [{ groupId: 'sg-1' }, { groupName: 'web' }] },
      blockDeviceMapping: {
        items: [{ deviceName: '/dev/xvda', ebs: { encrypted: true, kmsKeyId: 'alias/k', volumeSize: 8 } }],
      },
      tagSpecificationSet: { items: [{ resourceType: 'instance', tags: [{ key: 'Name', value: 'web' }] }] },
      launchTemplate: { launchTemplateId: 'lt-1', version: '$Latest' },
    },
  ],
  [
    'StopInstances',
    { InstanceIds: ['i-1', 'i-2'] },
    { instancesSet: { items: [{ instanceId: 'i-1' }, { instanceId: 'i-2' }] } },
  ],
  [
    'CreateVolume',
    { AvailabilityZone: 'us-east-1a', Size: 8, Encrypted: true, KmsKeyId: 'alias/k' },
    { zone: 'us-east-1a', size: '8', encrypted: true, kmsKeyId: 'alias/k' },
  ],
  [
    'CopySnapshot',
    { SourceRegion: 'us-east-1', SourceSnapshotId: 'snap-1', Encrypted: true },
    { sourceRegion: 'us-east-1', sourceSnapshotId: 'snap-1', encrypted: true },
  ],
  [
    'ModifyImageAttribute',
    { ImageId: 'ami-1', LaunchPermission: { Add: [{ UserId: '111122223333' }] } },
    { imageId: 'ami-1', launchPermission: { add: { items: [{ userId: '111122223333' }] } } },
  ],
  [
    'CreateTags',
    { Resources: ['ami-1'], Tags: [{ Key: 'a', Value: 'b' }] },
    { resourcesSet: { items: [{ resourceId: 'ami-1' }] }, tagSet: { items: [{ key: 'a', value: 'b' }] } },
  ],
  [
    'DescribeImages',
    { Owners: ['self'], ExecutableUsers: ['all'], ImageIds: [], Filters: [{ Name: 'name', Values: ['a', 'b'] }] },
    {
      ownersSet: { items: [{ owner: 'self' }] },
      executableBySet: { items: [{ user: 'all' }] },
      imagesSet: {},
      filterSet: { items: [{ name: 'name', valueSet: { items: [{ value: 'a' }, { value: 'b' }] } }] },
    },
  ],
  [
    'AuthorizeSecurityGroupIngress',
    {
      GroupId: 'sg-1',
      IpPermissions: [{ IpProtocol: 'tcp', FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: '10.0.0.0/8' }] }],
    },
    {
      groupId: 'sg-1',
      ipPermissions: {
        items: [{ ipProtocol: 'tcp', fromPort: 22, toPort: 22, ipRanges: { items: [{ cidrIp: '10.0.0.0/8' }] } }],
      },
    },
  ],
  ['DescribeVolumes', {}, undefined],
  ['EnableEbsEncryptionByDefault', {}, { EnableEbsEncryptionByDefaultRequest: {} }],
  [
    'CreateLaunchTemplate',
    {
      LaunchTemplateName: 't',
      LaunchTemplateData: {
        SecurityGroupIds: ['sg-1'],
        BlockDeviceMappings: [
          { DeviceName: '/dev/sdb', Ebs: { Encrypted: true } },
          { DeviceName: '/dev/sdc', Ebs: { VolumeSize: 5 } },
        ],
      },
    },
    {
      CreateLaunchTemplateRequest: {
        LaunchTemplateName: 't',
        LaunchTemplateData: {
          SecurityGroupId: { tag: 1, content: 'sg-1' },
          BlockDeviceMapping: [
            { DeviceName: '/dev/sdb', Ebs: { Encrypted: true }, tag: 1 },
            { DeviceName: '/dev/sdc', Ebs: { VolumeSize: 5 }, tag: 2 },
          ],
        },
      },
    },
  ],
];

const at = new Date('2026-09-01T12:00:00Z');
const xmlns = 'http://ec2.amazonaws.com/doc/2016-11-15/';
const RESPONSES: readonly [operation: string, output: object | undefined, told: unknown][] = [
  [
    'CreateVolume',
    { VolumeId: 'vol-1', Size: 8, AvailabilityZone: 'us-east-1a', CreateTime: at, Tags: [{ Key: 'a', Value: 'b' }] },
    {
      requestId: 'r',
      volumeId: 'vol-1',
      size: 8,
      availabilityZone: 'us-east-1a',
      createTime: at.getTime(),
      tagSet: { items: [{ key: 'a', value: 'b' }] },
    },
  ],
  ['DeleteSnapshot', undefined, { requestId: 'r', _return: true }],
  ['AuthorizeSecurityGroupIngress', { Return: true }, { requestId: 'r', _return: true }],
  [
    'EnableEbsEncryptionByDefault',
    { EbsEncryptionByDefault: true },
    { EnableEbsEncryptionByDefaultResponse: { xmlns, requestId: 'r', ebsEncryptionByDefault: true } },
  ],
  [
    'ModifyVolume',
    { VolumeModification: { VolumeId: 'vol-1', TargetSize: 4, StartTime: at } },
    {
      ModifyVolumeResponse: {
        xmlns,
        requestId: 'r',
        volumeModification: { volumeId: 'vol-1', targetSize: 4, startTime: '2026-09-01T12:00:00.000Z' },
      },
    },
  ],
];

describe('events of EC2', () => {
  for (const [name, input, told] of REQUESTS) {
    it(`tell the parameters of ${name}`, () => {
      assert.deepEqual(ec2Request(operation(name), input), told);
    });
  }
  for (const [name, output, told] of RESPONSES) {
    it(`tell the response of ${name}`, () => {
      assert.deepEqual(ec2Response(operation(name), output, 'r'), told);
    });
  }
  it('hide what is secret at any depth', () => {
    const secret = 'must-not-be-recorded';
    const template = ec2Request(operation('CreateLaunchTemplateVersion'), { LaunchTemplateData: { UserData: secret } });
    const pair = ec2Response(operation('CreateKeyPair'), { KeyName: 'k', KeyMaterial: secret }, 'r');
    assert.ok(!JSON.stringify([template, pair]).includes(secret));
  });
});
