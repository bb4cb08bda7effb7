/** Writing keys: one row of a new key, and changes of a key that its state allows. */
import type { Kysely, Updateable } from 'kysely';
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { type AccountId, type Arn, type KeyId, keyArn, type Region } from '../ids.ts';
import type { KeySpec, KeyUsage } from './key-specs.ts';
import type { NewMaterial } from './material.ts';
import type { KeyParts } from './parts.ts';
import type { KeyOrigin, KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import { type KeyState, requireState, type StatefulOperation } from './states.ts';
import { readKey } from './store.ts';
import type { KeysTables } from './tables.ts';
import type { KeyTag } from './tags.ts';

const KEYS_PER_ACCOUNT_AND_REGION_MAX = 100_000;
const ROTATION_PERIOD_DAYS = 365;

export interface KeyToInsert {
  readonly account: AccountId;
  readonly region: Region;
  readonly keyId: KeyId;
  readonly manager: KeyRecord['manager'];
  readonly spec: KeySpec;
  readonly usage: KeyUsage;
  readonly origin: KeyOrigin;
  readonly primaryRegion?: Region;
  readonly state: KeyState;
  readonly description: string;
  readonly policy: string;
  readonly tags: readonly KeyTag[];
  readonly material?: NewMaterial;
}

export async function insertKey({ store, clock }: KeyParts, tx: Tx, key: KeyToInsert): Promise<Arn> {
  const arn = keyArn(key.region, key.account, key.keyId);
  const tables = tx.as<KeysTables>();
  const now = clock().getTime();
  await tables
    .insertInto('keys_key')
    .values({
      arn,
      key_id: key.keyId,
      account_id: key.account,
      region: key.region,
      manager: key.manager,
      spec: key.spec,
      usage: key.usage,
      origin: key.origin,
      multi_region: key.primaryRegion === undefined ? 0 : 1,
      state: key.state,
      description: key.description,
      created_at: now,
      deletion_at: null,
      current_material_id: key.material?.materialId ?? '',
      policy: key.policy,
      rotation_enabled: 0,
      rotation_period_days: ROTATION_PERIOD_DAYS,
      rotation_next_at: null,
      rotation_revision: 0,
      primary_region: key.primaryRegion ?? null,
      usage_since: now,
    })
    .execute();
  if (key.material) {
    await tables
      .insertInto('keys_material')
      .values({
        key_arn: arn,
        material_id: key.material.materialId,
        version: 0,
        rotation: null,
        created_at: now,
        sealed: key.material.sealed,
      })
      .execute();
  }
  for (const tag of key.tags) {
    await tables.insertInto('keys_tag').values({ key_arn: arn, tag_key: tag.key, tag_value: tag.value }).execute();
  }
  store.changed(tx, arn);
  return arn;
}

/** @throws {Refusal} `key-limit` where the account can have no more keys in the Region (28.1). */
export async function requireRoom(tx: Tx, account: AccountId, region: Region): Promise<void> {
  const { count } = await tx
    .as<KeysTables>()
    .selectFrom('keys_key')
    .select((e) => e.fn.countAll<number>().as('count'))
    .where('account_id', '=', account)
    .where('region', '=', region)
    .where('manager', '=', 'CUSTOMER')
    .executeTakeFirstOrThrow();
  if (count >= KEYS_PER_ACCOUNT_AND_REGION_MAX) throw refuse('key-limit', { limit: KEYS_PER_ACCOUNT_AND_REGION_MAX });
}

/** Runs `work` on a key of which `operation` is allowed in its state, judged within the transaction that changes it. */
export async function changeKey<Result>(
  { store }: Pick<KeyParts, 'store'>,
  permit: Permit,
  operation: StatefulOperation,
  work: (key: KeyRecord, tables: Kysely<KeysTables>, tx: Tx) => Promise<Result>,
): Promise<Result> {
  return store.write(async (tables, tx) => {
    const key = await readKey(tables, permit.resource);
    if (!key) throw refuse('key-not-found', { arn: permit.resource });
    requireState(key, operation);
    const result = await work(key, tables, tx);
    store.changed(tx, key.arn);
    return result;
  });
}

export async function updateKey(
  tables: Kysely<KeysTables>,
  arn: string,
  set: Updateable<KeysTables['keys_key']>,
): Promise<void> {
  await tables.updateTable('keys_key').set(set).where('arn', '=', arn).execute();
}
