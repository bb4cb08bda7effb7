/** Signed reports: DSSE envelopes, one a line. Checked with the public key alone. */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { CliError, MismatchError } from '../error.ts';

const PAYLOAD_TYPE = 'application/vnd.ingot.verification+json';

/** What this program shows of a report; docs/tools/verify.md has the whole. */
export interface VerificationReport {
  readonly kind: 'ingot-verification';
  readonly version: 1;
  readonly snapshot: string;
  readonly account: string;
  readonly region: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly verdict: 'intact' | 'damaged';
  readonly chain: {
    readonly dataKey: string;
    readonly wrappedBy: { readonly kmsKey?: string };
    readonly examples: readonly { readonly block: number; readonly segment: string; readonly slot: number }[];
  };
  readonly blocks: { readonly listed: number; readonly zero: number; readonly authenticated: number };
  readonly segments: { readonly named: number; readonly orphaned: readonly string[] };
  readonly randomness: {
    readonly low: number;
    readonly high: number;
    readonly blocks: number;
    readonly least: number;
    readonly greatest: number;
    readonly outside: readonly number[];
  };
  readonly marker?: {
    readonly sha256: string;
    readonly files: number;
    readonly bytes: number;
    readonly found: readonly { readonly path: string; readonly places: readonly number[] }[];
  };
  readonly faults: readonly {
    readonly problem: string;
    readonly index?: number;
    readonly segment?: string;
    readonly slot?: number;
    readonly foundInSlot?: number;
  }[];
  readonly faultCount: number;
}

interface Envelope {
  readonly payloadType?: unknown;
  readonly payload?: unknown;
  readonly signatures?: readonly { readonly keyid?: unknown; readonly sig?: unknown }[];
}

/** @throws {CliError} for a file that is no Ed25519 public key in PEM. */
export function readPublicKey(pem: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch (cause) {
    throw new CliError('The public key is not in PEM.', { cause });
  }
  if (key.asymmetricKeyType !== 'ed25519')
    throw new CliError(`The public key is ${key.asymmetricKeyType}, not Ed25519.`);
  return key;
}

export function keyIdOf(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/**
 * The report in an envelope that this key signed.
 *
 * @throws {MismatchError} where it did not, or the report was changed since.
 * @throws {CliError} where the text is no such envelope.
 */
export function openEnvelope(text: string, key: KeyObject): VerificationReport {
  let envelope: Envelope | null;
  try {
    envelope = JSON.parse(text) as Envelope;
  } catch (cause) {
    throw new CliError('This is no signed report: it is not JSON.', { cause });
  }
  const { payloadType, payload, signatures } = envelope ?? {};
  if (payloadType !== PAYLOAD_TYPE || typeof payload !== 'string' || !Array.isArray(signatures)) {
    throw new CliError('This is no signed report of ingot verify.');
  }
  const bytes = Buffer.from(payload, 'base64');
  const signed = Buffer.concat([
    Buffer.from(`DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${bytes.byteLength} `),
    bytes,
  ]);
  const id = keyIdOf(key);
  const holds = signatures.some(
    ({ sig }) => typeof sig === 'string' && verify(null, signed, key, Buffer.from(sig, 'base64')),
  );
  if (!holds) {
    const by = signatures.some(({ keyid }) => keyid === id)
      ? 'The report was changed since it was signed'
      : 'Another key signed it';
    throw new MismatchError(`The signature does not hold under the key ${id.slice(0, 16)}…: ${by}.`);
  }
  const report = JSON.parse(bytes.toString('utf8')) as VerificationReport;
  if (report.kind !== 'ingot-verification' || report.version !== 1) {
    throw new CliError('The report is of a version that this program does not know.');
  }
  return report;
}
