/** The reference of the commands is what the commands say of themselves, and each says enough. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { makeProgram } from '../../cli/program.ts';
import { helpOf, nameOf, reference, withChildren } from '../../scripts/reference.ts';

const committed = new URL('../../docs/tools/reference.md', import.meta.url);

describe('the reference of the commands', () => {
  it('is up to date: npx node scripts/reference.ts', async () => {
    assert.equal(await readFile(committed, 'utf8'), reference());
  });

  const program = makeProgram((code) => assert.fail(`ended with ${code}`));
  const verbs = withChildren(program).filter(
    (command) => command !== program && command.commands.length === 0 && command.name() !== 'serve',
  );
  for (const verb of verbs) {
    it(`${nameOf(verb)} --help shows an example`, () => {
      assert.match(helpOf(verb), /\nExamples?:\n {2}\S/);
    });
  }
});
