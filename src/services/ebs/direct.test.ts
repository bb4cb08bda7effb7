import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import { systemPermit } from '../../authz/permit.ts';
import { ApiError } from '../../errors.ts';
import { LIMITS } from '../../limits.ts';
import { openTestVolumes, type TestVolumes, until } from '../../volumes/test-volumes.ts';
import { completeSnapshot } from './complete-snapshot.ts';
import { translateEbs } from './errors.ts';
import { getSnapshotBlock } from './get-snapshot-block.ts';
import { listChangedBlocks } from './list-changed-blocks.ts';
import { listSnapshotBlocks } from './list-snapshot-blocks.ts';
import { putSnapshotBlock } from './put-snapshot-block.ts';
import { startSnapshot } from './start-snapshot.ts';

const BLOCK = LIMITS.blockBytes;
const sha256 = (...parts: Uint8Array[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

type Start = Omit<Parameters<ReturnType<typeof startSnapshot>>[1], 'VolumeSize'> & { readonly VolumeSize?: number };

function api(house: TestVolumes) {
  /** Runs an operation as the service would, with its errors. */
  const run = async <Result>(operation: string, work: Promise<Result>): Promise<Result> => {
    try {
      return await work;
    } catch (error) {
      throw translateEbs(error, operation) ?? error;
    }
  };
  const put = (call: Call, id: string, index: number, block: Uint8Array, checksum = base64(sha256(block))) =>
    run(
      'PutSnapshotBlock',
      putSnapshotBlock(house)(call, {
        SnapshotId: id,
        BlockIndex: index,
        BlockData: Uint8Array.from(block),
        DataLength: block.byteLength,
        Checksum: checksum,
        ChecksumAlgorithm: 'SHA256',
      }),
    );
  return {
    start: (call: Call, input: Start = {}) =>
      run('StartSnapshot', startSnapshot(house)(call, { VolumeSize: 1, ...input })),
    put,
    complete: (call: Call, id: string, count: number, more: object = {}) =>
      run('CompleteSnapshot', completeSnapshot(house)(call, { SnapshotId: id, ChangedBlocksCount: count, ...more })),
    list: (call: Call, id: string, more: object = {}) =>
      run('ListSnapshotBlocks', listSnapshotBlocks(house)(call, { SnapshotId: id, ...more })),
    changed: (call: Call, first: string | undefined, second: string) =>
      run('ListChangedBlocks', listChangedBlocks(house)(call, { FirstSnapshotId: first, SecondSnapshotId: second })),
    get: (call: Call, id: string, index: number, token: string) =>
      run('GetSnapshotBlock', getSnapshotBlock(house)(call, { SnapshotId: id, BlockIndex: index, BlockToken: token })),
    /** A completed snapshot with these blocks. */
    async whole(call: Call, blocks: ReadonlyMap<number, Uint8Array>, input: Start = {}): Promise<string> {
      const { SnapshotId: id } = await this.start(call, input);
      for (const [index, block] of blocks) await put(call, id!, index, block);
      await this.complete(call, id!, blocks.size);
      await ended(house, call, id!);
      return id!;
    },
  };
}

const ended = (house: TestVolumes, call: Call, id: string) =>
  until(`${id} ends`, async () => {
    const found = await house.snapshots.find(call.region, id);
    return found && found.state !== 'pending' && found;
  });

const fails = (work: Promise<unknown>, code: string, status: number, reason: string | undefined, message?: string) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof ApiError, String(error));
    assert.deepEqual([error.code, error.status, error.members.Reason], [code, status, reason], error.message);
    if (message !== undefined) assert.equal(error.message, message);
    return true;
  });

const invalid = (work: Promise<unknown>, reason: string, message?: string) =>
  fails(work, 'ValidationException', 400, reason, message);

test('E-1 to E-7, E-11, E-15: blocks go in and come out, with checksums, tokens and the aggregate', async () => {
  await using house = await openTestVolumes();
  const ebs = api(house);
  const call = house.as(house.build);
  const key = await house.key(call);
  const [a, b, zero] = [randomBytes(BLOCK), randomBytes(BLOCK), Buffer.alloc(BLOCK)];
  const started = await ebs.start(call, { KmsKeyArn: key, Description: 'golden', Tags: [{ Key: 'k', Value: 'v' }] });
  const id = started.SnapshotId!;
  assert.deepEqual(
    [started.Status, started.BlockSize, started.KmsKeyArn, started.OwnerId, started.SseType, started.Tags],
    ['pending', BLOCK, key, house.build, 'sse-kms', [{ Key: 'k', Value: 'v' }]],
  );
  assert.deepEqual((await house.tags.of(house.build, call.region, [id])).get(id), [{ Key: 'k', Value: 'v' }]);

  // E-6: out of order, and one index twice.
  await ebs.put(call, id, 2047, b);
  await ebs.put(call, id, 5, b);
  const put = await ebs.put(call, id, 5, a);
  await ebs.put(call, id, 7, zero);
  assert.deepEqual(put, { Checksum: base64(sha256(a)), ChecksumAlgorithm: 'SHA256' });
  const aggregate = base64(sha256(sha256(a), sha256(zero), sha256(b)));
  const status = await ebs.complete(call, id, 3, {
    Checksum: aggregate,
    ChecksumAlgorithm: 'SHA256',
    ChecksumAggregationMethod: 'LINEAR',
  });
  assert.deepEqual(status, { Status: 'pending' });
  const snapshot = await ended(house, call, id);
  assert.deepEqual([snapshot.state, snapshot.volumeId, snapshot.kmsKeyArn], ['completed', 'vol-ffffffff', key]);

  // E-7, E-9: ascending; written zero blocks are listed.
  const listed = await ebs.list(call, id);
  assert.deepEqual(
    listed.Blocks!.map(({ BlockIndex }) => BlockIndex),
    [5, 7, 2047],
  );
  assert.deepEqual([listed.VolumeSize, listed.BlockSize, listed.NextToken], [1, BLOCK, undefined]);
  const life = listed.ExpiryTime!.getTime() - house.clock().getTime();
  assert.ok(life > 6 * 86_400_000 && life <= 7 * 86_400_000);
  for (const [at, block] of [a, zero, b].entries()) {
    const { BlockIndex: index, BlockToken: token } = listed.Blocks![at]!;
    assert.ok(token!.length <= 256);
    const got = await ebs.get(call, id, index!, token!);
    assert.deepEqual(Buffer.from(got.BlockData as Uint8Array), block);
    assert.deepEqual([got.Checksum, got.DataLength], [base64(sha256(block)), BLOCK]);
  }
  // A token is for its block only, and not for ever (G-13).
  const [first, second] = listed.Blocks!;
  for (const token of [second!.BlockToken!, `${first!.BlockToken!.slice(0, -1)}x`, '', 'A'.repeat(80)]) {
    await invalid(ebs.get(call, id, 5, token), 'INVALID_BLOCK_TOKEN', `The block token ${token} is invalid.`);
  }
  house.advance(7 * 86_400_000);
  await invalid(ebs.get(call, id, 5, first!.BlockToken!), 'INVALID_BLOCK_TOKEN');
});

test('E-8, E-9: pages, and what changed between two snapshots of a lineage', async () => {
  await using house = await openTestVolumes();
  const ebs = api(house);
  const call = house.as(house.build);
  const key = await house.key(call);
  const block = randomBytes(BLOCK);
  const many = new Map(Array.from({ length: 130 }, (_, at) => [at * 2, block] as const));
  const parent = await ebs.whole(call, many, { KmsKeyArn: key });
  const page = await ebs.list(call, parent, { MaxResults: 100 });
  assert.equal(page.Blocks!.length, 100);
  const rest = await ebs.list(call, parent, { NextToken: page.NextToken, MaxResults: 100, StartingBlockIndex: 5000 });
  assert.deepEqual([rest.Blocks!.length, rest.Blocks![0]!.BlockIndex, rest.NextToken], [30, 200, undefined]);
  assert.equal((await ebs.list(call, parent, { StartingBlockIndex: 199 })).Blocks!.length, 30);
  const bad = `${page.NextToken!.slice(0, -2)}xx`;
  await invalid(
    ebs.list(call, parent, { NextToken: bad }),
    'INVALID_PAGE_TOKEN',
    `The pagination token ${bad} is invalid.`,
  );

  // A child: an identical rewrite counts as changed, a new block has no first token.
  const child = await ebs.whole(
    call,
    new Map([
      [0, block],
      [1, block],
    ]),
    { ParentSnapshotId: parent },
  );
  const record = (await house.snapshots.find(call.region, child))!;
  const parentRecord = (await house.snapshots.find(call.region, parent))!;
  assert.deepEqual([record.kmsKeyArn, record.dataKeyId], [key, parentRecord.dataKeyId]);
  await invalid(ebs.list(call, child, { NextToken: page.NextToken }), 'INVALID_PAGE_TOKEN');
  const changes = (await ebs.changed(call, parent, child)).ChangedBlocks!;
  assert.deepEqual(
    changes.map((change) => [change.BlockIndex, !!change.FirstBlockToken, !!change.SecondBlockToken]),
    [
      [0, true, true],
      [1, false, true],
    ],
  );
  const got = await ebs.get(call, parent, 0, changes[0]!.FirstBlockToken!);
  assert.deepEqual(Buffer.from(got.BlockData as Uint8Array), block);
  assert.equal((await ebs.list(call, child)).Blocks!.length, 131);

  const stranger = await ebs.whole(call, new Map([[0, block]]), { KmsKeyArn: key });
  // E-10.
  await invalid(ebs.changed(call, parent, stranger), 'UNRELATED_SNAPSHOTS');
  await invalid(
    ebs.changed(call, undefined, child),
    'INVALID_PARAMETER_VALUE',
    'First snapshot should not be empty or null',
  );
  house.advance(61 * 60_000);
  await invalid(ebs.list(call, parent, { NextToken: page.NextToken }), 'INVALID_PAGE_TOKEN');
});

test('E-16, E-17, E-18, E-19, E-22: wrong blocks, wrong states, wrong people', async () => {
  await using house = await openTestVolumes();
  const ebs = api(house);
  const [call, other] = [house.as(house.build), house.as(house.prod)];
  const block = randomBytes(BLOCK);
  const { SnapshotId: open } = await ebs.start(call);
  await invalid(
    ebs.put(call, open!, 0, block.subarray(1)),
    'INVALID_BLOCK',
    `Block data length ${BLOCK - 1} is not valid, expected ${BLOCK}`,
  );
  await invalid(
    ebs.put(call, open!, 2048, block),
    'INVALID_BLOCK',
    'Block index 2048 is beyond the volume size extent',
  );
  const wrong = base64(sha256(Buffer.from('other')));
  await fails(
    ebs.put(call, open!, 0, block, wrong),
    'InvalidSignatureException',
    403,
    undefined,
    `The value passed in as x-amz-Checksum does not match the computed checksum. Computed checksum: ${base64(sha256(block))} expected checksum: ${wrong}`,
  );
  const missing = (id: string) => `The snapshot '${id}' does not exist.`;
  const notFound = (work: Promise<unknown>, id: string) =>
    fails(work, 'ResourceNotFoundException', 404, 'SNAPSHOT_NOT_FOUND', missing(id));
  await notFound(ebs.put(other, open!, 0, block), open!);
  await notFound(ebs.complete(other, open!, 0), open!);
  await notFound(ebs.list(call, open!), open!);
  await notFound(ebs.list(call, 'snap-00000000000000000'), 'snap-00000000000000000');
  await invalid(
    ebs.start(call, { ParentSnapshotId: open! }),
    'INVALID_SNAPSHOT_ID',
    `Source snapshot (${open}) is not complete.`,
  );
  await invalid(
    ebs.complete(call, open!, 0, { ChecksumAlgorithm: 'SHA256' }),
    'INVALID_PARAMETER_VALUE',
    'Invalid parameter combination. Snapshot checksum is missing.',
  );

  // Nothing wrong was stored.
  await ebs.complete(call, open!, 0);
  assert.equal((await ended(house, call, open!)).state, 'completed');
  await invalid(ebs.put(call, open!, 0, block), 'INVALID_SNAPSHOT_ID', 'Snapshot is already completed');
  const empty = await ebs.list(call, open!);
  assert.deepEqual(empty.Blocks, []);
  assert.ok(Math.abs(empty.ExpiryTime!.getTime() - house.clock().getTime()) < 60_000);

  // Readers: a privately shared snapshot yes, a public one not, and neither as a parent.
  await notFound(ebs.list(other, open!), open!);
  const sharing = (sharedWith: (typeof house.prod)[], isPublic: boolean) =>
    house.db.write((tx) => house.snapshots.setSharing(tx, open as never, { sharedWith, public: isPublic }));
  await sharing([], true);
  await invalid(ebs.list(other, open!), 'INVALID_SNAPSHOT_ID', 'Public snapshots are not supported');
  await sharing([house.prod], false);
  await ebs.list(other, open!);
  await notFound(ebs.start(other, { ParentSnapshotId: open! }), open!);
});

test('E-20 and E-13: a wrong count, a wrong aggregate and too long a wait end in error', async () => {
  await using house = await openTestVolumes();
  const ebs = api(house);
  const call = house.as(house.build);
  const block = randomBytes(BLOCK);
  const attempt = async (count: number, more: object) => {
    const { SnapshotId: id } = await ebs.start(call);
    await ebs.put(call, id!, 0, block);
    assert.deepEqual(await ebs.complete(call, id!, count, more), { Status: 'pending' });
    const { state, stateMessage } = await ended(house, call, id!);
    return [state, stateMessage];
  };
  assert.deepEqual(await attempt(2, {}), ['error', 'Changed blocks count mismatch for snapshot']);
  const aggregate = {
    ChecksumAlgorithm: 'SHA256',
    ChecksumAggregationMethod: 'LINEAR',
    Checksum: base64(sha256(block)),
  };
  assert.deepEqual(await attempt(1, aggregate), ['error', 'Checksum mismatch for snapshot']);

  const { SnapshotId: late } = await ebs.start(call, { Timeout: 10 });
  const { SnapshotId: later } = await ebs.start(call, { Timeout: 20 });
  house.advance(9 * 60_000);
  await ebs.put(call, late!, 0, block);
  house.advance(9 * 60_000);
  // The next request for work makes the jobs look at the clock that was moved.
  await ebs.start(call);
  await house.jobs.idle();
  assert.equal((await house.snapshots.find(call.region, late!))!.state, 'pending');
  house.advance(60_000 + 1);
  await ebs.start(call);
  assert.equal((await ended(house, call, late!)).state, 'error');
  assert.equal((await house.snapshots.find(call.region, later!))!.state, 'pending');
  await invalid(ebs.put(call, late!, 1, block), 'INVALID_SNAPSHOT_ID');
});

test('E-14: a client token gives the first snapshot again, and other parameters a conflict', async () => {
  await using house = await openTestVolumes();
  const ebs = api(house);
  const call = house.as(house.build);
  const first = await ebs.start(call, { ClientToken: 'once', Description: 'd' });
  const again = await ebs.start(call, { ClientToken: 'once', Description: 'd' });
  assert.deepEqual(again, first);
  await fails(ebs.start(call, { ClientToken: 'once', Description: 'e' }), 'ConflictException', 409, undefined);
  const [x, y] = await Promise.allSettled([
    ebs.start(call, { ClientToken: 'race' }),
    ebs.start(call, { ClientToken: 'race' }),
  ]);
  assert.ok(x.status === 'fulfilled' && y.status === 'fulfilled');
  assert.equal(x.value.SnapshotId, y.value.SnapshotId);
});

test('E-21 and K-26: KMS denials and disabled keys in the words of this API', { timeout: 60_000 }, async () => {
  await using house = await openTestVolumes();
  const ebs = api(house);
  const root = house.as(house.build);
  const key = await house.key(root);
  const snapshot = await ebs.whole(root, new Map([[0, randomBytes(BLOCK)]]), { KmsKeyArn: key });
  const token = (await ebs.list(root, snapshot)).Blocks![0]!.BlockToken!;
  const without = (action: string) =>
    house.userOf(house.build, action.slice(4), [
      { Effect: 'Allow', Action: '*', Resource: '*' },
      { Effect: 'Deny', Action: action, Resource: '*' },
    ]);
  const notFound = (work: Promise<unknown>) =>
    fails(work, 'ResourceNotFoundException', 404, 'DEPENDENCY_RESOURCE_NOT_FOUND', 'KMS key not found');
  const child = { ParentSnapshotId: snapshot };

  const noGenerate = await without('kms:GenerateDataKey');
  await invalid(ebs.start(noGenerate, { KmsKeyArn: key }), 'INVALID_DEPENDENCY_REQUEST');
  await ebs.start(noGenerate, child);
  const noDescribe = await without('kms:DescribeKey');
  await notFound(ebs.list(noDescribe, snapshot));
  await notFound(ebs.get(noDescribe, snapshot, 0, token));
  await ebs.start(noDescribe, { KmsKeyArn: key });
  const noDecrypt = await without('kms:Decrypt');
  await notFound(ebs.start(noDecrypt, child));
  await notFound(ebs.get(noDecrypt, snapshot, 0, token));
  const { SnapshotId: open } = await ebs.start(noDecrypt, { KmsKeyArn: key });
  await notFound(ebs.put(noDecrypt, open!, 0, randomBytes(BLOCK)));
  for (const action of ['kms:ReEncryptFrom', 'kms:ReEncryptTo'])
    await notFound(ebs.start(await without(action), child));
  // No direct call needs CreateGrant.
  const noGrant = await without('kms:CreateGrant');
  await ebs.whole(noGrant, new Map([[1, randomBytes(BLOCK)]]), child);

  await house.keys.disableKey(systemPermit('kms:DisableKey', key, 'test'));
  await invalid(ebs.start(root, { KmsKeyArn: key }), 'INVALID_DEPENDENCY_REQUEST');
  await invalid(ebs.start(root, child), 'INVALID_DEPENDENCY_REQUEST');
  await invalid(ebs.get(root, snapshot, 0, token), 'INVALID_DEPENDENCY_REQUEST');
});

test('K-11 and 3.2: KMS sees EC2 as the service and the caller as the caller, once for many blocks', async () => {
  await using house = await openTestVolumes();
  const ebs = api(house);
  const call = house.as(house.build);
  const key = await house.key(call);
  const blocks = new Map(Array.from({ length: 5 }, (_, at) => [at, randomBytes(BLOCK)] as const));
  const id = await ebs.whole(call, blocks, { KmsKeyArn: key });
  const { Blocks: listed } = await ebs.list(call, id);
  for (const { BlockIndex, BlockToken } of listed!) await ebs.get(call, id, BlockIndex!, BlockToken!);
  const events = await house.kmsEvents(house.build);
  assert.deepEqual(
    events.map(({ name }) => name),
    ['GenerateDataKey', 'Decrypt', 'DescribeKey', 'DescribeKey', 'Decrypt'],
  );
  for (const { event } of events) {
    assert.equal((event.userIdentity as Record<string, unknown>).invokedBy, 'ebs.amazonaws.com');
  }
  const parameters = events[0]!.event.requestParameters as Record<string, unknown>;
  assert.deepEqual(parameters.encryptionContext, { 'aws:ebs:id': id });
});

test('E-23: each operation needs its own ebs action on the snapshot', async () => {
  await using house = await openTestVolumes();
  const ebs = api(house);
  const root = house.as(house.build);
  const id = await ebs.whole(root, new Map([[0, randomBytes(BLOCK)]]));
  const token = (await ebs.list(root, id)).Blocks![0]!.BlockToken!;
  const { SnapshotId: open } = await ebs.start(root);
  const nobody = await house.userOf(house.build, 'nobody', [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }]);
  const work: Record<string, (call: Call) => Promise<unknown>> = {
    StartSnapshot: (call) => ebs.start(call),
    PutSnapshotBlock: (call) => ebs.put(call, open!, 0, randomBytes(BLOCK)),
    ListSnapshotBlocks: (call) => ebs.list(call, id),
    ListChangedBlocks: (call) => ebs.changed(call, id, id),
    GetSnapshotBlock: (call) => ebs.get(call, id, 0, token),
    CompleteSnapshot: (call) => ebs.complete(call, open!, 1),
  };
  for (const [name, run] of Object.entries(work)) {
    await fails(run(nobody), 'AccessDeniedException', 403, 'UNAUTHORIZED_ACCOUNT');
    const arn =
      name === 'StartSnapshot'
        ? 'snapshot/*'
        : `snapshot/${name.includes('Put') || name.includes('Complete') ? open : id}`;
    const allowed = await house.userOf(house.build, name, [
      { Effect: 'Allow', Action: `ebs:${name}`, Resource: `arn:aws:ec2:${root.region}::${arn}` },
    ]);
    await run(allowed);
  }
});
