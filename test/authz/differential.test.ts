/** Thousands of generated requests, judged by the evaluator and by a second one written from the specification alone. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { decide } from '../../policy/decide.ts';
import { readPolicy } from '../../policy/document.ts';
import type { NamedPolicy } from '../../policy/evaluate.ts';
import { type NaiveCase, type NaiveDocument, type NaivePrincipal, naiveDecision } from './naive-evaluator.ts';

const CASES = 8000;
const SEED = Number(process.env.INGOT_SEED ?? Date.now() % 2 ** 31);

const OWN = '111122223333';
const OTHER = '444455556666';
const userArn = (account: string, path = '/') => `arn:aws:iam::${account}:user${path}ann`;
const sessionArn = `arn:aws:sts::${OWN}:assumed-role/deploy/ci`;
const roleArn = `arn:aws:iam::${OWN}:role/ops/deploy`;
const SOURCES = [`arn:aws:ec2:eu-central-1:${OWN}:volume/vol-1`, `arn:aws:ec2:eu-central-1:${OWN}:instance/i-1`];
const PRINCIPALS: readonly NaivePrincipal[] = [
  {
    accountId: OWN,
    type: 'User',
    arn: userArn(OWN),
    principalArn: userArn(OWN),
    uniqueId: 'AIDAANNANNANNANN',
  },
  { accountId: OWN, type: 'AssumedRole', arn: sessionArn, principalArn: roleArn, uniqueId: 'AROADEPLOYDEPLOY' },
  {
    accountId: OWN,
    type: 'Account',
    arn: `arn:aws:iam::${OWN}:root`,
    principalArn: `arn:aws:iam::${OWN}:root`,
    uniqueId: OWN,
  },
];

const ACTIONS = ['kms:Decrypt', 'kms:DescribeKey', 'kms:DisableKey', 'ec2:RunInstances', 'sts:AssumeRole'];
const RESOURCES = [
  `arn:aws:kms:eu-central-1:${OWN}:key/k`,
  `arn:aws:kms:eu-central-1:${OTHER}:key/a*b`,
  `arn:aws:ec2:eu-central-1:${OWN}:volume/vol-1`,
  `arn:aws:iam::${OTHER}:role/ops/deploy`,
  '*',
];
const variable = (name: string) => `\${${name}}`;

const some = <Value>(...values: readonly Value[]) => fc.constantFrom(...values);
const oneOrMore = <Value>(value: fc.Arbitrary<Value>) =>
  fc.oneof(value, fc.array(value, { minLength: 1, maxLength: 3 }));

const actionPattern = some(...ACTIONS, 'kms:*', '*', 'KMS:decrypt', 'kms:D*k?y', 'kms:De*', 'ec2:Run?nstances', 's3:*');
const resourcePattern = some(
  ...RESOURCES,
  '*',
  'arn:aws:kms:*:*:key/*',
  `arn:aws:kms:eu-central-1:${OWN}:*`,
  `arn:aws:kms:*:*:key/${variable('aws:username')}`,
  `arn:aws:kms:*:*:key/a${variable('*')}b`,
  `arn:aws:*:*:${variable('aws:PrincipalAccount')}:key/*`,
  `arn:aws:iam::*:role/*/deploy`,
  'arn:aws:ec2:*:*:volume/vol-?',
);
const textPattern = some('k', 'x', 'x*', '*', 'a*b', variable('aws:username'), variable('?'), variable('no:such'));
const textOperator = fc
  .tuple(
    some('', '', 'ForAllValues:', 'ForAnyValue:'),
    some('StringEquals', 'StringNotEquals', 'StringLike', 'StringNotLike'),
    some('', '', 'IfExists'),
  )
  .map((parts) => parts.join(''));
const KEYS = ['aws:username', 'kms:EncryptionContextKeys', 'aws:PrincipalArn', 'aws:ResourceTag/team', 'AWS:usernamE'];
const condition = fc.oneof(
  fc
    .tuple(textOperator, some(...KEYS), oneOrMore(textPattern))
    .map(([operator, key, values]) => ({ [operator]: { [key]: values } })),
  fc
    .tuple(some('NumericLessThan', 'NumericGreaterThanEquals'), some<string | number>('7', 20))
    .map(([operator, value]) => ({ [operator]: { 'kms:ScheduleKeyDeletionPendingWindowInDays': value } })),
  some<string | boolean>('true', 'false', true).map((value) => ({ Bool: { 'aws:SecureTransport': value } })),
  fc.tuple(some(...KEYS), some('true', 'false')).map(([key, value]) => ({ Null: { [key]: value } })),
  fc
    .tuple(some(...KEYS), textPattern)
    .map(([key, value]) => ({ StringEquals: { [key]: value }, StringNotLike: { 'aws:username': 'z*' } })),
);

const principalName = some(
  '*',
  OWN,
  OTHER,
  `arn:aws:iam::${OWN}:root`,
  userArn(OWN),
  userArn(OTHER),
  roleArn,
  sessionArn,
  'AIDAANNANNANNANN',
  'AROADEPLOYDEPLOY',
);
const principalElement = fc.oneof(
  fc.constant('*'),
  oneOrMore(principalName).map((AWS) => ({ AWS })),
);

const common = fc.tuple(
  some('Allow', 'Allow', 'Allow', 'Deny'),
  fc.oneof(
    { arbitrary: oneOrMore(actionPattern).map((Action) => ({ Action })), weight: 5 },
    { arbitrary: oneOrMore(actionPattern).map((NotAction) => ({ NotAction })), weight: 1 },
  ),
  fc.oneof(
    { arbitrary: oneOrMore(resourcePattern).map((Resource) => ({ Resource })), weight: 5 },
    { arbitrary: oneOrMore(resourcePattern).map((NotResource) => ({ NotResource })), weight: 1 },
  ),
  fc.option(condition, { nil: undefined, freq: 2 }),
);
const statement = common.map(([Effect, actions, resources, Condition]) => ({
  Effect,
  ...actions,
  ...resources,
  ...(Condition ? { Condition } : {}),
}));
const resourceStatement = fc
  .tuple(
    statement,
    fc.oneof(
      { arbitrary: principalElement.map((Principal) => ({ Principal })), weight: 6 },
      { arbitrary: principalElement.map((NotPrincipal) => ({ NotPrincipal })), weight: 1 },
    ),
  )
  .map(([one, principal]) => ({ ...one, ...principal }));

function document(statements: fc.Arbitrary<object>): fc.Arbitrary<NaiveDocument> {
  return fc
    .tuple(some('2012-10-17', '2012-10-17', '2008-10-17', undefined), fc.array(statements, { maxLength: 3 }))
    .map(([Version, Statement]) => ({
      ...(Version === undefined ? {} : { Version }),
      Statement: Statement as readonly Record<string, unknown>[],
    }));
}
const policy = document(statement);
/** Mostly open, so that deeper layers are reached. */
const open: NaiveDocument = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };
const filter = fc.oneof({ arbitrary: fc.constant(open), weight: 2 }, { arbitrary: policy, weight: 1 });
const levels = fc.array(fc.array(filter, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 3 });
const denials = document(statement.map((one) => ({ ...one, Effect: 'Deny' })));

const pairs = fc.dictionary(some('a', 'b'), some('1', '2'), { noNullPrototype: true, maxKeys: 2 });
const grant = fc.record(
  {
    granteePrincipal: some(OWN, userArn(OWN), roleArn, sessionArn, 'AROADEPLOYDEPLOY', userArn(OTHER)),
    operations: fc.uniqueArray(some('Decrypt', 'DescribeKey', 'Encrypt'), { minLength: 1, maxLength: 2 }),
    encryptionContextSubset: pairs,
    encryptionContextEquals: pairs,
    sourceArn: some(...SOURCES, `arn:aws:ec2:eu-central-1:${OWN}:volume/*`),
  },
  { requiredKeys: ['granteePrincipal', 'operations'] },
);

const request = fc
  .record(
    {
      principal: some(...PRINCIPALS),
      action: some(...ACTIONS),
      resource: some(...RESOURCES),
      resourceAccount: some(OWN, OWN, OTHER),
      context: fc.record(
        {
          'aws:username': some('k', 'x', 'ann'),
          'kms:EncryptionContextKeys': fc.array(some('a', 'x', 'k'), { maxLength: 3 }),
          'aws:ResourceTag/team': some('x', 'xy', 'a*b'),
          'aws:SecureTransport': some('true', 'false'),
          'aws:SourceArn': some(...SOURCES),
          'kms:ScheduleKeyDeletionPendingWindowInDays': some('7', '10', '30'),
        },
        { requiredKeys: [] },
      ),
      identity: fc.array(policy, { maxLength: 2 }),
      boundary: filter,
      session: fc.array(filter, { maxLength: 2 }),
      resourcePolicy: document(resourceStatement),
      serviceControl: levels,
      resourceControl: fc.array(fc.array(denials, { maxLength: 1 }), { maxLength: 2 }),
      grants: fc.array(grant, { maxLength: 2 }),
      encryptionContext: pairs,
      kind: fc.boolean(),
    },
    {
      requiredKeys: ['principal', 'action', 'resource', 'resourceAccount', 'context', 'identity', 'kind'],
    },
  )
  .map(({ kind, ...one }): NaiveCase => {
    const context: NaiveCase['context'] = {
      ...one.context,
      'aws:PrincipalArn': one.principal.principalArn,
      'aws:PrincipalAccount': one.principal.accountId,
    };
    const needsBoth = /^kms:/.test(one.action) ? 'kms-key' : /^sts:/.test(one.action) ? 'role' : undefined;
    return { ...one, context, ...(kind && needsBoth ? { kind: needsBoth } : {}) };
  });

/** The same question to the evaluator under test. */
function judge(one: NaiveCase) {
  const compiled = (name: string, given: NaiveDocument): NamedPolicy => ({
    name,
    policy: readPolicy(JSON.stringify(given)),
  });
  const values = new Map(Object.entries(one.context).map(([key, value]) => [key.toLowerCase(), value]));
  const { boundary, session, resourcePolicy, serviceControl, resourceControl, kind, grants, encryptionContext } = one;
  const levelsOf = (given: NonNullable<NaiveCase['serviceControl']>) =>
    given.map((level) => level.map((each) => compiled('control', each)));
  return decide({
    principal: one.principal,
    action: one.action,
    resource: one.resource,
    resourceAccount: one.resourceAccount,
    context: (key) => values.get(key),
    policies: {
      identity: one.identity.map((each) => compiled('identity', each)),
      ...(boundary ? { boundary: compiled('boundary', boundary) } : {}),
      ...(session ? { session: session.map((each) => compiled('session', each)) } : {}),
      ...(resourcePolicy ? { resource: compiled('resource', resourcePolicy) } : {}),
      ...(serviceControl ? { serviceControl: levelsOf(serviceControl) } : {}),
      ...(resourceControl ? { resourceControl: levelsOf(resourceControl) } : {}),
    },
    ...(kind ? { kind } : {}),
    ...(kind === 'kms-key' && grants ? { grants: grants.map((each) => ({ grantId: 'g', ...each })) } : {}),
    ...(encryptionContext ? { encryptionContext } : {}),
  });
}

it(`§1 to §6: two evaluators agree on ${CASES} generated requests`, (context) => {
  const outcomes = new Map<string, number>();
  fc.assert(
    fc.property(request, (one) => {
      const { allowed, explicit, layer } = judge(one);
      const answer = allowed ? { allowed, explicit } : { allowed, explicit, layer };
      assert.deepEqual(answer, naiveDecision(one));
      const outcome = allowed ? 'allowed' : `${explicit ? 'denied by' : 'silence of'} ${layer}`;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }),
    { numRuns: CASES, seed: SEED },
  );
  context.diagnostic(`seed ${SEED}; ${[...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', ')}`);
  // A generator that reaches few outcomes proves little.
  assert.ok((outcomes.get('allowed') ?? 0) > CASES / 20);
  assert.ok(outcomes.size >= 11, `only ${[...outcomes.keys()]}`);
});
