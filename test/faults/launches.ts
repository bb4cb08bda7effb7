/** Launches and starts that die of what their principal may not do with a key (rows 3, 4, 5, 19 and 21). */
import assert from 'node:assert/strict';
import {
  DisableImageCommand,
  EnableEbsEncryptionByDefaultCommand,
  EnableImageCommand,
  ModifyEbsDefaultKmsKeyIdCommand,
  ModifyImageAttributeCommand,
  StartInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  CancelKeyDeletionCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { until } from '../machines/support.ts';
import type { BuiltFault, Fault } from './fault.ts';
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
  runs,
  type Statement,
  setKeyPolicy,
  settled,
  USE_KEY,
} from './world.ts';

/** What a role has that launches: all of EC2, and of KMS what is given. */
export const launcher = (...kms: readonly (readonly string[])[]): Statement[] => [
  allow('ec2:*'),
  ...(kms.length === 0 ? [] : [allow(kms.flat())]),
];

/** The members of a fault that follow from who calls and who administers. */
export function by(who: Party, ...administrators: readonly Party[]) {
  return {
    as: who.arn,
    account: who.account,
    region: who.config.region,
    credentials: administrators[0]!.credentials,
    administrators: Object.fromEntries(administrators.map(({ account, credentials }) => [account, credentials])),
  } satisfies Partial<BuiltFault>;
}

const withoutCreateGrant: Fault = {
  id: 3,
  name: '03-launcher-may-not-create-grants',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const image = await newImage(admin, { KmsKeyArn: key });
    const builder = await world.role(admin, 'builder', ...launcher(USE_KEY));
    const instanceId = await diesOfItsKey(builder, { ImageId: image });
    return {
      ...by(builder, admin),
      subject: image,
      operation: 'RunInstances',
      instanceId,
      cause: { actions: CREATE_GRANT, key },
      async mend() {
        const forService = {
          ...allow(CREATE_GRANT),
          Condition: { Bool: { 'kms:GrantIsForAWSResource': 'true' } },
        };
        await world.permit(admin, 'builder', ...launcher(USE_KEY), forService);
        return undefined;
      },
      retry: () => runs(builder, { ImageId: image }),
    };
  },
};

const withoutDataKeys: Fault = {
  id: 3,
  name: '03-launcher-may-not-use-the-key',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const image = await newImage(admin, { KmsKeyArn: key });
    const builder = await world.role(admin, 'builder', ...launcher());
    const instanceId = await diesOfItsKey(builder, { ImageId: image });
    return {
      ...by(builder, admin),
      subject: instanceId,
      operation: 'RunInstances',
      instanceId,
      cause: { actions: ['kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:CreateGrant'], key },
      async mend() {
        const Principal = { AWS: builder.arn };
        const statement: Statement = { Effect: 'Allow', Principal, Action: [...USE_KEY, ...CREATE_GRANT] };
        await setKeyPolicy(admin, key, statement);
        return undefined;
      },
      retry: () => runs(builder, { ImageId: image }),
    };
  },
};

const defaultKeyDenied: Fault = {
  id: 4,
  name: '04-default-key-is-not-the-launchers',
  async build(world) {
    const admin = await world.account();
    const image = await newImage(admin);
    const key = await newKey(admin);
    await admin.ec2.send(new ModifyEbsDefaultKmsKeyIdCommand({ KmsKeyId: key }));
    await admin.ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
    const node = await world.role(admin, 'node-launcher', ...launcher());
    const instanceId = await diesOfItsKey(node, { ImageId: image });
    return {
      ...by(node, admin),
      subject: image,
      operation: 'RunInstances',
      instanceId,
      cause: { actions: ['kms:GenerateDataKeyWithoutPlaintext', 'kms:CreateGrant'], key },
      async mend() {
        await world.permit(admin, 'node-launcher', ...launcher(USE_KEY, CREATE_GRANT));
        return undefined;
      },
      retry: () => runs(node, { ImageId: image }),
    };
  },
};

const starterWithoutCreateGrant: Fault = {
  id: 5,
  name: '05-starter-may-not-create-grants',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const ImageId = await newImage(admin, { KmsKeyArn: key });
    const instance = await run(admin, { ImageId });
    await settled(admin, instance, 'running');
    await admin.ec2.send(new StopInstancesCommand({ InstanceIds: [instance] }));
    await until('it is stopped', async () => (await instanceOf(admin, instance)).State?.Name === 'stopped');
    const starting = allow(['ec2:StartInstances', 'ec2:StopInstances', 'ec2:DescribeInstances']);
    const scheduler = await world.role(admin, 'scheduler', starting);
    const start = async () => {
      const { StartingInstances } = await scheduler.ec2.send(new StartInstancesCommand({ InstanceIds: [instance] }));
      assert.equal(StartingInstances![0]!.CurrentState!.Name, 'pending');
    };
    await start();
    // K-17: the call succeeds, and nothing terminates.
    const { StateReason } = await settled(scheduler, instance, 'stopped');
    assert.deepEqual(StateReason, {
      Code: 'Client.InternalError',
      Message: 'Client.InternalError: Client error on launch',
    });
    return {
      ...by(scheduler, admin),
      subject: instance,
      operation: 'StartInstances',
      instanceId: instance,
      cause: { actions: CREATE_GRANT, key },
      async mend() {
        await world.permit(admin, 'scheduler', starting, allow(CREATE_GRANT, key));
        return undefined;
      },
      async retry() {
        await start();
        await settled(scheduler, instance, 'running');
      },
    };
  },
};

const imageKeyPendingDeletion: Fault = {
  id: 19,
  name: '19-key-of-the-image-is-pending-deletion',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const image = await newImage(admin, { KmsKeyArn: key });
    await admin.kms.send(new ScheduleKeyDeletionCommand({ KeyId: key, PendingWindowInDays: 7 }));
    const instanceId = await diesOfItsKey(admin, { ImageId: image });
    return {
      ...by(admin, admin),
      subject: image,
      operation: 'RunInstances',
      instanceId,
      cause: { key, keyState: 'PendingDeletion' },
      async mend() {
        await admin.kms.send(new CancelKeyDeletionCommand({ KeyId: key }));
        await admin.kms.send(new EnableKeyCommand({ KeyId: key }));
        return undefined;
      },
      retry: () => runs(admin, { ImageId: image }),
    };
  },
};

const defaultKeyDisabled: Fault = {
  id: 19,
  name: '19-default-key-is-disabled',
  async build(world) {
    const admin = await world.account();
    const image = await newImage(admin);
    const key = await newKey(admin);
    await admin.ec2.send(new ModifyEbsDefaultKmsKeyIdCommand({ KmsKeyId: key }));
    await admin.ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
    await admin.kms.send(new DisableKeyCommand({ KeyId: key }));
    const instanceId = await diesOfItsKey(admin, { ImageId: image });
    return {
      ...by(admin, admin),
      subject: image,
      operation: 'RunInstances',
      instanceId,
      cause: { key, keyState: 'Disabled' },
      async mend() {
        await admin.kms.send(new EnableKeyCommand({ KeyId: key }));
        return undefined;
      },
      retry: () => runs(admin, { ImageId: image }),
    };
  },
};

const notShared: Fault = {
  id: 21,
  name: '21-image-is-not-shared',
  async build(world) {
    const [owner, consumer] = await Promise.all([world.account(), world.account()]);
    const key = await newKey(owner, {
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${consumer.account}:root` },
      Action: [...USE_KEY, ...CREATE_GRANT],
    });
    const image = await newImage(owner, { KmsKeyArn: key });
    await isRefused(run(consumer, { ImageId: image }), 'AuthFailure', `Not authorized for images: [${image}]`);
    return {
      ...by(consumer, consumer, owner),
      subject: image,
      operation: 'RunInstances',
      cause: {},
      async mend() {
        const LaunchPermission = { Add: [{ UserId: consumer.account }] };
        await owner.ec2.send(new ModifyImageAttributeCommand({ ImageId: image, LaunchPermission }));
        return undefined;
      },
      retry: () => runs(consumer, { ImageId: image }),
    };
  },
};

const disabledImage: Fault = {
  id: 21,
  name: '21-image-is-disabled',
  async build(world) {
    const admin = await world.account();
    const image = await newImage(admin);
    await admin.ec2.send(new DisableImageCommand({ ImageId: image }));
    // L-11.
    await isRefused(run(admin, { ImageId: image }), 'InvalidAMIID.Unavailable', /no longer available|disabled/);
    return {
      ...by(admin, admin),
      subject: image,
      operation: 'RunInstances',
      cause: {},
      async mend() {
        await admin.ec2.send(new EnableImageCommand({ ImageId: image }));
        return undefined;
      },
      retry: () => runs(admin, { ImageId: image }),
    };
  },
};

export const LAUNCH_FAULTS: readonly Fault[] = [
  withoutCreateGrant,
  withoutDataKeys,
  defaultKeyDenied,
  starterWithoutCreateGrant,
  imageKeyPendingDeletion,
  defaultKeyDisabled,
  notShared,
  disabledImage,
];
