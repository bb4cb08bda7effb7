/** Launches by the service-linked role of Auto Scaling (rows 1 and 2). */
import assert from 'node:assert/strict';
import {
  AutoScalingClient,
  CreateAutoScalingGroupCommand,
  DescribeAutoScalingGroupsCommand,
  DescribeScalingActivitiesCommand,
  SetDesiredCapacityCommand,
} from '@aws-sdk/client-auto-scaling';
import { CreateLaunchTemplateCommand } from '@aws-sdk/client-ec2';
import { CreateServiceLinkedRoleCommand } from '@aws-sdk/client-iam';
import { CreateGrantCommand } from '@aws-sdk/client-kms';
import { until } from '../machines/support.ts';
import type { Fault } from './fault.ts';
import { by } from './launches.ts';
import { shareImage } from './sharing.ts';
import {
  CREATE_GRANT,
  instanceOf,
  newImage,
  newKey,
  type Party,
  ROOT_DEVICE,
  type Statement,
  setKeyPolicy,
  USE_KEY,
} from './world.ts';

const GROUP = 'nodes';

export const linkedRoleOf = (account: string) =>
  `arn:aws:iam::${account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`;

/** A template of the image and a group of one instance by it. Gives the template's id. */
export async function newGroup(who: Party, ImageId: string, KmsKeyId?: string): Promise<string> {
  const Ebs = { Encrypted: true, KmsKeyId };
  const { LaunchTemplate } = await who.ec2.send(
    new CreateLaunchTemplateCommand({
      LaunchTemplateName: GROUP,
      LaunchTemplateData: {
        ImageId,
        InstanceType: 't3.micro',
        ...(KmsKeyId ? { BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs }] } : {}),
      },
    }),
  );
  const LaunchTemplateId = LaunchTemplate!.LaunchTemplateId!;
  await who.use(AutoScalingClient).send(
    new CreateAutoScalingGroupCommand({
      AutoScalingGroupName: GROUP,
      LaunchTemplate: { LaunchTemplateId, Version: '$Latest' },
      AvailabilityZones: [`${who.config.region}a`],
      MinSize: 0,
      MaxSize: 2,
      DesiredCapacity: 1,
    }),
  );
  return LaunchTemplateId;
}

/** The activity of the first launch that the key ended, and its instance as it is then. */
async function flaps(who: Party): Promise<string> {
  const reason = 'Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state';
  const message = `Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: ${reason}`;
  const activity = await until('a launch is cancelled', async () => {
    const { Activities } = await who
      .use(AutoScalingClient)
      .send(new DescribeScalingActivitiesCommand({ AutoScalingGroupName: GROUP }));
    return Activities!.find(({ EndTime }) => EndTime !== undefined);
  });
  assert.deepEqual([activity.StatusCode, activity.StatusMessage], ['Cancelled', message]);
  const [, instance] = /^Launching a new EC2 instance: (i-[0-9a-f]{17})\. {2}Status Reason: /.exec(
    activity.Description!,
  )!;
  assert.match(activity.Cause!, /increasing the capacity from 0 to 1\.$/);
  const { StateReason } = await instanceOf(who, instance!);
  assert.equal(StateReason?.Message, reason);
  return instance!;
}

/** A change of the group makes it try again at once; then its instance must come into service. */
async function comesUp(who: Party): Promise<void> {
  const client = who.use(AutoScalingClient);
  await client.send(new SetDesiredCapacityCommand({ AutoScalingGroupName: GROUP, DesiredCapacity: 1 }));
  await until('the group has an instance in service', async () => {
    const { AutoScalingGroups } = await client.send(
      new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [GROUP] }),
    );
    return AutoScalingGroups![0]!.Instances!.some(({ LifecycleState }) => LifecycleState === 'InService');
  });
}

/** P-12: the role of the same account needs both statements in the key policy. */
const roleNotInKeyPolicy: Fault = {
  id: 1,
  name: '01-auto-scaling-may-not-use-the-key',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const image = await newImage(admin, { KmsKeyArn: key });
    const template = await newGroup(admin, image);
    const instanceId = await flaps(admin);
    const role = linkedRoleOf(admin.account);
    return {
      ...by(admin, admin),
      as: role,
      subject: template,
      operation: 'RunInstances',
      instanceId,
      cause: { actions: ['kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:CreateGrant'], key },
      async mend() {
        const Principal = { AWS: role };
        const grant: Statement = {
          Effect: 'Allow',
          Principal,
          Action: CREATE_GRANT,
          Condition: { Bool: { 'kms:GrantIsForAWSResource': 'true' } },
        };
        await setKeyPolicy(admin, key, { Effect: 'Allow', Principal, Action: USE_KEY }, grant);
        return undefined;
      },
      retry: () => comesUp(admin),
    };
  },
};

/** P-13: of another account's key, the policy alone is not enough. */
const roleWithoutGrant: Fault = {
  id: 2,
  name: '02-auto-scaling-has-no-grant-of-a-foreign-key',
  async build(world) {
    const [owner, consumer] = await Promise.all([world.account(), world.account()]);
    await consumer.iam.send(new CreateServiceLinkedRoleCommand({ AWSServiceName: 'autoscaling.amazonaws.com' }));
    const role = linkedRoleOf(consumer.account);
    const names = { AWS: [`arn:aws:iam::${consumer.account}:root`, role] };
    const key = await newKey(owner, { Effect: 'Allow', Principal: names, Action: [...USE_KEY, ...CREATE_GRANT] });
    const image = await newImage(owner, { KmsKeyArn: key });
    await shareImage(owner, image, { UserId: consumer.account });
    const template = await newGroup(consumer, image, key);
    const instanceId = await flaps(consumer);
    return {
      ...by(consumer, consumer, owner),
      as: role,
      subject: template,
      operation: 'RunInstances',
      instanceId,
      consumer: consumer.account,
      cause: { actions: ['kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:CreateGrant'], key },
      async mend() {
        await consumer.kms.send(
          new CreateGrantCommand({
            KeyId: key,
            GranteePrincipal: role,
            Operations: [
              'Decrypt',
              'Encrypt',
              'GenerateDataKey',
              'GenerateDataKeyWithoutPlaintext',
              'ReEncryptFrom',
              'ReEncryptTo',
              'CreateGrant',
              'DescribeKey',
            ],
          }),
        );
        return undefined;
      },
      retry: () => comesUp(consumer),
    };
  },
};

export const AUTO_SCALING_FAULTS: readonly Fault[] = [roleNotInKeyPolicy, roleWithoutGrant];
