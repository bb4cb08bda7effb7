/** Settings of one account and region: encryption by default, its key (D-1), and block public access of snapshots. */
import type { Db, Tx } from '../db/db.ts';
import type { AccountId, Region } from '../ids.ts';
import { reading, type VolumesTables, writing } from './tables.ts';
import type { EbsDefaults } from './volumes.ts';

type Setting = Partial<Omit<VolumesTables['ebs_defaults'], 'account_id' | 'region'>>;

export function createEbsDefaults(db: Db): EbsDefaults {
  const row = (account: AccountId, region: Region) =>
    reading(db)
      .selectFrom('ebs_defaults')
      .selectAll()
      .where('account_id', '=', account)
      .where('region', '=', region)
      .executeTakeFirst();

  const set = async (tx: Tx, account: AccountId, region: Region, setting: Setting) => {
    await writing(tx)
      .insertInto('ebs_defaults')
      .values({
        account_id: account,
        region,
        encryption_by_default: 0,
        kms_key_id: null,
        snapshot_block_public_access: 'unblocked',
        ...setting,
      })
      .onConflict((conflict) => conflict.columns(['account_id', 'region']).doUpdateSet(setting))
      .execute();
  };

  return {
    async get(account, region) {
      const found = await row(account, region);
      return {
        encryptionByDefault: found?.encryption_by_default === 1,
        ...(found?.kms_key_id ? { kmsKeyId: found.kms_key_id } : {}),
      };
    },
    setEncryptionByDefault: (tx, account, region, on) =>
      set(tx, account, region, { encryption_by_default: on ? 1 : 0 }),
    setDefaultKey: (tx, account, region, keyArn) => set(tx, account, region, { kms_key_id: keyArn ?? null }),
    async snapshotBlockPublicAccess(account, region) {
      return (await row(account, region))?.snapshot_block_public_access ?? 'unblocked';
    },
    setSnapshotBlockPublicAccess: (tx, account, region, state) =>
      set(tx, account, region, { snapshot_block_public_access: state }),
  };
}
