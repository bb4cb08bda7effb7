/**
 * The three kinds of failure in Ingot, and nothing else.
 *
 * An {@link ApiError} is what a caller of the AWS API sees. A {@link Refusal} is a rule of the domain that said no;
 * it knows no AWS code, and each service turns it into its own words. An {@link IntegrityError} means that stored
 * bytes are not what was written: it is never retried and never softened. Any other error is a bug.
 */

/** An error in the words of the AWS API: `code` and `message` reach the caller verbatim, with HTTP `status`. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: string;
  readonly status: number;
  readonly fault: 'client' | 'server';
  /** Modelled members of the error shape besides the message, for example `Reason` of the EBS direct APIs. */
  readonly members: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, options: ApiErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status ?? 400;
    this.fault = this.status >= 500 ? 'server' : 'client';
    this.members = options.members ?? {};
  }
}

export interface ApiErrorOptions {
  /** HTTP status; 400 unless given. */
  readonly status?: number;
  readonly members?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * A rule of the domain said no. `reason` is one of a closed set that the throwing module declares as a union type, so
 * that a service's translation can be an exhaustive switch.
 */
export class Refusal<Reason extends string = string> extends Error {
  override readonly name: string = 'Refusal';
  readonly reason: Reason;
  /** Facts for the message of the service that translates this: ids, ARNs, states. Never secrets. */
  readonly facts: Readonly<Record<string, string | number | boolean | undefined>>;

  constructor(reason: Reason, facts: Refusal['facts'] = {}, options?: { cause?: unknown }) {
    super(`${reason} ${JSON.stringify(facts)}`, options);
    this.reason = reason;
    this.facts = facts;
  }
}

/** Stored bytes are not what was written: logged, counted, `InternalFailure` on the API and `EIO` on NBD. */
export class IntegrityError extends Error {
  override readonly name = 'IntegrityError';
  /** What failed to authenticate, for example `block 0f…:12 of data key 3c…`. */
  readonly what: string;

  constructor(what: string, options?: { cause?: unknown }) {
    super(`${what} is not what was written: it may be corrupted or tampered with`, options);
    this.what = what;
  }
}
