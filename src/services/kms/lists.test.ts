/** Lists and their pages (kms §21). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureOf, openKms, type World } from './test-kms.ts';

async function newKey(world: World, input = {}) {
  return (await world.as(world.root, 'CreateKey', input)).KeyMetadata!;
}

test('kms 21.1, 21.2: lists come in pages, and a marker is good for its own list only', async () => {
  await using world = await openKms();
  const made = new Set<string>();
  for (let i = 0; i < 5; i++) made.add((await newKey(world)).KeyId!);
  const seen: string[] = [];
  let Marker: string | undefined;
  do {
    const page: { Keys?: { KeyId?: string }[]; NextMarker?: string; Truncated?: boolean } = await world.as(
      world.root,
      'ListKeys',
      { Limit: 2, Marker },
    );
    seen.push(...page.Keys!.map((key) => key.KeyId!));
    assert.equal(page.Truncated, page.NextMarker !== undefined);
    Marker = page.NextMarker;
  } while (Marker);
  assert.deepEqual(new Set(seen), made);
  assert.equal(seen.length, 5);
  const first = await world.as(world.root, 'ListKeys', { Limit: 2 });
  for (const [name, input] of [
    ['ListAliases', { Marker: first.NextMarker }],
    ['ListKeys', { Marker: 'nonsense' }],
  ] as const) {
    assert.match(await failureOf(world.as(world.root, name, input)), /^InvalidMarkerException/);
  }
  assert.match(await failureOf(world.as(world.root, 'ListKeys', { Limit: 1001 })), /^ValidationException/);
  const KeyId = seen[0];
  const names = ['a', 'b', 'c'].map((name) => `alias/${name}`);
  for (const AliasName of names) await world.as(world.root, 'CreateAlias', { AliasName, TargetKeyId: KeyId });
  const aliases: (string | undefined)[] = [];
  Marker = undefined;
  do {
    const page: { Aliases?: { AliasName?: string }[]; NextMarker?: string } = await world.as(
      world.root,
      'ListAliases',
      {
        Limit: 1,
        Marker,
      },
    );
    aliases.push(...page.Aliases!.map((alias) => alias.AliasName));
    Marker = page.NextMarker;
  } while (Marker);
  assert.deepEqual(aliases, ['alias/a', 'alias/aws/ebs', 'alias/b', 'alias/c']);
});

/** kms §21: list, largest and usual page, the member that holds it. */
const LISTS = [
  ['ListKeys', 1000, 100, 'Keys'],
  ['ListAliases', 100, 50, 'Aliases'],
  ['ListGrants', 100, 50, 'Grants'],
  ['ListRetirableGrants', 100, 50, 'Grants'],
  ['ListKeyPolicies', 1000, 100, 'PolicyNames'],
  ['ListKeyRotations', 1000, 100, 'Rotations'],
  ['ListResourceTags', 50, 50, 'Tags'],
] as const;

test('kms 21.1 to 21.3: every list has its bounds, its pages hold everything once, and its markers are its own', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world, {
    Tags: Array.from({ length: 5 }, (_, at) => ({ TagKey: `${at}`, TagValue: '' })),
  });
  const principals = { GranteePrincipal: world.root.arn, RetiringPrincipal: world.root.arn };
  for (let turn = 0; turn < 55; turn++) {
    await world.as(world.root, 'CreateGrant', { KeyId, ...principals, Operations: ['Decrypt'] });
    if (turn < 5) await world.as(world.root, 'RotateKeyOnDemand', { KeyId });
    const spread = turn < 50 ? KeyId : (await newKey(world)).KeyId;
    await world.as(world.root, 'CreateAlias', { AliasName: `alias/n${turn}`, TargetKeyId: spread });
  }
  for (let turn = 0; turn < 100; turn++) await newKey(world);
  for (const [list, largest, usual, member] of LISTS) {
    const on = list === 'ListRetirableGrants' ? { RetiringPrincipal: world.root.arn } : { KeyId };
    const input = list === 'ListKeys' || list === 'ListAliases' ? {} : on;
    const ask = (more: object) => world.as(world.root, list, { ...input, ...more } as never);
    for (const [Limit, rule] of [
      [0, 'greater than or equal to 1'],
      [largest + 1, `less than or equal to ${largest}`],
    ] as const) {
      assert.equal(
        await failureOf(ask({ Limit })),
        `ValidationException: 1 validation error detected: Value '${Limit}' at 'limit' failed to satisfy constraint: Member must have value ${rule}`,
      );
    }
    const page = async (more: object) => (await ask(more)) as Record<string, unknown[]> & { NextMarker?: string };
    const count = (one: Awaited<ReturnType<typeof page>>) => one[member]!.length;
    const first = await page({});
    assert.ok(count(first) <= usual && (count(first) === usual || !first.Truncated), `${list}: ${count(first)}`);
    const all = await page({ Limit: largest });
    const seen: unknown[] = [];
    let Marker: string | undefined;
    do {
      const one = await page({ Limit: 3, Marker });
      assert.equal(one.Truncated, 'NextMarker' in one, list);
      seen.push(...one[member]!);
      Marker = one.NextMarker;
    } while (Marker !== undefined && seen.length < 99);
    const everything = [...all[member]!];
    assert.deepEqual(seen, everything.slice(0, seen.length), list);
    for (const marker of ['nonsense', Buffer.from('["Other","x"]').toString('base64url')]) {
      assert.match(await failureOf(ask({ Marker: marker })), /^InvalidMarkerException/, list);
    }
    assert.match(await failureOf(ask({ Marker: 'x'.repeat(1025) })), /^ValidationException: .*'marker'/);
  }
});

test('kms 21.2: ListKeys has the AWS managed key and keys of every state, and no other account’s', async () => {
  await using world = await openKms();
  const managed = (await world.as(world.root, 'DescribeKey', { KeyId: 'alias/aws/ebs' })).KeyMetadata!;
  const waiting = await newKey(world);
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId: waiting.KeyId });
  const external = await newKey(world, { Origin: 'EXTERNAL' });
  await world.as(world.otherRoot, 'CreateKey', {});
  const { Keys } = await world.as(world.root, 'ListKeys', {});
  assert.deepEqual(Keys?.map((key) => key.KeyArn).sort(), [managed.Arn, waiting.Arn, external.Arn].sort());
});
