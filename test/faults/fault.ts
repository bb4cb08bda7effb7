/**
 * The real failure modes of launches (ec2-encryption 8) as things that can be built on a running server: what is wrong
 * is set up with the official SDK, the failing call is made, and its symptom asserted, before a fault counts as built.
 */
import type { Credentials } from '../house/ingot.ts';
import type { World } from './world.ts';

export interface Fault {
  /** Row of the table of section 8; several faults may show different causes of one row. */
  readonly id: number;
  /** Unique, `NN-what-is-wrong`. */
  readonly name: string;
  /** Builds it in accounts of its own, so that faults do not touch each other and may be built at the same time. */
  build(world: World): Promise<BuiltFault>;
}

/** A fault whose symptom was seen. */
export interface BuiltFault {
  /** What one would ask about: an image, snapshot, instance or launch template. */
  readonly subject: string;
  /** The EC2 operation that fails, for example `RunInstances`. */
  readonly operation: string;
  /** Who makes the failing call: ARN of a user, a role (not of its session) or an account's root. */
  readonly as: string;
  /** Account and region of the failing call. */
  readonly account: string;
  readonly region: string;
  /** An administrator of that account, to ask as and to mend with. */
  readonly credentials: Credentials;
  /** Administrators by account id, of every account in which the mend may have to be applied. */
  readonly administrators: Readonly<Record<string, Credentials>>;
  /** What a diagnosis must name. */
  readonly cause: Cause;
  /** Other things that the failing call was about. */
  readonly volumeId?: string;
  readonly instanceId?: string;
  /** Account that something is, or was to be, shared with. */
  readonly consumer?: string;
  /**
   * The mend of the table's column "Fix", done here with the SDK. Where it makes a new image, snapshot or key instead of
   * changing what there is, it gives the id that {@link retry} is then about.
   */
  mend(): Promise<string | undefined>;
  /** The failing call again, as it should be made after the mend; rejects unless it now succeeds to its end. */
  retry(mended?: string): Promise<void>;
}

export interface Cause {
  /** Actions of which at least the first that is asked for is denied, for example `kms:CreateGrant`. */
  readonly actions?: readonly string[];
  /** ARN of the key that is denied, unusable or not there. */
  readonly key?: string;
  /** What the key is, where that is the cause. */
  readonly keyState?: 'Disabled' | 'PendingDeletion' | 'OtherRegion' | 'AwsManaged';
  /** Condition key that the call made by EC2 cannot meet. */
  readonly condition?: string;
  /** Id of the service control policy that denies. */
  readonly controlPolicy?: string;
}
