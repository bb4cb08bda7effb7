import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Choice,
  directSnapshotOutcome,
  imageCopyOutcome,
  snapshotCopyOutcome,
  volumeOutcome,
} from './encryption-outcomes.ts';
import { DIRECT_TABLE, IMAGE_COPY_TABLE, SNAPSHOT_COPY_TABLE, VOLUME_TABLE } from './test-encryption-outcomes.ts';

const said = (choice: Choice) => (typeof choice === 'string' ? choice : choice.refused);

function check<Row extends { row: string; off: string; on: string }>(
  rows: readonly Row[],
  outcome: (row: Row, encryptionByDefault: boolean) => Choice,
) {
  for (const row of rows) {
    assert.equal(said(outcome(row, false)), row.off, `row ${row.row}, default off: ${JSON.stringify(row)}`);
    assert.equal(said(outcome(row, true)), row.on, `row ${row.row}, default on: ${JSON.stringify(row)}`);
  }
}

test('table 1.1: volumes, sixty combinations', () => {
  assert.equal(VOLUME_TABLE.length * 2, 60);
  check(VOLUME_TABLE, (row, encryptionByDefault) => volumeOutcome({ ...row, encryptionByDefault }));
});

test('table 1.4: CopySnapshot', () => {
  check(SNAPSHOT_COPY_TABLE, (row, encryptionByDefault) => snapshotCopyOutcome({ ...row, encryptionByDefault }));
});

test('table 1.5: CopyImage', () => {
  check(IMAGE_COPY_TABLE, (row, encryptionByDefault) => imageCopyOutcome({ ...row, encryptionByDefault }));
});

test('table 6.3: StartSnapshot', () => {
  check(DIRECT_TABLE, (row, encryptionByDefault) => directSnapshotOutcome({ ...row, encryptionByDefault }));
});

test('V-3: whatever is asked, nothing made from an encrypted source is plain', () => {
  for (const source of ['own-encrypted', 'shared-encrypted'] as const) {
    for (const encrypted of [undefined, true, false]) {
      for (const keyGiven of [true, false]) {
        for (const encryptionByDefault of [true, false]) {
          const request = { source, encrypted, keyGiven, encryptionByDefault };
          assert.notEqual(said(volumeOutcome(request)), 'plain');
          assert.notEqual(said(snapshotCopyOutcome(request)), 'plain');
          for (const sameRegion of [true, false]) {
            assert.notEqual(said(imageCopyOutcome({ ...request, sameRegion })), 'plain');
          }
        }
      }
    }
  }
});
