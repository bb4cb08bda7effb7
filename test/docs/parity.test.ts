/** docs/parity.md says what the server really serves, and its differences name statements that exist. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { differences, PARITY, parityText } from '../../scripts/parity.ts';

describe('docs/parity.md', () => {
  it('is up to date', async () => {
    const [written, expected] = [await readFile(PARITY, 'utf8'), await parityText()];
    assert.ok(written === expected, `docs/parity.md is out of date: run npx node scripts/parity.ts`);
    assert.match(written, /\| \[EC2\]\(#ec2\) \| \d{3} \| \d{3} \|/);
  });

  it('has differences that cite statements of the specification', async () => {
    const { statements } = JSON.parse(
      await readFile(new URL('../spec/ec2-encryption.json', import.meta.url), 'utf8'),
    ) as { statements: Record<string, number> };
    const unknown = (await differences())
      .flatMap((area) => area.differences.flatMap(({ ids }) => ids))
      .filter((id) => {
        const [chapter = '', number = ''] = id.split('-');
        return !(Number(number) >= 1 && Number(number) <= (statements[chapter] ?? 0));
      });
    assert.deepEqual(unknown, []);
  });
});
