/**
 * Key material that its owner brings (kms §17). The wrapping key pair of an import travels in the import token, sealed
 * under the root key: nothing is kept for imports that are never made.
 *
 *     GetParametersForImport ──▶ token + public key ──▶ owner wraps ──▶ ImportKeyMaterial
 */
import type { Kysely } from 'kysely';
import type { Permit } from '../authz/permit.ts';
import type { Fields } from '../crypto/fields.ts';
import { equalInConstantTime, sha256 } from '../crypto/hash.ts';
import { generateKeyPair, PrivateKey } from '../crypto/key-pairs.ts';
import { decryptOaep, unwrapByAesKeyWrap } from '../crypto/public-key-encryption.ts';
import type { Tx } from '../db/db.ts';
import { IntegrityError } from '../errors.ts';
import type { Arn } from '../ids.ts';
import type { Program } from '../jobs/jobs.ts';
import { changeKey, updateKey } from './change.ts';
import { isSymmetric, type KeySpec, materialKind } from './key-specs.ts';
import { materialDigestFields, newMaterialId, sealMaterial } from './material.ts';
import { DAY_MS, type KeyParts, permittedKey } from './parts.ts';
import type { Expiration, KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import { readKeyArn, serviceEvent } from './service-events.ts';
import { requireState } from './states.ts';
import { isReplica, readKey, relatedArns } from './store.ts';
import type { KeysTables } from './tables.ts';

const TOKEN_FIELDS: Fields = [['purpose', 'kms-import-token']];
const TOKEN_MS = DAY_MS;
const NAP_MS_MAX = DAY_MS;
const PROGRAM = 'keys-expire-material';

/** How imported material is wrapped (17.2). */
export const WRAPPING_ALGORITHMS = {
  RSAES_OAEP_SHA_1: { hash: 'sha1', keyWrap: false },
  RSAES_OAEP_SHA_256: { hash: 'sha256', keyWrap: false },
  RSA_AES_KEY_WRAP_SHA_1: { hash: 'sha1', keyWrap: true },
  RSA_AES_KEY_WRAP_SHA_256: { hash: 'sha256', keyWrap: true },
} as const;
export type WrappingAlgorithm = keyof typeof WRAPPING_ALGORITHMS;

export const WRAPPING_KEYS = { RSA_2048: 'rsa-2048', RSA_3072: 'rsa-3072', RSA_4096: 'rsa-4096' } as const;
export type WrappingKeySpec = keyof typeof WRAPPING_KEYS;

/** What a token says; the wrapping key's PKCS#8 follows it. See docs/formats/key-material.md. */
interface Token {
  readonly keyArn: Arn;
  readonly algorithm: WrappingAlgorithm;
  readonly validTo: number;
}
const TOKEN_LENGTH_BYTES = 4;

export interface ImportParameters {
  readonly token: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly validTo: Date;
}

export interface MaterialImport {
  readonly token: Uint8Array;
  readonly wrapped: Uint8Array;
  readonly expiration: Expiration;
  /** What the caller says it imports; by what the key has already where absent (17.5). */
  readonly type?: 'NEW_KEY_MATERIAL' | 'EXISTING_KEY_MATERIAL';
  readonly materialId?: string;
  readonly description?: string;
}

interface ExpiryPayload {
  readonly keyArn: Arn;
  readonly materialId: string;
  /** Epoch ms; a later import of the same material may have moved it. */
  readonly validTo: number;
}

type Tables = Kysely<KeysTables>;
type MaterialRow = Awaited<ReturnType<typeof materialRows>>[number];

/** @throws {Refusal} `key-pending-import` where material of the key is not there. */
export async function requireMaterial(tables: Tables, key: KeyRecord): Promise<void> {
  if (await lacksMaterial(tables, key)) throw refuse('key-pending-import', { arn: key.arn });
}

/** Whether the key has no material yet, or some that it once used is gone. What waits for rotation does not count. */
async function lacksMaterial(tables: Tables, key: Pick<KeyRecord, 'arn' | 'origin'>): Promise<boolean> {
  if (key.origin !== 'EXTERNAL') return false;
  const used = (await materialRows(tables, key.arn)).filter((row) => row.pending === 0);
  return used.length === 0 || used.some((row) => row.import_state !== 'IMPORTED');
}

function materialRows(tables: Tables, arn: string) {
  return tables.selectFrom('keys_material').selectAll().where('key_arn', '=', arn).orderBy('version').execute();
}

export function importMethods(parts: KeyParts) {
  const { store, rootKey, tokenKeys, jobs, audit, clock } = parts;

  const expiry: Program<ExpiryPayload> = {
    kind: PROGRAM,
    start: 'wait',
    attemptsMax: 1_000_000,
    steps: {
      async wait({ payload }) {
        const ms = payload.validTo - clock().getTime();
        if (ms > 0) return { kind: 'nap', ms: Math.min(ms, NAP_MS_MAX) };
        const expired = await store.write(async (tables, tx) => {
          const key = await readKey(tables, payload.keyArn);
          const row = (await materialRows(tables, payload.keyArn)).find(
            (one) => one.material_id === payload.materialId,
          );
          if (!key || row?.valid_to !== payload.validTo || row.import_state !== 'IMPORTED') return false;
          await removeMaterial(tx, key, row);
          return true;
        });
        return expired ? { kind: 'hop', to: 'record' } : { kind: 'done' };
      },
      async record({ payload: { keyArn: arn, materialId } }) {
        const name = readKeyArn(arn);
        const facts = { keyId: name.keyId, keyMaterialId: materialId };
        await audit.record(serviceEvent('DeleteExpiredKeyMaterial', { arn, ...name }, clock(), facts));
        return { kind: 'done' };
      },
    },
  };
  jobs.register(expiry);

  /** The bytes go, overwritten first; the digest stays, so that the same material can come back (17.7). */
  async function removeMaterial(tx: Tx, key: KeyRecord, row: MaterialRow): Promise<void> {
    const tables = tx.as<KeysTables>();
    for (const sealed of [new Uint8Array(row.sealed.byteLength), new Uint8Array(0)]) {
      await tables
        .updateTable('keys_material')
        .set({ sealed, import_state: 'PENDING_IMPORT', expiration_model: null, valid_to: null })
        .where('key_arn', '=', key.arn)
        .where('material_id', '=', row.material_id)
        .execute();
    }
    if ((key.state === 'Enabled' || key.state === 'Disabled') && (await lacksMaterial(tables, key))) {
      await updateKey(tables, key.arn, { state: 'PendingImport' });
    }
    store.changedRelated(tx, key);
  }

  /** @throws {Refusal} `import-token-invalid` or `import-token-expired` (17.4). */
  function readToken(key: KeyRecord, token: Uint8Array): { algorithm: WrappingAlgorithm; pair: PrivateKey } {
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = tokenKeys.open(token, TOKEN_FIELDS);
    } catch (cause) {
      if (cause instanceof IntegrityError) throw refuse('import-token-invalid', {}, { cause });
      throw cause;
    }
    const split = TOKEN_LENGTH_BYTES + new DataView(bytes.buffer).getUint32(0);
    const pair = PrivateKey.take(bytes.subarray(split));
    const told = JSON.parse(Buffer.from(bytes.subarray(TOKEN_LENGTH_BYTES, split)).toString()) as Token;
    if (!pair) throw new IntegrityError('the wrapping key in an import token');
    if (told.keyArn !== key.arn) throw refuse('import-token-invalid');
    if (told.validTo <= clock().getTime()) throw refuse('import-token-expired');
    return { algorithm: told.algorithm, pair };
  }

  /** @throws {Refusal} `material-undecipherable` or `material-incorrect` (17.4). */
  async function unwrap(key: KeyRecord, { token, wrapped }: MaterialImport): Promise<Uint8Array<ArrayBuffer>> {
    const { algorithm, pair } = readToken(key, token);
    const { hash, keyWrap } = WRAPPING_ALGORITHMS[algorithm];
    const bytes = await (keyWrap ? unwrapByAesKeyWrap(pair, hash, wrapped) : decryptOaep(pair, hash, wrapped));
    if (!bytes) throw refuse('material-undecipherable');
    const problem = problemOf(key.spec, bytes);
    if (problem === undefined) return bytes;
    bytes.fill(0);
    throw refuse('material-incorrect', { detail: problem });
  }

  function isSame(row: MaterialRow, digest: Uint8Array): boolean {
    if (!row.digest) return false;
    const place = { keyArn: row.key_arn as Arn, materialId: row.material_id };
    return equalInConstantTime(rootKey.open(row.digest, materialDigestFields(place)), digest);
  }

  /** Rows of material that is new to the key: on the key itself, and waiting on its replicas (18.2). */
  async function addMaterial(tx: Tx, key: KeyRecord, digest: Uint8Array, rows: readonly MaterialRow[]) {
    const materialId = newMaterialId();
    const first = rows.length === 0;
    for (const arn of relatedArns(key)) {
      await tx
        .as<KeysTables>()
        .insertInto('keys_material')
        .values({
          key_arn: arn,
          material_id: materialId,
          version: (rows.at(-1)?.version ?? -1) + 1,
          rotation: null,
          created_at: clock().getTime(),
          sealed: new Uint8Array(0),
          pending: first ? 0 : 1,
          import_state: 'PENDING_IMPORT',
          digest: rootKey.seal(digest, materialDigestFields({ keyArn: arn, materialId })),
        })
        .execute();
      if (first) await updateKey(tx.as<KeysTables>(), arn, { current_material_id: materialId });
    }
    return materialId;
  }

  /** Which material of the key the bytes are, making a place for them where they are new. */
  async function placeOf(tx: Tx, key: KeyRecord, digest: Uint8Array, wanted: MaterialImport): Promise<string> {
    const rows = await materialRows(tx.as<KeysTables>(), key.arn);
    const known = rows.find((row) => isSame(row, digest));
    const type = wanted.type ?? (rows.length === 0 ? 'NEW_KEY_MATERIAL' : 'EXISTING_KEY_MATERIAL');
    if (type === 'EXISTING_KEY_MATERIAL') {
      if (!known) throw refuse('material-incorrect', { detail: 'This is not the key material that the key had.' });
      if (wanted.materialId !== undefined && wanted.materialId !== known.material_id) {
        throw refuse('material-incorrect', { detail: 'The key material is not the one of this KeyMaterialId.' });
      }
      return known.material_id;
    }
    if (known) throw refuse('material-incorrect', { detail: 'The key has this key material already.' });
    if (isReplica(key)) throw refuse('key-is-replica', { arn: key.arn });
    if (rows.length > 0 && !isSymmetric(key)) {
      throw refuse('material-incorrect', { detail: 'Only symmetric encryption keys can have several key materials.' });
    }
    const pending = rows.find((row) => row.pending === 1);
    if (pending) {
      throw refuse('material-pending', {
        keyId: key.keyId,
        materialId: newMaterialId(),
        pendingId: pending.material_id,
      });
    }
    return addMaterial(tx, key, digest, rows);
  }

  return {
    /** A wrapping key pair for one import, good for a day. The pair is made off the event loop. */
    async parametersForImport(
      permit: Permit<'kms:GetParametersForImport'>,
      algorithm: WrappingAlgorithm,
      spec: WrappingKeySpec,
    ): Promise<ImportParameters> {
      const key = await permittedKey(store, permit);
      requireExternal(key);
      requireState(key, 'GetParametersForImport');
      const pair = await generateKeyPair(WRAPPING_KEYS[spec]);
      const pkcs8 = pair.exposePkcs8();
      const validTo = new Date(clock().getTime() + TOKEN_MS);
      const told: Token = { keyArn: key.arn, algorithm, validTo: validTo.getTime() };
      const header = Buffer.from(JSON.stringify(told));
      const bytes = new Uint8Array(TOKEN_LENGTH_BYTES + header.byteLength + pkcs8.byteLength);
      new DataView(bytes.buffer).setUint32(0, header.byteLength);
      bytes.set(header, TOKEN_LENGTH_BYTES);
      bytes.set(pkcs8, TOKEN_LENGTH_BYTES + header.byteLength);
      pkcs8.fill(0);
      const sealed = tokenKeys.seal(bytes, TOKEN_FIELDS);
      bytes.fill(0);
      return { token: sealed, publicKey: pair.publicKey().spki(), validTo };
    },

    /** Answers the id of the material; the key is Enabled when nothing is missing any more. */
    async importMaterial(permit: Permit<'kms:ImportKeyMaterial'>, wanted: MaterialImport): Promise<string> {
      const seen = await permittedKey(store, permit);
      requireExternal(seen);
      requireState(seen, 'ImportKeyMaterial');
      const bytes = await unwrap(seen, wanted);
      const digest = sha256(bytes);
      const { validTo } = wanted.expiration;
      try {
        return await changeKey(parts, permit, 'ImportKeyMaterial', async (key, tables, tx) => {
          const materialId = await placeOf(tx, key, digest, wanted);
          await tables
            .updateTable('keys_material')
            .set({
              sealed: sealMaterial(rootKey, { keyArn: key.arn, materialId, spec: key.spec }, bytes.slice()),
              import_state: 'IMPORTED',
              expiration_model: validTo ? 'KEY_MATERIAL_EXPIRES' : 'KEY_MATERIAL_DOES_NOT_EXPIRE',
              valid_to: validTo?.getTime() ?? null,
              ...(wanted.description === undefined ? {} : { description: wanted.description }),
            })
            .where('key_arn', '=', key.arn)
            .where('material_id', '=', materialId)
            .execute();
          if (validTo) {
            const payload = { keyArn: key.arn, materialId, validTo: validTo.getTime() };
            await jobs.enqueue<ExpiryPayload>(tx, PROGRAM, payload);
          }
          if (key.state === 'PendingImport' && !(await lacksMaterial(tables, key))) {
            await updateKey(tables, key.arn, { state: 'Enabled' });
          }
          store.changedRelated(tx, key);
          return materialId;
        });
      } finally {
        bytes.fill(0);
      }
    },

    /** Without effect where there is no material (§5). Answers the material's id. */
    async deleteImportedMaterial(
      permit: Permit<'kms:DeleteImportedKeyMaterial'>,
      materialId?: string,
    ): Promise<string | undefined> {
      const seen = await permittedKey(store, permit);
      requireExternal(seen);
      return changeKey(parts, permit, 'DeleteImportedKeyMaterial', async (key, tables, tx) => {
        const wanted = materialId ?? key.currentMaterialId;
        const row = (await materialRows(tables, key.arn)).find((one) => one.material_id === wanted);
        if (!row) {
          if (materialId !== undefined) throw refuse('material-not-found', { arn: key.arn, materialId });
          return undefined;
        }
        if (row.import_state === 'IMPORTED') await removeMaterial(tx, key, row);
        if (row.pending === 1 && !isReplica(key)) {
          // Material that was never used is no part of the key: it is forgotten.
          await tables
            .deleteFrom('keys_material')
            .where('key_arn', 'in', relatedArns(key))
            .where('material_id', '=', row.material_id)
            .execute();
        }
        return row.material_id;
      });
    },
  };
}

function requireExternal(key: KeyRecord): void {
  if (key.origin !== 'EXTERNAL') throw refuse('key-origin-aws-kms', { arn: key.arn });
}

/** Longest imported HMAC keys; the shortest are as long as those that Ingot makes. */
const MAC_BYTES_MAX: { readonly [Spec in KeySpec]?: number } = {
  HMAC_224: 64,
  HMAC_256: 64,
  HMAC_384: 128,
  HMAC_512: 128,
};

/** What is wrong with material for a key of this spec (17.4). */
function problemOf(spec: KeySpec, bytes: Uint8Array): string | undefined {
  const kind = materialKind(spec);
  if (kind.kind === 'secret') {
    const fits = bytes.byteLength >= kind.byteCount && bytes.byteLength <= (MAC_BYTES_MAX[spec] ?? kind.byteCount);
    return fits ? undefined : `Key material of a ${spec} key cannot have ${bytes.byteLength} bytes.`;
  }
  const pair = PrivateKey.take(bytes.slice());
  return pair?.kind === kind.pair ? undefined : `The key material is no PKCS#8 private key of a ${spec} key.`;
}
