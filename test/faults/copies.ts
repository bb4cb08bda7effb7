/** Copies that end failed (rows 14 and 15). */
import assert from 'node:assert/strict';
import { CopySnapshotCommand } from '@aws-sdk/client-ec2';
import type { Fault } from './fault.ts';
import { by, launcher } from './launches.ts';
import { forAccount, shareSnapshot } from './sharing.ts';
import {
  CREATE_GRANT,
  copiedImage,
  copiedSnapshot,
  copyImage,
  imageOf,
  newImage,
  newKey,
  newSnapshot,
  OTHER_REGION,
  type Party,
  REGION,
  setKeyPolicy,
  USE_KEY,
} from './world.ts';

/** CI-3: the call gives an id, and the image ends failed. */
async function copyFails(who: Party, input: Parameters<typeof copyImage>[1]): Promise<void> {
  const { State, StateReason } = await imageOf(who, await copyImage(who, input));
  assert.deepEqual([State, StateReason?.Message], ['failed', 'Copy image failed with an internal error']);
}

const keyOfOtherRegion: Fault = {
  id: 14,
  name: '14-key-of-the-wrong-region',
  async build(world) {
    const admin = await world.account();
    const there = admin.in(OTHER_REGION);
    const key = await newKey(admin);
    const image = await newImage(admin, { KmsKeyArn: key });
    const copy = { SourceImageId: image, SourceRegion: REGION, Encrypted: true };
    await copyFails(there, { ...copy, KmsKeyId: key });
    return {
      ...by(there, admin),
      subject: image,
      operation: 'CopyImage',
      cause: { key, keyState: 'OtherRegion' },
      mend: () => newKey(there),
      retry: async (KmsKeyId = key) => void (await copiedImage(there, { ...copy, Name: 'again', KmsKeyId })),
    };
  },
};

const keyOfCopyDenied: Fault = {
  id: 14,
  name: '14-copier-may-not-use-the-new-key',
  async build(world) {
    const admin = await world.account();
    const source = await newKey(admin);
    const key = await newKey(admin);
    const image = await newImage(admin, { KmsKeyArn: source });
    const rights = (...keys: string[]) => [
      ...launcher(),
      allowOn([...USE_KEY, ...CREATE_GRANT], keys),
      // Without it the copy is refused at once (CS-5).
      allowOn(['kms:DescribeKey'], ['*']),
    ];
    const copier = await world.role(admin, 'copier', ...rights(source));
    const copy = { SourceImageId: image, Encrypted: true, KmsKeyId: key };
    await copyFails(copier, copy);
    return {
      ...by(copier, admin),
      subject: image,
      operation: 'CopyImage',
      cause: { actions: ['kms:CreateGrant', 'kms:GenerateDataKeyWithoutPlaintext'], key },
      async mend() {
        await world.permit(admin, 'copier', ...rights(source, key));
        return undefined;
      },
      retry: async () => void (await copiedImage(copier, { ...copy, Name: 'again' })),
    };
  },
};

const sharedSnapshotsKeyDenied: Fault = {
  id: 15,
  name: '15-consumer-may-not-use-the-key-of-a-shared-snapshot',
  async build(world) {
    const [owner, consumer] = await Promise.all([world.account(), world.account()]);
    const key = await newKey(owner);
    const snapshot = await newSnapshot(owner, { KmsKeyArn: key });
    await shareSnapshot(owner, snapshot, consumer.account);
    const copy = async (wanted: 'error' | 'completed') => {
      const { SnapshotId } = await consumer.ec2.send(
        new CopySnapshotCommand({ SourceSnapshotId: snapshot, SourceRegion: REGION, Encrypted: true }),
      );
      return copiedSnapshot(consumer, SnapshotId!, wanted);
    };
    // CS-6, SH-28.
    const { StateMessage, Progress } = await copy('error');
    assert.deepEqual([StateMessage, Progress], ['Given key ID is not accessible', '0%']);
    return {
      ...by(consumer, consumer, owner),
      subject: snapshot,
      operation: 'CopySnapshot',
      consumer: consumer.account,
      cause: { actions: CREATE_GRANT, key },
      async mend() {
        await setKeyPolicy(owner, key, forAccount(consumer.account));
        return undefined;
      },
      retry: async () => void (await copy('completed')),
    };
  },
};

const allowOn = (Action: readonly string[], Resource: readonly string[]) => ({
  Effect: 'Allow' as const,
  Action,
  Resource,
});

export const COPY_FAULTS: readonly Fault[] = [keyOfOtherRegion, keyOfCopyDenied, sharedSnapshotsKeyDenied];
