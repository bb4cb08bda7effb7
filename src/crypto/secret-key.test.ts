import assert from 'node:assert/strict';
import { test } from 'node:test';
import { format, inspect } from 'node:util';
import { pino } from 'pino';
import { Refusal } from '../errors.ts';
import { SecretKey } from './secret-key.ts';

const BYTES = Buffer.from('00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff', 'hex');
/** Every way in which the bytes could show. */
const SHAPES = [
  BYTES.toString('hex'),
  BYTES.toString('base64'),
  BYTES.toString('latin1'),
  [...BYTES].join(','),
  [...BYTES].join(', '),
  inspect(BYTES).slice(8, 40),
];

function logged(write: (log: ReturnType<typeof pino>) => void): string {
  let lines = '';
  write(pino({ level: 'trace' }, { write: (line: string) => (lines += line) }));
  return lines;
}

test('a secret key prints as redacted wherever it ends up', () => {
  const key = SecretKey.take(new Uint8Array(BYTES));
  const holder = { key, list: [key], map: new Map([['k', key]]) };
  const printed = {
    template: `${key}`,
    concatenated: `a${String(key)}`,
    json: JSON.stringify(key),
    nested: JSON.stringify(holder),
    inspect: inspect(key),
    inspectHidden: inspect(key, { showHidden: true, depth: null, getters: true, customInspect: true }),
    inspectHolder: inspect(holder, { depth: null }),
    format: format('%s %o %O %j', key, key, key, key),
    pino: logged((log) => log.info({ key, holder }, 'with %s', key)),
    error: inspect(new Error(`failed with ${key}`, { cause: key })),
    pinoError: logged((log) => log.error(new Error(`failed with ${key}`, { cause: holder }))),
    refusal: inspect(new Refusal('key', { key: String(key) })),
  };
  for (const [way, text] of Object.entries(printed)) {
    for (const shape of SHAPES) assert.ok(!text.includes(shape), `${way} shows the key`);
  }
  for (const way of ['template', 'json', 'inspect', 'inspectHidden', 'format', 'pino'] as const) {
    assert.match(printed[way], /\[redacted key\]/, way);
  }
  assert.equal(Object.keys(key).length, 0);
});

test('inspecting without custom inspection shows no bytes either', () => {
  const text = inspect(SecretKey.take(new Uint8Array(BYTES)), { customInspect: false, showHidden: true, depth: null });
  for (const shape of SHAPES) assert.ok(!text.includes(shape));
});

test('taking bytes wipes the copy of the caller, and exposing them gives the same', () => {
  const given = new Uint8Array(BYTES);
  const key = SecretKey.take(given);
  assert.deepEqual(given, new Uint8Array(32));
  assert.equal(key.byteLength, 32);
  assert.deepEqual(key.exposeSecretBytes(), BYTES);
});
