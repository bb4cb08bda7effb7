/** Each refusal is in the document in the words of the program, and has a test that builds it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';
import { REFUSALS } from './refusal.ts';

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

it('docs/tools/publish.md lists every refusal, and no other', async () => {
  const rows = [...(await read('docs/tools/publish.md')).matchAll(/^\| `([a-z-]+)` \| (.+) \|$/gm)];
  const listed = rows.filter(([, code = '']) => !/^(name|source|regions|key|mode|for|keep|tags)$/.test(code));
  assert.deepEqual(Object.fromEntries(listed.map(([, code, because]) => [code, because])), REFUSALS);
});

it('every refusal has a test', async () => {
  const test = await read('test/cli/publish-refusals.test.ts');
  const untested = Object.keys(REFUSALS).filter((code) => !test.includes(`'${code}'`));
  assert.deepEqual(untested, []);
});
