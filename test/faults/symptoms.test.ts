/** Each fault shows its symptom when it is built, and is gone after the mend of the table (section 8; P-13 is row 2). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { FAULTS } from './faults.ts';
import { World } from './world.ts';

let world: World;
before(async () => {
  world = await World.start();
});
after(() => world[Symbol.asyncDispose]());

describe('section 8: real failure modes', { concurrency: 4 }, () => {
  for (const { id, name, build } of FAULTS) {
    it(`row ${id}: ${name}`, async () => {
      const fault = await build(world);
      const mended = await fault.mend();
      await fault.retry(mended);
    });
  }

  it('names are unique and carry their row', () => {
    assert.equal(new Set(FAULTS.map(({ name }) => name)).size, FAULTS.length);
    for (const { id, name } of FAULTS) assert.ok(name.startsWith(`${String(id).padStart(2, '0')}-`), name);
  });
});
