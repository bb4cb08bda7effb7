/** IAM's errors (authorization-and-wire 15.6, 8.10) and how refusals of identity are said in its words. */

import { PolicyMalformed } from '../../../policy/document.ts';
import { Denied } from '../../authz/authorizer.ts';
import { ApiError, Refusal } from '../../errors.ts';
import type { IdentityRefusalReason } from '../../identity/refusals.ts';

type Facts = Refusal['facts'];
type Say = (facts: Facts) => ApiError;

const say =
  (code: string, status: number, message: (facts: Facts) => string): Say =>
  (facts) =>
    new ApiError(code, message(facts), { status });

/** Organizations says these; IAM never meets them. */
const foreign: Say = () => new ApiError('ServiceFailure', 'The request processing has failed.', { status: 500 });

const WORDS: Readonly<Record<IdentityRefusalReason, Say>> = {
  'no-such-entity': say('NoSuchEntity', 404, notFound),
  'entity-exists': say('EntityAlreadyExists', 409, alreadyExists),
  'delete-conflict': say('DeleteConflict', 409, (facts) =>
    facts.whole ? String(facts.detail) : `Cannot delete entity, ${facts.detail}`,
  ),
  'limit-exceeded': say('LimitExceeded', 409, (facts) => `Cannot exceed quota for ${facts.what}: ${facts.limit}`),
  'policy-not-attachable': say(
    'NoSuchEntity',
    404,
    (facts) => `Policy ${facts.policy} does not exist or is not attachable.`,
  ),
  'service-role-policy': say(
    'PolicyNotAttachable',
    400,
    () => 'Cannot attach a Service Role Policy to a Customer Role.',
  ),
  'unmodifiable-entity': say(
    'UnmodifiableEntity',
    400,
    (facts) =>
      `Cannot perform the operation on the protected role '${facts.name}' - this role is only modifiable by AWS`,
  ),
  'account-not-found': foreign,
  'account-closed': foreign,
  'management-account': foreign,
  'parent-not-found': foreign,
  'unit-not-found': foreign,
  'unit-not-empty': foreign,
  'unit-name-taken': foreign,
  'source-parent-wrong': foreign,
  'control-policy-not-found': foreign,
  'control-policy-name-taken': foreign,
  'control-policy-in-use': foreign,
  'control-policy-attached': foreign,
  'control-policy-not-attached': foreign,
  'control-policy-managed': foreign,
  'control-policy-last': foreign,
  'target-not-found': foreign,
};

function notFound({ type, name, policy }: Facts): string {
  switch (type) {
    case 'policy':
      return `Policy ${name} was not found.`;
    case 'policy version':
      return `Policy ${policy} version ${name} does not exist or is not attachable.`;
    case 'instance profile':
      return `Instance Profile ${name} cannot be found.`;
    case 'Access Key':
      return `The Access Key with id ${name} cannot be found.`;
    case 'account alias':
      return `The account alias ${name} cannot be found.`;
    default:
      return `The ${type} with name ${name} cannot be found.`;
  }
}

function alreadyExists({ type, name }: Facts): string {
  switch (type) {
    case 'policy':
      return `A policy called ${name} already exists. Duplicate names are not allowed.`;
    case 'Instance Profile':
      return `Instance Profile ${name} already exists.`;
    case 'account alias':
      return `The account alias ${name} already exists.`;
    default:
      return `${type} with name ${name} already exists.`;
  }
}

export function translate(error: unknown): Error | undefined {
  if (error instanceof Denied) return new ApiError('AccessDenied', error.text, { status: 403, cause: error });
  if (error instanceof PolicyMalformed) return new ApiError('MalformedPolicyDocument', error.detail, { cause: error });
  if (error instanceof Refusal && Object.hasOwn(WORDS, error.reason)) {
    const said = WORDS[error.reason as IdentityRefusalReason](error.facts);
    return new ApiError(said.code, said.message, { status: said.status, cause: error });
  }
  return undefined;
}
