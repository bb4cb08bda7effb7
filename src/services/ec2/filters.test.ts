import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ApiError } from '../../errors.ts';
import { compileFilters, matchesWildcard } from './filters.ts';
import { page, sealToken } from './paging.ts';
import { checkTags, tagSpecifications } from './tag-specifications.ts';

const code = (expected: string, message?: string) => (error: unknown) => {
  assert.ok(error instanceof ApiError, String(error));
  assert.equal(error.code, expected);
  if (message !== undefined) assert.equal(error.message, message);
  return true;
};

describe('wildcards', () => {
  const CASES: [pattern: string, text: string, matches: boolean][] = [
    ['golden-*', 'golden-2026', true],
    ['golden-*', 'xgolden-2026', false],
    ['*', '', true],
    ['?', '', false],
    ['a?c', 'abc', true],
    ['a\\*c', 'a*c', true],
    ['a\\*c', 'abc', false],
    ['a**c', 'abbbc', true],
    ['*a*a*a', 'aaab', false],
    ['Abc', 'abc', false],
    ['a.c', 'abc', false],
    ['\\', '\\', true],
  ];
  for (const [pattern, text, matches] of CASES) {
    it(`${pattern} ${matches ? 'matches' : 'does not match'} ${JSON.stringify(text)}`, () => {
      assert.equal(matchesWildcard(pattern, text), matches);
    });
  }

  it('agrees with a regular expression, whatever the pattern', () => {
    const parts = fc.array(fc.constantFrom('*', '?', '\\*', '\\?', 'a', 'b', '.'), { maxLength: 8 });
    const text = fc.array(fc.constantFrom('a', 'b', '*', '?', '.'), { maxLength: 8 }).map((chars) => chars.join(''));
    const regular: Record<string, string> = { '*': '[^]*', '?': '[^]', '\\*': '\\*', '\\?': '\\?', '.': '\\.' };
    fc.assert(
      fc.property(parts, text, (pattern, value) => {
        const oracle = new RegExp(`^${pattern.map((part) => regular[part] ?? part).join('')}$`);
        assert.equal(matchesWildcard(pattern.join(''), value), oracle.test(value));
      }),
      { verbose: true, numRuns: 1000 },
    );
  });

  it('takes linear time where a regular expression would not', () => {
    const started = performance.now();
    assert.equal(matchesWildcard(`${'*a'.repeat(50)}b`, 'a'.repeat(5000)), false);
    assert.ok(performance.now() - started < 2000);
  });
});

describe('filters', () => {
  interface Item {
    readonly name: string;
    readonly sizes: readonly string[];
    readonly tags: readonly { Key: string; Value: string }[];
  }
  const readers = { name: (item: Item) => item.name, size: (item: Item) => item.sizes };
  const item: Item = { name: 'golden', sizes: ['1', '2'], tags: [{ Key: 'env', Value: 'prod' }] };
  const CASES: [name: string, filters: { Name: string; Values: string[] }[], matches: boolean][] = [
    ['none', [], true],
    ['values are ORed', [{ Name: 'name', Values: ['x', 'golden'] }], true],
    [
      'filters are ANDed',
      [
        { Name: 'name', Values: ['golden'] },
        { Name: 'size', Values: ['9'] },
      ],
      false,
    ],
    ['any of several values of the item', [{ Name: 'size', Values: ['2'] }], true],
    ['tag by key and value', [{ Name: 'tag:env', Values: ['pr*'] }], true],
    ['tag by another key', [{ Name: 'tag:team', Values: ['*'] }], false],
    ['tag key', [{ Name: 'tag-key', Values: ['env'] }], true],
    ['tag value', [{ Name: 'tag-value', Values: ['dev'] }], false],
  ];
  for (const [name, filters, matches] of CASES) {
    it(name, () => assert.equal(compileFilters(filters, readers, ({ tags }) => tags)(item), matches));
  }

  it('an unknown name is refused, also one that every object has', () => {
    for (const Name of ['nonsense', 'constructor', '__proto__', 'tag:']) {
      assert.throws(
        () => compileFilters([{ Name, Values: ['x'] }], readers, () => []),
        code('InvalidParameterValue', `The filter '${Name}' is invalid`),
      );
    }
    assert.throws(() => compileFilters([{ Name: 'tag-key', Values: ['x'] }], readers), code('InvalidParameterValue'));
    assert.throws(() => compileFilters([{ Name: 'name' }], readers), code('MissingParameter'));
    const many = Array.from({ length: 201 }, (_, at) => String(at));
    assert.throws(() => compileFilters([{ Name: 'name', Values: many }], readers), code('FilterLimitExceeded'));
  });
});

describe('pages', () => {
  const rules = { operation: 'DescribeThings', key: (item: string) => item };

  it('follow each other without gap or repetition, also while items come and go', () => {
    const names = fc.uniqueArray(
      fc.nat(0xffff).map((number) => number.toString(16)),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(names, names, fc.integer({ min: 5, max: 20 }), (items, others, MaxResults) => {
        const seen: string[] = [];
        let NextToken: string | undefined;
        let present = items;
        do {
          const cut: { items: string[]; NextToken?: string } = page(present, { MaxResults, NextToken }, rules);
          assert.ok(cut.items.length <= MaxResults);
          seen.push(...cut.items);
          ({ NextToken } = cut);
          // Others appear in the middle of the listing; those there from the start must still all be seen.
          present = [...new Set([...items, ...others])];
        } while (NextToken);
        assert.deepEqual(seen, [...new Set(seen)].sort());
        for (const name of items) assert.ok(seen.includes(name));
      }),
      { verbose: true },
    );
  });

  it('7.2: bounds, ids with MaxResults, and tokens that are not ours', () => {
    assert.throws(
      () => page(['a'], { MaxResults: 1 }, rules),
      code('InvalidParameterValue', "Invalid value '1' for maxResults. Expecting a value greater than 5."),
    );
    assert.throws(
      () => page(['a'], { MaxResults: 5 }, { ...rules, ids: { parameter: 'imageIdsSet', given: ['ami-1'] } }),
      code('InvalidParameterCombination', 'The parameter imageIdsSet cannot be used with the parameter maxResults'),
    );
    for (const NextToken of [
      'nonsense',
      '',
      sealToken('DescribeOthers', 'a'),
      Buffer.from('{}').toString('base64url'),
    ]) {
      assert.throws(() => page(['a'], { NextToken }, rules), code('InvalidNextToken'));
    }
  });
});

describe('tags of a request', () => {
  const REFUSED: [name: string, tags: { Key?: string; Value?: string }[], code: string][] = [
    ['no key', [{ Value: 'x' }], 'InvalidParameterValue'],
    ['aws: prefix, whatever its case', [{ Key: 'AWS:x' }], 'InvalidParameterValue'],
    ['a key of 129 characters', [{ Key: 'k'.repeat(129) }], 'InvalidParameterValue'],
    ['a value of 257 characters', [{ Key: 'k', Value: 'v'.repeat(257) }], 'InvalidParameterValue'],
    ['one key twice', [{ Key: 'k' }, { Key: 'k' }], 'InvalidParameterValue'],
    ['51 tags', Array.from({ length: 51 }, (_, at) => ({ Key: `k${at}` })), 'TagLimitExceeded'],
  ];
  for (const [name, tags, expected] of REFUSED) {
    it(`refuses ${name}`, () => assert.throws(() => checkTags(tags), code(expected)));
  }
  it('takes what is just within the bounds, and no value as the empty one', () => {
    const tags = [{ Key: 'k'.repeat(128), Value: 'v'.repeat(256) }, { Key: 'é' }];
    assert.deepEqual(checkTags(tags), [tags[0], { Key: 'é', Value: '' }]);
  });
  it('knows the types an operation makes', () => {
    const made = tagSpecifications([{ ResourceType: 'image', Tags: [{ Key: 'a', Value: 'b' }] }], ['image']);
    assert.deepEqual(made.get('image'), [{ Key: 'a', Value: 'b' }]);
    for (const wrong of [
      [{ ResourceType: 'volume' as const }],
      [{}],
      [{ ResourceType: 'image' as const }, { ResourceType: 'image' as const }],
    ]) {
      assert.throws(() => tagSpecifications(wrong, ['image']), code('InvalidParameterValue'));
    }
  });
});

it('reads patterns once, however many items there are', () => {
  const long = Array.from({ length: 100 }, (_, index) => `${'x'.repeat(5_000)}${index}`);
  const matches = compileFilters([{ Name: 'name', Values: long }], { name: (item: string) => item });
  const begun = performance.now();
  for (let item = 0; item < 2_000; item += 1) assert.equal(matches('xxxx'), false);
  assert.ok(performance.now() - begun < 2_000, 'as many patterns were read again for every item');
});
