import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Snapshot, Volume } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { systemPermit } from '../../authz/permit.ts';
import { ApiError } from '../../errors.ts';
import { OTHER_REGION, openTestVolumes, REGION, type TestVolumes, until } from '../../volumes/test-volumes.ts';
import { ec2Service } from './index.ts';
import { volumeOperations } from './volumes-table.ts';

const ZONE = `${REGION}a`;
type Answer = Record<string, unknown>;

function api(house: TestVolumes, uses: Record<string, { imageId: string; root: boolean }[]> = {}) {
  const part = volumeOperations({
    ...house,
    keys: house.onBehalf,
    imagesUsingSnapshot: async (id) => uses[id] ?? [],
  });
  const service = ec2Service({ encodeAuthorizationFailure: () => 'blob', parts: [part] });
  return async (call: Call, operation: string, input: object = {}): Promise<Answer> => {
    const handler = service.operations[operation] as (call: Call, input: object) => Promise<Answer>;
    try {
      return await handler(call, input);
    } catch (error) {
      throw service.translate(error, call, operation) ?? error;
    }
  };
}

const fails = (work: Promise<unknown>, code: string, message?: string, status = 400) =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof ApiError, String(error));
    assert.deepEqual([error.code, error.status], [code, status], error.message);
    if (message !== undefined) assert.equal(error.message, message);
    return true;
  });

type Run = ReturnType<typeof api>;

const volumeState = (run: Run, call: Call, id: string, state: string) =>
  until(`${id} is ${state}`, async () => {
    const [volume] = (await run(call, 'DescribeVolumes', { VolumeIds: [id] })).Volumes as Volume[];
    return volume?.State === state && volume;
  });
const snapshotState = (run: Run, call: Call, id: string, state: string) =>
  until(`${id} is ${state}`, async () => {
    const [snapshot] = (await run(call, 'DescribeSnapshots', { SnapshotIds: [id] })).Snapshots as Snapshot[];
    return snapshot?.State === state && snapshot;
  });

async function snapshotOf(run: Run, call: Call, more: object = {}): Promise<string> {
  const zone = `${call.region}a`;
  const volume = (await run(call, 'CreateVolume', { AvailabilityZone: zone, Size: 1, ...more })).VolumeId as string;
  await volumeState(run, call, volume, 'available');
  const { SnapshotId: id } = await run(call, 'CreateSnapshot', { VolumeId: volume });
  await snapshotState(run, call, id as string, 'completed');
  return id as string;
}

test('CV-1 to CV-12: what CreateVolume accepts, echoes and refuses', async () => {
  await using house = await openTestVolumes();
  const run = api(house);
  const call = house.as(house.build);
  const key = await house.key(call);
  const base = { AvailabilityZone: ZONE, Size: 1 };
  const make = (input: object) => run(call, 'CreateVolume', input);

  const plain = await make({
    ...base,
    TagSpecifications: [{ ResourceType: 'volume', Tags: [{ Key: 'a', Value: 'b' }] }],
  });
  assert.deepEqual(
    [plain.State, plain.Encrypted, plain.VolumeType, plain.Iops, plain.Size, plain.SnapshotId, plain.KmsKeyId],
    ['creating', false, 'gp2', 100, 1, '', undefined],
  );
  assert.deepEqual(plain.Tags, [{ Key: 'a', Value: 'b' }]);
  // CV-6: the key is told when it was given, not when it was chosen by default.
  assert.equal((await make({ ...base, Encrypted: true, KmsKeyId: key })).KmsKeyId, key);
  const byDefault = await make({ ...base, Encrypted: true });
  assert.deepEqual([byDefault.Encrypted, byDefault.KmsKeyId], [true, undefined]);
  const shown = await volumeState(run, call, byDefault.VolumeId as string, 'available');
  assert.match(shown.KmsKeyId!, /^arn:aws:kms:.*:key\//);
  // CV-1.
  const vanishing = await make({ ...base, Encrypted: true, KmsKeyId: 'alias/none', ClientToken: 'gone' });
  assert.deepEqual([vanishing.State, vanishing.KmsKeyId], ['creating', 'alias/none']);
  const id = vanishing.VolumeId as string;
  await until('the volume vanishes', async () => (await house.volumes.find(REGION, id)) === undefined);
  await fails(
    run(call, 'DescribeVolumes', { VolumeIds: [id] }),
    'InvalidVolume.NotFound',
    `The volume '${id}' does not exist.`,
  );
  await fails(
    make({ ...base, Encrypted: true, KmsKeyId: 'alias/none', ClientToken: 'gone' }),
    'IdempotentParameterMismatch',
    `The client token 'gone' is associated with resource '${id}' which has already been deleted. Please use a different client token.`,
  );
  // CV-5 and L-21.
  const [one, two] = await Promise.all([make({ ...base, ClientToken: 't' }), make({ ...base, ClientToken: 't' })]);
  assert.equal(one.VolumeId, two.VolumeId);
  await fails(make({ ...base, Size: 2, ClientToken: 't' }), 'IdempotentParameterMismatch');

  const snapshot = await snapshotOf(run, call, { Encrypted: true, KmsKeyId: key });
  const from = { AvailabilityZone: ZONE, SnapshotId: snapshot };
  assert.equal((await make(from)).KmsKeyId, key);
  const refusals: readonly (readonly [input: object, code: string, message?: string])[] = [
    [
      { ...base, KmsKeyId: key },
      'InvalidParameterDependency',
      'The parameter [KmsKeyId] requires the parameter Encrypted to be set.',
    ],
    [
      { ...from, Encrypted: false },
      'InvalidParameterCombination',
      'EncryptedVolume parameter [false] is inconsistent with snapshot encryption state [true]',
    ],
    [{ Size: 1 }, 'MissingParameter', 'The request must contain the parameter zone'],
    [{ ...base, AvailabilityZoneId: 'euc1-az1' }, 'InvalidParameterCombination'],
    [{ ...base, AvailabilityZone: 'mars-1a' }, 'InvalidZone.NotFound'],
    [{ AvailabilityZone: ZONE }, 'MissingParameter'],
    [
      { ...base, SnapshotId: 'snap-x' },
      'InvalidSnapshotID.Malformed',
      'Value ( snap-x ) for parameter SNAPSHOT is invalid. ',
    ],
    [{ ...base, SnapshotId: 'snap-00000000000000000' }, 'InvalidSnapshot.NotFound', 'Snapshot does not exist'],
    [{ ...base, Size: 0 }, 'InvalidParameterValue'],
    [{ ...base, VolumeType: 'gp9' }, 'UnknownVolumeType'],
    [{ ...base, VolumeType: 'gp3', Iops: 1 }, 'InvalidParameterValue'],
    [{ ...base, VolumeType: 'io1', Size: 4 }, 'MissingParameter'],
    [{ ...base, VolumeType: 'gp2', Throughput: 200 }, 'InvalidParameterCombination'],
    [{ ...base, OutpostArn: 'arn:x' }, 'UnsupportedOperation', 'The parameter OutpostArn is not supported.'],
    [{ ...base, MultiAttachEnabled: true }, 'InvalidParameterCombination'],
  ];
  for (const [input, code, message] of refusals) await fails(make(input), code, message);
  // SH-29: an unshared snapshot of another account is not there.
  await fails(run(house.as(house.prod), 'CreateVolume', from), 'InvalidSnapshot.NotFound', 'Snapshot does not exist');
  await fails(make({ ...base, DryRun: true }), 'DryRunOperation', undefined, 412);
});

test('authz 7.3, 7.4, 7.7: policies see the final encryption, the key and the parent of a new volume', async () => {
  await using house = await openTestVolumes();
  const run = api(house);
  const root = house.as(house.build);
  const key = await house.key(root);
  const onlyUnder = (condition: object) => [
    { Effect: 'Allow', Action: 'kms:*', Resource: '*' },
    { Effect: 'Allow', Action: 'ec2:CreateVolume', Resource: '*', Condition: condition },
  ];
  const base = { AvailabilityZone: ZONE, Size: 1 };
  const encrypted = await house.userOf(house.build, 'encrypted', onlyUnder({ Bool: { 'ec2:Encrypted': 'true' } }));
  await fails(run(encrypted, 'CreateVolume', base), 'UnauthorizedOperation', undefined, 403);
  await run(encrypted, 'CreateVolume', { ...base, Encrypted: true });
  await house.db.write((tx) => house.ebsDefaults.setEncryptionByDefault(tx, house.build, REGION, true));
  await run(encrypted, 'CreateVolume', base);
  const keyed = await house.userOf(house.build, 'keyed', onlyUnder({ ArnEquals: { 'ec2:KmsKeyId': key } }));
  await run(keyed, 'CreateVolume', { ...base, Encrypted: true, KmsKeyId: key });
  await fails(run(keyed, 'CreateVolume', { ...base, Encrypted: true }), 'UnauthorizedOperation', undefined, 403);
  // A request with tags needs ec2:CreateTags as well.
  const tags = [{ ResourceType: 'volume', Tags: [{ Key: 'a', Value: 'b' }] }];
  await fails(
    run(encrypted, 'CreateVolume', { ...base, TagSpecifications: tags }),
    'UnauthorizedOperation',
    undefined,
    403,
  );
});

test('CS-4, CS-5, CS-10, CS-11: CopySnapshot looks at keys and parameters before it answers', async () => {
  await using house = await openTestVolumes();
  const run = api(house);
  const call = house.as(house.build);
  const [key, disabled] = [await house.key(call), await house.key(call)];
  await house.keys.disableKey(systemPermit('kms:DisableKey', disabled, 'test'));
  const source = await snapshotOf(run, call);
  const base = { SourceRegion: REGION, SourceSnapshotId: source };
  const refusals: readonly (readonly [input: object, code: string, message?: string])[] = [
    [{ ...base, KmsKeyId: key }, 'InvalidParameterDependency'],
    [
      { ...base, Encrypted: true, KmsKeyId: 'alias/none' },
      'InvalidParameterValue',
      'The specified keyId alias/none is invalid',
    ],
    [
      { ...base, Encrypted: true, KmsKeyId: disabled },
      'InvalidParameterValue',
      `The specified keyId ${disabled} is disabled`,
    ],
    [{ ...base, SourceSnapshotId: 'snap-z' }, 'InvalidParameterValue', 'The specified snapshotId is invalid'],
    [{ ...base, SourceRegion: 'mars-1' }, 'InvalidRegion', 'mars-1 is not a valid region name.'],
    [
      { ...base, PresignedUrl: 'ftp://x' },
      'InvalidParameterValue',
      'The protocol in PresignedUrl should be http or https',
    ],
    [
      { ...base, PresignedUrl: 'https://x/?SourceSnapshotId=snap-1' },
      'InvalidParameterValue',
      `The source snapshot specified in PresignedUrl 'snap-1' does not match the source snapshot in the request: '${source}'`,
    ],
    [
      { ...base, PresignedUrl: `https://x/?SourceSnapshotId=${source}&DestinationRegion=r` },
      'InvalidParameterValue',
      `The destination region specified in PresignedUrl: 'r' is incorrect`,
    ],
    [{ ...base, DestinationOutpostArn: 'arn:x' }, 'UnsupportedOperation'],
    [{ ...base, CompletionDurationMinutes: 14 }, 'InvalidParameterValue'],
  ];
  for (const [input, code, message] of refusals) await fails(run(call, 'CopySnapshot', input), code, message);
  const blind = await house.userOf(house.build, 'blind', [
    { Effect: 'Allow', Action: '*', Resource: '*' },
    { Effect: 'Deny', Action: 'kms:DescribeKey', Resource: '*' },
  ]);
  await fails(
    run(blind, 'CopySnapshot', { ...base, Encrypted: true, KmsKeyId: key }),
    'AuthFailure',
    `Not authorized to use key ${key} `,
    403,
  );

  const { SnapshotId: copy } = await run(call, 'CopySnapshot', {
    ...base,
    Encrypted: true,
    KmsKeyId: key,
    Description: 'c',
  });
  const shown = await snapshotState(run, call, copy as string, 'completed');
  assert.deepEqual(
    [shown.Encrypted, shown.KmsKeyId, shown.VolumeId, shown.Description, shown.Progress],
    [true, key, 'vol-ffffffff', 'c', '100%'],
  );
  assert.match(shown.DataEncryptionKeyId!, /^[0-9a-f-]{36}$/);
  // CS-3: to another region, asked there.
  const there = house.as(house.build, OTHER_REGION);
  const { SnapshotId: far } = await run(there, 'CopySnapshot', base);
  assert.equal((await snapshotState(run, there, far as string, 'completed')).Encrypted, false);
  // CS-9.
  const { SnapshotId: none } = await run(call, 'CopySnapshot', { ...base, SourceSnapshotId: 'snap-00000000000000000' });
  assert.equal((await snapshotState(run, call, none as string, 'error')).StateMessage, 'Source snapshot is not found');
});

test('SH-24 to SH-29: who snapshots can be shared with, and what the others see', async () => {
  await using house = await openTestVolumes();
  const [owner, other] = [house.as(house.build), house.as(house.prod)];
  const uses: Record<string, { imageId: string; root: boolean }[]> = {};
  const run = api(house, uses);
  const key = await house.key(owner);
  const plain = await snapshotOf(run, owner);
  const managed = await snapshotOf(run, owner, { Encrypted: true });
  const encrypted = await snapshotOf(run, owner, { Encrypted: true, KmsKeyId: key });
  const share = (id: string, permission: object, call = owner) =>
    run(call, 'ModifySnapshotAttribute', { SnapshotId: id, CreateVolumePermission: permission });
  const toProd = { Add: [{ UserId: house.prod }] };

  await fails(
    share(managed, toProd),
    'OperationNotPermitted',
    'Encrypted snapshots with EBS default key cannot be shared',
  );
  await fails(
    share(encrypted, { Add: [{ Group: 'all' }] }),
    'OperationNotPermitted',
    'Encrypted snapshots cannot be shared publicly',
  );
  await fails(share(plain, { Add: [{ UserId: '12' }] }), 'InvalidAMIAttributeItemValue');
  await fails(
    share(plain, { Add: [{ UserId: house.prod }], Remove: [{ Group: 'all' }] }),
    'InvalidParameterCombination',
    'One and only one operation type may be specified for createVolumePermissions',
  );
  await fails(share(plain, toProd, other), 'InvalidSnapshot.NotFound', `The snapshot '${plain}' does not exist.`);
  await fails(
    run(owner, 'ModifySnapshotAttribute', {
      SnapshotId: encrypted,
      CreateVolumePermission: toProd,
      UserIds: [house.prod, '111122223333'],
    }),
    'MissingParameter',
  );
  // As Packer names an account: twice, and without OperationType.
  await run(owner, 'ModifySnapshotAttribute', {
    SnapshotId: encrypted,
    CreateVolumePermission: toProd,
    UserIds: [house.prod],
  });
  await run(owner, 'ModifySnapshotAttribute', {
    SnapshotId: plain,
    Attribute: 'createVolumePermission',
    OperationType: 'add',
    UserIds: [house.prod],
    GroupNames: ['all'],
  });
  const attribute = await run(owner, 'DescribeSnapshotAttribute', {
    SnapshotId: plain,
    Attribute: 'createVolumePermission',
  });
  assert.deepEqual(attribute.CreateVolumePermissions, [{ UserId: house.prod }, { Group: 'all' }]);
  await fails(share(plain, { Remove: [{ Group: 'all' }] }, other), 'AuthFailure');

  const ids = async (call: Call, input: object = {}) =>
    ((await run(call, 'DescribeSnapshots', input)).Snapshots as Snapshot[]).map(({ SnapshotId }) => SnapshotId).sort();
  assert.deepEqual(await ids(other), [encrypted, plain].sort());
  assert.deepEqual(await ids(other, { OwnerIds: ['self'] }), []);
  assert.deepEqual(await ids(other, { RestorableByUserIds: ['all'] }), [plain]);
  assert.deepEqual(await ids(owner, { RestorableByUserIds: [house.prod] }), [encrypted, plain].sort());
  assert.deepEqual(
    await ids(owner, { Filters: [{ Name: 'encrypted', Values: ['true'] }] }),
    [encrypted, managed].sort(),
  );
  await fails(
    ids(other, { SnapshotIds: [managed] }),
    'InvalidSnapshot.NotFound',
    `The snapshot '${managed}' does not exist.`,
  );
  await fails(ids(owner, { MaxResults: 1 }), 'InvalidParameterValue');

  // SH-32.
  await run(owner, 'EnableSnapshotBlockPublicAccess', { State: 'block-all-sharing' });
  assert.deepEqual(await ids(other, { RestorableByUserIds: ['all'] }), []);
  await run(owner, 'ResetSnapshotAttribute', { SnapshotId: plain, Attribute: 'createVolumePermission' });
  await fails(share(plain, { Add: [{ Group: 'all' }] }), 'OperationNotPermitted');
  assert.deepEqual(await ids(other), [encrypted]);

  // P-10: a policy on ec2:Add/userId sees every account of the request.
  const user = await house.userOf(house.build, 'sharer', [
    {
      Effect: 'Allow',
      Action: 'ec2:ModifySnapshotAttribute',
      Resource: '*',
      Condition: { 'ForAllValues:StringEquals': { 'ec2:Add/userId': [house.prod] } },
    },
  ]);
  await share(plain, toProd, user);
  const toTwo = { Add: [{ UserId: house.prod }, { UserId: '999999999999' }] };
  await fails(share(plain, toTwo, user), 'UnauthorizedOperation', undefined, 403);

  // L-8.
  uses[plain] = [{ imageId: 'ami-1', root: true }];
  await fails(run(owner, 'DeleteSnapshot', { SnapshotId: plain, DryRun: true }), 'DryRunOperation', undefined, 412);
  await fails(
    run(owner, 'DeleteSnapshot', { SnapshotId: plain }),
    'InvalidSnapshot.InUse',
    `The snapshot ${plain} is currently in use by ami-1`,
  );
  uses[plain] = [{ imageId: 'ami-1', root: false }];
  await fails(run(other, 'DeleteSnapshot', { SnapshotId: plain }), 'AuthFailure');
  await run(owner, 'DeleteSnapshot', { SnapshotId: plain });
  await fails(run(owner, 'DeleteSnapshot', { SnapshotId: plain }), 'InvalidSnapshot.NotFound');
});

test('D-1, D-2, D-6, D-7: encryption by default and its key', async () => {
  await using house = await openTestVolumes();
  const run = api(house);
  const call = house.as(house.build);
  const get = () => run(call, 'GetEbsEncryptionByDefault');
  assert.deepEqual(await get(), { EbsEncryptionByDefault: false, SseType: 'none' });
  assert.deepEqual(await run(call, 'EnableEbsEncryptionByDefault'), { EbsEncryptionByDefault: true });
  assert.deepEqual(await get(), { EbsEncryptionByDefault: true, SseType: 'sse-kms' });
  // D-1: per account and region.
  assert.equal(
    (await run(house.as(house.build, OTHER_REGION), 'GetEbsEncryptionByDefault')).EbsEncryptionByDefault,
    false,
  );
  assert.equal((await run(house.as(house.prod), 'GetEbsEncryptionByDefault')).EbsEncryptionByDefault, false);
  // D-7.
  assert.deepEqual(await run(call, 'GetEbsDefaultKmsKeyId'), { KmsKeyId: 'alias/aws/ebs' });
  const key = await house.key(call);
  assert.deepEqual(await run(call, 'ModifyEbsDefaultKmsKeyId', { KmsKeyId: key.split('/')[1] }), { KmsKeyId: key });
  assert.deepEqual(await run(call, 'GetEbsDefaultKmsKeyId'), { KmsKeyId: key });
  const volume = await run(call, 'CreateVolume', { AvailabilityZone: ZONE, Size: 1 });
  assert.equal((await volumeState(run, call, volume.VolumeId as string, 'available')).KmsKeyId, key);
  // G-11: accepted, and fails at use.
  const unknown = '11111111-2222-3333-4444-555555555555';
  assert.match(
    String((await run(call, 'ModifyEbsDefaultKmsKeyId', { KmsKeyId: unknown })).KmsKeyId),
    /^arn:aws:kms:.*5$/,
  );
  const doomed = (await run(call, 'CreateVolume', { AvailabilityZone: ZONE, Size: 1 })).VolumeId as string;
  await until('the volume vanishes', async () => (await house.volumes.find(REGION, doomed)) === undefined);
  assert.match(String((await run(call, 'ResetEbsDefaultKmsKeyId')).KmsKeyId), /^arn:aws:kms:/);
  assert.deepEqual(await run(call, 'DisableEbsEncryptionByDefault'), { EbsEncryptionByDefault: false });
  const nobody = await house.userOf(house.build, 'nobody', [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }]);
  await fails(run(nobody, 'EnableEbsEncryptionByDefault'), 'UnauthorizedOperation', undefined, 403);
});

test('volumes of others are not there, and a deleted volume goes', async () => {
  await using house = await openTestVolumes();
  const run = api(house);
  const [call, other] = [house.as(house.build), house.as(house.prod)];
  const id = (await run(call, 'CreateVolume', { AvailabilityZone: ZONE, Size: 1 })).VolumeId as string;
  await volumeState(run, call, id, 'available');
  for (const operation of ['DeleteVolume', 'CreateSnapshot']) {
    await fails(
      run(other, operation, { VolumeId: id }),
      'InvalidVolume.NotFound',
      `The volume '${id}' does not exist.`,
    );
  }
  await fails(run(other, 'DescribeVolumes', { VolumeIds: [id] }), 'InvalidVolume.NotFound');
  assert.deepEqual((await run(other, 'DescribeVolumes')).Volumes, []);
  await fails(run(call, 'DeleteVolume', { VolumeId: 'vol-x' }), 'InvalidVolumeID.Malformed');
  const { VolumeStatuses: statuses } = await run(call, 'DescribeVolumeStatus', { VolumeIds: [id] });
  assert.equal((statuses as { VolumeStatus: { Status: string } }[])[0]!.VolumeStatus.Status, 'ok');
  await run(call, 'DeleteVolume', { VolumeId: id });
  await until('the volume is gone', async () => (await house.volumes.find(REGION, id)) === undefined);
  await fails(run(call, 'DeleteVolume', { VolumeId: id }), 'InvalidVolume.NotFound');
});
