/** EC2's operations on instances and networks, on a whole server without guests. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  AttachVolumeCommand,
  AuthorizeSecurityGroupIngressCommand,
  CreateKeyPairCommand,
  CreateLaunchTemplateCommand,
  CreateSecurityGroupCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteKeyPairCommand,
  DeleteSecurityGroupCommand,
  DescribeAvailabilityZonesCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  DescribeKeyPairsCommand,
  DescribeRegionsCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  DescribeVolumesCommand,
  DescribeVpcsCommand,
  DetachVolumeCommand,
  EC2Client,
  type Instance,
  ModifyInstanceAttributeCommand,
  ModifySubnetAttributeCommand,
  ModifyVpcAttributeCommand,
  RegisterImageCommand,
  RevokeSecurityGroupIngressCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import { Ingot } from '../house/ingot.ts';
import { importBlocks } from './plain-snapshot.ts';
import { until } from './support.ts';

describe('instances without guests', { concurrency: false }, () => {
  let ingot: Ingot;
  let ec2: EC2Client;
  let imageId: string;

  before(async () => {
    ingot = await Ingot.start({ machines: 'none' });
    const config = await ingot.client();
    ec2 = new EC2Client(config);
    const SnapshotId = await importBlocks(config);
    const image = await ec2.send(
      new RegisterImageCommand({
        Name: 'plain',
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
      }),
    );
    imageId = image.ImageId!;
  });
  after(() => ingot[Symbol.asyncDispose]());

  const launch = (input: Partial<RunInstancesCommandInput> = {}) =>
    ec2.send(new RunInstancesCommand({ ImageId: imageId, MinCount: 1, MaxCount: 1, ...input }));
  const untilState = (ids: readonly string[], state: string): Promise<Instance[]> =>
    until(`${ids} are ${state}`, async () => {
      const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [...ids] }));
      const instances = Reservations!.flatMap(({ Instances }) => Instances!);
      return instances.every((instance) => instance.State?.Name === state) && instances;
    });

  const REFUSED: readonly [string, Partial<RunInstancesCommandInput>, string, RegExp][] = [
    ['no image', { ImageId: undefined }, 'MissingParameter', /ImageId/],
    ['malformed image', { ImageId: 'ami-x' }, 'InvalidAMIID.Malformed', /Invalid id: "ami-x"/],
    ['unknown image', { ImageId: 'ami-00000000000000001' }, 'InvalidAMIID.NotFound', /does not exist/],
    ['unknown type', { InstanceType: 'z9.huge' as 't3.nano' }, 'InvalidParameterValue', /z9\.huge/],
    ['zero of them', { MinCount: 0 }, 'InvalidParameterValue', /minCount/],
    ['more at least than at most', { MinCount: 3, MaxCount: 2 }, 'InvalidParameterCombination', /minCount/],
    ['unknown key pair', { KeyName: 'nobody' }, 'InvalidKeyPair.NotFound', /nobody/],
    ['unknown subnet', { SubnetId: 'subnet-00000000000000001' }, 'InvalidSubnetID.NotFound', /does not exist/],
    ['unknown group', { SecurityGroupIds: ['sg-00000000000000001'] }, 'InvalidGroup.NotFound', /does not exist/],
    ['user data that is no base64', { UserData: '#!/bin/sh' }, 'InvalidUserData.Malformed', /BASE64/],
    [
      'more than 16 KiB of user data',
      { UserData: Buffer.alloc(16_385).toString('base64') },
      'InvalidParameterValue',
      /limited to 16384 bytes/,
    ],
    ['an unknown profile', { IamInstanceProfile: { Name: 'p' } }, 'InvalidParameterValue', /iamInstanceProfile\.name/],
    [
      'a profile of another account',
      { IamInstanceProfile: { Arn: 'arn:aws:iam::999999999999:instance-profile/p' } },
      'InvalidParameterValue',
      /iamInstanceProfile\.arn/,
    ],
    [
      'a profile named twice',
      { IamInstanceProfile: { Name: 'p', Arn: 'arn:aws:iam::999999999999:instance-profile/p' } },
      'InvalidParameterCombination',
      /may not be used in combination/,
    ],
    [
      'throttled bursts',
      { InstanceType: 't3.micro', CreditSpecification: { CpuCredits: 'standard' } },
      'UnsupportedOperation',
      /CreditSpecification\.CpuCredits/,
    ],
    [
      'bursts of a type that has none',
      { InstanceType: 'm5.large', CreditSpecification: { CpuCredits: 'unlimited' } },
      'InvalidParameterCombination',
      /m5\.large/,
    ],
    [
      'a price for spot',
      { InstanceMarketOptions: { MarketType: 'spot', SpotOptions: { MaxPrice: '0.01' } } },
      'UnsupportedOperation',
      /MaxPrice/,
    ],
    [
      'metadata over IPv6',
      { MetadataOptions: { HttpProtocolIpv6: 'enabled' } },
      'UnsupportedOperation',
      /MetadataOptions\.HttpProtocolIpv6/,
    ],
    [
      'tags that a guest cannot be told',
      {
        MetadataOptions: { InstanceMetadataTags: 'enabled' },
        TagSpecifications: [{ ResourceType: 'instance', Tags: [{ Key: 'team/name', Value: 'x' }] }],
      },
      'InvalidParameterValue',
      /'team\/name' is not a valid tag key/,
    ],
    ['no hop', { MetadataOptions: { HttpPutResponseHopLimit: 0 } }, 'InvalidParameterValue', /between 1 and 64/],
    ['65 hops', { MetadataOptions: { HttpPutResponseHopLimit: 65 } }, 'InvalidParameterValue', /between 1 and 64/],
    [
      'a public address where guests are cut off',
      { NetworkInterfaces: [{ DeviceIndex: 0, AssociatePublicIpAddress: true }] },
      'UnsupportedOperation',
      /AssociatePublicIpAddress/,
    ],
    [
      'unknown template',
      { LaunchTemplate: { LaunchTemplateName: 'none' } },
      'InvalidLaunchTemplateName.NotFoundException',
      /none/,
    ],
    [
      'ERR-dep of table 1.1',
      { BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { KmsKeyId: 'alias/aws/ebs' } }] },
      'InvalidParameterDependency',
      /^The parameter KmsKeyId requires the parameter Encrypted to be set\.$/,
    ],
    [
      'smaller than its snapshot',
      { BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 0 } }] },
      'InvalidBlockDeviceMapping',
      /smaller than snapshot/,
    ],
    [
      'no root',
      { BlockDeviceMappings: [{ DeviceName: '/dev/xvda', NoDevice: '' }] },
      'InvalidBlockDeviceMapping',
      /root device/,
    ],
  ];
  for (const [what, input, code, message] of REFUSED) {
    test(`RunInstances refuses ${what}: ${code}, DryRun or not (RI-7)`, async () => {
      for (const DryRun of [false, true]) {
        await assert.rejects(launch({ ...input, DryRun }), (error: Error) => {
          assert.equal(error.name, code);
          assert.match(error.message, message);
          return true;
        });
      }
    });
  }

  test('a dry run that would succeed says so and launches nothing (L-22)', async () => {
    const before = (await ec2.send(new DescribeInstancesCommand({}))).Reservations!.length;
    await assert.rejects(launch({ DryRun: true }), { name: 'DryRunOperation' });
    assert.equal((await ec2.send(new DescribeInstancesCommand({}))).Reservations!.length, before);
  });

  test('what clients send empty is not given', async () => {
    const { Instances } = await launch({
      UserData: '',
      IamInstanceProfile: { Name: '' },
      Placement: { AvailabilityZone: '' },
    });
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [Instances![0]!.InstanceId!] }));
  });

  test('a burstable type with unlimited bursts, which Terraform asks for and nothing here throttles', async () => {
    const CreditSpecification = { CpuCredits: 'unlimited' };
    const { Instances } = await launch({ InstanceType: 't3.small', CreditSpecification });
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [Instances![0]!.InstanceId!] }));
  });

  test('several at once, with devices over the image (RI-2), tags, and filters', async () => {
    const { Instances, ReservationId } = await launch({
      MinCount: 2,
      MaxCount: 3,
      BlockDeviceMappings: [
        { DeviceName: '/dev/xvda', Ebs: { VolumeSize: 3, Encrypted: true, DeleteOnTermination: false } },
        { DeviceName: '/dev/sdf', Ebs: { VolumeSize: 1 } },
      ],
      TagSpecifications: [
        { ResourceType: 'instance', Tags: [{ Key: 'Name', Value: 'web' }] },
        { ResourceType: 'volume', Tags: [{ Key: 'of', Value: 'web' }] },
      ],
    });
    assert.equal(Instances!.length, 3);
    const ids = Instances!.map(({ InstanceId }) => InstanceId!);
    const running = await untilState(ids, 'running');
    assert.equal(new Set(running.map(({ PrivateIpAddress }) => PrivateIpAddress)).size, 3);
    for (const instance of running) {
      assert.deepEqual(
        instance.BlockDeviceMappings!.map(({ DeviceName, Ebs }) => [DeviceName, Ebs!.DeleteOnTermination]),
        [
          ['/dev/xvda', false],
          ['/dev/sdf', true],
        ],
      );
      assert.equal(instance.StateReason, undefined);
    }
    const filtered = await ec2.send(
      new DescribeInstancesCommand({
        Filters: [
          { Name: 'tag:Name', Values: ['w*'] },
          { Name: 'instance-state-name', Values: ['running'] },
        ],
      }),
    );
    assert.deepEqual(
      filtered.Reservations!.map((each) => [each.ReservationId, each.Instances!.length]),
      [[ReservationId, 3]],
    );
    const status = await ec2.send(new DescribeInstanceStatusCommand({ InstanceIds: ids }));
    assert.equal(status.InstanceStatuses!.filter(({ InstanceStatus }) => InstanceStatus!.Status === 'ok').length, 3);

    const roots = running.map((each) => each.BlockDeviceMappings![0]!.Ebs!.VolumeId!);
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: roots }));
    assert.ok(Volumes!.every(({ Encrypted, Size, Tags }) => Encrypted && Size === 3 && Tags![0]!.Value === 'web'));
    await assert.rejects(ec2.send(new DetachVolumeCommand({ VolumeId: roots[0] })), { name: 'OperationNotPermitted' });

    await ec2.send(new TerminateInstancesCommand({ InstanceIds: ids }));
    await untilState(ids, 'terminated');
    const left = await ec2.send(new DescribeVolumesCommand({ VolumeIds: roots }));
    assert.ok(left.Volumes!.every(({ State, Attachments }) => State === 'available' && Attachments!.length === 0));
  });

  test('a data volume is taken from an instance by force, and the root volume is not', async () => {
    const { Instances } = await launch();
    const id = Instances![0]!.InstanceId!;
    const [running] = await untilState([id], 'running');
    const root = running!.BlockDeviceMappings![0]!.Ebs!.VolumeId!;
    const AvailabilityZone = running!.Placement!.AvailabilityZone!;
    const { VolumeId } = await ec2.send(new CreateVolumeCommand({ AvailabilityZone, Size: 1 }));
    const stateOf = async () =>
      (await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId!] }))).Volumes![0]!.State;
    await until('the volume is available', async () => (await stateOf()) === 'available');
    await ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId: id, Device: '/dev/sdf' }));
    await ec2.send(new DetachVolumeCommand({ VolumeId, Force: true }));
    assert.equal(await stateOf(), 'available');
    await assert.rejects(ec2.send(new DetachVolumeCommand({ VolumeId: root, Force: true })), {
      name: 'OperationNotPermitted',
    });
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
  });

  test('LT-1, LT-14: a launch by template, its tags, and the request over it', async () => {
    const made = await ec2.send(
      new CreateLaunchTemplateCommand({
        LaunchTemplateName: 'web',
        LaunchTemplateData: {
          ImageId: imageId,
          InstanceType: 't3.small',
          BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { Encrypted: true, VolumeSize: 2 } }],
        },
      }),
    );
    const { LaunchTemplateId } = made.LaunchTemplate!;
    const { Instances } = await ec2.send(
      new RunInstancesCommand({
        LaunchTemplate: { LaunchTemplateId, Version: '$Latest' },
        InstanceType: 't3.nano',
        MinCount: 1,
        MaxCount: 1,
      }),
    );
    const [instance] = await untilState([Instances![0]!.InstanceId!], 'running');
    assert.equal(instance!.InstanceType, 't3.nano');
    assert.deepEqual(instance!.Tags, [
      { Key: 'aws:ec2launchtemplate:id', Value: LaunchTemplateId },
      { Key: 'aws:ec2launchtemplate:version', Value: '1' },
    ]);
    const VolumeId = instance!.BlockDeviceMappings![0]!.Ebs!.VolumeId!;
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId] }));
    assert.deepEqual([Volumes![0]!.Encrypted, Volumes![0]!.Size], [true, 2]);
  });

  test('protection, attributes, stop and start; wrong states are refused', async () => {
    const { Instances } = await launch({ DisableApiTermination: true, InstanceInitiatedShutdownBehavior: 'terminate' });
    const InstanceId = Instances![0]!.InstanceId!;
    const InstanceIds = [InstanceId];
    await untilState(InstanceIds, 'running');
    await assert.rejects(ec2.send(new TerminateInstancesCommand({ InstanceIds })), { name: 'OperationNotPermitted' });
    const behavior = await ec2.send(
      new DescribeInstanceAttributeCommand({ InstanceId, Attribute: 'instanceInitiatedShutdownBehavior' }),
    );
    assert.equal(behavior.InstanceInitiatedShutdownBehavior?.Value, 'terminate');
    const grow = new ModifyInstanceAttributeCommand({ InstanceId, InstanceType: { Value: 't3.large' } });
    await assert.rejects(ec2.send(grow), { name: 'IncorrectInstanceState' });
    await ec2.send(new StopInstancesCommand({ InstanceIds }));
    await untilState(InstanceIds, 'stopped');
    await ec2.send(grow);
    await ec2.send(new ModifyInstanceAttributeCommand({ InstanceId, DisableApiTermination: { Value: false } }));
    await ec2.send(new StartInstancesCommand({ InstanceIds }));
    const [started] = await untilState(InstanceIds, 'running');
    assert.equal(started!.InstanceType, 't3.large');
    await ec2.send(new CreateTagsCommand({ Resources: InstanceIds, Tags: [{ Key: 'a', Value: 'b' }] }));
    await ec2.send(new TerminateInstancesCommand({ InstanceIds }));
    const [gone] = await untilState(InstanceIds, 'terminated');
    assert.equal(gone!.StateReason?.Code, 'Client.UserInitiatedShutdown');
    await assert.rejects(ec2.send(new StartInstancesCommand({ InstanceIds })), { name: 'IncorrectInstanceState' });
  });

  test('S7: a policy against plain volumes refuses the launch by the final state of its volumes', async () => {
    const iam = new IAMClient(await ingot.client('us-east-1'));
    const UserName = 'careful';
    await iam.send(new CreateUserCommand({ UserName }));
    const statements = [
      { Effect: 'Allow', Action: ['ec2:*', 'kms:*'], Resource: '*' },
      {
        Effect: 'Deny',
        Action: 'ec2:RunInstances',
        Resource: 'arn:aws:ec2:*:*:volume/*',
        Condition: { Bool: { 'ec2:Encrypted': 'false' } },
      },
    ];
    const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: statements });
    await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'p', PolicyDocument }));
    const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
    const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
    const theirs = new EC2Client(await ingot.client('eu-central-1', credentials));
    const one = { ImageId: imageId, MinCount: 1, MaxCount: 1 };
    await assert.rejects(theirs.send(new RunInstancesCommand(one)), (error: Error) => {
      assert.equal(error.name, 'UnauthorizedOperation');
      assert.match(
        error.message,
        /ec2:RunInstances on resource: arn:aws:ec2:eu-central-1:\d{12}:volume\/\* with an explicit/,
      );
      return true;
    });
    const encrypted = [{ DeviceName: '/dev/xvda', Ebs: { Encrypted: true } }];
    const { Instances } = await theirs.send(new RunInstancesCommand({ ...one, BlockDeviceMappings: encrypted }));
    const ids = [Instances![0]!.InstanceId!];
    await untilState(ids, 'running');
    await theirs.send(new TerminateInstancesCommand({ InstanceIds: ids }));
  });

  test('a restart of the server leaves running instances running', async () => {
    const { Instances } = await launch();
    const ids = [Instances![0]!.InstanceId!];
    await untilState(ids, 'running');
    await ingot.kill();
    await ingot.restart();
    ec2 = new EC2Client(await ingot.client());
    await untilState(ids, 'running');
    await ec2.send(new StopInstancesCommand({ InstanceIds: ids }));
    await untilState(ids, 'stopped');
  });

  test('the default network is there, the same each time', async () => {
    const { Vpcs } = await ec2.send(new DescribeVpcsCommand({ Filters: [{ Name: 'is-default', Values: ['true'] }] }));
    assert.deepEqual(
      Vpcs!.map(({ CidrBlock, IsDefault }) => [CidrBlock, IsDefault]),
      [['172.31.0.0/16', true]],
    );
    const { Subnets } = await ec2.send(
      new DescribeSubnetsCommand({ Filters: [{ Name: 'vpc-id', Values: [Vpcs![0]!.VpcId!] }] }),
    );
    assert.equal(Subnets!.length, 3);
    const zones = await ec2.send(new DescribeAvailabilityZonesCommand({}));
    assert.deepEqual(
      zones.AvailabilityZones!.map(({ ZoneName, ZoneId }) => [ZoneName, ZoneId]),
      [
        ['eu-central-1a', 'euc1-az1'],
        ['eu-central-1b', 'euc1-az2'],
        ['eu-central-1c', 'euc1-az3'],
      ],
    );
    const { Regions } = await ec2.send(new DescribeRegionsCommand({ RegionNames: ['eu-central-1'] }));
    assert.equal(Regions![0]!.OptInStatus, 'opt-in-not-required');
  });

  test('a security group as Packer makes and deletes it', async () => {
    const { Vpcs } = await ec2.send(new DescribeVpcsCommand({}));
    const VpcId = Vpcs![0]!.VpcId;
    const create = new CreateSecurityGroupCommand({ GroupName: 'packer_1', Description: 'Temporary group', VpcId });
    const { GroupId } = await ec2.send(create);
    await assert.rejects(ec2.send(create), { name: 'InvalidGroup.Duplicate' });
    const rule = {
      GroupId,
      IpPermissions: [{ IpProtocol: 'tcp', FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: '0.0.0.0/0' }] }],
    };
    await ec2.send(new AuthorizeSecurityGroupIngressCommand(rule));
    await assert.rejects(ec2.send(new AuthorizeSecurityGroupIngressCommand(rule)), {
      name: 'InvalidPermission.Duplicate',
    });
    const { SecurityGroups } = await ec2.send(new DescribeSecurityGroupsCommand({ GroupIds: [GroupId!] }));
    assert.deepEqual(SecurityGroups![0]!.IpPermissions![0]!.IpRanges, [{ CidrIp: '0.0.0.0/0' }]);
    assert.equal(SecurityGroups![0]!.IpPermissionsEgress![0]!.IpProtocol, '-1');
    const rules = await ec2.send(
      new DescribeSecurityGroupRulesCommand({ Filters: [{ Name: 'group-id', Values: [GroupId!] }] }),
    );
    assert.equal(rules.SecurityGroupRules!.length, 2);
    await ec2.send(new RevokeSecurityGroupIngressCommand(rule));
    await assert.rejects(ec2.send(new RevokeSecurityGroupIngressCommand(rule)), { name: 'InvalidPermission.NotFound' });
    const { Instances } = await launch({ SecurityGroupIds: [GroupId!] });
    const ids = [Instances![0]!.InstanceId!];
    await assert.rejects(ec2.send(new DeleteSecurityGroupCommand({ GroupId })), { name: 'DependencyViolation' });
    await untilState(ids, 'running');
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: ids }));
    await untilState(ids, 'terminated');
    await ec2.send(new DeleteSecurityGroupCommand({ GroupId }));
    await assert.rejects(ec2.send(new DeleteSecurityGroupCommand({ GroupId })), { name: 'InvalidGroup.NotFound' });
  });

  test('attributes of the default network are taken where they say what is so, and else refused by name', async () => {
    const vpc = (await ec2.send(new DescribeVpcsCommand({}))).Vpcs![0]!.VpcId!;
    const subnet = (await ec2.send(new DescribeSubnetsCommand({}))).Subnets![0]!;
    const ofVpc = (more: object, VpcId = vpc) => ec2.send(new ModifyVpcAttributeCommand({ VpcId, ...more }));
    const ofSubnet = (more: object, SubnetId = subnet.SubnetId) =>
      ec2.send(new ModifySubnetAttributeCommand({ SubnetId, ...more }));
    await ofVpc({ EnableDnsSupport: { Value: false } });
    await ofSubnet({ MapPublicIpOnLaunch: { Value: subnet.MapPublicIpOnLaunch } });
    await ofSubnet({ PrivateDnsHostnameTypeOnLaunch: 'ip-name' });
    const refusals: readonly [Promise<unknown>, string, RegExp][] = [
      [ofVpc({ EnableDnsHostnames: { Value: true } }), 'UnsupportedOperation', /EnableDnsHostnames true/],
      [ofSubnet({ MapPublicIpOnLaunch: { Value: true } }), 'UnsupportedOperation', /MapPublicIpOnLaunch true/],
      [ofSubnet({ CustomerOwnedIpv4Pool: 'x' }), 'UnsupportedOperation', /CustomerOwnedIpv4Pool/],
      [ofVpc({}), 'MissingParameter', /attribute/],
      [
        ofVpc({ EnableDnsHostnames: { Value: false }, EnableDnsSupport: { Value: false } }),
        'InvalidParameterCombination',
        /one of/,
      ],
      [ofVpc({ EnableDnsSupport: { Value: false } }, 'vpc-00000000000000001'), 'InvalidVpcID.NotFound', /exist/],
      [ofSubnet({ EnableDns64: { Value: false } }, 'subnet-00000000000000001'), 'InvalidSubnetID.NotFound', /exist/],
    ];
    for (const [sent, name, message] of refusals) await assert.rejects(sent, { name, message });
  });

  test('key pairs and instance types', async () => {
    const made = await ec2.send(new CreateKeyPairCommand({ KeyName: 'me', KeyType: 'ed25519' }));
    assert.match(made.KeyMaterial!, /^-----BEGIN OPENSSH PRIVATE KEY-----/);
    await assert.rejects(ec2.send(new CreateKeyPairCommand({ KeyName: 'me' })), { name: 'InvalidKeyPair.Duplicate' });
    const { KeyPairs } = await ec2.send(new DescribeKeyPairsCommand({ KeyNames: ['me'], IncludePublicKey: true }));
    assert.match(KeyPairs![0]!.PublicKey!, /^ssh-ed25519 /);
    await ec2.send(new DeleteKeyPairCommand({ KeyName: 'me' }));
    await ec2.send(new DeleteKeyPairCommand({ KeyName: 'me' }));
    const { InstanceTypes } = await ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes: ['t3.micro'] }));
    assert.equal(InstanceTypes![0]!.MemoryInfo!.SizeInMiB, 1024);
    await assert.rejects(ec2.send(new DescribeInstanceTypesCommand({ InstanceTypes: ['z9.huge' as 't3.micro'] })), {
      name: 'InvalidInstanceType',
    });
    const offered = await ec2.send(
      new DescribeInstanceTypeOfferingsCommand({ LocationType: 'availability-zone', MaxResults: 5 }),
    );
    assert.equal(offered.InstanceTypeOfferings!.length, 5);
    assert.ok(offered.NextToken);
  });
});
