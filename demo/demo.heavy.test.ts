import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ensureQemu } from '../scripts/ensure-qemu.ts';
import { runDemo } from './run-demo.ts';

test('the demo holds with a guest that boots from its encrypted volume', async (t) => {
  if (!(await ensureQemu())) return t.skip('QEMU is not installed');
  const { code, said } = await runDemo();
  assert.equal(code, 0, said);
  assert.match(said, /GetConsoleOutput after [\d.]+ s more: ingot-marker: INGOT-MARKER-/);
  assert.match(said, /All of it holds/);
});
