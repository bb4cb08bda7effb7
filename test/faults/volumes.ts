/** Volumes that vanish, and volumes that cannot be attached (rows 6 and 7). */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { AttachVolumeCommand, CreateVolumeCommand, DescribeInstancesCommand } from '@aws-sdk/client-ec2';
import {
  CancelKeyDeletionCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import type { BuiltFault, Fault } from './fault.ts';
import { by, launcher } from './launches.ts';
import {
  CREATE_GRANT,
  isRefused,
  newImage,
  newKey,
  newSnapshot,
  type Party,
  run,
  settled,
  USE_KEY,
  volumeOrNothing,
} from './world.ts';

/** CV-1, CV-2, CV-4: the call succeeds, the volume is gone, and the token that made it stays used up. */
async function vanishes(who: Party, snapshot: string, key: string): Promise<string> {
  const input = { SnapshotId: snapshot, AvailabilityZone: `${who.config.region}a`, ClientToken: randomUUID() };
  const answer = await who.ec2.send(new CreateVolumeCommand(input));
  assert.deepEqual([answer.State, answer.Encrypted, answer.KmsKeyId], ['creating', true, key]);
  assert.equal((await volumeOrNothing(who, answer.VolumeId!)).volume, undefined);
  await isRefused(
    who.ec2.send(new CreateVolumeCommand(input)),
    'IdempotentParameterMismatch',
    `The client token '${input.ClientToken}' is associated with resource '${answer.VolumeId}' which has already been deleted. Please use a different client token.`,
  );
  return answer.VolumeId!;
}

async function createVolume(who: Party, SnapshotId: string): Promise<string> {
  const input = { SnapshotId, AvailabilityZone: `${who.config.region}a`, ClientToken: randomUUID() };
  const { VolumeId } = await who.ec2.send(new CreateVolumeCommand(input));
  assert.ok((await volumeOrNothing(who, VolumeId!)).volume, `the volume ${VolumeId} has vanished`);
  return VolumeId!;
}

const vanishedByDisabledKey: Fault = {
  id: 6,
  name: '06-volume-vanishes-its-key-is-disabled',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const snapshot = await newSnapshot(admin, { KmsKeyArn: key });
    await admin.kms.send(new DisableKeyCommand({ KeyId: key }));
    const volumeId = await vanishes(admin, snapshot, key);
    return {
      ...by(admin, admin),
      subject: snapshot,
      operation: 'CreateVolume',
      volumeId,
      cause: { key, keyState: 'Disabled' },
      async mend() {
        await admin.kms.send(new EnableKeyCommand({ KeyId: key }));
        return undefined;
      },
      retry: async () => void (await createVolume(admin, snapshot)),
    };
  },
};

const vanishedByDenial: Fault = {
  id: 6,
  name: '06-volume-vanishes-its-maker-may-not-use-the-key',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const snapshot = await newSnapshot(admin, { KmsKeyArn: key });
    const driver = await world.role(admin, 'csi-driver', ...launcher());
    const volumeId = await vanishes(driver, snapshot, key);
    return {
      ...by(driver, admin),
      subject: snapshot,
      operation: 'CreateVolume',
      volumeId,
      cause: { actions: ['kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:CreateGrant'], key },
      async mend() {
        await world.permit(admin, 'csi-driver', ...launcher(USE_KEY, CREATE_GRANT));
        return undefined;
      },
      retry: async () => void (await createVolume(driver, snapshot)),
    };
  },
};

/** A plain instance that runs, and an encrypted volume beside it. */
async function instanceAndVolume(admin: Party) {
  const key = await newKey(admin);
  const snapshot = await newSnapshot(admin, { KmsKeyArn: key });
  const instanceId = await run(admin, { ImageId: await newImage(admin) });
  await settled(admin, instanceId, 'running');
  const { Reservations } = await admin.ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
  const zone = Reservations![0]!.Instances![0]!.Placement!.AvailabilityZone!;
  assert.equal(zone, `${admin.config.region}a`, 'the volumes of this file are made in the first zone');
  return { key, snapshot, instanceId, volumeId: await createVolume(admin, snapshot) };
}

const attach = (who: Party, { instanceId, volumeId }: { instanceId: string; volumeId: string }) =>
  who.ec2.send(new AttachVolumeCommand({ InstanceId: instanceId, VolumeId: volumeId, Device: '/dev/sdf' }));

/** K-18. */
const isRevoked = (call: Promise<unknown>) =>
  isRefused(call, 'CustomerKeyHasBeenRevoked', 'The encrypted volume was unable to access the KMS key');

const attachedUnderDyingKey: Fault = {
  id: 7,
  name: '07-key-of-the-volume-is-pending-deletion',
  async build(world) {
    const admin = await world.account();
    const made = await instanceAndVolume(admin);
    await admin.kms.send(new ScheduleKeyDeletionCommand({ KeyId: made.key, PendingWindowInDays: 7 }));
    await isRevoked(attach(admin, made));
    return {
      ...attachFault(admin, admin, made),
      cause: { key: made.key, keyState: 'PendingDeletion' },
      async mend() {
        await admin.kms.send(new CancelKeyDeletionCommand({ KeyId: made.key }));
        await admin.kms.send(new EnableKeyCommand({ KeyId: made.key }));
        return undefined;
      },
    };
  },
};

const attacherWithoutCreateGrant: Fault = {
  id: 7,
  name: '07-attacher-may-not-create-grants',
  async build(world) {
    const admin = await world.account();
    const made = await instanceAndVolume(admin);
    const attacher = await world.role(admin, 'attacher', ...launcher(USE_KEY));
    await isRevoked(attach(attacher, made));
    return {
      ...attachFault(attacher, admin, made),
      cause: { actions: CREATE_GRANT, key: made.key },
      async mend() {
        await world.permit(admin, 'attacher', ...launcher(USE_KEY, CREATE_GRANT));
        return undefined;
      },
    };
  },
};

function attachFault(who: Party, admin: Party, made: Awaited<ReturnType<typeof instanceAndVolume>>) {
  return {
    ...by(who, admin),
    subject: made.snapshot,
    operation: 'AttachVolume',
    volumeId: made.volumeId,
    instanceId: made.instanceId,
    retry: async () => void (await attach(who, made)),
  } satisfies Partial<BuiltFault>;
}

export const VOLUME_FAULTS: readonly Fault[] = [
  vanishedByDisabledKey,
  vanishedByDenial,
  attachedUnderDyingKey,
  attacherWithoutCreateGrant,
];
