/**
 * What services and the domain see of authorization: they ask {@link Authorizer.authorize} and get a {@link Permit},
 * or a {@link Denied} is thrown. Policies are gathered by `identity/`, judged by the pure evaluator of `policy/`.
 */

import type { ConditionValues, Decision, GrantView, ProposedGrant } from '../../policy/decision.ts';
import { Refusal } from '../errors.ts';
import type { AccountId, Arn } from '../ids.ts';
import type { Call } from './caller.ts';
import type { Permit } from './permit.ts';

export type { ConditionValue, ConditionValues, Decision, GrantView } from '../../policy/decision.ts';

/** The resource side of one decision. */
export interface ResourceRef {
  /** Resource ARN, or `*` for operations without resource-level permissions (authorization-and-wire 3.4). */
  readonly arn: Arn | '*';
  /** Owner; the caller's own account where absent. */
  readonly accountId?: AccountId;
  readonly tags?: Readonly<Record<string, string>>;
  /** Policy document (JSON) attached to the resource: a key policy or a role's trust policy. */
  readonly policy?: string;
  /** `kms-key` and `role` always need the resource side (1.7); absent means identity policies decide. */
  readonly kind?: 'kms-key' | 'role';
  readonly grants?: readonly GrantView[];
  /** For grants: the encryption context of the request. */
  readonly encryptionContext?: Readonly<Record<string, string>>;
  /** For kms:CreateGrant: the grant to be made. A caller who may only by grant must stay within it (kms 15.9). */
  readonly proposedGrant?: ProposedGrant;
  /** An AWS managed KMS key: resource control policies do not apply (authorization-and-wire 1.4). */
  readonly awsManaged?: boolean;
}

export class Denied extends Refusal<'denied'> {
  override readonly name = 'Denied';
  readonly call: Call;
  readonly action: string;
  readonly resource: string;
  readonly decision: Decision;

  constructor(call: Call, action: string, resource: string, decision: Decision) {
    super('denied', { caller: call.caller.arn, action, resource, because: decision.because });
    this.call = call;
    this.action = action;
    this.resource = resource;
    this.decision = decision;
  }
  /** `User: … is not authorized to perform: … on resource: … because …` (8.1). */
  get text(): string {
    return `User: ${this.call.caller.arn} is not authorized to perform: ${this.action} on resource: ${this.resource} ${this.decision.because}`;
  }
}

/** The denial that an error comes from, however it was translated since. */
export function denialBehind(error: unknown): Denied | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof Denied) return at;
  return undefined;
}

export interface Authorizer {
  /** Judges and gives a permit for exactly this action and resource, or throws {@link Denied}. */
  authorize<Action extends string>(
    call: Call,
    action: Action,
    resource: ResourceRef,
    context?: ConditionValues,
  ): Promise<Permit<Action>>;
  /** The same judgement as a value. */
  decide(call: Call, action: string, resource: ResourceRef, context?: ConditionValues): Promise<Decision>;
}
