/**
 * Verifications of snapshots: begun by a call, done in worker threads, and there to be asked for until the process ends
 * or an hour has passed. They read only; one that a restart ends is begun again by whoever wants it. Each reads as fast
 * as the disk gives: an account has one at a time, and all together have a few.
 */
import type { Call } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import { sha256 } from '../crypto/hash.ts';
import { Refusal } from '../errors.ts';
import { type AccountId, newUuid } from '../ids.ts';
import type { Log } from '../log.ts';
import type { SnapshotProofs } from '../volumes/prove-snapshot.ts';
import type { Storage } from '../volumes/storage.ts';
import type { SnapshotRecord } from '../volumes/volumes.ts';
import type { SigningKey } from './signing-key.ts';
import { CHI_SQUARE, envelopeOf, reportOf } from './verification-report.ts';

export type VerificationRefusalReason = 'verifications-running';

const RUNNING_MAX = 8;
const RUNNING_OF_ACCOUNT_MAX = 1;
const KEPT_MS = 60 * 60_000;
const KEPT_OF_ACCOUNT_MAX = 64;
/** How much of the progress is reading blocks, where a marker is looked for as well. */
const BLOCKS_SHARE = 0.5;

export interface Verification {
  readonly id: string;
  readonly snapshot: SnapshotRecord;
  readonly startedAt: Date;
  state: 'running' | 'completed' | 'failed';
  /** 0 to 1. */
  progress: number;
  /** The signed report, once it is completed. */
  envelope?: string;
}

export interface Verifications {
  /** Opens the snapshot in the caller's name, and begins. @throws {Refusal} */
  begin(
    call: Call,
    permit: Permit<'ingot:VerifySnapshot'>,
    snapshot: SnapshotRecord,
    marker: Uint8Array | undefined,
  ): Promise<Verification>;
  find(id: string): Verification | undefined;
  signingKey(): Promise<SigningKey>;
  /** Stops what runs, and waits for it. */
  close(): Promise<void>;
}

export interface VerificationsDeps {
  readonly proofs: SnapshotProofs;
  readonly storage: Pick<Storage, 'findMarker'>;
  readonly signingKey: () => Promise<SigningKey>;
  readonly clock: () => Date;
  readonly log: Log;
}

export function createVerifications(deps: VerificationsDeps): Verifications {
  const { proofs, storage, signingKey, clock, log } = deps;
  const known = new Map<string, Verification>();
  const running = new Set<Promise<void>>();
  const stop = new AbortController();
  /** Snapshots whose keys are being asked for, by account. */
  const opening = new Map<AccountId, number>();

  const forgetOld = (): void => {
    const oldest = clock().getTime() - KEPT_MS;
    for (const [id, { startedAt, state }] of known) {
      if (state !== 'running' && startedAt.getTime() < oldest) known.delete(id);
    }
  };
  const ofAccount = (account: AccountId): Verification[] =>
    [...known.values()].filter(({ snapshot }) => snapshot.ownerId === account);
  const requireRoom = (account: AccountId): void => {
    const own = (opening.get(account) ?? 0) + ofAccount(account).filter(({ state }) => state === 'running').length;
    const all = [...opening.values()].reduce((sum, count) => sum + count, running.size);
    if (own >= RUNNING_OF_ACCOUNT_MAX || all >= RUNNING_MAX) {
      throw new Refusal<VerificationRefusalReason>('verifications-running', { max: RUNNING_OF_ACCOUNT_MAX });
    }
  };
  const keep = (verification: Verification): void => {
    known.set(verification.id, verification);
    const ended = ofAccount(verification.snapshot.ownerId).filter(({ state }) => state !== 'running');
    for (const { id } of ended.slice(0, Math.max(0, ended.length - KEPT_OF_ACCOUNT_MAX))) known.delete(id);
  };

  return {
    async begin(call, _permit, snapshot, marker) {
      forgetOld();
      const account = snapshot.ownerId;
      requireRoom(account);
      opening.set(account, (opening.get(account) ?? 0) + 1);
      try {
        const opened = await proofs.open(call, snapshot);
        const verification: Verification = {
          id: newUuid(),
          snapshot,
          startedAt: clock(),
          state: 'running',
          progress: 0,
        };
        keep(verification);
        const share = marker ? BLOCKS_SHARE : 1;
        const work = (async () => {
          const proof = await opened.prove(
            CHI_SQUARE,
            (fraction) => {
              verification.progress = fraction * share;
            },
            stop.signal,
          );
          const search =
            marker &&
            (await storage.findMarker(
              marker,
              (fraction) => {
                verification.progress = share + fraction * (1 - share);
              },
              stop.signal,
            ));
          const report = reportOf({
            id: verification.id,
            snapshot: snapshot.id,
            account: snapshot.ownerId,
            region: call.region,
            requestedBy: call.caller.arn,
            startedAt: verification.startedAt,
            endedAt: clock(),
            proof,
            ...(marker && search ? { marker: { sha256: Buffer.from(sha256(marker)).toString('hex'), ...search } } : {}),
          });
          verification.envelope = await envelopeOf(report, await signingKey());
          verification.progress = 1;
          verification.state = 'completed';
        })().catch((error: unknown) => {
          verification.state = 'failed';
          if (!stop.signal.aborted) log.error({ err: error, snapshot: snapshot.id }, 'a verification failed');
        });
        running.add(work);
        void work.then(() => running.delete(work));
        return verification;
      } finally {
        const left = (opening.get(account) ?? 1) - 1;
        if (left > 0) opening.set(account, left);
        else opening.delete(account);
      }
    },
    find(id) {
      forgetOld();
      return known.get(id);
    },
    signingKey,
    async close() {
      stop.abort();
      await Promise.all(running);
    },
  };
}
