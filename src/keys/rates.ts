/**
 * How often an account may call KMS in a Region (kms §28): token buckets that hold one second of calls, counted against
 * the caller's account, also where EC2 and EBS call for it (28.5). Imposed only where the installation says so.
 */
import type { Call } from '../authz/caller.ts';
import type { KeyPairKind } from '../crypto/key-pairs.ts';
import type { Region } from '../ids.ts';
import { KMS_RATES } from '../limits.ts';
import { type KeySpec, SYMMETRIC_DEFAULT } from './key-specs.ts';
import { refuse } from './refusals.ts';

type Family = 'symmetric' | 'rsa' | 'ecc' | 'ml';

/** Keys that share one rate: HMAC keys count with symmetric ones (28.2). */
export function familyOf(spec: KeySpec): Family {
  if (spec.startsWith('RSA_')) return 'rsa';
  if (spec.startsWith('ECC_')) return 'ecc';
  return spec.startsWith('ML_') ? 'ml' : 'symmetric';
}

interface Bucket {
  tokens: number;
  /** Epoch ms of the last refill. */
  at: number;
}

export class Rates {
  readonly #clock: () => Date;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: () => Date) {
    this.#clock = clock;
  }

  /** Counts a call of an operation that has a rate of its own. @throws {Refusal} `throttled` */
  countCall(call: Call, operation: string): void {
    if (operation === 'GenerateRandom') this.countUse(call, SYMMETRIC_DEFAULT);
    const rates: Readonly<Record<string, number>> = KMS_RATES.operations;
    if (Object.hasOwn(rates, operation)) this.#take(call, operation, rates[operation]!);
  }

  /** Counts a cryptographic operation with a key of this spec. @throws {Refusal} `throttled` */
  countUse(call: Call, spec: KeySpec): void {
    const family = familyOf(spec);
    this.#take(call, family, family === 'symmetric' ? symmetricRate(call.region) : KMS_RATES.families[family]);
  }

  /** Counts the making of a data key pair. @throws {Refusal} `throttled` */
  countPair(call: Call, kind: KeyPairKind): void {
    const rates: { readonly [Kind in KeyPairKind]?: number } = KMS_RATES.pairs;
    const rate = rates[kind];
    // All pairs on curves share one rate, each size of RSA has its own (28.3).
    if (rate !== undefined) this.#take(call, kind.startsWith('rsa-') ? `pair ${kind}` : 'pair ecc', rate);
  }

  #take({ caller, region }: Call, quota: string, perSecond: number): void {
    const name = `${caller.accountId}/${region}/${quota}`;
    const now = this.#clock().getTime();
    let bucket = this.#buckets.get(name);
    if (!bucket) {
      bucket = { tokens: perSecond, at: now };
      this.#buckets.set(name, bucket);
    }
    // A clock that is set back fills nothing, and takes nothing away.
    const passedMs = Math.max(0, now - bucket.at);
    bucket.tokens = Math.min(perSecond, bucket.tokens + (passedMs / 1000) * perSecond);
    bucket.at = now;
    if (bucket.tokens < 1) throw refuse('throttled');
    bucket.tokens -= 1;
  }
}

function symmetricRate(region: Region): number {
  const rates: Readonly<Record<string, number>> = KMS_RATES.symmetric;
  return rates[region] ?? KMS_RATES.symmetricElsewhere;
}
