/**
 * Proof that an action on a resource was allowed. Domain methods take a permit where they would take an id, so
 * forgetting to authorize does not compile. Only `authz/` makes permits: {@link issuePermit} for the authorizer after
 * an allowed decision, {@link systemPermit} for work Ingot does for itself.
 */
import type { Call } from './caller.ts';

const proof: unique symbol = Symbol('permit');

export interface Permit<Action extends string = string> {
  readonly [proof]: true;
  readonly action: Action;
  /** ARN of the resource that was authorized; what was authorized is what is used. */
  readonly resource: string;
  /** The call it was given for; absent for system work. */
  readonly call?: Call;
  /** Why Ingot acts by itself; only on system permits. */
  readonly reason?: string;
}

/** For the authorizer only: call after `decide` allowed exactly this. */
export function issuePermit<Action extends string>(call: Call, action: Action, resource: string): Permit<Action> {
  return { [proof]: true, action, resource, call };
}

/** Work the system does for itself, with the reason in words. Search for this name to find all of it. */
export function systemPermit<Action extends string>(action: Action, resource: string, reason: string): Permit<Action> {
  return { [proof]: true, action, resource, reason };
}
