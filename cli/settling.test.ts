import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { settling } from './settling.ts';

/** Looks that see `seen` one after the other, and how many there were. */
function looks(...seen: readonly boolean[]) {
  const left = [...seen];
  const isWell = (one: boolean) => one;
  return { left, isWell, look: () => Promise.resolve(left.shift() as boolean) };
}

describe('after a change', () => {
  for (const [seen, end, unused] of [
    [[true, true], true, 1],
    [[false, false, true, true], true, 1],
    [[false, false, false, true], false, 1],
  ] as const) {
    it(`${seen.join(', ')} is ${end}, with ${unused} look to spare`, async () => {
      const { left, isWell, look } = looks(...seen);
      assert.equal(await settling(look, isWell, undefined, [0, 0]), end);
      assert.equal(left.length, unused);
    });
  }

  it('Ctrl-C ends the wait', async () => {
    const { left, isWell, look } = looks(false, true);
    assert.equal(await settling(look, isWell, AbortSignal.abort(), [60_000]), false);
    assert.equal(left.length, 1);
  });
});
