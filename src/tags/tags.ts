/** Tags of EC2 resources: one small table, keyed by account, region and resource id. */
import type { Migration, Tx } from '../db/db.ts';
import type { AccountId, Region } from '../ids.ts';

export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

/** Resource type names as DescribeTags and TagSpecifications use them: `image`, `snapshot`, `volume`, `instance`, … */
export interface Tags {
  /** Tags the account put on each id. */
  of(account: AccountId, region: Region, ids: readonly string[]): Promise<Map<string, Tag[]>>;
  /** Every tagged resource of the account, for DescribeTags and tag filters. */
  list(account: AccountId, region: Region): Promise<{ resourceId: string; resourceType: string; tag: Tag }[]>;
  put(tx: Tx, account: AccountId, region: Region, resourceType: string, resourceId: string, tags: readonly Tag[]): Promise<void>;
  remove(tx: Tx, account: AccountId, region: Region, resourceId: string, tags: readonly { Key: string; Value?: string }[]): Promise<void>;
  removeAll(tx: Tx, account: AccountId, region: Region, resourceId: string): Promise<void>;
}

export type TagMigrations = readonly Migration[];
