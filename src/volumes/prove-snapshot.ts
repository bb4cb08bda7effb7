/** What the stored bytes of one snapshot prove: opened in the name of its owner, and looked at block by block. */
import { type Call, viaEc2 } from '../authz/caller.ts';
import { Refusal } from '../errors.ts';
import type { Arn, DataKeyId } from '../ids.ts';
import type { Context } from './context.ts';
import { openAs, wrappedKeyOf } from './data-keys.ts';
import type { MapProof, MapRoot, OpenDataKey, SealedMap } from './storage.ts';
import { reading, snapshotRow, tierOf } from './tables.ts';
import type { SnapshotRecord } from './volumes.ts';

export type ProofRefusalReason = 'snapshot-not-provable';

/** Which key opens which: block → data key → KMS key, or the installation's root key for a plain snapshot. */
export interface KeyChain {
  readonly dataKeyId: DataKeyId;
  readonly kmsKeyArn: Arn | undefined;
  readonly encryptionContext: Readonly<Record<string, string>>;
}

export interface SnapshotProof extends MapProof {
  readonly chain: KeyChain;
  /** Segments under the snapshot's data key that nothing names. */
  readonly orphanedSegments: readonly string[];
}

/** A snapshot whose data key was opened; prove it, and let go of it. */
export interface OpenedSnapshot {
  readonly chain: KeyChain;
  prove(
    bounds: { readonly low: number; readonly high: number },
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ): Promise<SnapshotProof>;
}

export interface SnapshotProofs {
  /**
   * Asks KMS in the caller's name, as a direct read does (3.2): whoever may not decrypt cannot have a proof.
   *
   * @throws {Refusal} of {@link ProofRefusalReason} where the snapshot is not completed, or archived.
   */
  open(call: Call, snapshot: SnapshotRecord): Promise<OpenedSnapshot>;
}

export function createSnapshotProofs(ctx: Context, liveRoots: () => Promise<readonly MapRoot[]>): SnapshotProofs {
  const { db, storage, keys, clock } = ctx;
  return {
    async open(call, snapshot) {
      const row = await snapshotRow(reading(db), snapshot.id);
      const wrapped = row && wrappedKeyOf(row);
      if (row?.state !== 'completed' || row.map_root === null || !wrapped || tierOf(row, clock()) === 'archive') {
        throw new Refusal<ProofRefusalReason>('snapshot-not-provable', { snapshotId: snapshot.id, state: row?.state });
      }
      const via = viaEc2(call, 'ebs.amazonaws.com');
      if (wrapped.kmsKeyArn) await keys.describeKey(via, wrapped.kmsKeyArn);
      const dataKey: OpenDataKey = await openAs(keys, via, wrapped);
      const map: SealedMap = { root: row.map_root, dataKey };
      const chain: KeyChain = {
        dataKeyId: wrapped.id,
        kmsKeyArn: wrapped.kmsKeyArn,
        encryptionContext: { 'aws:ebs:id': wrapped.contextId },
      };
      return {
        chain,
        async prove(bounds, onProgress, signal) {
          const proof = await storage.inspectMap(map, bounds, onProgress, signal);
          const orphanedSegments = await storage.orphanedSegments(wrapped.id, liveRoots);
          return { ...proof, chain, orphanedSegments };
        },
      };
    },
  };
}
