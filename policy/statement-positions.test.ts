import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { contextKeysOf } from './context-keys.ts';
import { statementRanges, type TextPosition } from './statement-positions.ts';

function offsetOf(text: string, { line, column }: TextPosition): number {
  const before = text.split('\n').slice(0, line - 1);
  return before.reduce((sum, one) => sum + one.length + 1, 0) + column - 1;
}

describe('positions of statements', () => {
  it('are those of the statements, however the document is written', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '"', '\\', '{', '}', '[', ']', ':', ',', '\n', 'Statement') });
    const statement = fc.record({ Sid: text, Action: fc.array(text), Condition: fc.dictionary(text, fc.array(text)) });
    fc.assert(
      fc.property(
        fc.oneof(statement, fc.array(statement)),
        text,
        fc.boolean(),
        fc.constantFrom(undefined, 1, '\t'),
        (Statement, Id, last, space) => {
          const document = JSON.stringify(last ? { Id, Statement } : { Statement, Id }, undefined, space);
          const found = statementRanges(document).map(({ start, end }) =>
            JSON.parse(document.slice(offsetOf(document, start), offsetOf(document, end))),
          );
          assert.deepEqual(found, JSON.parse(JSON.stringify([Statement].flat())));
        },
      ),
      { numRuns: 500 },
    );
  });
});

const variable = (inside: string) => `\${${inside}}`;

describe('context keys of a policy', () => {
  const rows: readonly [string, object, string[]][] = [
    [
      'conditions, each once ignoring case',
      { Bool: { 'aws:SecureTransport': 'true', 'AWS:securetransport': 'x' } },
      ['aws:SecureTransport'],
    ],
    [
      'variables in values',
      { StringLike: { 'a:b': [variable('aws:username'), variable("aws:PrincipalTag/team, 'x'")] } },
      ['a:b', 'aws:username', 'aws:PrincipalTag/team'],
    ],
    ['no literals', { StringLike: { 'a:b': variable('*') + variable('?') + variable('$') } }, ['a:b']],
  ];
  for (const [name, Condition, expected] of rows) {
    it(name, () => {
      const document = {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: '*', Resource: '*', Condition }],
      };
      assert.deepEqual(contextKeysOf(JSON.stringify(document)), expected);
    });
  }
  it('none in variables of a 2008 policy, and those of its resources in a 2012 one', () => {
    const Statement = { Effect: 'Allow', Action: '*', NotResource: `arn:aws:iam::1:user/${variable('aws:username')}` };
    assert.deepEqual(contextKeysOf(JSON.stringify({ Statement })), []);
    assert.deepEqual(contextKeysOf(JSON.stringify({ Version: '2012-10-17', Statement })), ['aws:username']);
  });
});
