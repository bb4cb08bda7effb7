import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SourceKind } from '../../policy/encryption-outcomes.ts';
import {
  type Expected,
  IMAGE_COPY_TABLE,
  SNAPSHOT_COPY_TABLE,
  VOLUME_TABLE,
} from '../../policy/test-encryption-outcomes.ts';
import {
  AWS_MANAGED_KEY,
  type DeviceRequest,
  type EffectiveDevice,
  effectiveDevices,
  effectiveImageCopy,
  effectiveSnapshotCopy,
} from './devices.ts';

const A = 'arn:aws:kms:eu-central-1:111122223333:key/aaaaaaaa-0000-0000-0000-000000000000';
const B = 'alias/given';
const D = 'arn:aws:kms:eu-central-1:111122223333:key/dddddddd-0000-0000-0000-000000000000';

interface Asked {
  readonly source: SourceKind;
  readonly encrypted: boolean | undefined;
  readonly keyGiven: boolean;
}

function request({ source, encrypted, keyGiven }: Asked): DeviceRequest {
  const own = source.startsWith('own');
  const sealed = source.endsWith('encrypted');
  return {
    deviceName: '/dev/sda1',
    ...(source === 'none'
      ? {}
      : { source: { snapshotId: 'snap-1', own, encrypted: sealed, ...(sealed ? { keyArn: A } : {}) } }),
    ...(encrypted === undefined ? {} : { encrypted }),
    ...(keyGiven ? { kmsKeyId: B } : {}),
  };
}

const KEYS: Readonly<Record<string, string>> = { 'given-key': B, 'default-key': D, 'snapshot-key': A };

/** The outcome with the keys of the table filled in. */
function check(device: EffectiveDevice | undefined, expected: Expected, row: string): void {
  assert.ok(device, row);
  const key = KEYS[expected];
  if (key) {
    assert.equal(device.outcome, 'encrypted', row);
    assert.equal(device.outcome === 'encrypted' && device.key, key, row);
    assert.equal(device.outcome === 'encrypted' && device.choice, expected, row);
  } else if (expected === 'plain') assert.equal(device.outcome, 'plain', row);
  else assert.equal(device.outcome === 'refused' && device.refusal, expected, row);
  assert.ok(device.why.length > 0, row);
}

const defaults = (encryptionByDefault: boolean) => ({ encryptionByDefault, defaultKey: D });

test('table 1.1: each device of a launch, sixty combinations, with the key it will have', () => {
  let count = 0;
  for (const row of VOLUME_TABLE) {
    for (const on of [false, true]) {
      count += 1;
      check(effectiveDevices([request(row)], defaults(on))[0], on ? row.on : row.off, `row ${row.row}, default ${on}`);
    }
  }
  assert.equal(count, 60);
});

test('table 1.4: a copy of a snapshot', () => {
  for (const row of SNAPSHOT_COPY_TABLE) {
    for (const on of [false, true]) {
      check(effectiveSnapshotCopy(request(row), defaults(on)), on ? row.on : row.off, `row ${row.row}, default ${on}`);
    }
  }
});

test('table 1.5: each snapshot behind a copy of an image', () => {
  for (const row of IMAGE_COPY_TABLE) {
    for (const on of [false, true]) {
      const [device] = effectiveImageCopy([request(row)], row.sameRegion, defaults(on));
      check(device, on ? row.on : row.off, `row ${row.row}, default ${on}`);
    }
  }
});

test('K-5: only an own snapshot under the same key keeps its data key', () => {
  const of = (asked: Asked, key?: string) => {
    const [device] = effectiveDevices([{ ...request(asked), ...(key ? { kmsKeyId: key } : {}) }], defaults(false));
    return device?.outcome === 'encrypted' && device.sameKey;
  };
  const asked = { encrypted: true, keyGiven: false } as const;
  assert.equal(of({ ...asked, source: 'own-encrypted' }), true);
  assert.equal(of({ ...asked, source: 'own-encrypted' }, A), true);
  assert.equal(of({ ...asked, source: 'own-encrypted' }, D), false);
  assert.equal(of({ ...asked, source: 'shared-encrypted' }, A), false);
  assert.equal(of({ ...asked, source: 'own-plain' }), false);
});

test('the reason names the AWS managed key as such', () => {
  const [device] = effectiveDevices([request({ source: 'own-plain', encrypted: true, keyGiven: false })], {
    encryptionByDefault: false,
    defaultKey: AWS_MANAGED_KEY,
  });
  assert.equal(device?.why, 'the AWS managed key of EBS: encryption is asked for without a key');
});
