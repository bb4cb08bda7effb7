/** Aliases: names, targets, rights, lists (kms §12). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemPermit } from '../../authz/permit.ts';
import { failureOf, openKms, START, type World } from './test-kms.ts';

async function newKey(world: World, input = {}) {
  return (await world.as(world.root, 'CreateKey', input)).KeyMetadata!;
}
const describe = async (world: World, KeyId: string | undefined) =>
  (await world.as(world.root, 'DescribeKey', { KeyId })).KeyMetadata!;

test('kms 12.2 to 12.5, 12.9: aliases, their names, limits and moves', async () => {
  await using world = await openKms();
  const one = await newKey(world);
  const two = await newKey(world);
  const arn = (name: string) => `arn:aws:kms:eu-central-1:${world.account}:${name}`;
  const create = (AliasName: string, TargetKeyId = one.KeyId) =>
    failureOf(world.as(world.root, 'CreateAlias', { AliasName, TargetKeyId }));
  assert.equal(await create('alias/golden'), 'succeeded: {}');
  assert.equal(
    await create('alias/golden', two.KeyId),
    `AlreadyExistsException: An alias with the name ${arn('alias/golden')} already exists`,
  );
  assert.equal(
    await create('golden'),
    'ValidationException: Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
  );
  assert.match(await create('alias/a b'), /^InvalidAliasNameException/);
  assert.match(await create('alias/aws/ebs'), /^NotAuthorizedException/);
  assert.equal(await create('alias/x', 'alias/golden'), 'ValidationException: Aliases must refer to keys. Not aliases');

  const list = async (input = {}) => (await world.as(world.root, 'ListAliases', input)).Aliases!;
  assert.deepEqual(await list({ KeyId: one.KeyId }), [
    {
      AliasName: 'alias/golden',
      AliasArn: arn('alias/golden'),
      TargetKeyId: one.KeyId,
      CreationDate: START,
      LastUpdatedDate: START,
    },
  ]);
  assert.deepEqual(
    (await list()).map(({ AliasName, TargetKeyId }) => [AliasName, TargetKeyId]),
    [
      ['alias/aws/ebs', undefined],
      ['alias/golden', one.KeyId],
    ],
  );
  await world.as(world.root, 'UpdateAlias', { AliasName: 'alias/golden', TargetKeyId: two.Arn });
  assert.equal((await describe(world, 'alias/golden')).KeyId, two.KeyId);
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId: one.KeyId });
  assert.equal(
    await failureOf(world.as(world.root, 'UpdateAlias', { AliasName: 'alias/golden', TargetKeyId: one.KeyId })),
    `KMSInvalidStateException: ${one.Arn} is pending deletion.`,
  );
  await world.as(world.root, 'DeleteAlias', { AliasName: 'alias/golden' });
  assert.equal(
    await failureOf(world.as(world.root, 'DeleteAlias', { AliasName: 'alias/golden' })),
    `NotFoundException: Alias ${arn('alias/golden')} is not found.`,
  );
  for (let i = 0; i < 50; i++) assert.equal(await create(`alias/n${i}`, two.KeyId), 'succeeded: {}');
  assert.match(await create('alias/n50', two.KeyId), /^LimitExceededException/);
});

test('kms 12.6: an alias that moved since its permits were given stays where it is', async () => {
  await using world = await openKms();
  const [one, two, three] = [await newKey(world), await newKey(world), await newKey(world)];
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/golden', TargetKeyId: two.KeyId });
  const permit = (arn: string | undefined) => systemPermit('kms:UpdateAlias', arn!, 'a test');
  const alias = permit(`arn:aws:kms:eu-central-1:${world.account}:alias/golden`);
  await assert.rejects(world.keys.updateAlias(alias, permit(one.Arn), permit(three.Arn)), /alias-not-found/);
  assert.equal((await describe(world, 'alias/golden')).KeyId, two.KeyId);
});

test('kms 12.1: names are case-sensitive, of bounded length, and an account’s own in each Region', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const create = (AliasName: string, TargetKeyId = KeyId, caller = world.root, place = {}) =>
    failureOf(world.as(caller, 'CreateAlias', { AliasName, TargetKeyId }, place));
  assert.equal(await create('alias/golden'), 'succeeded: {}');
  assert.equal(await create('alias/Golden'), 'succeeded: {}');
  assert.equal(await create('alias/a/b_c-9'), 'succeeded: {}');
  assert.equal(await create(`alias/${'x'.repeat(250)}`), 'succeeded: {}');
  assert.match(
    await create(`alias/${'x'.repeat(251)}`),
    /^ValidationException: .*'aliasName'.* less than or equal to 256/,
  );
  assert.match(await create('alias/'), /^InvalidAliasNameException/);
  const east = { region: 'us-east-1' as never };
  const there = (await world.as(world.root, 'CreateKey', {}, east)).KeyMetadata!;
  assert.equal(await create('alias/golden', there.KeyId, world.root, east), 'succeeded: {}');
  const theirs = (await world.as(world.otherRoot, 'CreateKey', {})).KeyMetadata!;
  assert.equal(await create('alias/golden', theirs.KeyId, world.otherRoot), 'succeeded: {}');
  for (const [caller, place, arn] of [
    [world.root, {}, `arn:aws:kms:eu-central-1:${world.account}:key/${KeyId}`],
    [world.root, east, there.Arn],
    [world.otherRoot, {}, theirs.Arn],
  ] as const) {
    const { KeyMetadata } = await world.as(caller, 'DescribeKey', { KeyId: 'alias/golden' }, place);
    assert.equal(KeyMetadata?.Arn, arn);
  }
});

test('kms 12.5: the target is a customer key of the same account and Region, in any state but pending deletion', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  const theirs = (await world.as(world.otherRoot, 'CreateKey', {})).KeyMetadata!;
  const external = await newKey(world, { Origin: 'EXTERNAL' });
  const ebs = await describe(world, 'alias/aws/ebs');
  const create = (AliasName: string, TargetKeyId: string | undefined) =>
    failureOf(world.as(world.root, 'CreateAlias', { AliasName, TargetKeyId }));
  assert.equal(await create('alias/one', external.KeyId), 'succeeded: {}');
  await world.as(world.root, 'DisableKey', { KeyId: key.KeyId });
  assert.equal(await create('alias/two', key.KeyId), 'succeeded: {}');
  assert.match(await create('alias/no', theirs.Arn), /^AccessDenied/);
  assert.match(await create('alias/no', ebs.KeyId), /^AccessDenied/);
  assert.match(await create('alias/no', key.Arn!.replace('eu-central-1', 'us-east-1')), /^NotFoundException/);
});

test('kms 12.7: creating, moving and deleting takes the right on the alias and on every key concerned', async () => {
  await using world = await openKms();
  const [one, two] = [await newKey(world), await newKey(world)];
  const arn = `arn:aws:kms:eu-central-1:${world.account}:alias/golden`;
  let users = 0;
  const as = async (
    operation: 'CreateAlias' | 'UpdateAlias' | 'DeleteAlias',
    input: object,
    ...on: (string | undefined)[]
  ) => {
    const statement = { Effect: 'Allow', Action: `kms:${operation}`, Resource: on };
    return failureOf(world.as(await world.makeUser(`user${users++}`, [statement]), operation, input as never));
  };
  const denied = (on: string | undefined) => new RegExp(`^AccessDenied.* on resource: ${on} `);
  const create = { AliasName: 'alias/golden', TargetKeyId: one.KeyId };
  assert.match(await as('CreateAlias', create, one.Arn), denied(arn));
  assert.match(await as('CreateAlias', create, arn), denied(one.Arn));
  assert.equal(await as('CreateAlias', create, arn, one.Arn), 'succeeded: {}');
  const move = { AliasName: 'alias/golden', TargetKeyId: two.KeyId };
  assert.match(await as('UpdateAlias', move, one.Arn, two.Arn), denied(arn));
  assert.match(await as('UpdateAlias', move, arn, two.Arn), denied(one.Arn));
  assert.match(await as('UpdateAlias', move, arn, one.Arn), denied(two.Arn));
  assert.equal(await as('UpdateAlias', move, arn, one.Arn, two.Arn), 'succeeded: {}');
  const gone = { AliasName: 'alias/golden' };
  assert.match(await as('DeleteAlias', gone, two.Arn), denied(arn));
  assert.match(await as('DeleteAlias', gone, arn, one.Arn), denied(two.Arn));
  assert.equal(await as('DeleteAlias', gone, arn, two.Arn), 'succeeded: {}');
});

test('kms 12.8: a deleted alias leaves its key as it is', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/golden', TargetKeyId: key.KeyId });
  await world.as(world.root, 'DeleteAlias', { AliasName: 'alias/golden' });
  assert.deepEqual(await describe(world, key.KeyId), key);
});

test('kms 12.9: the list of one key’s aliases; a key that is not there', async () => {
  await using world = await openKms();
  const [one, two] = [await newKey(world), await newKey(world)];
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/one', TargetKeyId: one.KeyId });
  await world.pass(60_000);
  await world.as(world.root, 'UpdateAlias', { AliasName: 'alias/one', TargetKeyId: two.KeyId });
  const { Aliases } = await world.as(world.root, 'ListAliases', { KeyId: two.Arn });
  assert.deepEqual(
    Aliases?.map((alias) => [alias.AliasName, alias.CreationDate, alias.LastUpdatedDate]),
    [['alias/one', START, new Date(START.getTime() + 60_000)]],
  );
  const KeyId = '00000000-0000-4000-8000-000000000000';
  assert.match(await failureOf(world.as(world.root, 'ListAliases', { KeyId })), /^NotFoundException: Key '/);
});

test('kms 12.10: an alias’s ARN never permits the use of its key; kms:ResourceAliases and kms:RequestAlias do', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/golden', TargetKeyId: KeyId });
  const arn = `arn:aws:kms:eu-central-1:${world.account}:alias/golden`;
  const allow = (Resource: string, Condition?: object) => ({ Effect: 'Allow', Action: 'kms:*', Resource, Condition });
  const byName = await world.makeUser('by-name', [allow(arn)]);
  const byAnyAlias = await world.makeUser('by-any', [
    allow('*', { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/golden' } }),
  ]);
  const byRequest = await world.makeUser('by-request', [
    allow('*', { StringEquals: { 'kms:RequestAlias': 'alias/golden' } }),
  ]);
  const use = (user: typeof byName, name: string | undefined) =>
    failureOf(world.as(user, 'Encrypt', { KeyId: name, Plaintext: new Uint8Array(1) }));
  for (const name of [KeyId, 'alias/golden', arn]) {
    assert.match(await use(byName, name), /^AccessDenied/);
    assert.match(await use(byAnyAlias, name), /^succeeded/);
    assert.match(await use(byRequest, name), name === KeyId ? /^AccessDenied/ : /^succeeded/);
  }
});
