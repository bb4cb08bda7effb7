/** SSH key pairs. Ingot keeps the public half; the private half of one that it makes is in the answer and nowhere else. */
import type { Permit } from '../authz/permit.ts';
import { createSshKeyPair, readSshPublicKey } from '../crypto/ssh-keys.ts';
import type { Db, Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { type AccountId, newEc2Id, type Region } from '../ids.ts';
import type { NetworkTables } from './tables.ts';

export interface KeyPairRecord {
  readonly id: string;
  readonly accountId: AccountId;
  readonly region: Region;
  readonly name: string;
  readonly type: 'rsa' | 'ed25519';
  readonly fingerprint: string;
  /** One line as in `authorized_keys`. */
  readonly publicKey: string;
  readonly createdAt: Date;
}

export type KeyPairRefusalReason = 'key-pair-exists' | 'public-key-invalid';

export interface KeyPairs {
  list(account: AccountId, region: Region): Promise<KeyPairRecord[]>;
  /** Also gives the private key (PEM), once. */
  create(
    permit: Permit<'ec2:CreateKeyPair'>,
    pair: Pick<KeyPairRecord, 'accountId' | 'region' | 'name' | 'type'>,
    within: (tx: Tx, record: KeyPairRecord) => Promise<void>,
  ): Promise<{ readonly record: KeyPairRecord; readonly privateKey: string }>;
  import(
    tx: Tx,
    permit: Permit<'ec2:ImportKeyPair'>,
    pair: Pick<KeyPairRecord, 'accountId' | 'region' | 'name'>,
    material: Uint8Array,
  ): Promise<KeyPairRecord>;
  delete(tx: Tx, permit: Permit<'ec2:DeleteKeyPair'>, id: string): Promise<void>;
}

export function createKeyPairs({ db, clock }: { db: Db; clock: () => Date }): KeyPairs {
  async function insert(tx: Tx, record: KeyPairRecord): Promise<void> {
    const { numInsertedOrUpdatedRows } = await tx
      .as<NetworkTables>()
      .insertInto('key_pairs')
      .values({
        id: record.id,
        account_id: record.accountId,
        region: record.region,
        name: record.name,
        type: record.type,
        fingerprint: record.fingerprint,
        public_key: record.publicKey,
        created_at: record.createdAt.getTime(),
      })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows === 0n) {
      throw new Refusal<KeyPairRefusalReason>('key-pair-exists', { name: record.name });
    }
  }

  return {
    async list(account, region) {
      const rows = await db
        .read<NetworkTables>()
        .selectFrom('key_pairs')
        .selectAll()
        .where('account_id', '=', account)
        .where('region', '=', region)
        .orderBy('name')
        .execute();
      return rows.map((row) => ({
        id: row.id,
        accountId: row.account_id,
        region: row.region,
        name: row.name,
        type: row.type,
        fingerprint: row.fingerprint,
        publicKey: row.public_key,
        createdAt: new Date(row.created_at),
      }));
    },

    async create(_permit, pair, within) {
      const made = await createSshKeyPair(pair.type);
      const { fingerprint, publicKey, privateKey } = made;
      const record = { ...pair, id: newEc2Id('key'), fingerprint, publicKey, createdAt: clock() };
      await db.write(async (tx) => {
        await insert(tx, record);
        await within(tx, record);
      });
      return { record, privateKey };
    },

    async import(tx, _permit, pair, material) {
      const read = readSshPublicKey(material);
      if (!read) throw new Refusal<KeyPairRefusalReason>('public-key-invalid', {});
      const record = { ...pair, ...read, id: newEc2Id('key'), createdAt: clock() };
      await insert(tx, record);
      return record;
    },

    async delete(tx, _permit, id) {
      await tx.as<NetworkTables>().deleteFrom('key_pairs').where('id', '=', id).execute();
    },
  };
}
