/** Auto Scaling groups over the API: what they launch, by whose rights, and what they say of it (LT-15, P-12, P-14). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Activity,
  AutoScalingClient,
  type AutoScalingGroup,
  CreateAutoScalingGroupCommand,
  type CreateAutoScalingGroupCommandInput,
  CreateOrUpdateTagsCommand,
  DeleteAutoScalingGroupCommand,
  DeleteTagsCommand,
  DescribeAutoScalingGroupsCommand,
  DescribeAutoScalingInstancesCommand,
  DescribeScalingActivitiesCommand,
  DescribeTagsCommand,
  SetDesiredCapacityCommand,
  TerminateInstanceInAutoScalingGroupCommand,
  UpdateAutoScalingGroupCommand,
} from '@aws-sdk/client-auto-scaling';
import { CloudTrailClient, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import {
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  ModifyInstanceAttributeCommand,
  ModifyLaunchTemplateCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  CreateServiceLinkedRoleCommand,
  DeleteServiceLinkedRoleCommand,
  GetServiceLinkedRoleDeletionStatusCommand,
  ListAttachedRolePoliciesCommand,
} from '@aws-sdk/client-iam';
import {
  allow,
  CREATE_GRANT,
  instanceOf,
  newImage,
  newKey,
  type Party,
  setKeyPolicy,
  USE_KEY,
  World,
} from '../faults/world.ts';
import { until } from '../machines/support.ts';

const ROLE_NAME = 'AWSServiceRoleForAutoScaling';

let world: World;
let admin: Party;
let asg: AutoScalingClient;
let image: string;
let template: string;

before(async () => {
  world = await World.start();
  admin = await world.account();
  asg = admin.use(AutoScalingClient);
  image = await newImage(admin);
  template = await newTemplate('nodes', image);
});
after(() => world[Symbol.asyncDispose]());

async function newTemplate(LaunchTemplateName: string, ImageId: string): Promise<string> {
  const LaunchTemplateData = { ImageId, InstanceType: 't3.micro' as const };
  const { LaunchTemplate } = await admin.ec2.send(
    new CreateLaunchTemplateCommand({ LaunchTemplateName, LaunchTemplateData }),
  );
  return LaunchTemplate!.LaunchTemplateId!;
}

const zones = () => ['a', 'b'].map((letter) => `${admin.config.region}${letter}`);

async function newGroup(name: string, input: Partial<CreateAutoScalingGroupCommandInput> = {}): Promise<void> {
  await asg.send(
    new CreateAutoScalingGroupCommand({
      AutoScalingGroupName: name,
      LaunchTemplate: { LaunchTemplateId: template, Version: '$Latest' },
      AvailabilityZones: zones(),
      MinSize: 0,
      MaxSize: 4,
      ...input,
    }),
  );
}

async function groupNow(name: string): Promise<AutoScalingGroup | undefined> {
  const answer = await asg.send(new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [name] }));
  return answer.AutoScalingGroups![0];
}
async function activitiesOf(name: string): Promise<Activity[]> {
  return (await asg.send(new DescribeScalingActivitiesCommand({ AutoScalingGroupName: name }))).Activities!;
}

/** The group when it has exactly so many instances and all are in service. */
function inService(name: string, count: number): Promise<AutoScalingGroup> {
  return until(`${name} has ${count} in service`, async () => {
    const group = await groupNow(name);
    const states = group!.Instances!.map(({ LifecycleState }) => LifecycleState);
    return states.length === count && states.every((state) => state === 'InService') && group!;
  });
}
const setDesired = (AutoScalingGroupName: string, DesiredCapacity: number) =>
  asg.send(new SetDesiredCapacityCommand({ AutoScalingGroupName, DesiredCapacity }));

const refused = (call: Promise<unknown>, name: string, message: RegExp) => assert.rejects(call, { name, message });

describe('an Auto Scaling group', () => {
  it('launches by template, in all its zones, as AWSServiceRoleForAutoScaling, which it makes when it is first needed', async () => {
    const Tags = [
      { Key: 'team', Value: 'blue', PropagateAtLaunch: true },
      { Key: 'quiet', Value: 'yes', PropagateAtLaunch: false },
    ];
    await newGroup('first', { DesiredCapacity: 2, Tags });
    const group = await inService('first', 2);
    assert.match(group.AutoScalingGroupARN!, /:autoScalingGroup:[0-9a-f-]{36}:autoScalingGroupName\/first$/);
    assert.deepEqual(group.Instances!.map(({ AvailabilityZone }) => AvailabilityZone).sort(), zones());
    const role = `arn:aws:iam::${admin.account}:role/aws-service-role/autoscaling.amazonaws.com/${ROLE_NAME}`;
    assert.equal(group.ServiceLinkedRoleARN, role);
    const { AttachedPolicies } = await admin.iam.send(new ListAttachedRolePoliciesCommand({ RoleName: ROLE_NAME }));
    assert.equal(AttachedPolicies![0]!.PolicyName, 'AutoScalingServiceRolePolicy');

    const id = group.Instances![0]!.InstanceId!;
    const tags = Object.fromEntries((await instanceOf(admin, id)).Tags!.map(({ Key, Value }) => [Key, Value]));
    assert.deepEqual(tags, {
      team: 'blue',
      'aws:autoscaling:groupName': 'first',
      'aws:ec2launchtemplate:id': template,
      'aws:ec2launchtemplate:version': '1',
    });
    const shown = await asg.send(new DescribeAutoScalingInstancesCommand({ InstanceIds: [id] }));
    const details = shown.AutoScalingInstances![0]!;
    assert.deepEqual(
      [details.AutoScalingGroupName, details.LifecycleState, details.HealthStatus, details.LaunchTemplate?.Version],
      ['first', 'InService', 'HEALTHY', '1'],
    );

    const [activity] = await activitiesOf('first');
    assert.equal(activity!.StatusCode, 'Successful');
    assert.equal(activity!.Progress, 100);
    assert.match(activity!.Description!, /^Launching a new EC2 instance: i-[0-9a-f]{17}$/);
    assert.match(
      activity!.Cause!,
      /^At \S+Z a user request created an AutoScalingGroup changing the desired capacity from 0 to 2\. {2}At \S+Z an instance was started in response to a difference between desired and actual capacity, increasing the capacity from 0 to 2\.$/,
    );

    const { Events } = await admin
      .use(CloudTrailClient)
      .send(new LookupEventsCommand({ LookupAttributes: [{ AttributeKey: 'ResourceName', AttributeValue: id }] }));
    const launched = Events!
      .map(({ CloudTrailEvent }) => JSON.parse(CloudTrailEvent!))
      .find(({ eventName }) => eventName === 'RunInstances');
    assert.equal(launched.userIdentity.arn, `arn:aws:sts::${admin.account}:assumed-role/${ROLE_NAME}/AutoScaling`);
    assert.equal(launched.userIdentity.sessionContext.sessionIssuer.arn, role);
    assert.equal(launched.sourceIPAddress, 'autoscaling.amazonaws.com');
  });

  it('LT-15: looks up $Latest and $Default at each launch, and leaves what runs as it is', async () => {
    for (const Version of ['$Latest', '$Default']) {
      const name = `by-${Version.slice(1)}`;
      const id = await newTemplate(name, image);
      await newGroup(name, { LaunchTemplate: { LaunchTemplateName: name, Version }, DesiredCapacity: 1 });
      await inService(name, 1);
      const LaunchTemplateData = { ImageId: image, InstanceType: 't3.small' as const };
      await admin.ec2.send(new CreateLaunchTemplateVersionCommand({ LaunchTemplateId: id, LaunchTemplateData }));
      if (Version === '$Default') {
        await admin.ec2.send(new ModifyLaunchTemplateCommand({ LaunchTemplateId: id, DefaultVersion: '2' }));
      }
      await setDesired(name, 2);
      const group = await inService(name, 2);
      const versions = group.Instances!.map(({ LaunchTemplate, InstanceType }) => [
        LaunchTemplate?.Version,
        InstanceType,
      ]);
      assert.deepEqual(versions, [
        ['1', 't3.micro'],
        ['2', 't3.small'],
      ]);
      assert.equal(group.LaunchTemplate?.Version, Version);
    }
  });

  it('replaces an instance that is ended beneath it, and says why', async () => {
    await newGroup('replaced', { DesiredCapacity: 1 });
    const before = (await inService('replaced', 1)).Instances![0]!.InstanceId!;
    await admin.ec2.send(new TerminateInstancesCommand({ InstanceIds: [before] }));
    const now = await until('there is another', async () => {
      const instances = (await groupNow('replaced'))!.Instances!;
      return instances.length === 1 && instances[0]!.InstanceId !== before && instances[0];
    });
    await inService('replaced', 1);
    assert.equal(now.HealthStatus, 'Healthy');
    const ending = (await activitiesOf('replaced')).find(({ Description }) => Description!.startsWith('Terminating'));
    assert.equal(ending!.Description, `Terminating EC2 instance: ${before}`);
    assert.match(
      ending!.Cause!,
      /an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped\.$/,
    );
  });

  it('shrinks by the oldest of the fullest zone, protection from users or not', async () => {
    const [one, other] = zones() as [string, string];
    await newGroup('shrinks', { DesiredCapacity: 1, AvailabilityZones: [one] });
    const oldest = (await inService('shrinks', 1)).Instances![0]!.InstanceId!;
    await admin.ec2.send(
      new ModifyInstanceAttributeCommand({ InstanceId: oldest, DisableApiTermination: { Value: true } }),
    );
    await asg.send(
      new UpdateAutoScalingGroupCommand({
        AutoScalingGroupName: 'shrinks',
        AvailabilityZones: [one, other],
        DesiredCapacity: 3,
      }),
    );
    const three = (await inService('shrinks', 3)).Instances!.map(({ AvailabilityZone }) => AvailabilityZone);
    assert.deepEqual(three.sort(), [one, one, other]);
    await setDesired('shrinks', 2);
    const two = await inService('shrinks', 2);
    assert.equal(
      two.Instances!.some(({ InstanceId }) => InstanceId === oldest),
      false,
    );
    const ending = (await activitiesOf('shrinks')).find(
      ({ Description }) => Description!.includes(oldest) && Description!.startsWith('Term'),
    );
    assert.match(
      ending!.Cause!,
      /shrinking the capacity from 3 to 2\. {2}At \S+ instance i-\w+ was selected for termination\.$/,
    );
  });

  it('gives an instance up when asked, with or without another in its place', async () => {
    await newGroup('asked', { MinSize: 1, DesiredCapacity: 2 });
    const [first, second] = (await inService('asked', 2)).Instances!.map(({ InstanceId }) => InstanceId!);
    const end = (InstanceId: string, ShouldDecrementDesiredCapacity: boolean) =>
      asg.send(new TerminateInstanceInAutoScalingGroupCommand({ InstanceId, ShouldDecrementDesiredCapacity }));
    const { Activity } = await end(first!, true);
    assert.match(
      Activity!.Cause!,
      new RegExp(`instance ${first} was taken out of service in response to a user request`),
    );
    const group = await inService('asked', 1);
    assert.deepEqual([group.DesiredCapacity, group.Instances![0]!.InstanceId], [1, second]);
    await refused(end(second!, true), 'ValidationError', /violate group's min size constraint/);
    await end(second!, false);
    await until('another is in service', async () => {
      const instances = (await groupNow('asked'))!.Instances!;
      return instances.some(
        ({ InstanceId, LifecycleState }) => InstanceId !== second && LifecycleState === 'InService',
      );
    });
    await refused(end('i-00000000000000000', false), 'ValidationError', /^Instance Id not found/);
  });

  it('is deleted when it is empty, or by force with its instances', async () => {
    await newGroup('deleted', { DesiredCapacity: 1 });
    const id = (await inService('deleted', 1)).Instances![0]!.InstanceId!;
    const remove = (ForceDelete: boolean) =>
      asg.send(new DeleteAutoScalingGroupCommand({ AutoScalingGroupName: 'deleted', ForceDelete }));
    await refused(remove(false), 'ResourceInUseFault', /while there are instances/);
    await remove(true);
    await until('the group is gone', async () => (await groupNow('deleted')) === undefined);
    assert.equal((await instanceOf(admin, id)).State?.Name, 'terminated');
    await newGroup('deleted');
    await remove(false);
    assert.equal(await groupNow('deleted'), undefined);
  });

  it('keeps tags, and shows them by filter', async () => {
    await newGroup('tagged');
    const of = { ResourceId: 'tagged', ResourceType: 'auto-scaling-group', PropagateAtLaunch: true };
    await asg.send(
      new CreateOrUpdateTagsCommand({
        Tags: [
          { ...of, Key: 'stage', Value: 'one' },
          { ...of, Key: 'x', Value: '1' },
        ],
      }),
    );
    await asg.send(new CreateOrUpdateTagsCommand({ Tags: [{ ...of, Key: 'stage', Value: 'two' }] }));
    await asg.send(new DeleteTagsCommand({ Tags: [{ ...of, Key: 'x' }] }));
    const { Tags } = await asg.send(
      new DescribeTagsCommand({ Filters: [{ Name: 'auto-scaling-group', Values: ['tagged'] }] }),
    );
    assert.deepEqual(Tags, [{ ...of, Key: 'stage', Value: 'two' }]);
    const { AutoScalingGroups } = await asg.send(
      new DescribeAutoScalingGroupsCommand({ Filters: [{ Name: 'tag:stage', Values: ['two'] }] }),
    );
    assert.deepEqual(
      AutoScalingGroups!.map(({ AutoScalingGroupName }) => AutoScalingGroupName),
      ['tagged'],
    );
  });

  it('goes on after the server was killed', async () => {
    await newGroup('durable', { DesiredCapacity: 1 });
    await inService('durable', 1);
    await setDesired('durable', 3);
    admin = admin.at(await world.restart());
    asg = admin.use(AutoScalingClient);
    const group = await inService('durable', 3);
    assert.equal(new Set(group.Instances!.map(({ InstanceId }) => InstanceId)).size, 3);
    const launches = (await activitiesOf('durable')).filter(({ StatusCode }) => StatusCode === 'Successful');
    assert.equal(launches.length, 3, 'no launch was made twice');
  });
});

describe('who may have a group, and whose rights it launches with', () => {
  it('a caller who may not launch by the template may not let a group do it', async () => {
    const user = await world.role(admin, 'scaler', allow('autoscaling:*'));
    const input = {
      AutoScalingGroupName: 'not-theirs',
      LaunchTemplate: { LaunchTemplateId: template },
      AvailabilityZones: zones(),
      MinSize: 0,
      MaxSize: 1,
    };
    const create = () => user.use(AutoScalingClient).send(new CreateAutoScalingGroupCommand(input));
    await refused(create(), 'AccessDenied', /^You are not authorized to use the launch template\. .*ec2:RunInstances/);
    await world.permit(admin, 'scaler', allow('autoscaling:*'), allow('ec2:RunInstances'));
    await create();
  });

  it('1.3: a control policy that denies launches does not bind the service-linked role', async () => {
    await newGroup('exempt');
    const { undo } = await world.denyInAccount(admin, 'ec2:RunInstances');
    await refused(newGroup('denied'), 'AccessDenied', /service control policy/);
    await setDesired('exempt', 1);
    await inService('exempt', 1);
    await undo();
  });

  it('a launch that EC2 refuses is an activity that failed, in the words of EC2', async () => {
    const gone = await newImage(admin);
    const id = await newTemplate('gone', gone);
    await newGroup('gone', { LaunchTemplate: { LaunchTemplateId: id } });
    const LaunchTemplateData = { ImageId: 'ami-00000000000000000', InstanceType: 't3.micro' as const };
    await admin.ec2.send(new CreateLaunchTemplateVersionCommand({ LaunchTemplateId: id, LaunchTemplateData }));
    await admin.ec2.send(new ModifyLaunchTemplateCommand({ LaunchTemplateId: id, DefaultVersion: '2' }));
    await setDesired('gone', 1);
    const failed = await until('a launch failed', async () =>
      (await activitiesOf('gone')).find(({ StatusCode }) => StatusCode === 'Failed'),
    );
    assert.equal(
      failed.StatusMessage,
      "The image id '[ami-00000000000000000]' does not exist. Launching EC2 instance failed.",
    );
  });

  it('P-12, P-14: a role with a suffix has its own place in the key policy; made anew, it has lost it', async () => {
    const own = await world.account();
    const party = { admin, asg, template };
    admin = own;
    asg = own.use(AutoScalingClient);
    try {
      const AWSServiceName = 'autoscaling.amazonaws.com';
      const link = () => own.iam.send(new CreateServiceLinkedRoleCommand({ AWSServiceName, CustomSuffix: 'keyed' }));
      const { Role } = await link();
      const key = await newKey(own);
      const Principal = { AWS: Role!.Arn! };
      await setKeyPolicy(own, key, { Effect: 'Allow', Principal, Action: [...USE_KEY, ...CREATE_GRANT] });
      template = await newTemplate('keyed', await newImage(own, { KmsKeyArn: key }));
      await newGroup('keyed', { DesiredCapacity: 1, ServiceLinkedRoleARN: Role!.Arn! });
      await inService('keyed', 1);

      const unlink = () => own.iam.send(new DeleteServiceLinkedRoleCommand({ RoleName: Role!.RoleName! }));
      const { DeletionTaskId } = await unlink();
      const status = await own.iam.send(new GetServiceLinkedRoleDeletionStatusCommand({ DeletionTaskId }));
      assert.equal(status.Status, 'FAILED');
      assert.match(status.Reason!.RoleUsageList![0]!.Resources![0]!, /autoScalingGroupName\/keyed$/);
      await asg.send(new DeleteAutoScalingGroupCommand({ AutoScalingGroupName: 'keyed', ForceDelete: true }));
      await until('the group is gone', async () => (await groupNow('keyed')) === undefined);
      await unlink();
      await link();

      await newGroup('again', { DesiredCapacity: 1, ServiceLinkedRoleARN: Role!.Arn! });
      const cancelled = await until('a launch is cancelled', async () =>
        (await activitiesOf('again')).find(({ StatusCode }) => StatusCode === 'Cancelled'),
      );
      assert.match(cancelled.StatusMessage!, /Client\.InvalidKMSKey\.InvalidState/);
      await refused(
        newGroup('no-such-role', { ServiceLinkedRoleARN: `${Role!.Arn!}-not` }),
        'ValidationError',
        /^ARN specified for Service-Linked Role does not exist\.$/,
      );
    } finally {
      ({ admin, asg, template } = party);
    }
  });
});

describe('refusals', () => {
  const good = () => ({
    AutoScalingGroupName: 'refused',
    LaunchTemplate: { LaunchTemplateId: template },
    AvailabilityZones: zones(),
    MinSize: 0,
    MaxSize: 1,
  });
  const rows: readonly (readonly [input: Partial<CreateAutoScalingGroupCommandInput>, message: RegExp])[] = [
    [{ LaunchTemplate: undefined }, /^Valid requests must contain either LaunchTemplate/],
    [{ LaunchTemplate: { LaunchTemplateId: 'lt-00000000000000000' } }, /does not exist/],
    [
      { LaunchTemplate: { LaunchTemplateName: 'nodes', LaunchTemplateId: 'lt-00000000000000000' } },
      /either launchTemplateId or/,
    ],
    [{ AvailabilityZones: [] }, /^At least one Availability Zone or VPC Subnet is required\.$/],
    [{ AvailabilityZones: ['mars-1a'] }, /^Invalid availability zone: \[mars-1a\]$/],
    [{ VPCZoneIdentifier: 'subnet-00000000000000000' }, /subnet-00000000000000000' does not exist/],
    [{ MinSize: 2 }, /^Max bound, 1, must be greater than or equal to min bound, 2$/],
    [{ DesiredCapacity: 2 }, /above max value 1/],
    [{ HealthCheckType: 'ELB' }, /^HealthCheckType ELB is not supported/],
    [{ HealthCheckGracePeriod: -1 }, /HealthCheckGracePeriod/],
    [{ NewInstancesProtectedFromScaleIn: true }, /NewInstancesProtectedFromScaleIn is not supported/],
    [
      { AvailabilityZoneDistribution: { CapacityDistributionStrategy: 'balanced-only' } },
      /AvailabilityZoneDistribution/,
    ],
    [{ AvailabilityZoneImpairmentPolicy: { ZonalShiftEnabled: true } }, /AvailabilityZoneImpairmentPolicy/],
    [{ DefaultCooldown: 60 }, /DefaultCooldown is not supported/],
    [{ TerminationPolicies: ['NewestInstance'] }, /TerminationPolicies is not supported/],
    [{ LaunchConfigurationName: 'old' }, /LaunchConfigurationName is not supported/],
    [{ TargetGroupARNs: ['arn'] }, /TargetGroupARNs is not supported/],
    [{ Tags: [{ Key: 'aws:mine', Value: 'x' }] }, /reserved for internal use/],
    [{ AutoScalingGroupName: 'a:b' }, /none is a colon/],
  ];
  for (const [input, message] of rows) {
    it(`of ${Object.entries(input)
      .map(([name, value]) => `${name} ${JSON.stringify(value) ?? 'left out'}`)
      .join()}`, () =>
      refused(asg.send(new CreateAutoScalingGroupCommand({ ...good(), ...input })), 'ValidationError', message));
  }

  it('of a name that is taken, of a group that is not there, and of sizes outside', async () => {
    await newGroup('taken', { MaxSize: 1 });
    await refused(newGroup('taken'), 'AlreadyExistsFault', /already exists/);
    await refused(setDesired('missing', 1), 'ValidationError', /^AutoScalingGroup name not found - /);
    await refused(setDesired('taken', 2), 'ValidationError', /is above max value 1/);
  });
});
