/**
 * The encoded authorization failure message of EC2's denials, which sts:DecodeAuthorizationMessage opens again
 * (authorization-and-wire 8.6, 8.7): the decision as JSON, sealed, so that only those allowed to ask can read it.
 */
import type { Denied } from './authorizer.ts';

/** What seals and opens; the root key is one. `open` throws for bytes that are not its own. */
export interface Sealer {
  seal(plaintext: Uint8Array, fields: readonly (readonly [string, string])[]): Uint8Array;
  open(sealed: Uint8Array, fields: readonly (readonly [string, string])[]): Uint8Array;
}

export interface AuthorizationFailures {
  /** The token of a denial: base64url. */
  encode(denied: Denied): string;
  /** The JSON text of a token, or `undefined` where it is none of ours. */
  decode(token: string): string | undefined;
}

const FIELDS = [['purpose', 'authorization failure message']] as const;
/** Longest token looked at; ours are far shorter. */
const TOKEN_LENGTH_MAX = 10_240;

export function createAuthorizationFailures(sealer: Sealer): AuthorizationFailures {
  return {
    encode(denied) {
      const plaintext = new TextEncoder().encode(JSON.stringify(failureDocument(denied)));
      return Buffer.from(sealer.seal(plaintext, FIELDS)).toString('base64url');
    },
    decode(token) {
      if (token.length > TOKEN_LENGTH_MAX || !/^[\w-]+$/.test(token)) return undefined;
      try {
        return new TextDecoder().decode(sealer.open(Buffer.from(token, 'base64url'), FIELDS));
      } catch {
        // Not sealed by us: to the caller that is one answer, whatever is wrong with it.
        return undefined;
      }
    },
  };
}

/** The members AWS documents (8.7). */
export function failureDocument({ call, action, resource, decision }: Denied): object {
  const { caller } = call;
  return {
    allowed: false,
    explicitDeny: decision.explicit,
    matchedStatements: {
      items: decision.matched.map(({ layer, policy, sid, effect }) => ({
        statementId: sid ?? '',
        effect: effect.toUpperCase(),
        sourcePolicyId: policy,
        sourcePolicyType: layer,
      })),
    },
    failures: { items: [] },
    context: {
      principal: {
        id: caller.userId,
        ...(caller.userName ? { name: caller.userName } : {}),
        arn: caller.arn,
      },
      action,
      resource,
      conditions: {
        items: [
          { key: 'aws:Region', values: { items: [{ value: call.region }] } },
          { key: 'aws:PrincipalArn', values: { items: [{ value: caller.principalArn }] } },
        ],
      },
    },
  };
}
