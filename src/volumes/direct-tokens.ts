/**
 * Block tokens and page tokens of the EBS direct APIs: what they say, and an HMAC-SHA256 over it, in base64url.
 *
 *     01 | kind (1) | expiry, seconds (5) | body | first 16 bytes of the HMAC
 *
 * They hold nothing secret and give no right: every use is authorized again. The key is random, sealed by the root key
 * in the database, so that tokens outlive a restart (E-5).
 */

import { equalInConstantTime } from '../crypto/hash.ts';
import { hmacSha256 } from '../crypto/hmac.ts';
import { randomBytes } from '../crypto/random.ts';
import type { RootKey } from '../crypto/root-key.ts';
import { SecretKey } from '../crypto/secret-key.ts';
import type { Db } from '../db/db.ts';
import { reading, writing } from './tables.ts';

const VERSION = 1;
const MAC_BYTES = 16;
const HEAD_BYTES = 7;
const IDENTITY_BYTES_MAX = 32;
const KEY_BYTES = 32;
export const TOKEN_KEY_FIELDS = [['purpose', 'ebs-direct-token-key']] as const;
const BLOCK = 1;
const PAGE = 2;

export interface BlockTokenContent {
  readonly snapshotId: string;
  readonly index: number;
  /** As storage names the block; its first 32 bytes are compared. */
  readonly identity: Uint8Array;
}

export interface PageTokenContent {
  /** Operation and snapshots, so that a token of another listing is refused. */
  readonly listing: string;
  readonly next: number;
}

export class DirectTokens {
  readonly #key: SecretKey;
  constructor(key: SecretKey) {
    this.#key = key;
  }

  block(content: BlockTokenContent, expiresAt: Date): string {
    const id = Buffer.from(content.snapshotId, 'latin1');
    const identity = content.identity.subarray(0, IDENTITY_BYTES_MAX);
    const index = Buffer.alloc(4);
    index.writeUInt32BE(content.index);
    return this.#make(BLOCK, expiresAt, Buffer.concat([index, Buffer.from([id.byteLength]), id, identity]));
  }

  /** Whether `token` is a valid one for exactly this block. */
  isForBlock(token: string, content: BlockTokenContent, now: Date): boolean {
    const body = this.#open(BLOCK, token, now);
    if (!body || body.byteLength < 5) return false;
    const idBytes = body[4]!;
    const id = body.subarray(5, 5 + idBytes).toString('latin1');
    const identity = body.subarray(5 + idBytes);
    return (
      body.readUInt32BE(0) === content.index &&
      id === content.snapshotId &&
      equalInConstantTime(identity, content.identity.subarray(0, IDENTITY_BYTES_MAX))
    );
  }

  page(content: PageTokenContent, expiresAt: Date): string {
    const next = Buffer.alloc(4);
    next.writeUInt32BE(content.next);
    return this.#make(PAGE, expiresAt, Buffer.concat([next, Buffer.from(content.listing, 'latin1')]));
  }

  /** Where the listing goes on; `undefined` for a token that is forged, expired or of another listing. */
  nextOf(token: string, listing: string, now: Date): number | undefined {
    const body = this.#open(PAGE, token, now);
    if (!body || body.byteLength < 4 || body.subarray(4).toString('latin1') !== listing) return undefined;
    return body.readUInt32BE(0);
  }

  #make(kind: number, expiresAt: Date, body: Uint8Array): string {
    const head = Buffer.alloc(HEAD_BYTES);
    head[0] = VERSION;
    head[1] = kind;
    head.writeUIntBE(Math.floor(expiresAt.getTime() / 1000), 2, 5);
    const said = Buffer.concat([head, body]);
    return Buffer.concat([said, hmacSha256(this.#key, said).subarray(0, MAC_BYTES)]).toString('base64url');
  }

  #open(kind: number, token: string, now: Date): Buffer | undefined {
    const bytes = Buffer.from(token, 'base64url');
    if (bytes.byteLength < HEAD_BYTES + MAC_BYTES || bytes.toString('base64url') !== token) return undefined;
    const said = bytes.subarray(0, -MAC_BYTES);
    const mac = hmacSha256(this.#key, said).subarray(0, MAC_BYTES);
    if (!equalInConstantTime(mac, bytes.subarray(-MAC_BYTES))) return undefined;
    if (said[0] !== VERSION || said[1] !== kind || said.readUIntBE(2, 5) * 1000 <= now.getTime()) return undefined;
    return said.subarray(HEAD_BYTES);
  }
}

/** The tokens of this installation; makes their key on first use. */
export async function openDirectTokens(db: Db, rootKey: RootKey): Promise<DirectTokens> {
  const stored = () => reading(db).selectFrom('direct_token_key').select('sealed').executeTakeFirst();
  if (!(await stored())) {
    const bytes = randomBytes(KEY_BYTES);
    const sealed = rootKey.seal(bytes, TOKEN_KEY_FIELDS);
    bytes.fill(0);
    await db.write((tx) =>
      writing(tx)
        .insertInto('direct_token_key')
        .values({ id: 1, sealed })
        .onConflict((conflict) => conflict.doNothing())
        .execute(),
    );
  }
  const { sealed } = (await stored())!;
  return new DirectTokens(SecretKey.take(rootKey.open(sealed, TOKEN_KEY_FIELDS)));
}
