/**
 * One service calling another: no bytes and no signature, but authorized, translated and recorded like a call that came
 * by the front door. Auto Scaling launches and terminates its instances this way, in its service-linked role.
 */
import type { Audit } from '../audit/audit.ts';
import { AuditNotes, type Call } from '../authz/caller.ts';
import type { Log } from '../log.ts';
import type { Service } from '../services/operation.ts';
import type { Wire } from '../wire/wire.ts';
import { auditEntry } from './audit-entry.ts';
import { toApiError } from './translate-error.ts';

export interface CallServiceDeps {
  readonly wire: Wire;
  readonly audit: Audit;
  readonly log: Log;
}

/** Gives the operation's output, or throws its {@link ApiError}. */
export type CallService = (call: Call, operationName: string, input: object) => Promise<unknown>;

/** Throws at once where one of `operations` is not there. */
export function callsTo(service: Service, operations: readonly string[], deps: CallServiceDeps): CallService {
  for (const name of operations) {
    if (!Object.hasOwn(service.operations, name)) throw new Error(`the service ${service.name} has no ${name}`);
  }
  const model = deps.wire.service(service.name);
  return async (given, operationName, input) => {
    const call: Call = { ...given, audit: new AuditNotes() };
    const attempt = { service: service.name, operationName, operation: model?.operation(operationName), input };
    const handler = service.operations[operationName];
    if (!handler || !operations.includes(operationName)) throw new Error(`${operationName} was not asked for`);
    let output: unknown;
    try {
      output = await handler(call, input as never);
    } catch (cause) {
      const error = toApiError(cause, call, attempt, service, deps.log);
      await deps.audit.record(auditEntry(call, { ...attempt, error }));
      throw error;
    }
    await deps.audit.record(auditEntry(call, { ...attempt, output }));
    return output;
  };
}
