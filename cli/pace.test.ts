/** Rates and times left, on a clock of the test's own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Pace, seconds, size } from './pace.ts';

describe('pace', () => {
  it('follows the rate of the last seconds, not that of the beginning', () => {
    let now = 0;
    const pace = new Pace(1000 * 2 ** 20, () => now);
    for (let second = 0; second < 20; second += 1) {
      now += 1000;
      pace.advance((second < 10 ? 1 : 10) * 2 ** 20);
    }
    assert.equal(Math.round(pace.bytesPerSecond / 2 ** 20), 10);
    assert.equal(pace.toString(), '110 MiB of 1000 MiB  10 MiB/s  1 min 29 s left');
    assert.equal(pace.share, 0.11);
  });

  it('counts where the whole is not known', () => {
    let now = 0;
    const pace = new Pace(undefined, () => now);
    now = 1000;
    pace.advance(512);
    assert.deepEqual([pace.share, pace.toString()], [undefined, '512 B  512 B/s']);
  });

  for (const [bytes, text] of [
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [2 ** 31, '2 GiB'],
    [2 ** 60, '1048576 TiB'],
  ] as const) {
    it(`${bytes} bytes are ${text}`, () => assert.equal(size(bytes), text));
  }
  for (const [value, text] of [
    [0.04, '0.0 s'],
    [59.4, '59 s'],
    [60, '1 min 0 s'],
    [3661, '1 h 1 min'],
  ] as const) {
    it(`${value} seconds are ${text}`, () => assert.equal(seconds(value), text));
  }
});
