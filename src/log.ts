/**
 * The program's own log: one JSON object per line on standard error. It carries ids and causes, never secrets: fields
 * with the names of secrets are removed whatever holds them, as a second fence.
 */
import pino from 'pino';

/** Facts first, then a sentence. `error` is printed with its whole chain of causes. */
export interface Log {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';
export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];

const SECRET_FIELDS = [
  'authorization',
  'Authorization',
  'secretAccessKey',
  'SecretAccessKey',
  'sessionToken',
  'SessionToken',
  'plaintext',
  'Plaintext',
  'CiphertextBlob',
  'password',
];

export function createLog(level: LogLevel, destination: pino.DestinationStream = pino.destination(2)): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), remove: true },
      serializers: { error: describeError },
    },
    destination,
  );
}

/** Name, message, stack and causes, as far down as they go. */
function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const described: Record<string, unknown> = { name: error.name, message: error.message, stack: error.stack };
  if (error.cause !== undefined) described.cause = describeError(error.cause);
  if (error instanceof AggregateError) described.errors = error.errors.map(describeError);
  return described;
}
