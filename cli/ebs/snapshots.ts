/** Snapshots and images as EC2 describes them. */
import { setTimeout as pause } from 'node:timers/promises';
import { DescribeImagesCommand, DescribeSnapshotsCommand, type EC2Client, type Snapshot } from '@aws-sdk/client-ec2';
import { CliError, UsageError } from '../error.ts';

const POLL_FIRST_MS = 100;
const POLL_MOST_MS = 5_000;

export async function findSnapshot(ec2: EC2Client, snapshotId: string, signal: AbortSignal): Promise<Snapshot> {
  const command = new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] });
  const { Snapshots } = await ec2.send(command, { abortSignal: signal });
  if (!Snapshots?.[0]) throw new CliError(`There is no snapshot ${snapshotId}.`);
  return Snapshots[0];
}

/** Waits until the snapshot is completed; an error of the snapshot is told in EC2's words. */
export async function snapshotCompleted(ec2: EC2Client, snapshotId: string, signal: AbortSignal): Promise<Snapshot> {
  for (let waitMs = POLL_FIRST_MS; ; waitMs = Math.min(waitMs * 2, POLL_MOST_MS)) {
    const snapshot = await findSnapshot(ec2, snapshotId, signal);
    if (snapshot.State === 'completed') return snapshot;
    if (snapshot.State !== 'pending') {
      throw new CliError(
        `The snapshot ${snapshotId} is ${snapshot.State}: ${snapshot.StateMessage ?? 'no reason is given'}.`,
      );
    }
    await pause(waitMs, undefined, { signal });
  }
}

export interface SnapshotOf {
  readonly snapshotId: string;
  /** Where it was found: the AMI and its device. */
  readonly imageId?: string;
  readonly device?: string;
}

/** A snapshot by its own id, or by the AMI that has it as its root device or as `device`. */
export async function resolveSnapshot(
  ec2: EC2Client,
  subject: string,
  device: string | undefined,
  signal: AbortSignal,
): Promise<SnapshotOf> {
  if (/^snap-[0-9a-f]+$/.test(subject)) {
    if (device !== undefined) throw new UsageError('--device is for an AMI; a snapshot has no devices.');
    return { snapshotId: subject };
  }
  if (!/^ami-[0-9a-f]+$/.test(subject)) {
    throw new UsageError(`${JSON.stringify(subject)} is neither a snapshot (snap-…) nor an AMI (ami-…).`);
  }
  const { Images } = await ec2.send(new DescribeImagesCommand({ ImageIds: [subject] }), { abortSignal: signal });
  const image = Images?.[0];
  if (!image) throw new CliError(`There is no AMI ${subject}.`);
  const wanted = device ?? image.RootDeviceName;
  const mapping = image.BlockDeviceMappings?.find(({ DeviceName }) => DeviceName === wanted);
  if (!wanted || !mapping?.Ebs?.SnapshotId) {
    const devices = image.BlockDeviceMappings?.flatMap((one) => (one.Ebs?.SnapshotId ? [one.DeviceName] : [])) ?? [];
    throw new CliError(`${subject} has no snapshot at ${wanted}; it has them at ${devices.join(', ') || 'no device'}.`);
  }
  return { snapshotId: mapping.Ebs.SnapshotId, imageId: subject, device: wanted };
}
