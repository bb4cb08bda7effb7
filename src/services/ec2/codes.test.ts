/** L-27: the documented error codes of EC2 for images and volumes: a call that meets each, or why none can. */
import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import { REGION } from '../../volumes/test-volumes.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { openTestEc2, refused, registration, type TestEc2 } from './test-ec2.ts';

const SOURCE = new URL('../../..', import.meta.url).pathname;
const ZONE = `${REGION}a`;

let test: TestEc2;
let build: Call;
let plain: SnapshotRecord;
let sealed: SnapshotRecord;
let pending: string;
let image: string;
before(async () => {
  test = await openTestEc2();
  build = test.as(test.build);
  plain = await test.snapshot(build);
  sealed = await test.snapshot(build, { encrypted: true, keyArn: await test.key(build) });
  image = await test.image(build, plain);
  const outcome = await test.direct.decide(build, { parent: undefined, encrypted: false, kmsKeyArn: undefined });
  const request = { volumeSizeGiB: 1, parent: undefined, description: '', timeoutMinutes: 60, outcome };
  pending = (await test.direct.start(build, request, async () => {})).id;
});
after(() => test[Symbol.asyncDispose]());

interface Meeting {
  readonly operation: string;
  readonly input: () => object;
}
const meets = (operation: string, input: () => object): Meeting => ({ operation, input });
const volume = (more: object) => ({ AvailabilityZone: ZONE, Size: 1, ...more });
const copy = (more: object) => ({ SourceRegion: REGION, SourceSnapshotId: plain.id, ...more });
const register = (ebs: object, more: object = {}) => ({
  ...registration('an image', plain.id),
  BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: ebs }],
  ...more,
});

const MET: Readonly<Record<string, Meeting>> = {
  IncorrectState: meets('CreateVolume', () => volume({ SnapshotId: pending })),
  InvalidBlockDeviceMapping: meets('RegisterImage', () => register({ VolumeSize: 1 })),
  InvalidParameter: meets('RegisterImage', () => register({ SnapshotId: plain.id, Encrypted: true })),
  InvalidParameterCombination: meets('CreateVolume', () => volume({ SnapshotId: sealed.id, Encrypted: false })),
  InvalidParameterDependency: meets('CreateVolume', () => volume({ KmsKeyId: 'alias/x' })),
  InvalidParameterValue: meets('CopySnapshot', () => copy({ SourceSnapshotId: 'snap-x' })),
  InvalidRegion: meets('CopySnapshot', () => copy({ SourceRegion: 'mars-1' })),
  'InvalidSnapshot.InUse': meets('DeleteSnapshot', () => ({ SnapshotId: plain.id })),
  'InvalidUserID.Malformed': meets('DescribeImages', () => ({ Owners: ['somebody'] })),
  MissingParameter: meets('CreateVolume', () => ({ Size: 1 })),
  OperationNotPermitted: meets('ModifySnapshotAttribute', () => ({
    SnapshotId: sealed.id,
    CreateVolumePermission: { Add: [{ Group: 'all' }] },
  })),
  RequestResourceCountExceeded: meets('ModifyImageAttribute', () => ({
    ImageId: image,
    LaunchPermission: {
      Add: Array.from({ length: 10_001 }, (_, at) => ({ UserId: String(100_000_000_000 + at) })),
    },
  })),
  UnknownVolumeType: meets('CreateVolume', () => volume({ VolumeType: 'gp9' })),
  UnsupportedOperation: meets('CreateVolume', () => volume({ OutpostArn: 'arn:x' })),
};

/** Held by a test of a whole server or of a limit. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  AttachmentLimitExceeded: 'test/spec/launches.test.ts',
  ConcurrentSnapshotLimitExceeded: 'src/services/ec2/limits.test.ts',
  IncorrectInstanceState: 'test/spec/launches.test.ts',
  'InvalidVolume.ZoneMismatch': 'test/spec/launches.test.ts',
  ResourceLimitExceeded: 'src/services/ec2/limits.test.ts',
  VolumeInUse: 'test/spec/launches.test.ts',
};

const NEVER: Readonly<Record<string, string>> = {
  EncryptedVolumesNotSupported: 'every instance type takes encrypted volumes (RI-8)',
  InsufficientInstanceCapacity: 'there are no pools of hardware to run out of',
  'InvalidDevice.InUse': 'a device that is taken is InvalidParameterValue, as AttachVolume of AWS says today',
  MaxIOPSLimitExceeded: 'accounts have no quota of provisioned IOPS',
  PendingSnapshotLimitExceeded: 'pending snapshots are counted by volume, and those of the direct APIs by account',
  ResourceCountExceeded: 'a code of requests that Ingot does not have',
  'SnapshotCopyUnsupported.InterRegion': 'every region copies to every other',
  SnapshotLimitExceeded: 'accounts have no quota of snapshots',
  VolumeLimitExceeded: 'accounts have no quota of volumes',
};

describe('L-27: documented codes', () => {
  for (const [code, { operation, input }] of Object.entries(MET)) {
    it(`${code} of ${operation}`, async () => {
      await refused(test.call(build, operation, input()), code);
    });
  }

  it('that another test meets', async () => {
    for (const [code, path] of Object.entries(ELSEWHERE)) {
      assert.ok((await readFile(join(SOURCE, path), 'utf8')).includes(`'${code}'`), `${code} in ${path}`);
    }
  });

  it('that nothing in src gives', async () => {
    for await (const path of glob('src/**/*.ts', { cwd: SOURCE })) {
      if (path.endsWith('.test.ts')) continue;
      const text = await readFile(join(SOURCE, path), 'utf8');
      for (const code of Object.keys(NEVER)) assert.ok(!text.includes(`'${code}'`), `${code} in ${path}`);
    }
  });

  it('K-28: KMSKeyNotAccessibleFault is nothing EC2 or EBS says', async () => {
    for await (const path of glob('{src,policy}/**/*.ts', { cwd: SOURCE })) {
      if (path.endsWith('.test.ts')) continue;
      assert.ok(!(await readFile(join(SOURCE, path), 'utf8')).includes('KMSKeyNotAccessibleFault'), path);
    }
  });
});
