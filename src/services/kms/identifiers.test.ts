/** How requests name keys, and which names reach a key from where (kms §2). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Region } from '../../ids.ts';
import { failureOf, openKms } from './test-kms.ts';
import { KEY_OPERATIONS, type Kind, openPolicy, type Prepared, prepare, REQUESTS } from './test-requests.ts';

const EAST = { region: 'us-east-1' as Region };
const Plaintext = new Uint8Array([1]);

test('kms 2.3, 2.4: each operation takes the names it takes: id, ARN, alias, alias ARN', async () => {
  await using world = await openKms();
  const prepared = new Map<Kind, Prepared>();
  for (const operation of KEY_OPERATIONS) {
    const { kind, names, input } = REQUESTS[operation];
    if (names === 'none') continue;
    // What other operations leave behind does not matter here: the key is found, or its name is refused.
    const key = prepared.get(kind) ?? (await prepare(world, kind));
    prepared.set(kind, key);
    const answerTo = (name: string) =>
      failureOf(world.as(world.root, operation, { ...input(name, key), DryRun: true } as never));
    const found = (answer: string) => !/^(NotFound|InvalidArn)Exception|^ValidationException: Aliases/.test(answer);
    const answers = [];
    for (const name of [key.id, key.arn, key.alias, key.aliasArn]) answers.push(found(await answerTo(name)));
    const taken = { all: [true, true, true, true], keys: [true, true, false, false], arn: [false, true, false, false] };
    assert.deepEqual(answers, taken[names], operation);
    if (/KeyMaterial|Deletion|UpdatePrimary|Disable|Grant/.test(operation)) prepared.delete(kind);
  }
});

test('kms 2.2: ids and alias names are those of the caller’s account and the Region of the request', async () => {
  await using world = await openKms();
  const key = await prepare(world, 'symmetric');
  const encrypt = (KeyId: string, caller = world.root, place = {}) =>
    failureOf(world.as(caller, 'Encrypt', { KeyId, Plaintext }, place));
  const here = 'arn:aws:kms:eu-central-1';
  for (const [answer, expected] of [
    [await encrypt(key.id, world.otherRoot), `Key '${here}:${world.other}:key/${key.id}' does not exist`],
    [await encrypt(key.alias, world.otherRoot), `Alias ${here}:${world.other}:${key.alias} is not found.`],
    [
      await encrypt(key.id, world.root, EAST),
      `Key 'arn:aws:kms:us-east-1:${world.account}:key/${key.id}' does not exist`,
    ],
    [
      await encrypt(key.alias, world.root, EAST),
      `Alias arn:aws:kms:us-east-1:${world.account}:${key.alias} is not found.`,
    ],
  ]) {
    assert.equal(answer, `NotFoundException: ${expected}`);
  }
});

test('kms 2.5, 23.6: another account’s key is reached by its ARN or its alias’s ARN, in its own Region', async () => {
  await using world = await openKms();
  const key = await prepare(world, 'symmetric');
  const Policy = openPolicy(world.root.arn, world.otherRoot.arn);
  await world.as(world.root, 'PutKeyPolicy', { KeyId: key.id, Policy });
  for (const KeyId of [key.arn, key.aliasArn]) {
    const sealed = await world.as(world.otherRoot, 'Encrypt', { KeyId, Plaintext });
    assert.equal(sealed.KeyId, key.arn);
    assert.equal(
      await failureOf(world.as(world.otherRoot, 'Encrypt', { KeyId, Plaintext }, EAST)),
      'NotFoundException: Invalid arn eu-central-1',
    );
  }
  await world.as(world.otherRoot, 'ListGrants', { KeyId: key.arn });
  assert.match(
    await failureOf(world.as(world.otherRoot, 'ListGrants', { KeyId: key.aliasArn })),
    /^InvalidArnException/,
  );
});

test('kms 2.6 to 2.9: identifiers that name nothing', async () => {
  await using world = await openKms();
  const arn = (id: string, region = 'eu-central-1') => `arn:aws:kms:${region}:${world.account}:${id}`;
  const missing = '00000000-0000-4000-8000-000000000000';
  const mrk = `mrk-${'0'.repeat(32)}`;
  const cases: [string, string][] = [
    [missing, `NotFoundException: Key '${arn(`key/${missing}`)}' does not exist`],
    [mrk, `NotFoundException: Key '${arn(`key/${mrk}`)}' does not exist`],
    [arn(`key/${missing}`), `NotFoundException: Key '${arn(`key/${missing}`)}' does not exist`],
    [missing.replaceAll('-', ''), `NotFoundException: Invalid keyId '${missing.replaceAll('-', '')}'`],
    [`${mrk}0`, `NotFoundException: Invalid keyId '${mrk}0'`],
    ['golden', "NotFoundException: Invalid keyId 'golden'"],
    [
      missing.toUpperCase().replace('8', 'A'),
      `NotFoundException: Invalid keyId '${missing.toUpperCase().replace('8', 'A')}'`,
    ],
    [arn(`key/${missing}`, 'us-east-1'), 'NotFoundException: Invalid arn us-east-1'],
    ['alias/golden', `NotFoundException: Alias ${arn('alias/golden')} is not found.`],
    [arn('alias/golden'), `NotFoundException: Alias ${arn('alias/golden')} is not found.`],
    ['arn:aws:s3:::bucket', 'InvalidArnException: Invalid arn arn:aws:s3:::bucket'],
  ];
  for (const [KeyId, expected] of cases) {
    assert.equal(await failureOf(world.as(world.root, 'DescribeKey', { KeyId })), expected);
  }
  for (const KeyId of ['alias/golden', arn('alias/golden')]) {
    assert.match(
      await failureOf(world.as(world.root, 'EnableKey', { KeyId })),
      /^(NotFound|InvalidArn)Exception: Key Aliases are not supported for this operation$/,
    );
  }
});

test('kms 2.10: answers name the key by its ARN, whatever the request named it; three members are the bare id', async () => {
  await using world = await openKms();
  const byArn: string[] = [];
  for (const operation of KEY_OPERATIONS) {
    const { kind, names, input } = REQUESTS[operation];
    const key = await prepare(world, kind);
    if (operation === 'CancelKeyDeletion') await world.as(world.root, 'ScheduleKeyDeletion', { KeyId: key.id });
    const name = { all: key.alias, keys: key.id, arn: key.arn, none: '' }[names];
    const answer: Record<string, unknown> = await world.as(world.root, operation, input(name, key) as never);
    for (const member of ['KeyId', 'SourceKeyId']) {
      if (!(member in answer)) continue;
      assert.equal(answer[member], key.arn, operation);
      byArn.push(operation);
    }
  }
  assert.ok(byArn.length >= 24, byArn.join());
  const { id, arn } = await prepare(world, 'symmetric');
  assert.equal((await world.as(world.root, 'DescribeKey', { KeyId: arn })).KeyMetadata?.KeyId, id);
  assert.equal((await world.as(world.root, 'ListAliases', { KeyId: arn })).Aliases?.[0]?.TargetKeyId, id);
  const { Keys } = await world.as(world.root, 'ListKeys', {});
  assert.ok(Keys?.some(({ KeyId, KeyArn }) => KeyId === id && KeyArn === arn));
  const { Rotations } = await world.as(world.root, 'ListKeyRotations', {
    KeyId: id,
    IncludeKeyMaterial: 'ALL_KEY_MATERIAL',
  });
  assert.equal(Rotations?.[0]?.KeyId, arn);
  assert.equal((await world.as(world.root, 'ListGrants', { KeyId: id })).Grants?.[0]?.KeyId, arn);
});
