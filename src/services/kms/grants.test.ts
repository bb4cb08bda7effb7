/** Grants through the service (kms §15). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GrantConstraints } from '@aws-sdk/client-kms';
import type { Caller } from '../../authz/caller.ts';
import { failureOf, openKms, START, type World } from './test-kms.ts';

const Plaintext = new Uint8Array([1]);

async function newKey(world: World) {
  return (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
}

test('kms 15.7, 15.14: a grant allows its grantee what it names, and is listed as AWS lists it', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const bob = await world.makeUser('bob', []);
  const { GrantId, GrantToken } = await world.as(world.root, 'CreateGrant', {
    KeyId,
    GranteePrincipal: ana.arn,
    RetiringPrincipal: bob.arn,
    Operations: ['Encrypt', 'DescribeKey'],
    Name: 'for-ana',
    Constraints: { EncryptionContextSubset: { a: '1' } },
  });
  assert.match(GrantId!, /^[0-9a-f]{64}$/);
  const encrypt = (EncryptionContext: Record<string, string>, GrantTokens?: string[]) =>
    failureOf(world.as(ana, 'Encrypt', { KeyId, Plaintext, EncryptionContext, GrantTokens }));
  assert.match(await encrypt({ a: '1', b: '2' }), /^succeeded/);
  assert.match(await encrypt({ a: '1' }, [GrantToken!]), /^succeeded/);
  for (const context of [{}, { a: '2' }, { A: '1' }] as Record<string, string>[]) {
    assert.match(await encrypt(context, [GrantToken!]), /^AccessDeniedException/);
  }
  assert.match(await failureOf(world.as(ana, 'DescribeKey', { KeyId })), /^succeeded/, 'kms 15.6: no constraint there');
  assert.match(
    await failureOf(world.as(bob, 'Encrypt', { KeyId, Plaintext, GrantTokens: [GrantToken!] })),
    /^AccessDenied/,
  );
  const { Grants, Truncated } = await world.as(world.root, 'ListGrants', { KeyId });
  assert.equal(Truncated, false);
  assert.deepEqual(Grants, [
    {
      KeyId: Arn,
      GrantId,
      Name: 'for-ana',
      CreationDate: START,
      GranteePrincipal: ana.arn,
      RetiringPrincipal: bob.arn,
      IssuingAccount: world.root.arn,
      Operations: ['Encrypt', 'DescribeKey'],
      Constraints: { EncryptionContextSubset: { a: '1' } },
    },
  ]);
  const { Grants: retirable } = await world.as(world.root, 'ListRetirableGrants', { RetiringPrincipal: bob.arn });
  assert.deepEqual(retirable, Grants);
  for (const [filter, count] of [
    [{ GranteePrincipal: ana.arn }, 1],
    [{ GranteePrincipal: bob.arn }, 0],
    [{ GrantId }, 1],
    [{ GrantId: 'f'.repeat(64) }, 0],
  ] as const) {
    assert.equal((await world.as(world.root, 'ListGrants', { KeyId, ...filter })).Grants?.length, count);
  }
});

test('kms 15.8: equal parameters with a name answer the same grant with another token; without a name they do not', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const base = { KeyId, GranteePrincipal: ana.arn };
  const create = (more: object) =>
    world.as(world.root, 'CreateGrant', { ...base, Operations: ['Encrypt', 'Decrypt'], ...more });
  const first = await create({ Name: 'n' });
  const again = await create({ Name: 'n', Operations: ['Decrypt', 'Encrypt'] });
  assert.equal(again.GrantId, first.GrantId);
  assert.notEqual(again.GrantToken, first.GrantToken);
  const others = [
    await create({ Name: 'm' }),
    await create({ Name: 'n', Operations: ['Encrypt'] }),
    await create({ Name: 'n', Constraints: { EncryptionContextSubset: { a: '1' } } }),
    await create({ Name: 'n', Constraints: { EncryptionContextEquals: { a: '1' } } }),
    await create({}),
    await create({}),
  ];
  assert.equal(new Set([first.GrantId, ...others.map((one) => one.GrantId)]).size, 7);
});

test('kms 15.2 to 15.5: what CreateGrant refuses', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const pairs = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`${i}`, '']));
  const base = { KeyId, GranteePrincipal: ana.arn, Operations: ['Encrypt'] };
  const nobody = `arn:aws:iam::${world.account}:user/nobody`;
  const cases: [object, RegExp][] = [
    [
      { Operations: ['CreateGrant'] },
      /^ValidationException: Grants must not contain only the CreateGrant operation\.$/,
    ],
    [{ Operations: [] }, /^ValidationException: 1 validation error detected: .*'operations'/],
    [
      { Operations: ['PutKeyPolicy'] },
      /^ValidationException: 1 validation error detected: Value 'PutKeyPolicy' at 'operations\.1\.member' failed to satisfy constraint: Member must satisfy enum value set: \[/,
    ],
    [{ Operations: ['Sign'] }, /^ValidationException/],
    [{ GranteePrincipal: nobody }, /^InvalidArnException/],
    [{ GranteePrincipal: '*' }, /^InvalidArnException/],
    [{ GranteePrincipal: 'ec2.eu-central-1.amazonaws.com' }, /^InvalidArnException/],
    [{ RetiringPrincipal: nobody }, /^InvalidArnException/],
    [
      { Constraints: { EncryptionContextSubset: { a: '1' }, EncryptionContextEquals: { a: '1' } } },
      /^ValidationException: More than one constraint supplied$/,
    ],
    [{ Constraints: { EncryptionContextSubset: pairs } }, /^ValidationException/],
    [{ Constraints: { EncryptionContextSubset: { a: 'x'.repeat(385) } } }, /^ValidationException/],
    [{ Name: 'a b' }, /^ValidationException/],
    [{ DryRun: true }, /^DryRunOperationException/],
  ];
  for (const [more, expected] of cases) {
    assert.match(await failureOf(world.as(world.root, 'CreateGrant', { ...base, ...more } as never)), expected);
  }
  assert.deepEqual((await world.as(world.root, 'ListGrants', { KeyId })).Grants, [], 'nothing was made');
});

test('kms 15.5: an empty constraint beside one that is given, as Terraform sends it, is none', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  for (const [Name, Constraints, expected] of [
    [
      'subset',
      { EncryptionContextSubset: { a: '1' }, EncryptionContextEquals: {} },
      { EncryptionContextSubset: { a: '1' } },
    ],
    [
      'equals',
      { EncryptionContextSubset: {}, EncryptionContextEquals: { a: '1' } },
      { EncryptionContextEquals: { a: '1' } },
    ],
  ] as [string, GrantConstraints, GrantConstraints][]) {
    const grant = { KeyId, GranteePrincipal: ana.arn, Operations: ['Encrypt' as const], Name, Constraints };
    const { GrantId } = await world.as(world.root, 'CreateGrant', grant);
    const { Grants } = await world.as(world.root, 'ListGrants', { KeyId, GrantId });
    assert.deepEqual(Grants?.[0]?.Constraints, expected);
  }
});

test('kms 15.9, 15.10: a grantee passes on no more than it has, under constraints at least as strict', async () => {
  const subset = (pairs: Record<string, string>) => ({ EncryptionContextSubset: pairs });
  const equals = (pairs: Record<string, string>) => ({ EncryptionContextEquals: pairs });
  const table: [GrantConstraints | undefined, GrantConstraints | undefined, boolean][] = [
    [undefined, undefined, true],
    [undefined, subset({ a: '1' }), true],
    [undefined, equals({ a: '1' }), true],
    [subset({ a: '1' }), undefined, false],
    [subset({ a: '1' }), subset({ a: '1' }), true],
    [subset({ a: '1' }), subset({ a: '1', b: '2' }), true],
    [subset({ a: '1' }), equals({ a: '1' }), true],
    [subset({ a: '1' }), equals({ a: '1', b: '2' }), true],
    [subset({ a: '1' }), subset({ b: '2' }), false],
    [subset({ a: '1' }), subset({ a: '2' }), false],
    [subset({ a: '1' }), equals({ b: '2' }), false],
    [equals({ a: '1' }), undefined, false],
    [equals({ a: '1' }), equals({ a: '1' }), true],
    [equals({ a: '1' }), subset({ a: '1' }), false],
    [equals({ a: '1' }), equals({ a: '1', b: '2' }), false],
    [equals({ a: '1' }), equals({}), false],
  ];
  await using world = await openKms();
  const ana = await world.makeUser('ana', []);
  const bob = await world.makeUser('bob', []);
  for (const [parent, child, allowed] of table) {
    const { KeyId } = await newKey(world);
    await world.as(world.root, 'CreateGrant', {
      KeyId,
      GranteePrincipal: ana.arn,
      Operations: ['CreateGrant', 'Decrypt', 'Encrypt'],
      Constraints: parent,
    });
    const pass = (Operations: ('Decrypt' | 'GenerateDataKey')[]) =>
      failureOf(world.as(ana, 'CreateGrant', { KeyId, GranteePrincipal: bob.arn, Operations, Constraints: child }));
    const said = JSON.stringify([parent, child]);
    assert.match(await pass(['Decrypt']), allowed ? /^succeeded/ : /^AccessDeniedException/, said);
    assert.match(await pass(['Decrypt', 'GenerateDataKey']), /^AccessDeniedException/, said);
  }
});

test('kms 5.2, 15.12, 15.13: who may retire and revoke', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const bob = await world.makeUser('bob', []);
  const delegate = await world.makeUser('delegate', [{ Effect: 'Allow', Action: 'kms:RetireGrant', Resource: '*' }]);
  const make = (more = {}) =>
    world.as(world.root, 'CreateGrant', { KeyId, GranteePrincipal: ana.arn, Operations: ['Encrypt'], ...more });
  const retire = async (caller: Caller, more = {}) => {
    const { GrantId } = await make(more);
    return failureOf(world.as(caller, 'RetireGrant', { KeyId: Arn, GrantId }));
  };
  assert.match(await retire(ana), /^AccessDeniedException/);
  assert.match(await retire(ana, { Operations: ['Encrypt', 'RetireGrant'] }), /^succeeded/);
  assert.match(await retire(bob), /^AccessDeniedException/);
  assert.match(await retire(bob, { RetiringPrincipal: bob.arn }), /^succeeded/);
  assert.match(await retire(world.root), /^succeeded/);
  assert.match(await retire(delegate), /^succeeded/);
  assert.match(await retire(world.otherRoot), /^AccessDeniedException/);

  const { GrantToken, GrantId } = await make();
  assert.match(await failureOf(world.as(world.root, 'RetireGrant', { GrantToken, DryRun: true })), /^DryRunOperation/);
  assert.match(await failureOf(world.as(world.root, 'RetireGrant', { GrantToken })), /^succeeded/);
  const gone = `NotFoundException: Grant ID ${GrantId} not found`;
  assert.equal(await failureOf(world.as(world.root, 'RetireGrant', { GrantToken })), gone);
  assert.equal(await failureOf(world.as(world.root, 'RevokeGrant', { KeyId, GrantId })), gone);
  assert.match(await failureOf(world.as(world.root, 'RetireGrant', {})), /^ValidationException/);
  assert.match(await failureOf(world.as(world.root, 'RetireGrant', { KeyId, GrantId })), /^InvalidArnException/);

  const last = await make({ GranteePrincipal: bob.arn });
  assert.match(await failureOf(world.as(delegate, 'RevokeGrant', { KeyId, GrantId: last.GrantId })), /^AccessDenied/);
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId });
  assert.match(await failureOf(world.as(world.root, 'RevokeGrant', { KeyId, GrantId: last.GrantId })), /^succeeded/);
  assert.match(await failureOf(world.as(bob, 'Encrypt', { KeyId, Plaintext })), /^AccessDeniedException/);
});

test('kms 23.5, 15.1, 30.3: a grant alone lets another account in, and an explicit deny keeps it out', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const eve = await world.makeUser('eve', [], world.other);
  const barred = await world.makeUser('barred', [{ Effect: 'Deny', Action: 'kms:*', Resource: '*' }], world.other);
  for (const GranteePrincipal of [eve.arn, barred.arn]) {
    await world.as(world.root, 'CreateGrant', { KeyId, GranteePrincipal, Operations: ['Encrypt'] });
  }
  assert.match(await failureOf(world.as(eve, 'Encrypt', { KeyId: Arn, Plaintext })), /^succeeded/);
  assert.match(
    await failureOf(world.as(barred, 'Encrypt', { KeyId: Arn, Plaintext })),
    /explicit deny in an identity-based/,
  );
});

test('kms 14.9, 15.16: a role that is made again under the same name inherits neither grant nor policy', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const before = await world.makeRole('builder');
  await world.as(world.root, 'CreateGrant', { KeyId, GranteePrincipal: before.arn, Operations: ['Encrypt'] });
  const statements = [
    { Effect: 'Allow', Principal: { AWS: world.root.arn }, Action: 'kms:*', Resource: '*' },
    { Effect: 'Allow', Principal: { AWS: before.arn }, Action: 'kms:GenerateDataKey', Resource: '*' },
  ];
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: statements });
  await world.as(world.root, 'PutKeyPolicy', { KeyId, Policy });
  const calls = (caller: Caller) =>
    Promise.all([
      failureOf(world.as(caller, 'Encrypt', { KeyId, Plaintext })),
      failureOf(world.as(caller, 'GenerateDataKey', { KeyId, NumberOfBytes: 8 })),
    ]);
  for (const answer of await calls(before.session)) assert.match(answer, /^succeeded/);
  await world.removeRole(before.arn);
  const after = await world.makeRole('builder');
  assert.equal(after.arn, before.arn);
  for (const answer of await calls(after.session)) assert.match(answer, /^AccessDeniedException/);
  const { Grants } = await world.as(world.root, 'ListGrants', { KeyId });
  assert.match(Grants![0]!.GranteePrincipal!, /^AROA/);
  const shown = JSON.parse((await world.as(world.root, 'GetKeyPolicy', { KeyId })).Policy!);
  assert.match(shown.Statement[1].Principal.AWS, /^AROA/);
  assert.match(
    await failureOf(world.as(world.root, 'PutKeyPolicy', { KeyId, Policy: JSON.stringify(shown) })),
    /^MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals\.$/,
  );
});
