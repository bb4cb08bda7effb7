/** What every service hands to the front door: one table of operations, typed by the SDK's own shapes. */
import type { Call } from '../authz/caller.ts';

/** One API operation. Input was decoded and checked against the SDK's schema; output is encoded by it. */
export type Operation<Input = never, Output = unknown> = (call: Call, input: Input) => Promise<Output>;

/** Operation name to handler. `app.ts` refuses to start when a name has no schema. */
export type OperationTable = Readonly<Record<string, Operation<never, unknown>>>;

/** A service as the front door sees it. */
export interface Service {
  /** Signing name and key of the wire registry: `ec2`, `kms`, `ebs`, `sts`, `iam`, `organizations`, `cloudtrail`. */
  readonly name: string;
  readonly operations: OperationTable;
  /** Its own code for an internal failure; `InternalFailure` where absent. */
  readonly internalCode?: string;
  /** Turns a domain refusal into this service's error; `undefined` leaves it to be an internal failure. */
  translate(error: unknown, call: Call, operation: string): Error | undefined;
}

/** The parts of an SDK command that tell its types; the command's own type is wider. */
interface CommandTypes {
  readonly input: object;
  resolveMiddleware(...args: never[]): unknown;
}

/** Whatever the client may stream, the server has as bytes. */
type AsBytes<Value> =
  Uint8Array extends NonNullable<Value>
    ? Uint8Array | Extract<Value, undefined>
    : [Extract<Value, { transformToByteArray: unknown }>] extends [never]
      ? Value
      : Uint8Array | Extract<Value, undefined>;

/** Input of an operation by its SDK command, for example `InputOf<PutSnapshotBlockCommand>`; payloads are bytes. */
export type InputOf<Command extends CommandTypes> = {
  readonly [Member in keyof Command['input']]: AsBytes<Command['input'][Member]>;
};

/** Output of an operation by its SDK command, without the client's `$metadata`; payloads are bytes. */
export type OutputOf<Command extends CommandTypes> =
  ReturnType<Command['resolveMiddleware']> extends (...args: never[]) => Promise<{ output: infer Output }>
    ? { [Member in keyof Omit<Output, '$metadata'>]: AsBytes<Omit<Output, '$metadata'>[Member]> }
    : never;

/** A handler typed by its SDK command: `OperationOf<CopyImageCommand>`. */
export type OperationOf<Command extends CommandTypes> = Operation<InputOf<Command>, OutputOf<Command>>;
