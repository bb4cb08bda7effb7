/** KMS keys, aliases and grants as this module keeps them. */
import type { SecretKey } from '../crypto/secret-key.ts';
import type { AccountId, Arn, KeyId, Region } from '../ids.ts';
import type { EncryptionContext } from './on-behalf.ts';
import type { KeyState } from './states.ts';

/** Key specs that Ingot can make; others are refused by name. The record has room for all of them. */
export type KeySpec = 'SYMMETRIC_DEFAULT';
export type KeyUsage = 'ENCRYPT_DECRYPT';
export type KeyOrigin = 'AWS_KMS' | 'EXTERNAL';

/** One KMS key with everything a decision about it needs. Immutable: a change makes a new record. */
export interface KeyRecord {
  readonly arn: Arn;
  readonly keyId: KeyId;
  readonly accountId: AccountId;
  readonly region: Region;
  readonly manager: 'CUSTOMER' | 'AWS';
  readonly spec: KeySpec;
  readonly usage: KeyUsage;
  readonly origin: KeyOrigin;
  readonly multiRegion: boolean;
  readonly state: KeyState;
  readonly description: string;
  readonly createdAt: Date;
  /** Set in PendingDeletion only. */
  readonly deletionAt?: Date;
  readonly currentMaterialId: string;
  /** Key policy with principals as unique ids (kms 14.9). */
  readonly policy: string;
  readonly rotation: RotationSchedule;
  readonly tags: Readonly<Record<string, string>>;
  /** Alias names such as `alias/golden`, sorted. */
  readonly aliases: readonly string[];
}

export interface RotationSchedule {
  readonly enabled: boolean;
  readonly periodInDays: number;
  /** Set while enabled. */
  readonly nextAt?: Date;
  /** Counts changes of the schedule, so that a job of an earlier schedule knows it is superseded. */
  readonly revision: number;
}

/** One version of a key's material. The newest seals, every one opens (kms 16.5). */
export interface KeyMaterial {
  readonly materialId: string;
  readonly key: SecretKey;
}

export interface MaterialRecord {
  readonly materialId: string;
  readonly createdAt: Date;
  /** Absent on the first material, which is no rotation (kms 16.7). */
  readonly rotation?: 'AUTOMATIC' | 'ON_DEMAND';
  readonly current: boolean;
}

export interface GrantRecord {
  readonly grantId: string;
  readonly keyArn: Arn;
  readonly name?: string;
  /** Unique id or ARN of the grantee, or a service principal such as `ec2.eu-west-1.amazonaws.com`. */
  readonly grantee: string;
  readonly retiring?: string;
  readonly issuingAccount: AccountId;
  readonly operations: readonly string[];
  readonly constraints: GrantConstraints;
  readonly createdAt: Date;
}

/** At most one of the two (kms 15.5). */
export interface GrantConstraints {
  readonly encryptionContextSubset?: EncryptionContext;
  readonly encryptionContextEquals?: EncryptionContext;
}

export interface AliasRecord {
  readonly name: string;
  readonly arn: Arn;
  readonly keyId: KeyId;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** One page of a list ordered by an opaque position. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** Position of the last item where more follow. */
  readonly next?: string;
}

export interface PageRequest {
  readonly after?: string;
  readonly limit: number;
}
