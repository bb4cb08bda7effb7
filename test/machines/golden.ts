/** An image that boots, brought in over the public API: its blocks into a snapshot, the snapshot into an image. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { CompleteSnapshotCommand, EBSClient, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import { DescribeSnapshotsCommand, EC2Client, RegisterImageCommand } from '@aws-sdk/client-ec2';
import type { BootImage } from '../../demo/image/build.ts';
import type { ClientConfig } from '../house/ingot.ts';
import { until } from './support.ts';

const BLOCK = 524_288;

/** Gives the id of an image, sealed under the key if one is given; its launches default to IMDSv2. */
export async function importGolden(
  config: ClientConfig,
  image: BootImage,
  KmsKeyArn?: string,
  name = 'golden',
): Promise<string> {
  const ebs = new EBSClient(config);
  const ec2 = new EC2Client(config);
  const { SnapshotId } = await ebs.send(
    new StartSnapshotCommand({ VolumeSize: 1, ...(KmsKeyArn ? { Encrypted: true, KmsKeyArn } : {}) }),
  );
  const file = await open(image.path);
  let ChangedBlocksCount = 0;
  try {
    for (let index = 0; index * BLOCK < image.sizeBytes; index++) {
      const block = Buffer.alloc(BLOCK);
      await file.read(block, 0, BLOCK, index * BLOCK);
      if (block.every((byte) => byte === 0)) continue;
      ChangedBlocksCount++;
      await ebs.send(
        new PutSnapshotBlockCommand({
          SnapshotId,
          BlockIndex: index,
          BlockData: block,
          DataLength: BLOCK,
          Checksum: createHash('sha256').update(block).digest('base64'),
          ChecksumAlgorithm: 'SHA256',
        }),
      );
    }
  } finally {
    await file.close();
  }
  await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount }));
  await until('the snapshot is completed', async () => {
    const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId!] }));
    return Snapshots![0]!.State === 'completed';
  });
  const { ImageId } = await ec2.send(
    new RegisterImageCommand({
      Name: name,
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      ImdsSupport: 'v2.0',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
    }),
  );
  return ImageId!;
}
