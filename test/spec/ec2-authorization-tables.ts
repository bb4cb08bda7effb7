/**
 * Tables of what EC2 judges (authorization-and-wire 7.2 to 7.8): the resources of each action, and condition keys as they
 * are on them.
 */
import * as ec2 from '@aws-sdk/client-ec2';
import { ROOT_DEVICE } from './world.ts';

export const REGION = 'eu-central-1';
export const ZONE = `${REGION}a`;

/** What exists, and whose: the test makes it before any row is used. */
export const made = {
  account: '',
  other: '',
  key: '',
  image: '',
  snapshot: '',
  encrypted: '',
  volume: '',
  instance: '',
  profile: '',
};

export interface Command {
  readonly input: object;
}

/** Images and snapshots have no account in their ARN (7.1). */
export const patternOf = (type: string) =>
  type === 'image' || type === 'snapshot'
    ? `arn:aws:ec2:${REGION}::${type}/*`
    : `arn:aws:ec2:${REGION}:${made.account}:${type}/*`;

export const one = { MinCount: 1, MaxCount: 1, InstanceType: 't3.micro' } as const;
export const volume = { AvailabilityZone: ZONE, Size: 1 };

export type Row = readonly [name: string, make: () => Command, types: readonly string[]];
export const LAUNCH = ['image', 'instance', 'network-interface', 'security-group', 'subnet', 'volume', 'snapshot'];
/** Table 7.2, required resources and those that the input brings along. */
export const RESOURCES: readonly Row[] = [
  ['RunInstances', () => new ec2.RunInstancesCommand({ ...one, ImageId: made.image }), LAUNCH],
  [
    'RunInstances with a key pair',
    () => new ec2.RunInstancesCommand({ ...one, ImageId: made.image, KeyName: 'pair' }),
    [...LAUNCH, 'key-pair'],
  ],
  [
    'RunInstances from a launch template',
    () =>
      new ec2.RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        LaunchTemplate: { LaunchTemplateName: 'golden' },
      }),
    [...LAUNCH, 'launch-template'],
  ],
  ['CreateVolume', () => new ec2.CreateVolumeCommand(volume), ['volume']],
  [
    'CreateVolume from a snapshot',
    () => new ec2.CreateVolumeCommand({ AvailabilityZone: ZONE, SnapshotId: made.snapshot }),
    ['volume', 'snapshot'],
  ],
  ['CreateSnapshot', () => new ec2.CreateSnapshotCommand({ VolumeId: made.volume }), ['snapshot', 'volume']],
  [
    'CreateSnapshots',
    () => new ec2.CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: made.instance } }),
    ['snapshot', 'volume', 'instance'],
  ],
  [
    'CopySnapshot',
    () => new ec2.CopySnapshotCommand({ SourceRegion: REGION, SourceSnapshotId: made.snapshot }),
    ['snapshot'],
  ],
  [
    'CopyImage',
    () => new ec2.CopyImageCommand({ Name: 'copy', SourceRegion: REGION, SourceImageId: made.image }),
    ['image', 'snapshot'],
  ],
  [
    'CreateImage',
    () => new ec2.CreateImageCommand({ Name: 'made', InstanceId: made.instance, NoReboot: true }),
    ['image', 'instance', 'snapshot'],
  ],
  [
    'RegisterImage',
    () =>
      new ec2.RegisterImageCommand({
        Name: 'registered',
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: ROOT_DEVICE,
        BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs: { SnapshotId: made.snapshot } }],
      }),
    ['image', 'snapshot'],
  ],
  ['DeregisterImage', () => new ec2.DeregisterImageCommand({ ImageId: made.image }), ['image']],
  [
    'ModifyImageAttribute',
    () => new ec2.ModifyImageAttributeCommand({ ImageId: made.image, Description: { Value: 'x' } }),
    ['image'],
  ],
  [
    'ResetImageAttribute',
    () => new ec2.ResetImageAttributeCommand({ ImageId: made.image, Attribute: 'launchPermission' }),
    ['image'],
  ],
  [
    'DescribeImageAttribute',
    () => new ec2.DescribeImageAttributeCommand({ ImageId: made.image, Attribute: 'description' }),
    ['image'],
  ],
  [
    'ModifySnapshotAttribute',
    () =>
      new ec2.ModifySnapshotAttributeCommand({
        SnapshotId: made.snapshot,
        CreateVolumePermission: { Add: [{ UserId: made.other }] },
      }),
    ['snapshot'],
  ],
  ['DeleteSnapshot', () => new ec2.DeleteSnapshotCommand({ SnapshotId: made.encrypted }), ['snapshot']],
  [
    'DescribeSnapshotAttribute',
    () => new ec2.DescribeSnapshotAttributeCommand({ SnapshotId: made.snapshot, Attribute: 'createVolumePermission' }),
    ['snapshot'],
  ],
  [
    'EnableFastSnapshotRestores',
    () => new ec2.EnableFastSnapshotRestoresCommand({ AvailabilityZones: [ZONE], SourceSnapshotIds: [made.snapshot] }),
    ['snapshot'],
  ],
  [
    'LockSnapshot',
    () => new ec2.LockSnapshotCommand({ SnapshotId: made.snapshot, LockMode: 'governance', LockDuration: 1 }),
    ['snapshot'],
  ],
  [
    'AttachVolume',
    () => new ec2.AttachVolumeCommand({ VolumeId: made.volume, InstanceId: made.instance, Device: '/dev/sdf' }),
    ['instance', 'volume'],
  ],
  [
    'CreateLaunchTemplateVersion',
    () =>
      new ec2.CreateLaunchTemplateVersionCommand({
        LaunchTemplateName: 'golden',
        LaunchTemplateData: { InstanceType: 't3.small' },
      }),
    ['launch-template'],
  ],
  [
    'CreateLaunchTemplate',
    () =>
      new ec2.CreateLaunchTemplateCommand({
        LaunchTemplateName: 'second',
        LaunchTemplateData: { InstanceType: 't3.small' },
      }),
    ['launch-template'],
  ],
  [
    'ModifyLaunchTemplate',
    () => new ec2.ModifyLaunchTemplateCommand({ LaunchTemplateName: 'golden', DefaultVersion: '1' }),
    ['launch-template'],
  ],
  [
    'DeleteLaunchTemplate',
    () => new ec2.DeleteLaunchTemplateCommand({ LaunchTemplateName: 'golden' }),
    ['launch-template'],
  ],
];

export type KeyRow = readonly [
  statements: string,
  make: () => Command,
  type: string,
  key: string,
  operator: string,
  value: () => string,
  another: string,
];
const launch = (more: Partial<ec2.RunInstancesCommandInput> = {}) =>
  new ec2.RunInstancesCommand({ ...one, ImageId: made.image, ...more });
const byTemplate = (more: Partial<ec2.RunInstancesCommandInput> = {}) =>
  new ec2.RunInstancesCommand({ MinCount: 1, MaxCount: 1, LaunchTemplate: { LaunchTemplateName: 'golden' }, ...more });
export const fromSnapshot = () => new ec2.CreateVolumeCommand({ AvailabilityZone: ZONE, SnapshotId: made.encrypted });
const provisioned = () =>
  new ec2.CreateVolumeCommand({ ...volume, Size: 10, VolumeType: 'gp3', Iops: 4000, Throughput: 200 });
const shareSnapshot = (permission: ec2.CreateVolumePermissionModifications) =>
  new ec2.ModifySnapshotAttributeCommand({ SnapshotId: made.snapshot, CreateVolumePermission: permission });
const describeImage = () => new ec2.ModifyImageAttributeCommand({ ImageId: made.image, Description: { Value: 'new' } });
const keyed = () => new ec2.CreateVolumeCommand({ ...volume, Encrypted: true, KmsKeyId: made.key });

/** Each key as it is on the resource, and a value that it has not. */
export const KEYS: readonly KeyRow[] = [
  ['7.2', () => launch(), 'instance', 'ec2:Region', 'StringEquals', () => REGION, 'eu-west-1'],
  ['7.2', () => launch(), 'instance', 'aws:RequestedRegion', 'StringEquals', () => REGION, 'eu-west-1'],
  ['7.3', () => launch(), 'volume', 'ec2:Encrypted', 'Bool', () => 'false', 'true'],
  ['7.3', keyed, 'volume', 'ec2:Encrypted', 'Bool', () => 'true', 'false'],
  ['7.3', fromSnapshot, 'volume', 'ec2:Encrypted', 'Bool', () => 'true', 'false'],
  ['7.3', fromSnapshot, 'snapshot', 'ec2:Encrypted', 'Bool', () => 'true', 'false'],
  [
    '7.3',
    () => new ec2.AttachVolumeCommand({ VolumeId: made.volume, InstanceId: made.instance, Device: '/dev/sdf' }),
    'volume',
    'ec2:Encrypted',
    'Bool',
    () => 'true',
    'false',
  ],
  [
    '7.3',
    () => new ec2.CreateSnapshotCommand({ VolumeId: made.volume }),
    'volume',
    'ec2:Encrypted',
    'Bool',
    () => 'true',
    'false',
  ],
  [
    '7.3',
    () => new ec2.CopySnapshotCommand({ SourceRegion: REGION, SourceSnapshotId: made.encrypted }),
    'snapshot',
    'ec2:Encrypted',
    'Bool',
    () => 'true',
    'false',
  ],
  ['7.4', keyed, 'volume', 'ec2:KmsKeyId', 'StringEquals', () => made.key, 'another'],
  ['7.5', () => launch(), 'image', 'ec2:Owner', 'StringEquals', () => made.account, '999999999999'],
  ['7.5', fromSnapshot, 'snapshot', 'ec2:Owner', 'StringEquals', () => made.account, '999999999999'],
  ['7.5', () => launch(), 'image', 'ec2:Public', 'Bool', () => 'false', 'true'],
  ['7.5', () => launch(), 'image', 'ec2:ImageType', 'StringEquals', () => 'machine', 'kernel'],
  ['7.5', () => launch(), 'image', 'ec2:ImageID', 'StringEquals', () => made.image, 'ami-1'],
  ['7.5', () => launch(), 'image', 'ec2:RootDeviceType', 'StringEquals', () => 'ebs', 'instance-store'],
  ['7.5', describeImage, 'image', 'ec2:Public', 'Bool', () => 'false', 'true'],
  ['7.5', describeImage, 'image', 'ec2:Owner', 'StringEquals', () => made.account, '999999999999'],
  ['7.6', () => byTemplate(), 'instance', 'ec2:IsLaunchTemplateResource', 'Bool', () => 'true', 'false'],
  [
    '7.6',
    () => byTemplate({ InstanceType: 't3.small' }),
    'instance',
    'ec2:IsLaunchTemplateResource',
    'Bool',
    () => 'false',
    'true',
  ],
  ['7.6', () => byTemplate(), 'image', 'ec2:IsLaunchTemplateResource', 'Bool', () => 'true', 'false'],
  [
    '7.6',
    () => byTemplate(),
    'volume',
    'ec2:LaunchTemplate',
    'ArnLike',
    () => patternOf('launch-template'),
    'arn:aws:ec2:*:999999999999:launch-template/*',
  ],
  ['7.6', () => launch(), 'instance', 'ec2:InstanceType', 'StringEquals', () => 't3.micro', 't3.small'],
  ['7.6', () => launch(), 'instance', 'ec2:Tenancy', 'StringEquals', () => 'default', 'dedicated'],
  [
    '7.6',
    () => launch({ MetadataOptions: { HttpTokens: 'required' } }),
    'instance',
    'ec2:MetadataHttpTokens',
    'StringEquals',
    () => 'required',
    'optional',
  ],
  [
    '7.6',
    () => launch({ IamInstanceProfile: { Arn: made.profile } }),
    'instance',
    'ec2:InstanceProfile',
    'ArnEquals',
    () => made.profile,
    'arn:aws:iam::*:instance-profile/other',
  ],
  [
    '7.7',
    fromSnapshot,
    'volume',
    'ec2:ParentSnapshot',
    'ArnEquals',
    () => `arn:aws:ec2:${REGION}::snapshot/${made.encrypted}`,
    `arn:aws:ec2:${REGION}::snapshot/snap-1`,
  ],
  [
    '7.7',
    () => launch(),
    'volume',
    'ec2:ParentSnapshot',
    'ArnEquals',
    () => `arn:aws:ec2:${REGION}::snapshot/${made.snapshot}`,
    `arn:aws:ec2:${REGION}::snapshot/snap-1`,
  ],
  [
    '7.7',
    fromSnapshot,
    'snapshot',
    'ec2:ParentVolume',
    'ArnLike',
    () => patternOf('volume'),
    'arn:aws:ec2:*:9:volume/*',
  ],
  [
    '7.7',
    () => new ec2.CreateSnapshotCommand({ VolumeId: made.volume }),
    'snapshot',
    'ec2:ParentVolume',
    'ArnLike',
    () => `arn:aws:ec2:${REGION}:${made.account}:volume/${made.volume}`,
    'arn:aws:ec2:*:*:volume/vol-1',
  ],
  [
    '7.7',
    fromSnapshot,
    'snapshot',
    'ec2:SnapshotTime',
    'DateGreaterThan',
    () => '2020-01-01T00:00:00Z',
    '2999-01-01T00:00:00Z',
  ],
  ['7.7', fromSnapshot, 'snapshot', 'ec2:VolumeSize', 'NumericEquals', () => '1', '2'],
  ['7.7', provisioned, 'volume', 'ec2:VolumeSize', 'NumericEquals', () => '10', '1'],
  ['7.7', provisioned, 'volume', 'ec2:VolumeType', 'StringEquals', () => 'gp3', 'gp2'],
  ['7.7', provisioned, 'volume', 'ec2:VolumeIops', 'NumericEquals', () => '4000', '3000'],
  ['7.7', provisioned, 'volume', 'ec2:VolumeThroughput', 'NumericEquals', () => '200', '125'],
  [
    '7.8',
    () => shareSnapshot({ Add: [{ UserId: made.other }] }),
    'snapshot',
    'ec2:Attribute/CreateVolumePermission',
    'StringEquals',
    () => 'add',
    'remove',
  ],
  [
    '7.8',
    () => shareSnapshot({ Add: [{ UserId: made.other }] }),
    'snapshot',
    'ec2:Attribute',
    'StringEquals',
    () => 'CreateVolumePermission',
    'productCodes',
  ],
  [
    '7.8',
    () => shareSnapshot({ Add: [{ UserId: made.other }] }),
    'snapshot',
    'ec2:Add/userId',
    'ForAnyValue:StringEquals',
    () => made.other,
    '999999999999',
  ],
  [
    '7.8',
    () => shareSnapshot({ Add: [{ Group: 'all' }] }),
    'snapshot',
    'ec2:Add/group',
    'ForAnyValue:StringEquals',
    () => 'all',
    'x',
  ],
  [
    '7.8',
    () => shareSnapshot({ Remove: [{ UserId: made.other }] }),
    'snapshot',
    'ec2:Remove/userId',
    'ForAnyValue:StringEquals',
    () => made.other,
    '999999999999',
  ],
  [
    '7.8',
    () => shareSnapshot({ Remove: [{ Group: 'all' }] }),
    'snapshot',
    'ec2:Remove/group',
    'ForAnyValue:StringEquals',
    () => 'all',
    'x',
  ],
  ['7.8', describeImage, 'image', 'ec2:Attribute', 'StringEquals', () => 'description', 'launchPermission'],
];
