import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureOf, openKms } from './test-kms.ts';

test('custom key stores: none is there, and none can be made', async () => {
  await using world = await openKms();
  const CustomKeyStoreId = 'cks-1234567890abcdef0';
  assert.deepEqual(await world.as(world.root, 'DescribeCustomKeyStores', {}), {
    CustomKeyStores: [],
    Truncated: false,
  });
  for (const operation of ['CreateCustomKeyStore', 'UpdateCustomKeyStore']) {
    assert.equal(world.service.operations[operation], undefined, 'the front door refuses it by name');
  }
  const missing = `CustomKeyStoreNotFoundException: The custom key store ${CustomKeyStoreId} does not exist.`;
  for (const operation of [
    'DescribeCustomKeyStores',
    'ConnectCustomKeyStore',
    'DisconnectCustomKeyStore',
    'DeleteCustomKeyStore',
  ] as const) {
    assert.equal(await failureOf(world.as(world.root, operation, { CustomKeyStoreId })), missing);
  }
  const nobody = await world.makeUser('nobody', []);
  assert.match(await failureOf(world.as(nobody, 'DescribeCustomKeyStores', {})), /^AccessDenied/);
});
