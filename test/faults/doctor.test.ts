/**
 * The doctor and every fault of section 8: the fault is built and its symptom seen, the doctor names it, what the doctor
 * printed mends it, and the failing call succeeds. Mends are applied by --fix, or by the printed commands in a shell.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DescribeImagesCommand, DescribeSnapshotsCommand, EC2Client } from '@aws-sdk/client-ec2';
import { missing } from '../clients/programs.ts';
import { until } from '../machines/support.ts';
import { Doctor, type Found } from './doctor.ts';
import type { BuiltFault, Cause } from './fault.ts';
import { FAULTS } from './faults.ts';
import { forAccount } from './sharing.ts';
import { newKey, Party, World } from './world.ts';

const noAws = missing('aws', ['--version'], 'the AWS CLI');

let world: World;
let doctor: Doctor;
before(async () => {
  world = await World.start();
  doctor = await Doctor.at(world);
});
after(async () => {
  await doctor[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

interface Asking {
  readonly subject?: (fault: BuiltFault) => string;
  /** What the doctor is asked besides who makes the failing call. */
  readonly args?: (fault: BuiltFault) => string[] | Promise<string[]>;
  /**
   * How it is mended: by --fix, by the printed commands in a shell, or, where no call of the API can mend it, by making
   * the failing call as the doctor says.
   */
  readonly by?: 'fix' | 'shell' | 'request';
}

const copyTo = ({ region }: BuiltFault) => ['--copy-to', region];
const volume = ({ volumeId }: BuiltFault) => volumeId ?? '';
const shareable = async (fault: BuiltFault) => {
  const { consumer = '' } = fault;
  return ['--share-with', consumer, '--kms-key', await newKey(ownerOf(fault), forAccount(consumer))];
};

/** Faults that are not simply asked about by their subject, and mended by --fix. */
const ASKED: Readonly<Record<string, Asking>> = {
  '01-auto-scaling-may-not-use-the-key': { by: 'shell' },
  '04-default-key-is-not-the-launchers': { by: 'shell' },
  '07-key-of-the-volume-is-pending-deletion': { subject: volume },
  '07-attacher-may-not-create-grants': { subject: volume },
  '08-image-is-under-the-aws-managed-key': { args: shareable },
  '09-snapshot-is-under-the-aws-managed-key': { args: shareable },
  '10-encrypted-image-is-to-be-public': { args: () => ['--share-with', 'all'], by: 'request' },
  '11-public-access-is-blocked': { args: () => ['--share-with', 'all'] },
  '12-copy-asks-for-no-encryption': { args: (fault) => [...copyTo(fault), '--no-encrypted'], by: 'request' },
  '13-image-is-shared-without-its-snapshots': { args: copyTo, by: 'shell' },
  '14-key-of-the-wrong-region': {
    args: (fault) => [...copyTo(fault), '--encrypted', '--kms-key', fault.cause.key ?? ''],
    by: 'request',
  },
  '14-copier-may-not-use-the-new-key': {
    args: (fault) => [...copyTo(fault), '--encrypted', '--kms-key', fault.cause.key ?? ''],
  },
  '15-consumer-may-not-use-the-key-of-a-shared-snapshot': { args: (fault) => [...copyTo(fault), '--encrypted'] },
  '16-template-gives-a-key-without-encrypted': { by: 'shell' },
  '17-image-mapping-gives-a-key': {
    args: () => ['--error', 'UnknownParameter: The parameter KmsKeyId is not recognized'],
    by: 'request',
  },
  '18-image-mapping-encrypts-a-snapshot': {
    args: () => [
      '--error',
      'You cannot specify the encrypted flag if specifying a snapshot id in a block device mapping.',
    ],
    by: 'request',
  },
  '19-key-of-the-image-is-pending-deletion': { by: 'shell' },
  '21-image-is-not-shared': { by: 'shell' },
};

const STATES: Readonly<Record<NonNullable<Cause['keyState']>, RegExp>> = {
  Disabled: /is disabled$/,
  PendingDeletion: /is pending deletion$/,
  OtherRegion: /is in another region$/,
  AwsManaged: /is under the AWS managed key of EBS/,
};

/** What the doctor must name besides the row: key and state, action, condition. */
function names(found: Found, { key, keyState, actions, condition }: Cause): void {
  if (actions) {
    assert.ok(actions.includes(found.actions?.[0] ?? ''), `${found.actions} begins with one of ${actions}`);
    assert.equal(found.key, actions[0]?.startsWith('kms:') ? key : undefined);
  }
  if (keyState) assert.match(found.title, STATES[keyState]);
  if (keyState && key) assert.equal(found.key, key);
  assert.equal(found.condition, condition?.toLowerCase());
}

function ownerOf({ as, account, credentials }: BuiltFault): Party {
  return new Party(account, as, { ...world.management.config, credentials });
}

/** A copy that --fix began is there once it is completed. */
async function madeBy(fault: BuiltFault, results: readonly unknown[]): Promise<string | undefined> {
  const [made] = results as readonly { ImageId?: string; SnapshotId?: string }[];
  const ec2 = ownerOf(fault).use(EC2Client);
  const { ImageId, SnapshotId } = made ?? {};
  if (ImageId) {
    await until(`${ImageId} is available`, async () => {
      const { Images } = await ec2.send(new DescribeImagesCommand({ ImageIds: [ImageId] }));
      return Images?.[0]?.State === 'available';
    });
  } else if (SnapshotId) {
    await until(`${SnapshotId} is completed`, async () => {
      const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId] }));
      return Snapshots?.[0]?.State === 'completed';
    });
  }
  return ImageId ?? SnapshotId;
}

describe('the doctor on the failure modes of section 8', { concurrency: 4 }, () => {
  for (const { id, name, build } of FAULTS) {
    const { subject: subjectOf, args = () => [], by = 'fix' } = ASKED[name] ?? {};
    it(`row ${id}: ${name}, mended by ${by}`, { skip: by === 'shell' && noAws }, async () => {
      const fault = await build(world);
      const subject = subjectOf?.(fault) ?? fault.subject;
      const more = await args(fault);
      const { verdict, code, findings, applied } = await doctor.ask(
        fault,
        subject,
        ...more,
        ...(by === 'fix' ? ['--fix', '--yes'] : []),
      );
      const found = applied[0]?.finding ?? findings[0];
      assert.ok(found, `${verdict}: nothing was found`);
      assert.equal(found.fault, `F${String(id).padStart(2, '0')}`, found.title);
      names(found, fault.cause);
      if (by === 'fix') {
        const [done] = applied;
        assert.ok(done, found.title);
        const copied = done.mend.kind.startsWith('copy-');
        // A copy is asked about by its own id; everything else is looked at again, and is as it should be.
        assert.equal(verdict === 'cannot', copied, JSON.stringify(findings));
        return fault.retry(copied ? await madeBy(fault, done.results) : undefined);
      }
      assert.deepEqual([verdict, code], ['cannot', 3]);
      if (by === 'request') {
        assert.ok(found.mends.every(({ kind }) => kind === 'request'));
        return fault.retry(await fault.mend());
      }
      const [mend] = found.mends;
      assert.ok(mend, found.title);
      const { commands, account } = mend;
      const ran = await doctor.shell(commands, fault.administrators[account] ?? fault.credentials);
      assert.equal(ran.code, 0, `${commands}\n${ran.stderr}`);
      return fault.retry();
    });
  }

  it('every row of the table is among them', () => {
    assert.deepEqual(
      [...new Set(FAULTS.map(({ id }) => id))],
      Array.from({ length: 21 }, (_, at) => at + 1),
    );
    for (const name of Object.keys(ASKED))
      assert.ok(
        FAULTS.some((fault) => fault.name === name),
        name,
      );
  });
});
