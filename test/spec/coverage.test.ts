/**
 * Which statements of each specification are held by a test that names them. What no test names is in the
 * specification's data file with the reason; each list is complete in both directions.
 *
 * How a test cites, in its name or beside an assertion:
 *
 * - the specification of EC2 encryption by chapter and number: `CV-3`, ranges as `CV-1 to CV-3` or `CV-1..CV-3`;
 * - the numbered specifications by their word and number: `kms 15.9`, `authz 3.4` (`authorization-and-wire 3.4` and
 *   `wire 10.9` mean the same list). One word goes before many numbers: `kms 8.1, 8.5 to 8.7 and 9.2, authz 6.11`.
 *   A number without its word cites nothing, nor does a chapter alone (`kms 24`).
 *
 * `test/spec/*.json`: `statements` counts them by chapter, numbered from 1; `words` are the words that cite a numbered
 * specification; `notHeld` says why no test names a statement.
 */
import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';

const REPOSITORY = new URL('../..', import.meta.url).pathname;
const SPECIFICATIONS = ['ec2-encryption', 'kms', 'authorization-and-wire'];

interface Specification {
  readonly words?: readonly string[];
  readonly statements: Readonly<Record<string, number>>;
  readonly notHeld: Readonly<Record<string, string>>;
}

/** The numbers from one to another of the same chapter. */
function range(prefix: string, from: number, to: number): string[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => `${prefix}${from + at}`);
}

const LETTERED = /\b([A-Z]{1,2}-)(\d+)(?:(?: to |\.\.)\1(\d+))?\b/g;

function letteredIn(text: string): string[] {
  return [...text.matchAll(LETTERED)].flatMap(([, chapter, from, to]) =>
    range(chapter!, Number(from), Number(to ?? from)),
  );
}

const NUMBER = String.raw`\d{1,2}\.\d{1,2}(?!\.?\d)`;

function numberedIn(text: string, words: readonly string[]): string[] {
  const cited = new RegExp(
    String.raw`\b(?:${words.join('|')}) (${NUMBER}(?:(?:, and |, | and | to |\.\.)${NUMBER})*)`,
    'g',
  );
  return [...text.matchAll(cited)].flatMap(([, list]) =>
    [...list!.matchAll(/(\d+\.)(\d+)(?:(?: to |\.\.)\1(\d+))?/g)].flatMap(([, chapter, from, to]) =>
      range(chapter!, Number(from), Number(to ?? from)),
    ),
  );
}

async function testTexts(): Promise<string[]> {
  const texts: string[] = [];
  // The cases of the policy evaluator are data: each file cites what it restates.
  const paths = ['{policy,src,test,cli}/**/*.{test,contract}.ts', 'test/vectors/policies/*/*.json'];
  for await (const path of glob(paths, { cwd: REPOSITORY })) {
    if (path !== 'test/spec/coverage.test.ts') texts.push(await readFile(join(REPOSITORY, path), 'utf8'));
  }
  return texts;
}

const texts = await testTexts();

for (const name of SPECIFICATIONS) {
  const file = `test/spec/${name}.json`;
  const { words, statements, notHeld }: Specification = JSON.parse(await readFile(join(REPOSITORY, file), 'utf8'));
  const ids = Object.entries(statements).flatMap(([chapter, count]) =>
    range(`${chapter}${words ? '.' : '-'}`, 1, count),
  );
  const held = new Set(texts.flatMap((text) => (words ? numberedIn(text, words) : letteredIn(text))));

  describe(`the specification ${name}`, () => {
    it('is held statement by statement, or says why not', (context) => {
      const count = ids.filter((id) => held.has(id)).length;
      context.diagnostic(`${count} of ${ids.length} statements are named by a test`);
      const open = ids.filter((id) => !held.has(id) && !notHeld[id]);
      assert.deepEqual(open, [], `neither named by a test nor explained in ${file}`);
    });

    it('has no reason left for what a test holds by now', () => {
      assert.deepEqual(
        Object.keys(notHeld).filter((id) => held.has(id)),
        [],
      );
    });

    it('is complete: no reason is for a statement that does not exist', () => {
      assert.deepEqual(
        Object.keys(notHeld).filter((id) => !ids.includes(id)),
        [],
      );
    });

    it('has no citation of a statement that does not exist', {
      skip: words && ids.length ? false : 'letters and digits stand for other things too',
    }, () => {
      assert.deepEqual(
        [...held].filter((id) => !ids.includes(id)),
        [],
      );
    });
  });
}

describe('citations', () => {
  it('every list of statements is read', async () => {
    const files: string[] = [];
    for await (const path of glob('test/spec/*.json', { cwd: REPOSITORY })) files.push(basename(path, '.json'));
    assert.deepEqual(files.sort(), [...SPECIFICATIONS].sort());
  });

  it('with letters are found alone and as ranges', () => {
    assert.deepEqual(letteredIn('CV-1 to CV-3, K-4: x; L-2..L-3'), ['CV-1', 'CV-2', 'CV-3', 'K-4', 'L-2', 'L-3']);
  });

  it('with words are found in lists and ranges, and by their own word only', () => {
    const text = 'kms 8.1, 8.5 to 8.7 and 9.2, authz 6.11; table 1.4, 3.2, kms 24, kms 1.2.3.4, (kms 2.1..2.2). 7.7';
    assert.deepEqual(numberedIn(text, ['kms']), ['8.1', '8.5', '8.6', '8.7', '9.2', '2.1', '2.2']);
    assert.deepEqual(numberedIn(text, ['authz', 'authorization-and-wire', 'wire']), ['6.11']);
  });
});
