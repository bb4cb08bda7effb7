/**
 * kill -9 at a commit: the server dies before or after a chosen commit of one piece of work, starts again, and comes to
 * rest. What must then hold is asked of its database, because no caller is shown what belongs to nobody.
 */
import assert from 'node:assert/strict';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import * as ec2 from '@aws-sdk/client-ec2';
import { CreateKeyCommand, DisableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { type Sender, WORKS, type Work, type World, waiter, ZONE } from './commit-crash-works.ts';
import { type IngotOptions, startIngot } from './ingot.ts';

export async function openWorld(options: Pick<IngotOptions, 'machines'> = {}): Promise<World> {
  const killFile = join('/tmp', `ingot-kill-${process.pid}-${Math.random().toString(36).slice(2)}`);
  const preload = new URL('kill-at-commit.ts', import.meta.url).href;
  const ingot = await startIngot({
    ...options,
    environment: { NODE_OPTIONS: `--import=${preload}`, INGOT_TEST_KILL: killFile, INGOT_LOG: 'error' },
  });
  const client = new ec2.EC2Client(await ingot.client());
  const kms = new KMSClient(await ingot.client());
  const newKey = async () => (await kms.send(new CreateKeyCommand({}))).KeyMetadata!.Arn!;
  const { VolumeId } = await client.send(
    new ec2.CreateVolumeCommand({ AvailabilityZone: ZONE, Size: 1, Encrypted: true, KmsKeyId: await newKey() }),
  );
  await ec2.waitUntilVolumeAvailable(waiter(client), { VolumeIds: [VolumeId!] });
  const { SnapshotId } = await client.send(new ec2.CreateSnapshotCommand({ VolumeId }));
  await ec2.waitUntilSnapshotCompleted(waiter(client), { SnapshotIds: [SnapshotId!] });
  const { ImageId } = await client.send(
    new ec2.RegisterImageCommand({
      Name: 'golden',
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
    }),
  );
  const disabledKey = await newKey();
  await kms.send(new DisableKeyCommand({ KeyId: disabledKey }));
  return {
    ingot,
    killFile,
    disabledKey,
    otherKey: await newKey(),
    snapshot: SnapshotId!,
    image: ImageId!,
  };
}

/** Gives whether the server died: `false` where the work has fewer commits than that. */
export async function dieAt(world: World, work: Work, commit: number, side: 'before' | 'after'): Promise<boolean> {
  const { ingot, killFile } = world;
  const client = new ec2.EC2Client(await ingot.client());
  const command = await work.command(client, world);
  await atRest(world);
  await writeFile(killFile, `${commit} ${side}`);
  const sender = async () => work.sender?.(await ingot.client()) ?? (new ec2.EC2Client(await ingot.client()) as Sender);
  let answered = true;
  try {
    await (await sender()).send(command);
  } catch (error) {
    if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode !== undefined) throw error;
    // The connection may be seen to end before the process.
    await ingot.ended();
    answered = false;
  }
  await atRest(world);
  await rm(killFile);
  // It may be dying of a last commit right now.
  const lives = await fetch(`${ingot.endpoint}/health`).then(
    () => true,
    () => false,
  );
  if (!lives) await ingot.ended();
  const died = !lives;
  assert.ok(answered || died);
  if (died) await ingot.restart();
  await atRest(world);
  if (work.again && !answered) {
    await (await sender()).send(command).catch((error: { $metadata?: { httpStatusCode?: number } }) => {
      // What had been done already is refused.
      if (error.$metadata?.httpStatusCode === undefined) throw error;
    });
    await atRest(world);
  }
  assert.ok(ingot.alive, `the server ended by itself: ${ingot.said}`);
  return died;
}

type Row = Readonly<Record<string, string | number | null>>;

function ask(world: World, query: string): Row[] {
  const database = new DatabaseSync(join(world.ingot.dataDir, 'ingot.db'), { readOnly: true, timeout: 5000 });
  try {
    return database.prepare(query).all() as Row[];
  } finally {
    database.close();
  }
}

/** Jobs that are due now or soon; what naps for hours is at rest. */
const BUSY = `select kind, label, state, cause from job where state <> 'failed' and due_at < (unixepoch() + 60) * 1000`;

/** Until no job is left to do, or the server is dead. */
async function atRest(world: World): Promise<void> {
  while (world.ingot.alive && ask(world, BUSY).length > 0) await pause(20);
}

/** What must hold of a server at rest, whatever happened to it; gives what does not. */
export async function complaints(world: World): Promise<string[]> {
  const none = (what: string, query: string) => ask(world, query).map((row) => `${what}: ${JSON.stringify(row)}`);
  return [
    ...none('failed job', `select kind, label, cause from job where state <> 'pending'`),
    ...none('volume', `select id, state from volumes where state not in ('available', 'in-use')`),
    ...none('volume without key', `select id from volumes where data_key_id is null or overlay is null`),
    ...none(
      'base under another lineage',
      `select id from volumes where base_root is not null and base_data_key_id <> data_key_id`,
    ),
    ...none(
      'volume in use by nobody',
      `select id from volumes where (state = 'in-use') <> (id in (select volume_id from volume_attachments))`,
    ),
    ...none(
      'attachment to an instance that is not there',
      `select volume_id, instance_id from volume_attachments where instance_id not in
        (select id from instances where state in ('running', 'stopped'))`,
    ),
    ...none('attachment', `select volume_id, state from volume_attachments where state <> 'attached'`),
    ...none(
      'volume made for an instance that is not there',
      `select volume.id from volumes as volume, instances, json_each(instances.document, '$.devices') as device
        where json_extract(device.value, '$.volumeId') = volume.id and instances.state = 'terminated'`,
    ),
    ...none(
      'instance without a root volume, or with two',
      `select id from instances where state in ('running', 'stopped') and 1 <>
        (select count(*) from volume_attachments where instance_id = instances.id
          and device = json_extract(instances.document, '$.rootDeviceName'))`,
    ),
    ...none('instance that is held', `select id from instances where json_extract(document, '$.held')`),
    ...none('replacement', `select id, state from root_replacements where state not in ('succeeded', 'failed')`),
    ...none(
      'replaced root volume that should be gone',
      `select volumes.id from volumes, root_replacements as task where json_extract(task.document, '$.deleteReplaced')
        and json_extract(task.document, '$.replacedVolumeId') = volumes.id`,
    ),
    ...none(
      'volume made for a replacement that failed',
      `select volumes.id from volumes, root_replacements as task where task.state = 'failed'
        and json_extract(task.document, '$.making') is not null and json_extract(task.document, '$.volumeId') = volumes.id`,
    ),
    ...none(
      'grant that an attachment to a running instance lacks',
      `select volume_id from volume_attachments, volumes, instances where volumes.id = volume_id
        and instances.id = instance_id and instances.state = 'running' and encrypted and volume_attachments.grant_id is null`,
    ),
    ...none('snapshot', `select id, state, state_message from snapshots where state <> 'completed'`),
    ...none('image', `select id, state from image where state <> 'available'`),
    ...none('instance', `select id, state from instances where state not in ('running', 'stopped', 'terminated')`),
    ...none(
      'grant of nobody',
      `select grantee, created_at from keys_grant where grant_id not in
        (select grant_id from volumes where grant_id is not null
         union select grant_id from volume_attachments where grant_id is not null)`,
    ),
    ...none(
      'grant that is not there',
      `select id from volumes where grant_id is not null and grant_id not in (select grant_id from keys_grant)`,
    ),
    ...none(
      'grant of an instance that is stopped',
      `select volume_id from volume_attachments where grant_id is not null and instance_id in
        (select id from instances where state = 'stopped')`,
    ),
    ...none('grant of a copy', 'select * from copy_grants'),
    ...none('half a sealing', 'select job from storage_job_leaves union select job from storage_jobs'),
    ...(await strayOverlays(world)),
  ];
}

async function strayOverlays(world: World): Promise<string[]> {
  const folder = join(world.ingot.dataDir, 'overlays');
  const named = ask(world, 'select overlay, frozen from volumes').flatMap(({ overlay, frozen }) => [
    String(overlay),
    ...(JSON.parse(String(frozen)) as string[]),
  ]);
  const wanted = new Set(named.flatMap((name) => [`${name}.data`, `${name}.bits`]));
  const stray: string[] = [];
  for (const volume of await readdir(folder)) {
    const files = (await readdir(join(folder, volume))).map((file) => `${volume}/${file}`);
    if (files.length === 0) stray.push(`empty overlay folder ${volume}`);
    stray.push(...files.filter((file) => !wanted.delete(file)).map((file) => `stray overlay ${file}`));
  }
  return [...stray, ...[...wanted].map((file) => `missing overlay ${file}`)];
}

/** A test for each work, that kills the server before every one of its commits. */
export function killAtEveryCommit(chosen: (work: Work) => boolean): void {
  describe('a server that dies at a commit', () => {
    let world: World;
    before(async () => {
      world = await openWorld();
    });
    after(() => world.ingot[Symbol.asyncDispose]());
    for (const work of WORKS.filter(chosen)) {
      it(`comes to rest with nothing left over: ${work.name}`, async (context) => {
        let commits = 0;
        // After a commit and before the next the database is the same, and of the files more has been done.
        while (await dieAt(world, work, commits + 1, 'before')) {
          commits += 1;
          assert.deepEqual(await complaints(world), [], `killed before commit ${commits}`);
        }
        assert.deepEqual(await complaints(world), []);
        context.diagnostic(`${commits} commits`);
      });
    }
  });
}
