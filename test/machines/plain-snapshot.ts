import { createHash } from 'node:crypto';
import { CompleteSnapshotCommand, EBSClient, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import { DescribeSnapshotsCommand, EC2Client } from '@aws-sdk/client-ec2';
import type { ClientConfig } from '../house/ingot.ts';
import { until } from './support.ts';

/** A completed snapshot of 1 GiB with one block that boots nothing; encrypted as told, or as the account has it. */
export async function importBlocks(
  config: ClientConfig,
  encryption: { readonly Encrypted?: boolean; readonly KmsKeyArn?: string } = {},
): Promise<string> {
  const ebs = new EBSClient(config);
  const { SnapshotId } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1, ...encryption }));
  const BlockData = Buffer.alloc(524_288, 1);
  await ebs.send(
    new PutSnapshotBlockCommand({
      SnapshotId,
      BlockIndex: 0,
      BlockData,
      DataLength: BlockData.length,
      Checksum: createHash('sha256').update(BlockData).digest('base64'),
      ChecksumAlgorithm: 'SHA256',
    }),
  );
  await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 1 }));
  const ec2 = new EC2Client(config);
  await until('the snapshot is completed', async () => {
    const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId!] }));
    return Snapshots![0]!.State === 'completed';
  });
  return SnapshotId!;
}
