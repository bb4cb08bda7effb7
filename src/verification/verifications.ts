/**
 * Verifications of snapshots: begun by a call, done in worker threads, and there to be asked for until the process ends
 * or an hour has passed. They read only; one that a restart ends is begun again by whoever wants it. At most a few run
 * at once, because each reads as fast as the disk gives.
 */
import type { Call } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import { sha256 } from '../crypto/hash.ts';
import { Refusal } from '../errors.ts';
import { newUuid } from '../ids.ts';
import type { Log } from '../log.ts';
import type { SnapshotProofs } from '../volumes/prove-snapshot.ts';
import type { Storage } from '../volumes/storage.ts';
import type { SnapshotRecord } from '../volumes/volumes.ts';
import type { SigningKey } from './signing-key.ts';
import { CHI_SQUARE, envelopeOf, reportOf } from './verification-report.ts';

export type VerificationRefusalReason = 'verifications-running';

const RUNNING_MAX = 2;
const KEPT_MS = 60 * 60_000;
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
  let opening = 0;

  const forgetOld = (): void => {
    const oldest = clock().getTime() - KEPT_MS;
    for (const [id, { startedAt, state }] of known) {
      if (state !== 'running' && startedAt.getTime() < oldest) known.delete(id);
    }
  };

  return {
    async begin(call, _permit, snapshot, marker) {
      forgetOld();
      if (running.size + opening >= RUNNING_MAX) {
        throw new Refusal<VerificationRefusalReason>('verifications-running', { max: RUNNING_MAX });
      }
      opening++;
      try {
        const opened = await proofs.open(call, snapshot);
        const verification: Verification = {
          id: newUuid(),
          snapshot,
          startedAt: clock(),
          state: 'running',
          progress: 0,
        };
        known.set(verification.id, verification);
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
        opening--;
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
