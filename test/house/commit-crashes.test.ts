/** A few deaths at commits, chosen by a seed; the heavy tests go through all of them. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { WORKS } from './commit-crash-works.ts';
import { complaints, dieAt, openWorld } from './commit-crashes.ts';

const DEATHS = 3;
const COMMITS = 12;

it('a server that dies at a commit comes to rest with nothing left over', async (context) => {
  const seed = Number(process.env.INGOT_TEST_SEED ?? Date.now() % 1_000_000);
  context.diagnostic(`seed ${seed}`);
  const world = await openWorld();
  await using _ = world.ingot;
  for (let death = 0; death < DEATHS; death += 1) {
    const work = WORKS[(seed + death) % WORKS.length]!;
    const commit = 1 + ((seed * 7 + death * 5) % COMMITS);
    const side = (seed + death) % 2 === 0 ? 'before' : 'after';
    const died = await dieAt(world, work, commit, side);
    const what = `${work.name}, killed ${side} commit ${commit}`;
    context.diagnostic(`${what}${died ? '' : ': was done before'}`);
    assert.deepEqual(await complaints(world), [], what);
  }
});
