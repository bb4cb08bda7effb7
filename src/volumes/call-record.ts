/** A call as it stands in a job's payload, so that the job goes on in the name of the caller who started it. */
import type { Call } from '../authz/caller.ts';

export interface CallRecord {
  readonly call: Omit<Call, 'now' | 'audit'>;
  readonly nowMs: number;
  readonly session?: { readonly issuedAtMs: number; readonly expiresAtMs: number };
}

export function recordCall(call: Call): CallRecord {
  const { now, audit: _, ...rest } = call;
  const { session } = call.caller;
  return {
    call: rest,
    nowMs: now.getTime(),
    ...(session && { session: { issuedAtMs: session.issuedAt.getTime(), expiresAtMs: session.expiresAt.getTime() } }),
  };
}

/** The call again. Its `now` is the time of the original call: what was valid then finishes its work. */
export function recallCall(record: CallRecord): Call {
  const { caller } = record.call;
  const { session: times } = record;
  const session = caller.session &&
    times && {
      ...caller.session,
      issuedAt: new Date(times.issuedAtMs),
      expiresAt: new Date(times.expiresAtMs),
    };
  return { ...record.call, caller: session ? { ...caller, session } : caller, now: new Date(record.nowMs) };
}
