import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteBudget } from './byte-budget.ts';

const patient = new AbortController().signal;

test('never gives out more than there is, and serves everybody who stays, in turn', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 10 }), leaves: fc.boolean() }), { maxLength: 40 }),
      async (asks) => {
        const budget = new ByteBudget(10);
        let held = 0;
        const served: number[] = [];
        const work = asks.map(async ({ bytes, leaves }, index) => {
          const abort = new AbortController();
          const taken = budget.take(bytes, abort.signal);
          if (leaves) abort.abort(new Error('left'));
          const giveBack = await taken.catch(() => undefined);
          if (!giveBack) return;
          held += bytes;
          served.push(index);
          assert.ok(held <= 10);
          await new Promise(setImmediate);
          held -= bytes;
          giveBack();
        });
        await Promise.all(work);
        assert.equal(held, 0);
        assert.deepEqual(
          served,
          served.toSorted((a, b) => a - b),
        );
        const staying = asks.flatMap(({ leaves }, index) => (leaves ? [] : [index]));
        assert.deepEqual(
          staying.filter((index) => !served.includes(index)),
          [],
        );
        (await budget.take(10, patient))();
      },
    ),
  );
});
