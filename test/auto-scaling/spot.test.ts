/** P-15: spot instances are launched by EC2 Spot, whose role needs the rights on the key; and what their requests show. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { AutoScalingClient, CreateAutoScalingGroupCommand } from '@aws-sdk/client-auto-scaling';
import {
  CancelSpotInstanceRequestsCommand,
  CreateLaunchTemplateCommand,
  DescribeInstancesCommand,
  DescribeSpotInstanceRequestsCommand,
  GetLaunchTemplateDataCommand,
  type InstanceMarketOptionsRequest,
  ModifyInstanceAttributeCommand,
  RunInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  CreateServiceLinkedRoleCommand,
  DeleteServiceLinkedRoleCommand,
  GetServiceLinkedRoleDeletionStatusCommand,
} from '@aws-sdk/client-iam';
import {
  allow,
  CREATE_GRANT,
  diesOfItsKey,
  instanceOf,
  isRefused,
  newImage,
  newKey,
  type Party,
  run,
  setKeyPolicy,
  settled,
  USE_KEY,
  World,
} from '../faults/world.ts';
import { until } from '../machines/support.ts';

const SPOT = { InstanceMarketOptions: { MarketType: 'spot' as const } };

let world: World;
let admin: Party;
let plain: string;

before(async () => {
  world = await World.start();
  admin = await world.account();
  plain = await newImage(admin);
});
after(() => world[Symbol.asyncDispose]());

async function requestOf(instanceId: string) {
  const { SpotInstanceRequests } = await admin.ec2.send(
    new DescribeSpotInstanceRequestsCommand({ Filters: [{ Name: 'instance-id', Values: [instanceId] }] }),
  );
  return SpotInstanceRequests![0]!;
}

describe('spot instances', () => {
  it('P-15: the key must be given to AWSServiceRoleForEC2Spot, not to the caller', async () => {
    const { Role } = await admin.iam.send(new CreateServiceLinkedRoleCommand({ AWSServiceName: 'spot.amazonaws.com' }));
    assert.equal(Role!.RoleName, 'AWSServiceRoleForEC2Spot');
    const key = await newKey(admin);
    const ImageId = await newImage(admin, { KmsKeyArn: key });
    // The administrator may do everything with the key, and launches by demand.
    await settled(admin, await run(admin, { ImageId }), 'running');
    const failed = await diesOfItsKey(admin, { ImageId, ...SPOT });
    assert.equal((await requestOf(failed)).State, 'closed');
    const Principal = { AWS: Role!.Arn! };
    await setKeyPolicy(admin, key, { Effect: 'Allow', Principal, Action: [...USE_KEY, ...CREATE_GRANT] });
    // Who launches needs no right on it at all.
    const launcher = await world.role(admin, 'launcher', allow('ec2:*'));
    await settled(launcher, await run(launcher, { ImageId, ...SPOT }), 'running');
  });

  it('show their lifecycle and their request, which can be cancelled without them', async () => {
    const id = await run(admin, { ImageId: plain, ...SPOT });
    const instance = await settled(admin, id, 'running');
    assert.equal(instance.InstanceLifecycle, 'spot');
    const request = await requestOf(id);
    assert.match(request.SpotInstanceRequestId!, /^sir-[0-9a-f]{8}$/);
    assert.equal(instance.SpotInstanceRequestId, request.SpotInstanceRequestId);
    assert.deepEqual(
      [request.State, request.Status?.Code, request.Type, request.LaunchSpecification?.ImageId],
      ['active', 'fulfilled', 'one-time', plain],
    );
    const filtered = await admin.ec2.send(
      new DescribeInstancesCommand({ Filters: [{ Name: 'instance-lifecycle', Values: ['spot'] }] }),
    );
    assert.ok(filtered.Reservations!.some(({ Instances }) => Instances![0]!.InstanceId === id));
    const ids = { SpotInstanceRequestIds: [request.SpotInstanceRequestId!] };
    const { CancelledSpotInstanceRequests } = await admin.ec2.send(new CancelSpotInstanceRequestsCommand(ids));
    assert.equal(CancelledSpotInstanceRequests![0]!.State, 'cancelled');
    assert.equal((await requestOf(id)).Status?.Code, 'request-canceled-and-instance-running');
    assert.equal((await instanceOf(admin, id)).State?.Name, 'running');
    const { LaunchTemplateData } = await admin.ec2.send(new GetLaunchTemplateDataCommand({ InstanceId: id }));
    assert.equal(LaunchTemplateData!.InstanceMarketOptions?.MarketType, 'spot');
    await admin.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await settled(admin, id, 'terminated');
    assert.deepEqual(
      [(await requestOf(id)).State, (await requestOf(id)).Status?.Code],
      ['closed', 'instance-terminated-by-user'],
    );
  });

  it('of one-time requests do not stop', async () => {
    const id = await run(admin, { ImageId: plain, ...SPOT });
    await settled(admin, id, 'running');
    await isRefused(
      admin.ec2.send(new StopInstancesCommand({ InstanceIds: [id] })),
      'UnsupportedOperation',
      /^You can't stop the Spot Instance 'i-\w+' because it is associated with a one-time Spot Instance request\./,
    );
    const change = { InstanceId: id, InstanceInitiatedShutdownBehavior: { Value: 'stop' } };
    await isRefused(admin.ec2.send(new ModifyInstanceAttributeCommand(change)), 'UnsupportedOperation', /one-time/);
  });

  it('need a role that the caller may make where there is none', async () => {
    const other = await world.account();
    const ImageId = await newImage(other);
    const launcher = await world.role(other, 'launcher', allow('ec2:*'));
    await isRefused(
      run(launcher, { ImageId, ...SPOT }),
      'AuthFailure.ServiceLinkedRoleCreationNotPermitted',
      'The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances.',
    );
    await world.permit(other, 'launcher', allow(['ec2:*', 'iam:CreateServiceLinkedRole']));
    const id = await run(launcher, { ImageId, ...SPOT });
    await settled(launcher, id, 'running');
    const unlink = async () => {
      const RoleName = 'AWSServiceRoleForEC2Spot';
      const { DeletionTaskId } = await other.iam.send(new DeleteServiceLinkedRoleCommand({ RoleName }));
      return other.iam.send(new GetServiceLinkedRoleDeletionStatusCommand({ DeletionTaskId }));
    };
    const kept = await unlink();
    assert.deepEqual(
      [kept.Status, kept.Reason?.RoleUsageList],
      ['FAILED', [{ Region: other.config.region, Resources: [id] }]],
    );
    await other.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    assert.equal((await unlink()).Status, 'SUCCEEDED');
  });

  it('come by a template, in a group too', async () => {
    await admin.ec2.send(
      new CreateLaunchTemplateCommand({
        LaunchTemplateName: 'spot',
        LaunchTemplateData: { ImageId: plain, InstanceType: 't3.micro', ...SPOT },
      }),
    );
    await admin.use(AutoScalingClient).send(
      new CreateAutoScalingGroupCommand({
        AutoScalingGroupName: 'spot',
        LaunchTemplate: { LaunchTemplateName: 'spot' },
        AvailabilityZones: [`${admin.config.region}a`],
        MinSize: 1,
        MaxSize: 1,
      }),
    );
    await until('the group has a spot instance', async () => {
      const Filters = [{ Name: 'tag:aws:autoscaling:groupName', Values: ['spot'] }];
      const { Reservations } = await admin.ec2.send(new DescribeInstancesCommand({ Filters }));
      const [instance] = Reservations!.flatMap(({ Instances }) => Instances!);
      return instance?.State?.Name === 'running' && instance.InstanceLifecycle === 'spot';
    });
  });

  const refusals: readonly (readonly [InstanceMarketOptionsRequest, code: string, message: RegExp])[] = [
    [{ MarketType: 'capacity-block' }, 'UnsupportedOperation', /MarketType capacity-block is not supported/],
    [{ SpotOptions: { SpotInstanceType: 'one-time' } }, 'InvalidParameterCombination', /needs a MarketType/],
    [{ MarketType: 'spot', SpotOptions: { MaxPrice: '1' } }, 'UnsupportedOperation', /MaxPrice is not supported/],
    [{ MarketType: 'spot', SpotOptions: { ValidUntil: new Date() } }, 'UnsupportedOperation', /ValidUntil is not/],
    [{ MarketType: 'spot', SpotOptions: { SpotInstanceType: 'persistent' } }, 'UnsupportedOperation', /persistent/],
    [
      { MarketType: 'spot', SpotOptions: { InstanceInterruptionBehavior: 'hibernate' } },
      'UnsupportedOperation',
      /hibernate is not supported/,
    ],
  ];
  for (const [InstanceMarketOptions, code, message] of refusals) {
    it(`refuse ${JSON.stringify(InstanceMarketOptions)}`, () =>
      isRefused(
        admin.ec2.send(new RunInstancesCommand({ ImageId: plain, MinCount: 1, MaxCount: 1, InstanceMarketOptions })),
        code,
        message,
      ));
  }
});
