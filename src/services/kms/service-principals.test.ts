/** Grants to service principals, and those that service principals retire (kms 15.4, 15.5, 15.8 to 15.15, 15.19). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Caller, serviceCaller } from '../../authz/caller.ts';
import type { Arn } from '../../ids.ts';
import { failureOf, openKms, REGION, START, type World } from './test-kms.ts';

const Plaintext = new Uint8Array([1]);
const LOGS = `logs.${REGION}.amazonaws.com`;
const BACKUP = 'backup.amazonaws.com';

async function openWithKey() {
  const world = await openKms();
  const { KeyId, Arn: arn } = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const SourceArn = `arn:aws:logs:${REGION}:${world.account}:log-group:a` as Arn;
  const base = {
    KeyId,
    GranteeServicePrincipal: LOGS,
    RetiringServicePrincipal: BACKUP,
    Operations: ['Encrypt', 'DescribeKey'] as ('Encrypt' | 'DescribeKey')[],
    Constraints: { SourceArn },
  };
  const create = (more: object = {}, caller: Caller = world.root) =>
    world.as(caller, 'CreateGrant', { ...base, ...more });
  return { world, KeyId, arn: arn!, SourceArn, create };
}
const grantsOf = async (world: World, KeyId: string | undefined, filter: object = {}) =>
  (await world.as(world.root, 'ListGrants', { KeyId, ...filter })).Grants ?? [];

test('kms 15.4, 15.5, authz 5.5: a service uses the key by its grant, for the resource of the grant alone', async () => {
  const { world, KeyId, SourceArn, create } = await openWithKey();
  await using _ = world;
  await create();
  const ana = await world.makeUser('ana', []);
  const other = `${SourceArn}b` as Arn;
  const callers: [string, Caller, Arn | undefined, RegExp][] = [
    ['for the resource', serviceCaller(world.account, LOGS), SourceArn, /^succeeded/],
    ['for another resource', serviceCaller(world.account, LOGS), other, /^AccessDeniedException/],
    ['for no resource', serviceCaller(world.account, LOGS), undefined, /^AccessDeniedException/],
    ['another service', serviceCaller(world.account, BACKUP), SourceArn, /^AccessDeniedException/],
    ['a user says it calls for the resource', ana, SourceArn, /^AccessDeniedException/],
  ];
  for (const [what, caller, sourceArn, expected] of callers) {
    const more = sourceArn === undefined ? {} : { sourceArn };
    assert.match(await failureOf(world.as(caller, 'Encrypt', { KeyId, Plaintext }, more)), expected, what);
    assert.match(await failureOf(world.as(caller, 'DescribeKey', { KeyId }, more)), expected, what);
  }
  const service = serviceCaller(world.account, LOGS);
  const ungranted = world.as(service, 'GenerateDataKey', { KeyId, NumberOfBytes: 8 }, { sourceArn: SourceArn });
  assert.match(await failureOf(ungranted), /^AccessDeniedException/);
});

test('kms 15.5, authz 5.5: no call of a user is for a resource, so a SourceArn keeps a user out', async () => {
  const { world, KeyId, SourceArn, create } = await openWithKey();
  await using _ = world;
  const ana = await world.makeUser('ana', []);
  const bob = await world.makeUser('bob', []);
  await create({ GranteeServicePrincipal: undefined, GranteePrincipal: ana.arn });
  await create({ GranteeServicePrincipal: undefined, GranteePrincipal: bob.arn, Constraints: undefined });
  for (const more of [{}, { sourceArn: SourceArn }]) {
    const encrypt = (caller: Caller) => failureOf(world.as(caller, 'Encrypt', { KeyId, Plaintext }, more));
    assert.match(await encrypt(ana), /^AccessDeniedException/);
    assert.match(await encrypt(bob), /^succeeded/);
  }
});

test('kms 15.5: a SourceArn stands beside an encryption context, and beside none on keys of every kind', async () => {
  const { world, KeyId, SourceArn, create } = await openWithKey();
  await using _ = world;
  await create({ Constraints: { SourceArn, EncryptionContextSubset: { a: '1' } } });
  const service = serviceCaller(world.account, LOGS);
  const encrypt = (EncryptionContext: Record<string, string>) =>
    failureOf(world.as(service, 'Encrypt', { KeyId, Plaintext, EncryptionContext }, { sourceArn: SourceArn }));
  assert.match(await encrypt({ a: '1', b: '2' }), /^succeeded/);
  assert.match(await encrypt({ a: '2' }), /^AccessDeniedException/);
  const [grant] = await grantsOf(world, KeyId);
  assert.deepEqual(grant?.Constraints, { EncryptionContextSubset: { a: '1' }, SourceArn });
  const pair = await world.as(world.root, 'CreateKey', { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
  const signing = { KeyId: pair.KeyMetadata?.KeyId, Operations: ['Sign'] };
  assert.match(await failureOf(create(signing)), /^succeeded/);
  const withContext = { ...signing, Constraints: { SourceArn, EncryptionContextEquals: { a: '1' } } };
  assert.match(await failureOf(create(withContext)), /^ValidationException/);
});

test('kms 15.4, 15.5: what a grant to a service has to say, and what it may not', async () => {
  const { world, KeyId, SourceArn, create } = await openWithKey();
  await using _ = world;
  const needs = 'ValidationException: A grant with a GranteeServicePrincipal needs a';
  const names = /^ValidationException: (?:Grantee|Retiring)ServicePrincipal is not a service principal: /;
  const cases: [object, RegExp | string][] = [
    [{ Constraints: undefined }, `${needs} SourceArn constraint.`],
    [{ Constraints: { EncryptionContextEquals: { a: '1' } } }, `${needs} SourceArn constraint.`],
    [{ RetiringServicePrincipal: undefined }, `${needs} RetiringPrincipal or a RetiringServicePrincipal.`],
    [
      { GranteePrincipal: world.root.arn },
      'ValidationException: Specify either GranteePrincipal or GranteeServicePrincipal, but not both.',
    ],
    [
      { RetiringPrincipal: world.root.arn },
      'ValidationException: Specify either RetiringPrincipal or RetiringServicePrincipal, but not both.',
    ],
    [{ GranteeServicePrincipal: undefined }, /^ValidationException: 1 validation error .*'granteePrincipal'/],
    [
      { Constraints: { SourceArn: 'arn:aws:s3:::bucket' } },
      /'constraints\.sourceArn' .* length greater than or equal to 20$/,
    ],
    [{ Constraints: { SourceArn: `${SourceArn}${'x'.repeat(512)}` } }, /'constraints\.sourceArn' .* or equal to 512$/],
    [{ Constraints: { SourceArn: 'x'.repeat(20) } }, /^ValidationException: .* SourceArn is not an ARN/],
    ...['logs', 'amazonaws.com', '*.amazonaws.com', 'logs.example.com', 'Logs.amazonaws.com', world.root.arn].flatMap(
      (name): [object, RegExp][] => [
        [{ GranteeServicePrincipal: name }, names],
        [{ RetiringServicePrincipal: name }, names],
      ],
    ),
    [{ GranteeServicePrincipal: `${'x'.repeat(256)}.amazonaws.com` }, /'granteeServicePrincipal'/],
    [{ RetiringServicePrincipal: '' }, /'retiringServicePrincipal'/],
    [{ DryRun: true }, /^DryRunOperationException/],
  ];
  for (const [more, expected] of cases) {
    const answer = await failureOf(create(more));
    if (typeof expected === 'string') assert.equal(answer, expected);
    else assert.match(answer, expected, JSON.stringify(more));
  }
  assert.deepEqual(await grantsOf(world, KeyId), [], 'nothing was made');
  for (const length of [20, 512]) {
    const arn = 'arn:aws:s3:::'.padEnd(length, 'x');
    assert.match(await failureOf(create({ Constraints: { SourceArn: arn } })), /^succeeded/, `${length} characters`);
  }
});

test('kms 15.8: service principals and SourceArn are parameters by which a named grant is known', async () => {
  const { world, SourceArn, create } = await openWithKey();
  await using _ = world;
  const first = await create({ Name: 'n' });
  assert.equal((await create({ Name: 'n' })).GrantId, first.GrantId);
  const others = [
    await create({ Name: 'n', GranteeServicePrincipal: BACKUP }),
    await create({ Name: 'n', RetiringServicePrincipal: LOGS }),
    await create({ Name: 'n', RetiringServicePrincipal: undefined, RetiringPrincipal: world.root.arn }),
    await create({ Name: 'n', Constraints: { SourceArn: `${SourceArn}b` } }),
    await create({ Name: 'n', Constraints: { SourceArn, EncryptionContextEquals: { a: '1' } } }),
    await create({ Name: 'n', GranteeServicePrincipal: undefined, GranteePrincipal: world.root.arn }),
  ];
  assert.equal(new Set([first.GrantId, ...others.map((one) => one.GrantId)]).size, 7);
});

test('kms 15.9, 15.10: what a service passes on holds for the same resource', async () => {
  const { world, KeyId, SourceArn, create } = await openWithKey();
  await using _ = world;
  await create({ Operations: ['CreateGrant', 'Encrypt'] });
  const service = serviceCaller(world.account, LOGS);
  const pass = (Constraints: object | undefined, sourceArn: Arn = SourceArn) =>
    failureOf(
      world.as(
        service,
        'CreateGrant',
        { KeyId, GranteePrincipal: world.root.arn, Operations: ['Encrypt'], Constraints },
        { sourceArn },
      ),
    );
  assert.match(await pass({ SourceArn }), /^succeeded/);
  assert.match(await pass({ SourceArn, EncryptionContextEquals: { a: '1' } }), /^succeeded/);
  const other = `${SourceArn}b` as Arn;
  for (const less of [undefined, { SourceArn: other }, { EncryptionContextEquals: { a: '1' } }]) {
    assert.match(await pass(less), /^AccessDeniedException/, JSON.stringify(less));
  }
  assert.match(await pass({ SourceArn }, other), /^AccessDeniedException/);
});

test('kms 15.12: the retiring service may retire the grant, whatever resource it calls for; no other may', async () => {
  const { world, arn, create } = await openWithKey();
  await using _ = world;
  const retire = async (caller: Caller, more: object = {}) => {
    const { GrantId } = await create(more);
    return failureOf(world.as(caller, 'RetireGrant', { KeyId: arn, GrantId }));
  };
  const [logs, backup] = [serviceCaller(world.account, LOGS), serviceCaller(world.account, BACKUP)];
  assert.match(await retire(backup), /^succeeded/);
  assert.match(await retire(logs), /^AccessDeniedException/);
  assert.match(await retire(logs, { Operations: ['Encrypt', 'RetireGrant'] }), /^succeeded/);
  assert.match(await retire(world.root), /^succeeded/, 'the account that issued it');
  assert.match(await retire(world.otherRoot), /^AccessDeniedException/);
  const ana = await world.makeUser('ana', []);
  assert.match(await retire(ana), /^AccessDeniedException/);
  assert.match(await retire(ana, { RetiringServicePrincipal: undefined, RetiringPrincipal: ana.arn }), /^succeeded/);
});

test('kms 15.14, 15.15: lists show service principals as such and find grants by them', async () => {
  const { world, KeyId, arn, SourceArn, create } = await openWithKey();
  await using _ = world;
  const { GrantId } = await create();
  const byUser = { GranteeServicePrincipal: undefined, GranteePrincipal: world.root.arn };
  await create({ ...byUser, RetiringServicePrincipal: undefined, RetiringPrincipal: world.root.arn });
  const theirs = (await world.as(world.otherRoot, 'CreateKey', {})).KeyMetadata!;
  await create({ KeyId: theirs.KeyId }, world.otherRoot);
  const shown = {
    KeyId: arn,
    GrantId,
    Name: '',
    CreationDate: START,
    GranteeServicePrincipal: LOGS,
    RetiringServicePrincipal: BACKUP,
    IssuingAccount: world.root.arn,
    Operations: ['Encrypt', 'DescribeKey'],
    Constraints: { SourceArn },
  };
  assert.deepEqual(await grantsOf(world, KeyId, { GranteeServicePrincipal: LOGS }), [shown]);
  for (const [filter, count] of [
    [{}, 2],
    [{ GranteeServicePrincipal: BACKUP }, 0],
    [{ GranteePrincipal: LOGS }, 0],
    [{ GranteePrincipal: world.root.arn }, 1],
  ] as const) {
    assert.equal((await grantsOf(world, KeyId, filter)).length, count, JSON.stringify(filter));
  }
  const retirable = (input: object, caller = world.root) => world.as(caller, 'ListRetirableGrants', input);
  assert.deepEqual((await retirable({ RetiringServicePrincipal: BACKUP })).Grants, [shown], 'on our own keys');
  const foreign = (await retirable({ RetiringServicePrincipal: BACKUP }, world.otherRoot)).Grants;
  assert.deepEqual(
    foreign?.map((one) => one.KeyId),
    [theirs.Arn],
  );
  assert.deepEqual((await retirable({ RetiringServicePrincipal: LOGS })).Grants, []);
  assert.equal((await retirable({ RetiringPrincipal: world.root.arn })).Grants?.length, 1);
  const both = { RetiringServicePrincipal: BACKUP, RetiringPrincipal: world.root.arn };
  assert.match(await failureOf(retirable(both)), /^ValidationException: Specify either RetiringPrincipal or/);
  assert.match(await failureOf(retirable({ RetiringServicePrincipal: 'x' })), /^ValidationException/);
  const two = { GranteePrincipal: world.root.arn, GranteeServicePrincipal: LOGS };
  assert.match(
    await failureOf(grantsOf(world, KeyId, two)),
    /^ValidationException: Specify either GranteePrincipal or/,
  );
});

test('kms 15.4: a grant that EC2 made shows its names where AWS shows them, and no filter for services finds it', async () => {
  const { world, KeyId, arn } = await openWithKey();
  await using _ = world;
  const via = world.callOf(world.root, { viaService: `ec2.${REGION}.amazonaws.com` });
  const ec2 = `ec2.${REGION}.amazonaws.com`;
  const grant = { granteePrincipal: ec2, retiringPrincipal: ec2, operations: ['Decrypt'] };
  const { grantId } = await world.onBehalf.createGrant(via, arn as Arn, grant, () => Promise.resolve());
  const [shown] = await grantsOf(world, KeyId);
  assert.deepEqual([shown?.GranteePrincipal, shown?.RetiringPrincipal], [ec2, ec2]);
  assert.deepEqual(await grantsOf(world, KeyId, { GranteeServicePrincipal: ec2 }), []);
  await world.onBehalf.retireGrant(via, arn as Arn, grantId);
  assert.deepEqual(await grantsOf(world, KeyId), []);
});

test('authz 6.11: policies bind whom a grant is for, who retires it and for which resource', async () => {
  const { world, SourceArn, create } = await openWithKey();
  await using _ = world;
  const other = { GranteeServicePrincipal: BACKUP };
  const cases: [string, object, object, object][] = [
    ['StringEquals', { 'kms:GranteeServicePrincipal': LOGS }, {}, other],
    ['StringEquals', { 'kms:RetiringServicePrincipal': BACKUP }, {}, { RetiringServicePrincipal: LOGS }],
    ['ArnEquals', { 'kms:GrantConstraintSourceArn': SourceArn }, {}, { Constraints: { SourceArn: `${SourceArn}b` } }],
    [
      'Null',
      { 'kms:GrantConstraintType': 'true' },
      {},
      { Constraints: { SourceArn, EncryptionContextEquals: { a: '1' } } },
    ],
    [
      'Null',
      { 'kms:GranteePrincipal': 'true' },
      {},
      { GranteeServicePrincipal: undefined, GranteePrincipal: world.root.arn },
    ],
    [
      'Null',
      { 'kms:RetiringPrincipal': 'true' },
      {},
      { RetiringServicePrincipal: undefined, RetiringPrincipal: world.root.arn },
    ],
  ];
  for (const [index, [operator, test, allowed, denied]] of cases.entries()) {
    const statement = { Effect: 'Allow', Action: 'kms:CreateGrant', Resource: '*', Condition: { [operator]: test } };
    const user = await world.makeUser(`user${index}`, [statement]);
    const said = JSON.stringify(test);
    assert.match(await failureOf(create(allowed, user)), /^succeeded/, said);
    assert.match(await failureOf(create(denied, user)), /^AccessDeniedException/, said);
  }
});

test('kms 15.19: the trail shows the services of a grant and its resource', async () => {
  const { world, KeyId, SourceArn } = await openWithKey();
  await using _ = world;
  const call = world.callOf(world.root);
  const request = {
    KeyId,
    GranteeServicePrincipal: LOGS,
    RetiringServicePrincipal: BACKUP,
    Operations: ['Encrypt' as const],
    Constraints: { SourceArn },
  };
  await world.as(world.root, 'CreateGrant', request, call);
  assert.deepEqual(call.audit?.facts.requestParameters, {
    keyId: KeyId,
    granteeServicePrincipal: LOGS,
    retiringServicePrincipal: BACKUP,
    operations: ['Encrypt'],
    constraints: { sourceArn: SourceArn },
  });
});
