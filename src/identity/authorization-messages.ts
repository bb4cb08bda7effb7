/**
 * Encoded authorization messages (authorization-and-wire 8.7): what a denial says only to those who may ask, by sts
 * DecodeAuthorizationMessage. The token carries the decision and its reasons, sealed under a token key for the account of
 * the caller who was denied; it stands in EC2's error texts and in the audit record of every denial.
 */
import type { Denied } from '../authz/authorizer.ts';
import type { Fields } from '../crypto/fields.ts';
import type { RootKey } from '../crypto/root-key.ts';
import type { AccountId } from '../ids.ts';

/** A message that is longer leaves out, one after the other, what the rest can do without. */
const MESSAGE_BYTES_MAX = 16 * 1024;

export interface AuthorizationMessages {
  encode(denied: Denied): string;
  /**
   * The message as JSON. Throws IntegrityError for a text that {@link encode} did not make, or made for a caller of
   * another account.
   */
  decode(text: string, account: AccountId): string;
}

export function createAuthorizationMessages(tokenKeys: RootKey): AuthorizationMessages {
  return {
    encode: (denied) => {
      const sealed = tokenKeys.seal(messageOf(denied), fieldsFor(denied.call.caller.accountId));
      return Buffer.from(sealed).toString('base64url');
    },
    decode: (text, account) =>
      Buffer.from(tokenKeys.open(Buffer.from(text, 'base64url'), fieldsFor(account))).toString(),
  };
}

function fieldsFor(account: AccountId): Fields {
  return [
    ['purpose', 'authorization-message'],
    ['account', account],
  ];
}

function messageOf(denied: Denied): Buffer {
  const whole = describe(denied);
  const lessNear = { ...whole, nearMisses: [] };
  const lessConditions = { ...lessNear, context: { ...whole.context, conditions: { items: [] } } };
  const least = { ...lessConditions, matchedStatements: { items: [] }, remedies: whole.remedies.slice(0, 1) };
  for (const message of [whole, lessNear, lessConditions]) {
    const bytes = Buffer.from(JSON.stringify(message));
    if (bytes.byteLength <= MESSAGE_BYTES_MAX) return bytes;
  }
  return Buffer.from(JSON.stringify(least));
}

function describe({ call, action, resource, decision }: Denied) {
  const { caller } = call;
  const { explanation } = decision;
  const matched = explanation?.matched ?? [];
  return {
    allowed: false,
    explicitDeny: decision.explicit,
    matchedStatements: {
      items: matched.map(({ sid, effect, policy, layer, index }) => ({
        statementId: sid ?? '',
        effect: effect.toUpperCase(),
        sourcePolicyId: policy,
        sourcePolicyType: layer,
        statementIndex: index,
      })),
    },
    failures: { items: [] },
    context: {
      principal: {
        id: caller.userId,
        name: caller.userName ?? caller.session?.name ?? caller.accountId,
        arn: caller.arn,
      },
      action,
      resource,
      conditions: {
        items: (explanation?.conditions ?? []).map(({ key, values }) => ({
          key,
          values: { items: values.map((value) => ({ value })) },
        })),
      },
    },
    layer: decision.layer,
    reason: decision.because,
    nearMisses: explanation?.near ?? [],
    remedies: explanation?.remedies ?? [],
    remediesSuffice: explanation?.sufficient ?? false,
  };
}
