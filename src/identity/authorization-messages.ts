/**
 * Encoded authorization messages (authorization-and-wire 8.7): what a denial of EC2 says only to those who may ask,
 * by sts DecodeAuthorizationMessage. The token carries the decision itself, sealed under the root key.
 */
import type { Denied } from '../authz/authorizer.ts';
import type { Fields } from '../crypto/fields.ts';
import type { RootKey } from '../crypto/root-key.ts';

const FIELDS: Fields = [['purpose', 'authorization-message']];

export interface AuthorizationMessages {
  encode(denied: Denied): string;
  /** The message as JSON. Throws IntegrityError for a text that {@link encode} did not make. */
  decode(text: string): string;
}

export function createAuthorizationMessages(rootKey: RootKey): AuthorizationMessages {
  return {
    encode: (denied) => {
      const message = Buffer.from(JSON.stringify(describe(denied)));
      return Buffer.from(rootKey.seal(message, FIELDS)).toString('base64url');
    },
    decode: (text) => Buffer.from(rootKey.open(Buffer.from(text, 'base64url'), FIELDS)).toString(),
  };
}

function describe({ call, action, resource, decision }: Denied): object {
  const matched = decision.matched.map((statement) => ({
    statementId: statement.sid ?? '',
    effect: statement.effect.toUpperCase(),
    sourcePolicyId: statement.policy,
    sourcePolicyType: statement.layer,
  }));
  return {
    allowed: false,
    explicitDeny: decision.explicit,
    matchedStatements: { items: matched },
    failures: { items: [] },
    context: {
      principal: { id: call.caller.userId, arn: call.caller.arn },
      action,
      resource,
      conditions: { items: [] },
    },
  };
}
