/** Whatever an operation throws, as an error of its API; what was not meant for the caller stays in the log. */
import type { Call } from '../authz/caller.ts';
import { ApiError, IntegrityError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Service } from '../services/operation.ts';

export function internalFailure(cause?: unknown, code = 'InternalFailure'): ApiError {
  return new ApiError(code, 'The request processing has failed because of an unknown error.', {
    status: 500,
    cause,
  });
}

export interface Where {
  /** Signing name. */
  readonly service: string;
  readonly operationName: string;
}

export function toApiError(
  error: unknown,
  call: Call,
  { service: name, operationName }: Where,
  service: Pick<Service, 'translate' | 'internalCode'> | undefined,
  log: Log,
): ApiError {
  if (error instanceof ApiError) return error;
  const where = { requestId: call.requestId, service: name, operation: operationName };
  if (error instanceof IntegrityError) {
    log.error({ ...where, what: error.what, error }, 'stored bytes are not what was written');
    return internalFailure(error, service?.internalCode);
  }
  let translated: unknown;
  try {
    translated = service?.translate(error, call, operationName);
  } catch (cause) {
    log.error({ ...where, error: cause }, 'the translation of an error failed');
  }
  if (translated instanceof ApiError) return translated;
  log.error({ ...where, error }, 'a request failed inside');
  return internalFailure(error, service?.internalCode);
}
