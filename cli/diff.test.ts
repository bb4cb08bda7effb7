import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Change, rangesOf } from './diff.ts';

const changes = (kind: Change['kind'], ...indexes: number[]) => indexes.map((index) => ({ index, kind }));

describe('ranges of changes', () => {
  it('joins neighbours of one kind only', () => {
    const all = [...changes('changed', 1, 2, 3), ...changes('added', 4), ...changes('added', 6, 7)];
    assert.deepEqual(rangesOf(all), [
      { firstBlock: 1, lastBlock: 3, kind: 'changed' },
      { firstBlock: 4, lastBlock: 4, kind: 'added' },
      { firstBlock: 6, lastBlock: 7, kind: 'added' },
    ]);
    assert.deepEqual(rangesOf([]), []);
  });
});
