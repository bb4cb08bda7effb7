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
