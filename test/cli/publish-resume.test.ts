/** `ingot publish apply`, stopped: by Ctrl-C, by death, by a copy that fails. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DisableKeyCommand, EnableKeyCommand } from '@aws-sdk/client-kms';
import { publishThroughKills } from './publish-kills.ts';
import { type ApplyShown, AWAY, HOME, PublishRig } from './publish-rig.ts';
import { Relay } from './relay.ts';
import { ended } from './rig.ts';

const isCopy = (body: Buffer) => body.includes('Action=CopyImage');

async function twoRegions(rig: PublishRig): Promise<{ file: string; key: string; away: string; account: string }> {
  const account = await rig.addAccount('team');
  const key = await rig.key('alias/golden');
  const away = await rig.key('alias/golden', AWAY);
  const source = await rig.sourceImage('built', key);
  const file = await rig.manifest({
    name: 'stopped',
    version: '1',
    source: { image: source },
    key: 'alias/golden',
    regions: [HOME, AWAY],
    for: { accounts: [account] },
  });
  return { file, key, away, account };
}

describe('ingot publish apply: stopped', () => {
  it('killed at every fifth change: applied again, nothing is missing and nothing is there twice', async () => {
    assert.ok((await publishThroughKills(5)) >= 3);
  });

  it('by Ctrl-C: says how to go on, and goes on', async () => {
    await using rig = await PublishRig.start();
    await using relay = await Relay.to(rig.ingot.endpoint);
    const { file } = await twoRegions(rig);
    const child = rig.spawn(['apply', file], undefined, relay.endpoint);
    relay.rules = {
      before: async (_, body) => {
        if (isCopy(body)) child.kill('SIGINT');
      },
    };
    const stopped = await ended(child);
    assert.equal(stopped.code, 130, stopped.stderr);
    assert.match(
      stopped.stderr,
      /Stopped\. .*nothing is made twice: go on with\n {2}ingot publish apply .*golden\.yaml/,
    );
    const told = await rig.told<ApplyShown>(['apply', file]);
    assert.equal(told.code, 0, told.stderr);
    for (const region of [HOME, AWAY]) assert.equal((await rig.versions('stopped', region)).length, 1);
  });

  it('by a copy that fails: the reason is told, the other region is done, the next apply copies anew (CI-3)', async () => {
    await using rig = await PublishRig.start();
    await using relay = await Relay.to(rig.ingot.endpoint);
    const { file, away, account } = await twoRegions(rig);
    const kms = await rig.kms(AWAY);
    relay.rules = {
      before: async ({ headers }, body) => {
        if (!isCopy(body) || !String(headers.authorization).includes(`/${AWAY}/`)) return;
        await kms.send(new DisableKeyCommand({ KeyId: away }));
      },
    };
    const failed = await ended(rig.spawn(['apply', file], undefined, relay.endpoint));
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /us-east-1: ami-\w+ in us-east-1 is failed: Copy image failed with an internal error/);
    assert.deepEqual(await rig.readers((await rig.versions('stopped'))[0]!.ImageId!), [account]);
    assert.equal((await rig.versions('stopped', AWAY))[0]?.State, 'failed');

    await kms.send(new EnableKeyCommand({ KeyId: away }));
    const plan = await rig.told(['plan', file]);
    assert.match(plan.steps[0]!.why, /ami-\w+ failed \(Copy image failed with an internal error.*copied anew/);
    const told = await rig.told<ApplyShown>(['apply', file]);
    assert.equal(told.code, 0, told.stderr);
    const there = await rig.versions('stopped', AWAY);
    assert.deepEqual(
      there.map(({ State }) => State),
      ['available'],
    );
    assert.equal((await rig.snapshotsOf('stopped', AWAY)).length, 1);
  });
});
