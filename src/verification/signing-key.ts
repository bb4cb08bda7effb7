/**
 * The key that signs reports: Ed25519, made with the installation, sealed under its root key. What it signed can be
 * checked with its public half alone, offline and for ever.
 */
import type { Fields } from '../crypto/fields.ts';
import { sha256 } from '../crypto/hash.ts';
import { generateKeyPair, PrivateKey } from '../crypto/key-pairs.ts';
import type { RootKey } from '../crypto/root-key.ts';
import type { SealedColumn } from '../crypto/sealed-column.ts';
import { sign } from '../crypto/signatures.ts';
import type { Db, Migration } from '../db/db.ts';
import { IntegrityError } from '../errors.ts';

interface SigningKeyTables {
  verification_signing_key: { id: number; sealed: Uint8Array; created_at: number };
}

export const verificationMigrations: readonly Migration[] = [
  {
    id: 'verification-0001',
    async up(schema) {
      await schema.schema
        .createTable('verification_signing_key')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('sealed', 'blob', (column) => column.notNull())
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .execute();
    },
  },
];

const ONLY = 1;
const FIELDS: Fields = [['purpose', 'verification-signing-key']];

export const verificationSealed: readonly SealedColumn[] = [
  { table: 'verification_signing_key', column: 'sealed', key: ['id'], fieldsOf: () => FIELDS },
];

export interface SigningKey {
  /** SHA-256 of the public key's SubjectPublicKeyInfo, in hex. */
  readonly id: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** Reads the key when it is first needed, and makes it where there is none. */
export function createSigningKey(deps: {
  readonly db: Db;
  readonly rootKey: RootKey;
  readonly clock: () => Date;
}): () => Promise<SigningKey> {
  let opened: Promise<SigningKey> | undefined;
  return () => {
    opened ??= open(deps).catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    return opened;
  };
}

async function open({ db, rootKey, clock }: Parameters<typeof createSigningKey>[0]): Promise<SigningKey> {
  const sealed = (await read(db)) ?? (await make({ db, rootKey, clock }));
  const key = PrivateKey.take(rootKey.open(sealed, FIELDS));
  if (!key) throw new IntegrityError('the signing key of verifications');
  const publicKey = key.publicKey().spki();
  return {
    id: Buffer.from(sha256(publicKey)).toString('hex'),
    publicKey,
    sign: (message) => sign(key, { kind: 'pure' }, message),
  };
}

async function read(db: Db): Promise<Uint8Array | undefined> {
  const tables = db.read<SigningKeyTables>();
  const row = await tables.selectFrom('verification_signing_key').select('sealed').executeTakeFirst();
  return row?.sealed;
}

async function make({ db, rootKey, clock }: Parameters<typeof createSigningKey>[0]): Promise<Uint8Array> {
  const pkcs8 = (await generateKeyPair('ed25519')).exposePkcs8();
  const sealed = rootKey.seal(pkcs8, FIELDS);
  pkcs8.fill(0);
  await db.write(async (tx) => {
    await tx
      .as<SigningKeyTables>()
      .insertInto('verification_signing_key')
      .values({ id: ONLY, sealed, created_at: clock().getTime() })
      .execute();
  });
  return sealed;
}
