/**
 * kill -9 at a random moment, over and over: whatever was acknowledged is there after the restart, and jobs go on.
 * The seed is printed; INGOT_TEST_SEED repeats a run's choices (not its timing).
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import {
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { CreateKeyCommand, KMSClient, paginateListKeys } from '@aws-sdk/client-kms';
import { startIngot } from './ingot.ts';

const ROUNDS = 4;
const WRITERS = 3;
const KILL_AFTER_MS_MAX = 1_500;

/** Mulberry32: small, and the same everywhere. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('kill -9', () => {
  it('loses nothing acknowledged, and pending jobs go on', async (context) => {
    const seed = Number(process.env.INGOT_TEST_SEED ?? Date.now() % 1_000_000);
    context.diagnostic(`seed ${seed}`);
    const random = randomFrom(seed);
    await using ingot = await startIngot();
    const setup = new KMSClient(await ingot.client());
    const { KeyMetadata } = await setup.send(new CreateKeyCommand({}));
    const KeyId = KeyMetadata!.KeyId!;
    const keys = new Set<string>();
    const volumes = new Set<string>();
    const snapshots = new Set<string>();

    for (let round = 0; round < ROUNDS; round += 1) {
      const config = await ingot.client();
      const kms = new KMSClient(config);
      const ec2 = new EC2Client(config);
      let alive = true;
      const write = async () => {
        while (alive) {
          try {
            const key = await kms.send(new CreateKeyCommand({}));
            keys.add(key.KeyMetadata!.KeyId!);
            const volume = await ec2.send(
              new CreateVolumeCommand({
                AvailabilityZone: 'eu-central-1a',
                Size: 1,
                Encrypted: true,
                KmsKeyId: KeyId,
              }),
            );
            volumes.add(volume.VolumeId!);
            const { Volumes = [] } = await ec2.send(new DescribeVolumesCommand({}));
            const ready = Volumes.filter(({ State }) => State === 'available');
            const chosen = ready[Math.floor(random() * ready.length)];
            if (chosen) {
              const { SnapshotId } = await ec2
                .send(new CreateSnapshotCommand({ VolumeId: chosen.VolumeId! }))
                .catch(ofTooMany);
              if (SnapshotId) snapshots.add(SnapshotId);
            }
          } catch (error) {
            // The server is being killed under us; anything it says itself is a finding.
            if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode !== undefined)
              throw error;
            return;
          }
        }
      };
      const writers = Array.from({ length: WRITERS }, write);
      for (const writer of writers) writer.catch(() => {});
      await pause(random() * KILL_AFTER_MS_MAX);
      await ingot.kill();
      alive = false;
      for (const result of await Promise.allSettled(writers)) if (result.status === 'rejected') throw result.reason;
      await ingot.restart();
    }

    const config = await ingot.client();
    const kms = new KMSClient(config);
    const listed = new Set<string>();
    for await (const page of paginateListKeys({ client: kms }, {})) {
      for (const key of page.Keys ?? []) listed.add(key.KeyId ?? '');
    }
    assert.deepEqual(
      [...keys].filter((id) => !listed.has(id)),
      [],
    );

    const ec2 = new EC2Client(config);
    const found = (await ec2.send(new DescribeVolumesCommand({}))).Volumes ?? [];
    const byId = new Map(found.map((volume) => [volume.VolumeId, volume]));
    assert.deepEqual(
      [...volumes].filter((id) => !byId.has(id)),
      [],
    );
    await settled(async () => {
      const { Volumes = [] } = await ec2.send(new DescribeVolumesCommand({}));
      return Volumes.every((volume) => volume.State === 'available');
    });
    const seen = (await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }))).Snapshots ?? [];
    assert.deepEqual(
      [...snapshots].filter((id) => !seen.some((snapshot) => snapshot.SnapshotId === id)),
      [],
    );
    await settled(async () => {
      const { Snapshots = [] } = await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
      return Snapshots.every((snapshot) => snapshot.State === 'completed');
    });
    context.diagnostic(`${keys.size} keys, ${volumes.size} volumes, ${snapshots.size} snapshots over ${ROUNDS} kills`);
    assert.ok(keys.size > ROUNDS && snapshots.size > ROUNDS, 'hardly anything was written: the test shows nothing');
  });
});

/** Some volumes are chosen more often than a volume may be snapshotted (L-26, L-27). */
function ofTooMany(error: Error): { readonly SnapshotId?: string } {
  if (['SnapshotCreationPerVolumeRateExceeded', 'ConcurrentSnapshotLimitExceeded'].includes(error.name)) return {};
  throw error;
}

/** Waits for a condition; the runner's timeout is the bound. */
async function settled(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await pause(50);
}
