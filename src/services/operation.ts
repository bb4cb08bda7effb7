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
  /** Turns a domain refusal into this service's error; `undefined` leaves it to be an internal failure. */
  translate(error: unknown, call: Call, operation: string): Error | undefined;
}
