/** What is said of instances and changed while they are there: user data, metadata options, profiles, groups. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  AssociateIamInstanceProfileCommand,
  CreateLaunchTemplateCommand,
  CreateSecurityGroupCommand,
  DescribeIamInstanceProfileAssociationsCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeVpcsCommand,
  DisassociateIamInstanceProfileCommand,
  EC2Client,
  GetConsoleScreenshotCommand,
  ModifyInstanceAttributeCommand,
  ModifyInstanceMetadataOptionsCommand,
  RegisterImageCommand,
  ReplaceIamInstanceProfileAssociationCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  AddRoleToInstanceProfileCommand,
  CreateAccessKeyCommand,
  CreateInstanceProfileCommand,
  CreateRoleCommand,
  CreateUserCommand,
  IAMClient,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam';
import { Ingot } from '../house/ingot.ts';
import { importBlocks } from './plain-snapshot.ts';
import { until } from './support.ts';

describe('attributes of instances', { concurrency: false }, () => {
  let ingot: Ingot;
  let ec2: EC2Client;
  let iam: IAMClient;
  const images: Record<'open' | 'strict', string> = { open: '', strict: '' };
  let id: string;

  const launch = async (input: Partial<RunInstancesCommandInput> = {}, client = ec2) => {
    const { Instances } = await client.send(
      new RunInstancesCommand({ ImageId: images.open, MinCount: 1, MaxCount: 1, ...input }),
    );
    return Instances![0]!;
  };
  const see = async (InstanceId: string) => {
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [InstanceId] }));
    return Reservations![0]!.Instances![0]!;
  };
  const userData = async (InstanceId: string) =>
    (await ec2.send(new DescribeInstanceAttributeCommand({ InstanceId, Attribute: 'userData' }))).UserData?.Value;

  before(async () => {
    ingot = await Ingot.start({ machines: 'none' });
    const config = await ingot.client();
    ec2 = new EC2Client(config);
    iam = new IAMClient(config);
    const SnapshotId = await importBlocks(config);
    for (const name of ['open', 'strict'] as const) {
      const { ImageId } = await ec2.send(
        new RegisterImageCommand({
          Name: name,
          Architecture: 'x86_64',
          VirtualizationType: 'hvm',
          RootDeviceName: '/dev/xvda',
          ...(name === 'strict' ? { ImdsSupport: 'v2.0' } : {}),
          BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
        }),
      );
      images[name] = ImageId!;
    }
    const trust = { Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' };
    const AssumeRolePolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [trust] });
    for (const RoleName of ['web', 'batch']) {
      await iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument }));
      await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName: RoleName }));
      await iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName: RoleName, RoleName }));
    }
    await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName: 'empty' }));
    id = (await launch({ UserData: Buffer.from('first').toString('base64') })).InstanceId!;
    await until('it runs', async () => (await see(id)).State?.Name === 'running');
  });
  after(() => ingot[Symbol.asyncDispose]());

  test('user data comes back as it was given, and can be changed only while the instance is stopped', async () => {
    assert.equal(await userData(id), Buffer.from('first').toString('base64'));
    const change = { InstanceId: id, UserData: { Value: Buffer.from('second') } };
    await assert.rejects(ec2.send(new ModifyInstanceAttributeCommand(change)), { name: 'IncorrectInstanceState' });
    const other = (await launch()).InstanceId!;
    assert.equal(await userData(other), undefined);
    await until('it runs', async () => (await see(other)).State?.Name === 'running');
    await ec2.send(new StopInstancesCommand({ InstanceIds: [other] }));
    await until('it is stopped', async () => (await see(other)).State?.Name === 'stopped');
    await ec2.send(new ModifyInstanceAttributeCommand({ ...change, InstanceId: other }));
    assert.equal(await userData(other), Buffer.from('second').toString('base64'));
    await ec2.send(new ModifyInstanceAttributeCommand({ InstanceId: other, UserData: { Value: new Uint8Array() } }));
    assert.equal(await userData(other), undefined);
  });

  const OPTIONS: readonly {
    readonly name: string;
    readonly image: 'open' | 'strict';
    readonly given?: RunInstancesCommandInput['MetadataOptions'];
    readonly shown: readonly [endpoint: string, tokens: string, hops: number, tags: string];
  }[] = [
    { name: 'nothing', image: 'open', shown: ['enabled', 'optional', 1, 'disabled'] },
    { name: 'nothing, the image says v2.0 (L-17)', image: 'strict', shown: ['enabled', 'required', 2, 'disabled'] },
    {
      name: 'v1 against the image',
      image: 'strict',
      given: { HttpTokens: 'optional' },
      shown: ['enabled', 'optional', 2, 'disabled'],
    },
    {
      name: 'everything',
      image: 'open',
      given: { HttpTokens: 'required', HttpPutResponseHopLimit: 64, InstanceMetadataTags: 'enabled' },
      shown: ['enabled', 'required', 64, 'enabled'],
    },
    { name: 'off', image: 'open', given: { HttpEndpoint: 'disabled' }, shown: ['disabled', 'optional', 1, 'disabled'] },
  ];
  for (const { name, image, given, shown } of OPTIONS) {
    test(`metadata options of a launch: ${name}`, async () => {
      const { MetadataOptions } = await launch({ ImageId: images[image], ...(given && { MetadataOptions: given }) });
      const { HttpEndpoint, HttpTokens, HttpPutResponseHopLimit, InstanceMetadataTags, State } = MetadataOptions!;
      assert.deepEqual([HttpEndpoint, HttpTokens, HttpPutResponseHopLimit, InstanceMetadataTags], shown);
      assert.equal(State, 'pending');
    });
  }

  test('LT-2: a launch merges its metadata options into those of the template, field by field', async () => {
    const LaunchTemplateName = 'options';
    const UserData = Buffer.from('of the template').toString('base64');
    const LaunchTemplateData = {
      MetadataOptions: { HttpTokens: 'required' as const, HttpPutResponseHopLimit: 3 },
      IamInstanceProfile: { Name: 'web' },
      UserData,
    };
    await ec2.send(new CreateLaunchTemplateCommand({ LaunchTemplateName, LaunchTemplateData }));
    const launched = await launch({
      LaunchTemplate: { LaunchTemplateName },
      MetadataOptions: { HttpPutResponseHopLimit: 5 },
    });
    assert.equal(launched.MetadataOptions?.HttpTokens, 'required');
    assert.equal(launched.MetadataOptions?.HttpPutResponseHopLimit, 5);
    assert.match(launched.IamInstanceProfile!.Arn!, /:instance-profile\/web$/);
    assert.equal(await userData(launched.InstanceId!), UserData);
    const { Reservations } = await ec2.send(
      new DescribeInstancesCommand({
        Filters: [
          { Name: 'iam-instance-profile.arn', Values: ['*:instance-profile/web'] },
          { Name: 'metadata-options.http-tokens', Values: ['required'] },
          { Name: 'metadata-options.http-put-response-hop-limit', Values: ['5'] },
        ],
      }),
    );
    assert.deepEqual(
      Reservations!.flatMap(({ Instances }) => Instances!.map(({ InstanceId }) => InstanceId)),
      [launched.InstanceId],
    );
  });

  test('ModifyInstanceMetadataOptions changes what it names and shows the rest', async () => {
    const changed = await ec2.send(
      new ModifyInstanceMetadataOptionsCommand({ InstanceId: id, HttpTokens: 'required', HttpPutResponseHopLimit: 7 }),
    );
    const expected = {
      State: 'applied',
      HttpEndpoint: 'enabled',
      HttpTokens: 'required',
      HttpPutResponseHopLimit: 7,
      HttpProtocolIpv6: 'disabled',
      InstanceMetadataTags: 'disabled',
    };
    assert.deepEqual(changed.InstanceMetadataOptions, expected);
    assert.deepEqual((await see(id)).MetadataOptions, expected);
    for (const [bad, name] of [
      [{ HttpPutResponseHopLimit: 65 }, 'InvalidParameterValue'],
      [{ HttpProtocolIpv6: 'enabled' }, 'UnsupportedOperation'],
      [{}, 'InvalidParameterCombination'],
    ] as const) {
      await assert.rejects(ec2.send(new ModifyInstanceMetadataOptionsCommand({ InstanceId: id, ...bad })), { name });
    }
  });

  test('a profile is given, replaced and taken', async () => {
    const list = async () =>
      (
        await ec2.send(
          new DescribeIamInstanceProfileAssociationsCommand({ Filters: [{ Name: 'instance-id', Values: [id] }] }),
        )
      ).IamInstanceProfileAssociations!;
    const give = (Name: string) =>
      ec2.send(new AssociateIamInstanceProfileCommand({ InstanceId: id, IamInstanceProfile: { Name } }));
    assert.deepEqual(await list(), []);
    await assert.rejects(give('empty'), { name: 'InvalidParameterValue', message: /has no associated IAM Roles/ });
    const given = (await give('web')).IamInstanceProfileAssociation!;
    assert.equal(given.State, 'associating');
    await assert.rejects(give('batch'), { name: 'IncorrectState' });
    const [shown] = await list();
    assert.equal(shown?.AssociationId, given.AssociationId);
    assert.equal(shown?.State, 'associated');
    assert.deepEqual((await see(id)).IamInstanceProfile, given.IamInstanceProfile);
    const replaced = await ec2.send(
      new ReplaceIamInstanceProfileAssociationCommand({
        AssociationId: given.AssociationId,
        IamInstanceProfile: { Name: 'batch' },
      }),
    );
    const AssociationId = replaced.IamInstanceProfileAssociation!.AssociationId!;
    assert.notEqual(AssociationId, given.AssociationId);
    await assert.rejects(ec2.send(new DisassociateIamInstanceProfileCommand({ AssociationId: given.AssociationId })), {
      name: 'InvalidAssociationID.NotFound',
    });
    const taken = await ec2.send(new DisassociateIamInstanceProfileCommand({ AssociationId }));
    assert.equal(taken.IamInstanceProfileAssociation?.State, 'disassociating');
    assert.deepEqual(await list(), []);
    assert.equal((await see(id)).IamInstanceProfile, undefined);
  });

  test('authz 7.11: handing out a role needs iam:PassRole on it, for EC2', async () => {
    await iam.send(new CreateUserCommand({ UserName: 'launcher' }));
    const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'launcher' }));
    const allow = (...more: object[]) =>
      iam.send(
        new PutUserPolicyCommand({
          UserName: 'launcher',
          PolicyName: 'launch',
          PolicyDocument: JSON.stringify({
            Version: '2012-10-17',
            Statement: [{ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }, ...more],
          }),
        }),
      );
    const launcher = new EC2Client(
      await ingot.client('eu-central-1', {
        accessKeyId: AccessKey!.AccessKeyId!,
        secretAccessKey: AccessKey!.SecretAccessKey!,
      }),
    );
    const withRole = () => launch({ IamInstanceProfile: { Name: 'web' } }, launcher);
    const pass = (service: string) => ({
      Effect: 'Allow',
      Action: 'iam:PassRole',
      Resource: '*',
      Condition: { StringEquals: { 'iam:PassedToService': service } },
    });
    await allow();
    await assert.rejects(withRole(), {
      name: 'UnauthorizedOperation',
      message: /iam:PassRole on resource: .*role\/web/,
    });
    await assert.rejects(
      launcher.send(new AssociateIamInstanceProfileCommand({ InstanceId: id, IamInstanceProfile: { Name: 'web' } })),
      { name: 'UnauthorizedOperation', message: /iam:PassRole/ },
    );
    await allow(pass('lambda.amazonaws.com'));
    await assert.rejects(withRole(), { name: 'UnauthorizedOperation' });
    await allow(pass('ec2.amazonaws.com'));
    assert.ok((await withRole()).InstanceId);
  });

  test('groups can be changed, on the instance and on its interface', async () => {
    const { Vpcs } = await ec2.send(new DescribeVpcsCommand({}));
    const { GroupId } = await ec2.send(
      new CreateSecurityGroupCommand({ GroupName: 'web', Description: 'web', VpcId: Vpcs![0]!.VpcId! }),
    );
    await ec2.send(new ModifyInstanceAttributeCommand({ InstanceId: id, Groups: [GroupId!] }));
    const seen = await see(id);
    assert.deepEqual(seen.SecurityGroups, [{ GroupId, GroupName: 'web' }]);
    const { NetworkInterfaces } = await ec2.send(
      new DescribeNetworkInterfacesCommand({
        NetworkInterfaceIds: [seen.NetworkInterfaces![0]!.NetworkInterfaceId!],
      }),
    );
    assert.deepEqual(NetworkInterfaces![0]!.Groups, [{ GroupId, GroupName: 'web' }]);
    const unknown = { InstanceId: id, Groups: ['sg-00000000000000001'] };
    await assert.rejects(ec2.send(new ModifyInstanceAttributeCommand(unknown)), { name: 'InvalidGroup.NotFound' });
  });

  test('without a guest there is no screen', async () => {
    const refused = ec2.send(new GetConsoleScreenshotCommand({ InstanceId: id }));
    await assert.rejects(refused, { name: 'UnsupportedOperation', message: /has no screen/ });
  });
});
