/** Runs the cases of test/vectors/policies; its README says how they read. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { compileCondition, variablesOf } from './conditions.ts';
import { decide } from './decide.ts';
import type { ConditionValue, GrantView, ProposedGrant } from './decision.ts';
import { compilePolicy } from './document.ts';
import type { NamedPolicy } from './evaluate.ts';
import type { PrincipalView } from './principals.ts';

const FOLDER = new URL('../test/vectors/policies/', import.meta.url);

type Statements = readonly object[];
interface Case {
  readonly name: string;
  readonly expect: string;
  readonly principal: string;
  readonly action: string;
  readonly resource: string;
  readonly resourceAccount?: string;
  readonly kind?: 'kms-key' | 'role';
  readonly version?: string;
  readonly context?: Readonly<Record<string, ConditionValue>>;
  readonly identity?: Statements;
  readonly boundary?: Statements;
  readonly session?: readonly Statements[];
  readonly resourcePolicy?: Statements;
  readonly trust?: Statements;
  readonly serviceControl?: readonly (readonly Statements[])[];
  readonly resourceControl?: readonly (readonly Statements[])[];
  readonly grants?: readonly GrantView[];
  readonly encryptionContext?: Readonly<Record<string, string>>;
  readonly proposedGrant?: ProposedGrant;
}
interface Row {
  readonly operator: string;
  readonly values: readonly string[];
  readonly given: ConditionValue | null;
  readonly matches: boolean;
}

function read<Content>(path: string): Content {
  return JSON.parse(readFileSync(new URL(path, FOLDER), 'utf8')) as Content;
}

const principals = read<Record<string, PrincipalView>>('principals.json');
const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.includes('/'))
  .sort();

for (const path of files) {
  if (path.startsWith('conditions/')) {
    const { about, spec, cases } = read<{ about: string; spec: string; cases: Row[] }>(path);
    test(`${spec}: ${about} (${cases.length} cases)`, () => {
      for (const { operator, values, given, matches } of cases) {
        const condition = compileCondition(operator, 'Test:Key', values, true);
        assert.ok(condition, `${operator} ${values} does not compile`);
        const context = (key: string) => (key === 'test:key' ? (given ?? undefined) : undefined);
        const text = `${operator} ${JSON.stringify(values)} against ${JSON.stringify(given)}`;
        assert.equal(condition.matches(context, variablesOf(context)), matches, text);
      }
    });
    continue;
  }
  const { about, spec, cases } = read<{ about: string; spec: string; cases: Case[] }>(path);
  test(`${spec}: ${about} (${cases.length} cases)`, async (t) => {
    for (const one of cases) await t.test(one.name, () => check(one));
  });
}

function check(one: Case): void {
  const principal = principals[one.principal];
  assert.ok(principal, `no principal ${one.principal}`);
  const named = (name: string, statements: Statements): NamedPolicy => ({
    name,
    policy: compilePolicy(JSON.stringify({ Version: one.version ?? '2012-10-17', Statement: statements })),
  });
  const levels = (name: string, policies: Case['serviceControl']) =>
    policies?.map((level) => level.map((statements) => named(name, statements)));
  const values = new Map(Object.entries(one.context ?? {}).map(([key, value]) => [key.toLowerCase(), value]));
  const resource = one.resourcePolicy ?? one.trust;
  const serviceControl = levels('scp', one.serviceControl);
  const resourceControl = levels('rcp', one.resourceControl);
  const decision = decide({
    principal,
    action: one.action,
    resource: one.resource,
    resourceAccount: one.resourceAccount ?? principal.accountId,
    context: (key) => values.get(key),
    policies: {
      identity: [named('identity', one.identity ?? [])],
      ...(one.boundary ? { boundary: named('boundary', one.boundary) } : {}),
      ...(one.session ? { session: one.session.map((statements) => named('session', statements)) } : {}),
      ...(resource ? { resource: named('resource', resource) } : {}),
      ...(serviceControl ? { serviceControl } : {}),
      ...(resourceControl ? { resourceControl } : {}),
    },
    ...(one.kind ? { kind: one.kind } : {}),
    ...(one.grants ? { grants: one.grants } : {}),
    ...(one.encryptionContext ? { encryptionContext: one.encryptionContext } : {}),
    ...(one.proposedGrant ? { proposedGrant: one.proposedGrant } : {}),
  });
  assert.equal(decision.allowed ? 'allowed' : decision.because, one.expect);
  assert.equal(decision.explicit, one.expect.startsWith('with an explicit deny'));
}
