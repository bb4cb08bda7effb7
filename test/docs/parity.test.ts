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
    const statements = async (name: string): Promise<Record<string, number>> =>
      JSON.parse(await readFile(new URL(`../spec/${name}.json`, import.meta.url), 'utf8')).statements;
    const lettered = await statements('ec2-encryption');
    const numbered: Readonly<Record<string, Record<string, number>>> = {
      kms: await statements('kms'),
      authz: await statements('authorization-and-wire'),
    };
    /** An id as a test cites it, or a whole chapter. */
    const exists = (id: string): boolean => {
      const [, letters, word, chapter = '', number = '1'] =
        /^(?:([A-Z]+)-|([a-z]+) (\d+)(?:\.|$))(\d+)?$/.exec(id) ?? [];
      const count = letters ? lettered[letters] : numbered[word ?? '']?.[chapter];
      return Number(number) >= 1 && Number(number) <= (count ?? 0);
    };
    const unknown = (await differences())
      .flatMap((area) => area.differences.flatMap(({ ids }) => ids))
      .filter((id) => !exists(id));
    // Put together here, lest they count as citations of this test.
    for (const [word, id] of [
      ['CV-', '3'],
      ['kms ', '3.8'],
      ['kms ', '6'],
      ['authz ', '1.1'],
    ])
      assert.ok(exists(`${word}${id}`));
    for (const [word, id] of [
      ['CV-', '99'],
      ['kms ', '3.99'],
      ['kms ', '99'],
      ['X-', '1'],
      ['', '3.8'],
    ])
      assert.ok(!exists(`${word}${id}`));
    assert.deepEqual(unknown, []);
  });
});
