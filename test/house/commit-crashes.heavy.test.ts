/** kill -9 before and after every commit of every piece of work. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { complaints, dieAt, openWorld, WORKS, type World } from './commit-crashes.ts';

let world: World;
before(async () => {
  world = await openWorld();
});
after(() => world.ingot[Symbol.asyncDispose]());

describe('a server that dies at a commit', () => {
  for (const work of WORKS) {
    it(`comes to rest with nothing left over: ${work.name}`, async (context) => {
      let commits = 0;
      for (let died = true; died; commits += 1) {
        for (const side of ['before', 'after'] as const) {
          died = await dieAt(world, work, commits + 1, side);
          assert.deepEqual(await complaints(world), [], `killed ${side} commit ${commits + 1}`);
        }
      }
      context.diagnostic(`${commits} commits`);
    });
  }
});
