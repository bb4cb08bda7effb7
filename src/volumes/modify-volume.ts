/** Changing size, type and performance of a volume. Only records change: an overlay has no size of its own. */
import type { Db, Tx } from '../db/db.ts';
import type { AccountId, Region, VolumeId } from '../ids.ts';
import { refuse } from './context.ts';
import { type ModificationRow, reading, volumeRow, writing } from './tables.ts';

export interface VolumeSpec {
  readonly sizeGiB: number;
  readonly volumeType: string;
  readonly iops?: number;
  readonly throughput?: number;
}

export interface VolumeModification {
  readonly volumeId: VolumeId;
  readonly original: VolumeSpec;
  readonly target: VolumeSpec;
  readonly at: Date;
  /** Of the volume, which never changes. */
  readonly multiAttach: boolean;
}

export interface VolumeModifications {
  /** Done when it resolves; a machine that has the volume open sees a new size when it opens the volume again. */
  modify(tx: Tx, id: VolumeId, target: VolumeSpec): Promise<VolumeModification>;
  /** The last one of each volume that ever had one. */
  list(region: Region, owner: AccountId): Promise<VolumeModification[]>;
  setAutoEnableIo(tx: Tx, id: VolumeId, on: boolean): Promise<void>;
}

const modificationOf = (row: ModificationRow & { readonly multi_attach: 0 | 1 }): VolumeModification => ({
  volumeId: row.volume_id,
  original: JSON.parse(row.original) as VolumeSpec,
  target: JSON.parse(row.target) as VolumeSpec,
  at: new Date(row.modified_at),
  multiAttach: row.multi_attach === 1,
});

export function createVolumeModifications(deps: { readonly db: Db; readonly clock: () => Date }): VolumeModifications {
  return {
    async modify(tx, id, target) {
      const queries = writing(tx);
      const volume = await volumeRow(queries, id);
      if (!volume || volume.state === 'deleting') throw refuse('volume-not-found', { volumeId: id });
      if (volume.state !== 'available' && volume.state !== 'in-use') {
        throw refuse('volume-state', { volumeId: id, state: volume.state });
      }
      if (target.sizeGiB < volume.size_gib) {
        throw refuse('volume-shrink', { volumeId: id, sizeGiB: target.sizeGiB, currentGiB: volume.size_gib });
      }
      const original: VolumeSpec = {
        sizeGiB: volume.size_gib,
        volumeType: volume.volume_type,
        ...(volume.iops === null ? {} : { iops: volume.iops }),
        ...(volume.throughput === null ? {} : { throughput: volume.throughput }),
      };
      await queries
        .updateTable('volumes')
        .set({
          size_gib: target.sizeGiB,
          volume_type: target.volumeType,
          iops: target.iops ?? null,
          throughput: target.throughput ?? null,
        })
        .where('id', '=', id)
        .execute();
      const row: ModificationRow = {
        volume_id: id,
        original: JSON.stringify(original),
        target: JSON.stringify(target),
        modified_at: deps.clock().getTime(),
      };
      await queries
        .insertInto('volume_modifications')
        .values(row)
        .onConflict((conflict) => conflict.column('volume_id').doUpdateSet(row))
        .execute();
      return modificationOf({ ...row, multi_attach: volume.multi_attach });
    },
    async list(region, owner) {
      const rows = await reading(deps.db)
        .selectFrom('volume_modifications')
        .innerJoin('volumes', 'volumes.id', 'volume_modifications.volume_id')
        .selectAll('volume_modifications')
        .select('volumes.multi_attach')
        .where('volumes.region', '=', region)
        .where('volumes.owner_id', '=', owner)
        .execute();
      return rows.map(modificationOf);
    },
    async setAutoEnableIo(tx, id, on) {
      await writing(tx)
        .updateTable('volumes')
        .set({ auto_enable_io: on ? 1 : 0 })
        .where('id', '=', id)
        .execute();
    },
  };
}
