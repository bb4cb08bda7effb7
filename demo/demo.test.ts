import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runDemo } from './run-demo.ts';

test('the demo holds without a guest: every step but the boot', async () => {
  const { code, said } = await runDemo('--machines', 'none');
  assert.equal(code, 0, said);
  for (const step of [1, 2, 3, 4, 5, 6, 7]) assert.match(said, new RegExp(`^${step}\\. `, 'm'));
  assert.match(said, /All of it holds/);
  assert.match(said, /no QEMU here/);
});
