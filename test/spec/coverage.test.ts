/**
 * Which statements of the specification of EC2 encryption are held by a test that names them. What no test names is in
 * the data file with the reason; the list is complete in both directions.
 */
import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';

const REPOSITORY = new URL('../..', import.meta.url).pathname;

interface Specification {
  /** Statements by the letters of their chapter, numbered from 1. */
  readonly statements: Readonly<Record<string, number>>;
  /** Why no test names the statement. */
  readonly notHeld: Readonly<Record<string, string>>;
}

const RANGE = /\b([A-Z]{1,2})-(\d+)(?: to |\.\.)\1-(\d+)\b/g;
const STATEMENT = /\b([A-Z]{1,2})-(\d+)\b/g;

/** Ids that a test cites, in its name or beside an assertion; ranges spelled out. */
function idsIn(text: string): string[] {
  return [
    ...[...text.matchAll(RANGE)].flatMap(([, chapter, from, to]) =>
      Array.from({ length: Number(to) - Number(from) + 1 }, (_, at) => `${chapter}-${Number(from) + at}`),
    ),
    ...[...text.matchAll(STATEMENT)].map(([id]) => id),
  ];
}

describe('the specification of EC2 encryption', () => {
  let specification: Specification;
  let statements: string[];
  const held = new Map<string, string[]>();

  before(async () => {
    specification = JSON.parse(await readFile(join(REPOSITORY, 'test/spec/ec2-encryption.json'), 'utf8'));
    statements = Object.entries(specification.statements).flatMap(([chapter, count]) =>
      Array.from({ length: count }, (_, at) => `${chapter}-${at + 1}`),
    );
    for await (const path of glob('{policy,src,test,cli}/**/*.{test,contract}.ts', { cwd: REPOSITORY })) {
      if (path === 'test/spec/coverage.test.ts') continue;
      for (const id of idsIn(await readFile(join(REPOSITORY, path), 'utf8'))) {
        held.set(id, [...(held.get(id) ?? []), path]);
      }
    }
  });

  it('is held statement by statement, or says why not', (context) => {
    const open = statements.filter((id) => !held.has(id) && !specification.notHeld[id]);
    const count = statements.filter((id) => held.has(id)).length;
    context.diagnostic(`${count} of ${statements.length} statements are named by a test`);
    assert.deepEqual(open, [], 'neither named by a test nor explained in test/spec/ec2-encryption.json');
  });

  it('has no reason left for what a test holds by now', () => {
    assert.deepEqual(
      Object.keys(specification.notHeld).filter((id) => held.has(id)),
      [],
    );
  });

  it('is complete: no reason is for a statement that does not exist', () => {
    assert.deepEqual(
      Object.keys(specification.notHeld).filter((id) => !statements.includes(id)),
      [],
    );
  });

  it('finds ids alone and as ranges', () => {
    const found = new Set(idsIn('CV-1 to CV-3, K-4: x; SHA-256, L-2..L-3'));
    for (const id of ['CV-1', 'CV-2', 'CV-3', 'K-4', 'L-2', 'L-3']) assert.ok(found.has(id), id);
    assert.ok(!found.has('CV-4'));
  });
});
