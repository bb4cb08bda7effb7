/** A publication that is killed again and again, each time right after the server has done something for it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateLaunchTemplateCommand, DescribeLaunchTemplateVersionsCommand } from '@aws-sdk/client-ec2';
import { type ApplyShown, AWAY, HOME, PublishRig } from './publish-rig.ts';
import { type Passing, Relay } from './relay.ts';

const CHANGES =
  /(?:^|&)Action=(?:(?:Copy|Register|Deregister)Image|Modify(?:Image|Snapshot)Attribute|(?:Create|Modify)LaunchTemplate|DeleteSnapshot)/;

/** Blocks aside: one that was sent and not noted is sent again, so that a run has to live for one of them. */
function changes({ method, path, headers }: Passing, body: Buffer): boolean {
  if (String(headers['x-amz-target']).endsWith('.PutKeyPolicy')) return true;
  if (path.startsWith('/snapshots')) return method === 'POST';
  return CHANGES.test(body.toString('latin1'));
}

/**
 * Publishes two versions of a disk into an account of its own key, the second one in runs that each are killed when the
 * server has answered their `stride`th change, until one comes through; then everything is there once, and nothing else.
 * Gives how many runs were killed.
 */
export async function publishThroughKills(stride: number): Promise<number> {
  await using rig = await PublishRig.start();
  await using relay = await Relay.to(rig.ingot.endpoint);
  const account = await rig.addAccount('team');
  await rig.key('alias/golden');
  const away = await rig.key('alias/golden', AWAY);
  await writeFile(join(rig.dir, 'disk.raw'), Buffer.alloc(2 * 524_288, 'golden'));
  const template = new CreateLaunchTemplateCommand({
    LaunchTemplateName: 'fleet',
    LaunchTemplateData: { ImageId: 'ami-00000000000000001', InstanceType: 't3.micro' },
  });
  const { LaunchTemplate } = await (await rig.ec2(AWAY, account)).send(template);
  const manifest = (version: string) =>
    rig.manifest({
      name: 'killed',
      version,
      source: { disk: 'disk.raw' },
      key: 'alias/golden',
      regions: [HOME, AWAY],
      mode: 'reencrypt',
      for: { accounts: [account] },
      launchTemplates: [{ template: 'fleet', region: AWAY, account }],
      keep: 1,
    });
  const first = await rig.told<ApplyShown>(['apply', await manifest('1')]);
  assert.equal(first.code, 0, first.stderr);

  const file = await manifest('2');
  let kills = 0;
  for (let code: number | null = null; code !== 0; ) {
    const child = rig.spawn(['apply', file], undefined, relay.endpoint);
    const changing = new WeakSet<Passing>();
    let answered = 0;
    relay.rules = {
      damageRequest(passing, body) {
        if (changes(passing, body)) changing.add(passing);
        return body;
      },
      damageAnswer(passing, body) {
        if (changing.has(passing) && ++answered === stride) child.kill('SIGKILL');
        return body;
      },
    };
    let said = '';
    child.stderr?.on('data', (piece: Buffer) => {
      said += piece;
    });
    child.stdout?.resume();
    await once(child, 'close');
    code = child.exitCode;
    if (child.signalCode === 'SIGKILL') kills += 1;
    else assert.equal(code, 0, said);
    assert.ok(kills < 60, 'it comes to an end');
  }

  relay.rules = {};
  const again = await rig.told<ApplyShown>(['apply', file]);
  assert.deepEqual([again.code, again.steps], [0, []]);
  for (const proof of again.proofs) assert.equal(proof.verdict, 'can launch', JSON.stringify(proof));
  for (const region of [HOME, AWAY]) {
    for (const owner of [rig.account, account]) {
      const where = `${owner} in ${region}`;
      const images = await rig.versions('killed', region, owner);
      assert.deepEqual(
        images.map(({ Name }) => Name),
        ['killed-2'],
        where,
      );
      const snapshots = await rig.snapshotsOf('killed', region, owner);
      const used = images[0]!.BlockDeviceMappings!.map(({ Ebs }) => Ebs!.SnapshotId);
      assert.deepEqual(
        snapshots.map(({ SnapshotId }) => SnapshotId),
        used,
        where,
      );
      assert.equal(snapshots[0]?.Encrypted, true, where);
      if (owner === rig.account) assert.deepEqual(await rig.readers(images[0]!.ImageId!, region), [], where);
    }
  }
  const policy = await rig.policyOf(away, AWAY);
  assert.deepEqual(
    policy.Statement.filter(({ Sid }) => Sid?.startsWith('IngotPublish')),
    [],
  );
  const { LaunchTemplateVersions: versions } = await (await rig.ec2(AWAY, account)).send(
    new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateId: LaunchTemplate!.LaunchTemplateId }),
  );
  assert.equal(versions?.length, 3, 'as made, version 1, version 2: no version twice');
  const [theirs] = await rig.versions('killed', AWAY, account);
  assert.equal(versions?.find(({ DefaultVersion }) => DefaultVersion)?.LaunchTemplateData?.ImageId, theirs?.ImageId);
  return kills;
}
