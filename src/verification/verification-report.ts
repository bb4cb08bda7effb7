/** What a verification says, and the envelope it is signed in. docs/tools/verify.md is its specification. */

import type { SnapshotProof } from '../volumes/prove-snapshot.ts';
import type { MapFault, MarkerSearch } from '../volumes/storage.ts';
import type { SigningKey } from './signing-key.ts';

/**
 * Chi-square of 256 byte values has 255 degrees of freedom. The bounds are seven standard deviations away (after Wilson
 * and Hilferty): random bytes fall outside once in 4 × 10¹¹ blocks. Too even is as wrong as too uneven.
 */
export const CHI_SQUARE = { low: 126.9, high: 447, degreesOfFreedom: 255, deviations: 7 } as const;

export const PAYLOAD_TYPE = 'application/vnd.ingot.verification+json';

export interface VerificationReport {
  readonly kind: 'ingot-verification';
  readonly version: 1;
  readonly id: string;
  readonly snapshot: string;
  readonly account: string;
  readonly region: string;
  readonly requestedBy: string;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly verdict: 'intact' | 'damaged';
  readonly chain: {
    readonly dataKey: string;
    readonly wrappedBy: { readonly kmsKey: string } | { readonly rootKey: 'of the installation' };
    readonly encryptionContext: Readonly<Record<string, string>>;
    readonly examples: readonly { readonly block: number; readonly segment: string; readonly slot: number }[];
  };
  readonly blocks: SnapshotProof['blocks'];
  readonly segments: { readonly named: number; readonly orphaned: readonly string[] };
  readonly randomness: {
    readonly test: string;
    readonly low: number;
    readonly high: number;
    readonly blocks: number;
    readonly least: number;
    readonly greatest: number;
    readonly outside: readonly number[];
  };
  readonly marker?: { readonly sha256: string } & MarkerSearch;
  readonly faults: readonly MapFault[];
  readonly faultCount: number;
}

export interface Facts {
  readonly id: string;
  readonly snapshot: string;
  readonly account: string;
  readonly region: string;
  readonly requestedBy: string;
  readonly startedAt: Date;
  readonly endedAt: Date;
  readonly proof: SnapshotProof;
  readonly marker?: { readonly sha256: string } & MarkerSearch;
}

/** Orphaned segments wait for the collector and harm nobody; all else that is not as it should be is damage. */
export function reportOf({ proof, marker, startedAt, endedAt, ...about }: Facts): VerificationReport {
  const { chain, blocks, segments, orphanedSegments, chiSquare, outside, faults, faultCount, examples } = proof;
  const intact = faultCount === 0 && outside.length === 0 && (marker?.found.length ?? 0) === 0;
  return {
    kind: 'ingot-verification',
    version: 1,
    ...about,
    startedAt: startedAt.toISOString(),
    endedAt: endedAt.toISOString(),
    verdict: intact ? 'intact' : 'damaged',
    chain: {
      dataKey: chain.dataKeyId,
      wrappedBy: chain.kmsKeyArn ? { kmsKey: chain.kmsKeyArn } : { rootKey: 'of the installation' },
      encryptionContext: chain.encryptionContext,
      examples: examples.map(({ index, segment, slot }) => ({ block: index, segment, slot })),
    },
    blocks,
    segments: { named: segments, orphaned: orphanedSegments },
    randomness: {
      test: `chi-square of the byte values of each ciphertext, ${CHI_SQUARE.degreesOfFreedom} degrees of freedom, bounds at ${CHI_SQUARE.deviations} standard deviations`,
      low: CHI_SQUARE.low,
      high: CHI_SQUARE.high,
      ...chiSquare,
      outside,
    },
    ...(marker ? { marker } : {}),
    faults,
    faultCount,
  };
}

/** DSSE: what is signed is the type and the bytes of the payload, so that no reader has to write JSON the same way. */
export async function envelopeOf(report: VerificationReport, key: SigningKey): Promise<string> {
  const payload = Buffer.from(JSON.stringify(report));
  const signature = await key.sign(preAuthentication(payload));
  return JSON.stringify({
    payloadType: PAYLOAD_TYPE,
    payload: payload.toString('base64'),
    signatures: [{ keyid: key.id, sig: Buffer.from(signature).toString('base64') }],
  });
}

function preAuthentication(payload: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${PAYLOAD_TYPE.length} ${PAYLOAD_TYPE} ${payload.byteLength} `;
  return Buffer.concat([Buffer.from(head), payload]);
}
