/** How many verifications run and are kept, and the key that signs them; what they prove is tested over a server. */
import assert from 'node:assert/strict';
import { createPublicKey, randomBytes, verify } from 'node:crypto';
import { describe, it } from 'node:test';
import type { Call } from '../authz/caller.ts';
import { systemPermit } from '../authz/permit.ts';
import { ringOf } from '../crypto/root-key.ts';
import { openTestDb } from '../db/test-db.ts';
import { IntegrityError, Refusal } from '../errors.ts';
import type { DataKeyId } from '../ids.ts';
import { createLog } from '../log.ts';
import type { SnapshotProof } from '../volumes/prove-snapshot.ts';
import type { SnapshotRecord } from '../volumes/volumes.ts';
import { createSigningKey, verificationMigrations } from './signing-key.ts';
import { createVerifications, type Verification } from './verifications.ts';

const call = { region: 'eu-central-1', caller: { arn: 'arn:aws:iam::111122223333:root' } } as Call;
const permit = systemPermit('ingot:VerifySnapshot', '*', 'test');
const snapshotOf = (ownerId: string) => ({ id: 'snap-1', ownerId, region: 'eu-central-1' }) as SnapshotRecord;
const chain = { dataKeyId: 'key' as DataKeyId, kmsKeyArn: undefined, encryptionContext: { 'aws:ebs:id': 'snap-1' } };
const WHOLE: SnapshotProof = {
  ...{ chain, orphanedSegments: [], blocks: { listed: 0, zero: 0, authenticated: 0 }, segments: 0 },
  ...{ chiSquare: { blocks: 0, least: 0, greatest: 0 }, outside: [], faults: [], faultCount: 0, examples: [] },
};

/** Proofs that end when they are told to. */
async function rig(now: () => Date = () => new Date()) {
  const database = await openTestDb(verificationMigrations);
  const ends: { resolve(proof: SnapshotProof): void; reject(error: Error): void }[] = [];
  const signals: AbortSignal[] = [];
  const rootKey = ringOf([randomBytes(32)]);
  const signingKey = createSigningKey({ db: database.db, rootKey, clock: now });
  const verifications = createVerifications({
    proofs: {
      open: async () => ({
        chain,
        prove: (_, __, signal) => {
          signals.push(signal);
          return new Promise((resolve, reject) => {
            ends.push({ resolve, reject });
            signal.addEventListener('abort', () => reject(signal.reason as Error));
          });
        },
      }),
    },
    storage: { findMarker: async () => ({ files: 1, bytes: 1, found: [] }) },
    signingKey,
    clock: now,
    log: createLog('silent'),
  });
  const begin = (account: string) => verifications.begin(call, permit, snapshotOf(account), undefined);
  return { ...database, verifications, begin, ends, signals, signingKey, rootKey };
}

async function ended(verification: Verification): Promise<Verification> {
  while (verification.state === 'running') await new Promise((done) => setImmediate(done));
  return verification;
}
const refusedAsRunning = (error: unknown) => error instanceof Refusal && error.reason === 'verifications-running';

describe('verifications', () => {
  it('run one at a time for an account, and a few together', async () => {
    await using t = await rig();
    const first = await t.begin('111111111111');
    await assert.rejects(t.begin('111111111111'), refusedAsRunning);
    for (let account = 2; account <= 8; account++) await t.begin(`${account}`.repeat(12));
    await assert.rejects(t.begin('999999999999'), refusedAsRunning);
    t.ends[0]!.resolve(WHOLE);
    assert.equal((await ended(first)).state, 'completed');
    await t.begin('111111111111');
    await t.verifications.close();
  });

  it('are kept an hour, and the last 64 of an account', async () => {
    let now = new Date('2026-11-23T12:00:00Z');
    await using t = await rig(() => now);
    const made: Verification[] = [];
    for (let at = 0; at < 66; at++) {
      const verification = await t.begin('111111111111');
      t.ends[at]!.resolve(WHOLE);
      made.push(await ended(verification));
    }
    assert.deepEqual(made.map(({ id }) => t.verifications.find(id) !== undefined).indexOf(true), 1);
    now = new Date('2026-11-23T13:00:01Z');
    assert.equal(t.verifications.find(made[65]!.id), undefined);
  });

  it('that fail say so, and leave no report; the end of the server stops what runs', async () => {
    await using t = await rig();
    const failed = await t.begin('111111111111');
    t.ends[0]!.reject(new Error('the disk is gone'));
    assert.deepEqual([(await ended(failed)).state, failed.envelope], ['failed', undefined]);
    const running = await t.begin('111111111111');
    await t.verifications.close();
    assert.equal(t.signals[1]?.aborted, true);
    assert.equal(running.state, 'failed');
  });

  it('are signed over type and bytes, as DSSE has it', async () => {
    await using t = await rig();
    const verification = await t.begin('111111111111');
    t.ends[0]!.resolve(WHOLE);
    const envelope = JSON.parse((await ended(verification)).envelope!) as {
      payloadType: string;
      payload: string;
      signatures: { keyid: string; sig: string }[];
    };
    const payload = Buffer.from(envelope.payload, 'base64');
    const { publicKey, id } = await t.verifications.signingKey();
    const signed = Buffer.concat([
      Buffer.from(`DSSEv1 ${envelope.payloadType.length} ${envelope.payloadType} ${payload.length} `),
      payload,
    ]);
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    const [signature] = envelope.signatures;
    assert.ok(verify(null, signed, key, Buffer.from(signature!.sig, 'base64')));
    assert.equal(signature!.keyid, id);
    assert.equal((JSON.parse(payload.toString()) as { verdict: string }).verdict, 'intact');
  });
});

describe('the signing key', () => {
  it('is made once, is there after a restart, and opens under its root key only', async () => {
    await using t = await rig();
    const [first, second] = await Promise.all([t.signingKey(), t.signingKey()]);
    assert.equal(first.id, second.id);
    const again = createSigningKey({ db: t.db, rootKey: t.rootKey, clock: () => new Date() });
    assert.equal((await again()).id, first.id);
    const stranger = createSigningKey({ db: t.db, rootKey: ringOf([randomBytes(32)]), clock: () => new Date() });
    await assert.rejects(stranger(), IntegrityError);
  });
});
