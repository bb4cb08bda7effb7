/**
 * Reading keys: rows to records, kept in memory together with their opened material, so that Encrypt and Decrypt touch
 * the database not at all on a key in use.
 *
 * INVARIANT: every transaction that changes a key, or anything a {@link KeyRecord} or its grants show, calls
 * {@link KeyStore.changed} within it. The cached record goes when the transaction has committed; a load that began
 * before that commit is not kept.
 */
import type { Kysely, Selectable } from 'kysely';
import type { RootKey } from '../crypto/root-key.ts';
import type { Db, Tx } from '../db/db.ts';
import { IntegrityError } from '../errors.ts';
import { type AccountId, type Arn, type KeyId, keyArn, type Region } from '../ids.ts';
import { openMaterial } from './material.ts';
import type {
  Expiration,
  GrantConstraints,
  GrantRecord,
  KeyMaterial,
  KeyRecord,
  PairMaterial,
  SecretMaterial,
} from './records.ts';
import type { KeysTables } from './tables.ts';

const CACHED_KEYS_MAX = 4096;
/** Grants are asked for per grantee: a key may have 50,000 (kms 15.18). */
const CACHED_GRANTEES_MAX = 256;

interface Entry {
  readonly record: KeyRecord;
  readonly materials: Map<string, KeyMaterial>;
  readonly grants: Map<string, readonly GrantRecord[]>;
}

export class KeyStore {
  readonly #db: Db;
  readonly #rootKey: RootKey;
  readonly #entries = new Map<string, Entry>();
  /** ARN by Region and key id; both outlive every change of a key. */
  readonly #arns = new Map<string, string>();
  #changes = 0;

  constructor(db: Db, rootKey: RootKey) {
    this.#db = db;
    this.#rootKey = rootKey;
  }

  read(): Kysely<KeysTables> {
    return this.#db.read<KeysTables>();
  }

  write<Result>(work: (tables: Kysely<KeysTables>, tx: Tx) => Promise<Result>): Promise<Result> {
    return this.#db.write((tx) => work(tx.as<KeysTables>(), tx));
  }

  /** Grows with every committed change of a key, its policy or its grants. */
  generation(): number {
    return this.#changes;
  }

  /** Says within `tx` that a key, its tags, aliases, material or grants change. */
  changed(tx: Tx, arn: string): void {
    tx.afterCommit(() => {
      this.#changes++;
      this.#entries.delete(arn);
    });
  }

  /** The same for every key of a multi-Region set: each shows the others. */
  changedRelated(tx: Tx, key: KeyRecord): void {
    for (const arn of relatedArns(key)) this.changed(tx, arn);
  }

  async byArn(arn: string): Promise<KeyRecord | undefined> {
    return (await this.#entry(arn))?.record;
  }

  async byId(region: Region, keyId: KeyId): Promise<KeyRecord | undefined> {
    const name = `${region}/${keyId}`;
    const known = this.#arns.get(name);
    if (known !== undefined) return this.byArn(known);
    const row = await this.read()
      .selectFrom('keys_key')
      .select('arn')
      .where('region', '=', region)
      .where('key_id', '=', keyId)
      .executeTakeFirst();
    if (!row) return undefined;
    if (this.#arns.size >= CACHED_KEYS_MAX) this.#arns.clear();
    this.#arns.set(name, row.arn);
    return this.byArn(row.arn);
  }

  async byAlias(account: AccountId, region: Region, name: string): Promise<KeyRecord | undefined> {
    const row = await this.read()
      .selectFrom('keys_alias')
      .select('key_arn')
      .where('account_id', '=', account)
      .where('region', '=', region)
      .where('name', '=', name)
      .executeTakeFirst();
    return row && this.byArn(row.key_arn);
  }

  /** The secret that seals or makes MACs now. */
  async currentSecret(key: KeyRecord): Promise<SecretMaterial> {
    const material = await this.#current(key);
    if (material.kind !== 'secret') throw new Error(`${key.arn} has a key pair`);
    return material;
  }

  /** The key pair of an asymmetric key. */
  async pair(key: KeyRecord): Promise<PairMaterial> {
    const material = await this.#current(key);
    if (material.kind !== 'pair') throw new Error(`${key.arn} has no key pair`);
    return material;
  }

  async #current(key: KeyRecord): Promise<KeyMaterial> {
    const { currentMaterialId: id } = key;
    const material = id === undefined ? undefined : await this.material(key, id);
    if (!material) throw new IntegrityError(`current key material of ${key.arn}`);
    return material;
  }

  /** Material of any age, or `undefined` where the key has none of this id, or it was deleted. */
  async material(key: KeyRecord, materialId: string): Promise<KeyMaterial | undefined> {
    const entry = await this.#entry(key.arn);
    const known = entry?.materials.get(materialId);
    if (known) return known;
    const row = await this.read()
      .selectFrom('keys_material')
      .select('sealed')
      .where('key_arn', '=', key.arn)
      .where('material_id', '=', materialId)
      .executeTakeFirst();
    if (!row || row.sealed.byteLength === 0) return undefined;
    const material = openMaterial(this.#rootKey, { keyArn: key.arn, materialId, spec: key.spec }, row.sealed);
    entry?.materials.set(materialId, material);
    return material;
  }

  /** Grants on the key to any of these grantees. */
  async grantsTo(key: KeyRecord, grantees: readonly string[]): Promise<readonly GrantRecord[]> {
    const entry = await this.#entry(key.arn);
    const asked = [...new Set(grantees)];
    const cacheKey = asked.join('\n');
    const known = entry?.grants.get(cacheKey);
    if (known) return known;
    const changes = this.#changes;
    const rows = await this.read()
      .selectFrom('keys_grant')
      .selectAll()
      .where('key_arn', '=', key.arn)
      .where('grantee', 'in', asked)
      .execute();
    const grants = rows.map(grantOf);
    if (entry && changes === this.#changes) {
      if (entry.grants.size >= CACHED_GRANTEES_MAX) entry.grants.clear();
      entry.grants.set(cacheKey, grants);
    }
    return grants;
  }

  async #entry(arn: string): Promise<Entry | undefined> {
    const known = this.#entries.get(arn);
    if (known) {
      this.#entries.delete(arn);
      this.#entries.set(arn, known);
      return known;
    }
    for (;;) {
      const changes = this.#changes;
      const record = await readKey(this.read(), arn);
      // A commit between the reads of one record may have torn it.
      if (changes !== this.#changes) continue;
      if (!record) return undefined;
      const entry: Entry = { record, materials: new Map(), grants: new Map() };
      this.#entries.set(arn, entry);
      if (this.#entries.size > CACHED_KEYS_MAX) this.#entries.delete(this.#entries.keys().next().value!);
      return entry;
    }
  }
}

/** The key as `tables` see it: committed rows, or those of an open transaction. */
export async function readKey(tables: Kysely<KeysTables>, arn: string): Promise<KeyRecord | undefined> {
  const row = await tables.selectFrom('keys_key').selectAll().where('arn', '=', arn).executeTakeFirst();
  if (!row) return undefined;
  const tags = await tables.selectFrom('keys_tag').selectAll().where('key_arn', '=', arn).orderBy('tag_key').execute();
  const aliases = await tables
    .selectFrom('keys_alias')
    .select('name')
    .where('key_arn', '=', arn)
    .orderBy('name')
    .execute();
  const rotation = await rotationRow(tables, row);
  const currentMaterialId = row.current_material_id || undefined;
  const imported = row.origin === 'EXTERNAL' && currentMaterialId !== undefined;
  return {
    arn: row.arn as Arn,
    keyId: row.key_id as KeyId,
    accountId: row.account_id as AccountId,
    region: row.region as Region,
    manager: row.manager as KeyRecord['manager'],
    spec: row.spec as KeyRecord['spec'],
    usage: row.usage as KeyRecord['usage'],
    origin: row.origin as KeyRecord['origin'],
    multiRegion: row.multi_region === 1,
    ...(row.primary_region === null ? {} : { related: await readRelated(tables, row) }),
    state: row.state as KeyRecord['state'],
    description: row.description,
    createdAt: new Date(row.created_at),
    ...(row.deletion_at === null ? {} : { deletionAt: new Date(row.deletion_at) }),
    ...(row.deletion_window_days === null ? {} : { deletionWindowInDays: row.deletion_window_days }),
    ...(currentMaterialId === undefined ? {} : { currentMaterialId }),
    ...(imported ? await readImported(tables, arn, currentMaterialId) : {}),
    usageSince: new Date(row.usage_since),
    policy: row.policy,
    rotation: {
      enabled: rotation.rotation_enabled === 1,
      periodInDays: rotation.rotation_period_days,
      revision: rotation.rotation_revision,
      ...(rotation.rotation_next_at === null ? {} : { nextAt: new Date(rotation.rotation_next_at) }),
    },
    tags: Object.fromEntries(tags.map((tag) => [tag.tag_key, tag.tag_value])),
    aliases: aliases.map((alias) => alias.name),
  };
}

/** The schedule of a multi-Region key is its primary's (kms 16.9). */
async function rotationRow(
  tables: Kysely<KeysTables>,
  row: Selectable<KeysTables['keys_key']>,
): Promise<Selectable<KeysTables['keys_key']>> {
  if (row.primary_region === null || row.primary_region === row.region) return row;
  const primary = keyArn(row.primary_region as Region, row.account_id as AccountId, row.key_id as KeyId);
  return (await tables.selectFrom('keys_key').selectAll().where('arn', '=', primary).executeTakeFirst()) ?? row;
}

async function readRelated(
  tables: Kysely<KeysTables>,
  row: Selectable<KeysTables['keys_key']>,
): Promise<NonNullable<KeyRecord['related']>> {
  const rows = await tables
    .selectFrom('keys_key')
    .select('region')
    .where('account_id', '=', row.account_id)
    .where('key_id', '=', row.key_id)
    .orderBy('created_at')
    .orderBy('region')
    .execute();
  return { primaryRegion: row.primary_region as Region, regions: rows.map(({ region }) => region as Region) };
}

async function readImported(
  tables: Kysely<KeysTables>,
  arn: string,
  materialId: string,
): Promise<Pick<KeyRecord, 'imported'>> {
  const row = await tables
    .selectFrom('keys_material')
    .select(['import_state', 'valid_to'])
    .where('key_arn', '=', arn)
    .where('material_id', '=', materialId)
    .executeTakeFirst();
  return row?.import_state === 'IMPORTED' ? { imported: expirationOf(row) } : {};
}

export function expirationOf(row: { readonly valid_to: number | null }): Expiration {
  return row.valid_to === null ? {} : { validTo: new Date(row.valid_to) };
}

/** ARNs of the key and of its relatives in other Regions. */
export function relatedArns(key: KeyRecord): Arn[] {
  return (key.related?.regions ?? [key.region]).map((region) => keyArn(region, key.accountId, key.keyId));
}

export function isReplica(key: KeyRecord): boolean {
  return key.related !== undefined && key.related.primaryRegion !== key.region;
}

export function grantOf(row: Selectable<KeysTables['keys_grant']>): GrantRecord {
  return {
    grantId: row.grant_id,
    keyArn: row.key_arn as Arn,
    ...(row.name === null ? {} : { name: row.name }),
    grantee: row.grantee,
    granteeIsService: row.grantee_is_service === 1,
    ...(row.retiring === null ? {} : { retiring: row.retiring }),
    retiringIsService: row.retiring_is_service === 1,
    issuingAccount: row.issuing_account as AccountId,
    operations: JSON.parse(row.operations) as string[],
    constraints: JSON.parse(row.constraints) as GrantConstraints,
    createdAt: new Date(row.created_at),
  };
}
