import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileGlob } from './glob.ts';

/** The definition itself, exponential and obviously right. */
function naive(pattern: readonly string[], text: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text.length === 0;
  if (first === '*') return naive(rest, text) || (text.length > 0 && naive(pattern, text.slice(1)));
  return text.length > 0 && (first === '?' || first === text[0]) && naive(rest, text.slice(1));
}

test('authz 3.1: globs match as their definition says', () => {
  const alphabet = fc.constantFrom('a', 'b', '/', ':', '𝒂');
  const pattern = fc.array(fc.oneof(alphabet, fc.constantFrom('*', '?')), { maxLength: 8 });
  const text = fc.array(alphabet, { maxLength: 8 });
  fc.assert(
    fc.property(pattern, text, (tokens, characters) => {
      const found = compileGlob(tokens.join('')).matches(characters.join(''));
      assert.equal(found, naive(tokens, characters));
    }),
    { numRuns: 5000 },
  );
});

test('values of variables never act as wildcards', () => {
  const value = fc.string({ unit: fc.constantFrom('a', '*', '?', '$', '{', '}') });
  fc.assert(
    fc.property(value, value, (resolved, text) => {
      // biome-ignore lint/suspicious/noTemplateCurlyInString: a policy variable
      const glob = compileGlob('x${aws:username}y', { variables: true });
      assert.equal(
        glob.matches(`x${text}y`, () => resolved),
        text === resolved,
      );
    }),
  );
});

test('a hostile pattern is matched in bounded time', () => {
  const glob = compileGlob(`${'*a'.repeat(500)}*b`);
  const text = 'a'.repeat(20_000);
  const start = performance.now();
  assert.equal(glob.matches(text), false);
  // Backtracking over all stars would not end in this universe; the bound is loose so that a slow machine passes.
  assert.ok(performance.now() - start < 5000);
});
