/** What a command ends with; the pages in docs/tools/ list these. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  /** `diff --exit-code` found a difference, a verification did, or the doctor found a fault. */
  differs: 3,
  /** The doctor found no fault in what it could see, and could not see everything. */
  unseen: 4,
  /** Nothing wrong was found, but not everything could be seen: `audit --fail-on`. */
  incomplete: 4,
  interrupted: 130,
} as const;

/** Something the user can set right; the message says how, and no stack is shown. */
export class CliError extends Error {
  override readonly name: string = 'CliError';
  readonly exitCode: number = EXIT.failed;
}

/** Options that cannot be meant together, or a value that is none. */
export class UsageError extends CliError {
  override readonly name = 'UsageError';
  override readonly exitCode = EXIT.usage;
}

/** What was written is not what should be there. */
export class MismatchError extends CliError {
  override readonly name = 'MismatchError';
  override readonly exitCode = EXIT.differs;
}

/** The user stopped the command; the message says what is left and how to go on. */
export class InterruptedError extends CliError {
  override readonly name = 'InterruptedError';
  override readonly exitCode = EXIT.interrupted;
}

interface ServiceError extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string; readonly attempts?: number };
}

/** One sentence for people: an AWS error with its request id, a failed connection with its address. */
export function describeFailure(error: unknown): string {
  if (error instanceof CliError) return error.message;
  if (!(error instanceof Error)) return String(error);
  const { requestId, attempts } = (error as ServiceError).$metadata ?? {};
  const facts = [requestId && `request ${requestId}`, attempts && attempts > 1 && `${attempts} attempts`].filter(
    Boolean,
  );
  const message = error.message || causeOf(error);
  return `${error.name}: ${message}${facts.length > 0 ? ` (${facts.join(', ')})` : ''}`;
}

/** Connections to several addresses fail with an AggregateError that says nothing itself. */
function causeOf(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map((one) => describeFailure(one)).join('; ');
  return error.cause === undefined ? 'no more is known' : describeFailure(error.cause);
}
