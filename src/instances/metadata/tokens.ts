/** Tokens of IMDSv2: an expiry, authenticated for one instance by a key that lives as long as the process. */
import { equalInConstantTime } from '../../crypto/hash.ts';
import { hmacSha256 } from '../../crypto/hmac.ts';
import { randomBytes } from '../../crypto/random.ts';
import { SecretKey } from '../../crypto/secret-key.ts';
import type { InstanceId } from '../../ids.ts';

export const TOKEN_SECONDS_MAX = 21_600;
const TOKEN = /^[A-Za-z0-9_-]{54}==$/;

export interface Tokens {
  issue(id: InstanceId, seconds: number): string;
  /** Whether this is a token of the instance that has not expired. */
  holds(id: InstanceId, token: string): boolean;
}

export function createTokens(clock: () => Date): Tokens {
  const key = SecretKey.take(randomBytes(32));
  const sign = (id: InstanceId, expiry: Buffer) => hmacSha256(key, Buffer.concat([expiry, Buffer.from(id)]));
  return {
    issue(id, seconds) {
      const expiry = Buffer.alloc(8);
      expiry.writeDoubleBE(clock().getTime() + seconds * 1000);
      // The length and the alphabet that AWS's tokens have.
      return `${Buffer.concat([expiry, sign(id, expiry)]).toString('base64url')}==`;
    },
    holds(id, token) {
      if (!TOKEN.test(token)) return false;
      const bytes = Buffer.from(token, 'base64url');
      const expiry = bytes.subarray(0, 8);
      return equalInConstantTime(bytes.subarray(8), sign(id, expiry)) && expiry.readDoubleBE() > clock().getTime();
    },
  };
}
