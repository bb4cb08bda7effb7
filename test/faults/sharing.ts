/** Images and snapshots that cannot be shared, or are shared by half (rows 8 to 13). */
import {
  CopyImageCommand,
  CopySnapshotCommand,
  DisableImageBlockPublicAccessCommand,
  EnableImageBlockPublicAccessCommand,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
} from '@aws-sdk/client-ec2';
import type { Fault } from './fault.ts';
import { by } from './launches.ts';
import {
  CREATE_GRANT,
  copiedImage,
  copiedSnapshot,
  isRefused,
  newImage,
  newKey,
  newSnapshot,
  type Party,
  registerImage,
  type Statement,
  USE_KEY,
} from './world.ts';

/** The key for a consumer's account, whose IAM policies decide further (P-5). */
export const forAccount = (account: string): Statement => ({
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${account}:root` },
  Action: [...USE_KEY, ...CREATE_GRANT],
});

export const shareImage = (owner: Party, ImageId: string, entry: { UserId: string } | { Group: 'all' }) =>
  owner.ec2.send(new ModifyImageAttributeCommand({ ImageId, LaunchPermission: { Add: [entry] } }));
export const shareSnapshot = (owner: Party, SnapshotId: string, UserId: string) =>
  owner.ec2.send(new ModifySnapshotAttributeCommand({ SnapshotId, CreateVolumePermission: { Add: [{ UserId }] } }));

const imageUnderManagedKey: Fault = {
  id: 8,
  name: '08-image-is-under-the-aws-managed-key',
  async build(world) {
    const [owner, consumer] = await Promise.all([world.account(), world.account()]);
    const image = await newImage(owner, { Encrypted: true });
    const share = (ImageId: string) => shareImage(owner, ImageId, { UserId: consumer.account });
    await isRefused(
      share(image),
      'InvalidParameter',
      "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.",
    );
    return {
      ...by(owner, owner, consumer),
      subject: image,
      operation: 'ModifyImageAttribute',
      consumer: consumer.account,
      cause: { keyState: 'AwsManaged' },
      async mend() {
        const KmsKeyId = await newKey(owner, forAccount(consumer.account));
        return copiedImage(owner, { SourceImageId: image, Encrypted: true, KmsKeyId });
      },
      retry: async (copy = image) => void (await share(copy)),
    };
  },
};

const snapshotUnderManagedKey: Fault = {
  id: 9,
  name: '09-snapshot-is-under-the-aws-managed-key',
  async build(world) {
    const [owner, consumer] = await Promise.all([world.account(), world.account()]);
    const snapshot = await newSnapshot(owner, { Encrypted: true });
    const share = (id: string) => shareSnapshot(owner, id, consumer.account);
    await isRefused(
      share(snapshot),
      'OperationNotPermitted',
      'Encrypted snapshots with EBS default key cannot be shared',
    );
    return {
      ...by(owner, owner, consumer),
      subject: snapshot,
      operation: 'ModifySnapshotAttribute',
      consumer: consumer.account,
      cause: { keyState: 'AwsManaged' },
      async mend() {
        const KmsKeyId = await newKey(owner, forAccount(consumer.account));
        const SourceRegion = owner.config.region;
        const { SnapshotId } = await owner.ec2.send(
          new CopySnapshotCommand({ SourceSnapshotId: snapshot, SourceRegion, Encrypted: true, KmsKeyId }),
        );
        await copiedSnapshot(owner, SnapshotId!, 'completed');
        return SnapshotId!;
      },
      retry: async (copy = snapshot) => void (await share(copy)),
    };
  },
};

const encryptedForEveryone: Fault = {
  id: 10,
  name: '10-encrypted-image-is-to-be-public',
  async build(world) {
    const [owner, consumer] = await Promise.all([world.account(), world.account()]);
    const key = await newKey(owner, forAccount(consumer.account));
    const image = await newImage(owner, { KmsKeyArn: key });
    await owner.ec2.send(new DisableImageBlockPublicAccessCommand({}));
    await isRefused(
      shareImage(owner, image, { Group: 'all' }),
      'UnsupportedOperation',
      "Encrypted snapshots can't be shared publicly. Specify another snapshot.",
    );
    return {
      ...by(owner, owner, consumer),
      subject: image,
      operation: 'ModifyImageAttribute',
      consumer: consumer.account,
      cause: { key },
      // Nothing there is to be mended: it is shared by account instead.
      mend: async () => undefined,
      retry: async () => void (await shareImage(owner, image, { UserId: consumer.account })),
    };
  },
};

const blockedPublicAccess: Fault = {
  id: 11,
  name: '11-public-access-is-blocked',
  async build(world) {
    const owner = await world.account();
    const image = await newImage(owner);
    await owner.ec2.send(new EnableImageBlockPublicAccessCommand({ ImageBlockPublicAccessState: 'block-new-sharing' }));
    const share = () => shareImage(owner, image, { Group: 'all' });
    await isRefused(
      share(),
      'OperationNotPermitted',
      'You can’t publicly share this image because block public access for AMIs is enabled for this account. To publicly share the image, you must call the DisableImageBlockPublicAccess API.',
    );
    return {
      ...by(owner, owner),
      subject: image,
      operation: 'ModifyImageAttribute',
      cause: {},
      async mend() {
        await owner.ec2.send(new DisableImageBlockPublicAccessCommand({}));
        return undefined;
      },
      retry: async () => void (await share()),
    };
  },
};

const plainCopyOfEncrypted: Fault = {
  id: 12,
  name: '12-copy-asks-for-no-encryption',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const snapshot = await newSnapshot(admin, { KmsKeyArn: key });
    const image = await registerImage(admin, snapshot);
    const input = { SourceImageId: image, SourceRegion: admin.config.region, Name: `copy of ${image}` };
    await isRefused(
      admin.ec2.send(new CopyImageCommand({ ...input, Encrypted: false })),
      'InvalidRequest',
      `Snapshot ${snapshot} is encrypted. Creating unencrypted copy from an encrypted snapshot is not supported.`,
    );
    return {
      ...by(admin, admin),
      subject: image,
      operation: 'CopyImage',
      cause: {},
      // The request is what is wrong.
      mend: async () => undefined,
      retry: async () => void (await copiedImage(admin, { SourceImageId: image })),
    };
  },
};

const storageNotShared: Fault = {
  id: 13,
  name: '13-image-is-shared-without-its-snapshots',
  async build(world) {
    const [owner, consumer] = await Promise.all([world.account(), world.account()]);
    const key = await newKey(owner, forAccount(consumer.account));
    const snapshot = await newSnapshot(owner, { KmsKeyArn: key });
    const image = await registerImage(owner, snapshot);
    await shareImage(owner, image, { UserId: consumer.account });
    await isRefused(
      copiedImage(consumer, { SourceImageId: image }),
      'InvalidRequest',
      'You do not have permission to access the storage of this ami',
    );
    return {
      ...by(consumer, consumer, owner),
      subject: image,
      operation: 'CopyImage',
      consumer: consumer.account,
      cause: {},
      async mend() {
        await shareSnapshot(owner, snapshot, consumer.account);
        return undefined;
      },
      retry: async () => void (await copiedImage(consumer, { SourceImageId: image })),
    };
  },
};

export const SHARING_FAULTS: readonly Fault[] = [
  imageUnderManagedKey,
  snapshotUnderManagedKey,
  encryptedForEveryone,
  blockedPublicAccess,
  plainCopyOfEncrypted,
  storageNotShared,
];
