/** Why identity said no; services/iam, sts and organizations put it into AWS's words. */
import { Refusal } from '../errors.ts';

export type IdentityRefusalReason =
  /** `type`, `name` */
  | 'no-such-entity'
  | 'entity-exists'
  /** Something still refers to it; `detail`. */
  | 'delete-conflict'
  | 'limit-exceeded'
  | 'policy-not-attachable'
  | 'service-role-policy'
  | 'unmodifiable-entity'
  /** Organizations. */
  | 'account-not-found'
  | 'account-closed'
  | 'management-account'
  | 'parent-not-found'
  | 'unit-not-found'
  | 'unit-not-empty'
  | 'unit-name-taken'
  | 'source-parent-wrong'
  | 'control-policy-not-found'
  | 'control-policy-name-taken'
  | 'control-policy-in-use'
  | 'control-policy-attached'
  | 'control-policy-not-attached'
  | 'control-policy-managed'
  | 'control-policy-last'
  | 'target-not-found';

export type IdentityRefusal = Refusal<IdentityRefusalReason>;

export function refuse(reason: IdentityRefusalReason, facts: Refusal['facts'] = {}): IdentityRefusal {
  return new Refusal(reason, facts);
}
