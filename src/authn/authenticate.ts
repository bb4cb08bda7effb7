/**
 * Signature Version 4 to Caller (authorization-and-wire 10).
 *
 * The signature is checked over the bytes as they came, before anything is decoded. What it proves is who signed and
 * for which region and service; what that caller may do is decided later. Promises: no secret and no expected
 * signature in any message; signatures and tokens compared in constant time; the answer for an unknown key is the
 * answer for an inactive one.
 */
import type { Caller } from '../authz/caller.ts';
import { equalInConstantTime, sha256Hex } from '../crypto/hash.ts';
import { deriveSigningKey, hmacSha256 } from '../crypto/hmac.ts';
import type { SecretKey } from '../crypto/secret-key.ts';
import type { ApiError } from '../errors.ts';
import type { Region } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { BrokenEncoding, canonicalRequest, headerValue, type SignedRequest, stringToSign } from './canonical.ts';
import { parseSignature, type SignatureClaim } from './claims.ts';
import type { Credential, CredentialStore } from './credentials.ts';
import { type AuthnFailure, type Dialect, refusal } from './refusals.ts';

export type { SignedRequest } from './canonical.ts';
export type { Dialect } from './refusals.ts';

/** What the request is for, as far as its signature matters. */
export interface SignaturePurpose {
  readonly dialect: Dialect;
  /** Signing name the scope must have. */
  readonly service: string;
  /** Signed for us-east-1, wherever it is called. */
  readonly global: boolean;
  /** UNSIGNED-PAYLOAD is accepted, and the operation compares the body with x-amz-checksum (10.4). */
  readonly rawBody: boolean;
}

export type Authentication =
  | { readonly ok: true; readonly caller: Caller; readonly region: Region }
  /** `caller` where the access key is known, though not that it was really used. */
  | { readonly ok: false; readonly error: ApiError; readonly caller?: Caller; readonly region?: Region };

export interface AuthenticatorDeps {
  readonly credentials: CredentialStore;
  readonly regions: readonly Region[];
  readonly clock: () => Date;
}

export interface Authenticator {
  /**
   * Why a request is refused whatever its body is: it has no signature that could be one, for another place or time, or
   * of an access key and session token that are none of ours. `undefined` proves nothing yet.
   */
  refuseByHead(head: SignedRequest, purpose: SignaturePurpose): Promise<ApiError | undefined>;
  authenticate(request: SignedRequest, purpose: SignaturePurpose): Promise<Authentication>;
}

interface Introduction {
  readonly claim: SignatureClaim;
  readonly region: Region;
  readonly credential: Credential;
}

const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
const GLOBAL_REGION = 'us-east-1' as Region;
const SIGNING_KEYS_MAX = 4096;
/** A token longer than this is none of ours; it is not worth comparing. */
const TOKEN_LENGTH_MAX = 16 * 1024;

export function createAuthenticator({ credentials, regions, clock }: AuthenticatorDeps): Authenticator {
  const knownRegions = new Set<string>(regions);
  const signingKeys = new SigningKeys();

  /** What the head alone says: who signed, where and when, or why that cannot be. */
  async function introduce(head: SignedRequest, purpose: SignaturePurpose): Promise<Introduction | AuthnFailure> {
    const parsed = parse(head);
    if ('failure' in parsed) return parsed.failure;
    const { claim } = parsed;

    const region = checkScope(claim, purpose, knownRegions);
    if (typeof region === 'object') return region;
    const late = checkClock(claim, purpose.dialect, clock());
    if (late) return late;

    const credential = await credentials.find(claim.accessKeyId);
    if (credential?.status !== 'active' || !tokenBelongs(credential, claim.sessionToken)) {
      return { kind: 'unknown-credential' };
    }
    return { claim, region, credential };
  }

  async function refuseByHead(head: SignedRequest, purpose: SignaturePurpose): Promise<ApiError | undefined> {
    const introduced = await introduce(head, purpose);
    return 'kind' in introduced ? refusal(purpose.dialect, introduced) : undefined;
  }

  async function authenticate(request: SignedRequest, purpose: SignaturePurpose): Promise<Authentication> {
    const fail = (failure: AuthnFailure, known?: { caller: Caller; region: Region }): Authentication => ({
      ok: false,
      error: refusal(purpose.dialect, failure),
      ...known,
    });
    const introduced = await introduce(request, purpose);
    if ('kind' in introduced) return fail(introduced);
    const { claim, region, credential } = introduced;
    const known = { caller: credential.caller, region };

    const payload = payloadHash(request, purpose);
    if (payload === undefined) return fail({ kind: 'wrong-signature' }, known);
    const key = signingKeys.get(claim, credential.secret);
    if (!signatureMatches(request, claim, key, payload)) return fail({ kind: 'wrong-signature' }, known);
    if (credential.session && credential.session.expiresAt.getTime() <= clock().getTime()) {
      return fail({ kind: 'session-expired' }, known);
    }
    return { ok: true, ...known };
  }
  return { refuseByHead, authenticate };
}

function parse(request: SignedRequest): ReturnType<typeof parseSignature> {
  try {
    return parseSignature(request);
  } catch (error) {
    if (!(error instanceof BrokenEncoding)) throw error;
    return { failure: { kind: 'malformed', message: error.message } };
  }
}

/** The region of the call, or what is wrong with the scope. */
function checkScope(
  { region, service }: SignatureClaim,
  purpose: SignaturePurpose,
  regions: ReadonlySet<string>,
): Region | AuthnFailure {
  if (service !== purpose.service) {
    const message = `Credential should be scoped to correct service: '${purpose.service}'.`;
    return { kind: 'wrong-scope', message };
  }
  if (purpose.global && region === GLOBAL_REGION) return GLOBAL_REGION;
  if (!regions.has(region)) {
    const message = `Credential should be scoped to a valid Region, not '${region.slice(0, 64)}'.`;
    return { kind: 'wrong-scope', message };
  }
  return region as Region;
}

/** JSON services have been seen with a window of 5 minutes, query services with 15 (10.8). */
function checkClock(claim: SignatureClaim, dialect: Dialect, now: Date): AuthnFailure | undefined {
  const windowMs = dialect === 'json' || dialect === 'rest' ? LIMITS.clockSkewMs : LIMITS.clockSkewQueryMs;
  const { signedAt, expiresSeconds } = claim;
  const ageMs = now.getTime() - signedAt.getTime();
  if (ageMs < -windowMs) return { kind: 'not-yet-current', signedAt, now, windowMs };
  if (expiresSeconds === undefined) {
    return ageMs > windowMs ? { kind: 'expired', signedAt, now, windowMs } : undefined;
  }
  if (expiresSeconds > LIMITS.presignedLifeSecondsMax) {
    const message = `X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than ${LIMITS.presignedLifeSecondsMax} seconds`;
    return { kind: 'malformed', message };
  }
  return ageMs > expiresSeconds * 1000
    ? { kind: 'expired', signedAt, now, windowMs: expiresSeconds * 1000 }
    : undefined;
}

/** Temporary credentials need their own token; long-term ones have none (10.7). */
function tokenBelongs(credential: Credential, token: string | undefined): boolean {
  if (!credential.session) return token === undefined;
  return token !== undefined && token.length <= TOKEN_LENGTH_MAX && credential.session.tokenMatches(token);
}

/**
 * The payload hash that the signature covers, or `undefined` where it is not the body's. A block is not hashed here: if
 * the declared hash is the declared checksum, the operation's own check of the checksum answers for both. If they
 * differ one of them is wrong, and only then is it worth hashing to say which.
 */
function payloadHash(request: SignedRequest, purpose: SignaturePurpose): string | undefined {
  const declared = headerValue(request, 'x-amz-content-sha256');
  if (declared === undefined) return sha256Hex(request.body);
  if (purpose.rawBody) {
    if (declared === UNSIGNED_PAYLOAD) return declared;
    const checksum = headerValue(request, 'x-amz-checksum');
    if (/^[0-9a-f]{64}$/.test(declared) && Buffer.from(declared, 'hex').toString('base64') === checksum) {
      return declared;
    }
  }
  return declared === sha256Hex(request.body) ? declared : undefined;
}

/** Headers that choose the operation must be signed: a signature for one operation is none for another. */
function coversOperation(request: SignedRequest, signedHeaders: readonly string[]): boolean {
  return signedHeaders.includes('x-amz-target') || headerValue(request, 'x-amz-target') === undefined;
}

function signatureMatches(request: SignedRequest, claim: SignatureClaim, key: SecretKey, payload: string): boolean {
  if (!coversOperation(request, claim.signedHeaders)) return false;
  const canonical = tryCanonicalRequest(request, claim.signedHeaders, payload);
  if (canonical === undefined) return false;
  const scope = `${claim.date}/${claim.region}/${claim.service}/aws4_request`;
  const expected = hmacSha256(key, stringToSign(claim.amzDate, scope, canonical));
  return equalInConstantTime(expected, Buffer.from(claim.signature, 'hex'));
}

function tryCanonicalRequest(
  request: SignedRequest,
  signedHeaders: readonly string[],
  payload: string,
): string | undefined {
  try {
    return canonicalRequest(request, signedHeaders, payload);
  } catch (error) {
    if (error instanceof BrokenEncoding) return undefined;
    throw error;
  }
}

/**
 * Derived signing keys of late, the oldest dropped first. INVARIANT: a secret never changes under its access key id,
 * and a key that is gone or inactive was refused before it is looked for here.
 */
class SigningKeys {
  readonly #keys = new Map<string, SecretKey>();

  get({ accessKeyId, date, region, service }: SignatureClaim, secret: SecretKey): SecretKey {
    const name = `${accessKeyId}/${date}/${region}/${service}`;
    const known = this.#keys.get(name);
    if (known) return known;
    const key = deriveSigningKey(secret, date, region, service);
    if (this.#keys.size >= SIGNING_KEYS_MAX) {
      for (const oldest of this.#keys.keys()) {
        this.#keys.delete(oldest);
        break;
      }
    }
    this.#keys.set(name, key);
    return key;
  }
}
