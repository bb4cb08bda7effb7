import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ensureQemu } from '../scripts/ensure-qemu.ts';
import { interruptDemo, runDemo, someProcessNames } from './run-demo.ts';

test('the demo holds with a guest that boots from its encrypted volume', async (t) => {
  if (!(await ensureQemu())) return t.skip('QEMU is not installed');
  const { code, said } = await runDemo();
  assert.equal(code, 0, said);
  assert.match(said, /GetConsoleOutput after [\d.]+ s more: ingot-marker: INGOT-MARKER-/);
  assert.match(said, /All of it holds/);
});

test('Ctrl-C while a guest runs leaves no guest', async (t) => {
  if (!(await ensureQemu())) return t.skip('QEMU is not installed');
  const { code, said, left } = await interruptDemo('5. The instance boots');
  assert.equal(code, 130, said);
  assert.deepEqual(left, []);
  assert.equal(await someProcessNames(/data in (\S+)/.exec(said)?.[1] as string), false);
});
