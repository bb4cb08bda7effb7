/** KMS keys, aliases and grants as this module keeps them. */
import type { PrivateKey } from '../crypto/key-pairs.ts';
import type { SecretKey } from '../crypto/secret-key.ts';
import type { AccountId, Arn, KeyId, Region } from '../ids.ts';
import type { KeySpec, KeyUsage } from './key-specs.ts';
import type { EncryptionContext } from './on-behalf.ts';
import type { KeyState } from './states.ts';

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
  /** Of a multi-Region key only. */
  readonly related?: RelatedKeys;
  readonly state: KeyState;
  readonly description: string;
  readonly createdAt: Date;
  /** Set in PendingDeletion only. */
  readonly deletionAt?: Date;
  /** Set in PendingReplicaDeletion only. */
  readonly deletionWindowInDays?: number;
  /** Absent on a key that never had material. It stays when imported material is deleted (kms 3.2). */
  readonly currentMaterialId?: string;
  /** Of the current material, while it is imported. */
  readonly imported?: Expiration;
  readonly usageSince: Date;
  /** Key policy with principals as unique ids (kms 14.9). */
  readonly policy: string;
  readonly rotation: RotationSchedule;
  readonly tags: Readonly<Record<string, string>>;
  /** Alias names such as `alias/golden`, sorted. */
  readonly aliases: readonly string[];
}

/** The keys of one multi-Region set: one per Region, this one included (kms 18.1). */
export interface RelatedKeys {
  readonly primaryRegion: Region;
  readonly regions: readonly Region[];
}

/** When imported material goes by itself (kms 17.3): at `validTo`, or never. */
export interface Expiration {
  readonly validTo?: Date;
}

export interface RotationSchedule {
  readonly enabled: boolean;
  readonly periodInDays: number;
  /** Set while enabled. */
  readonly nextAt?: Date;
  /** Counts changes of the schedule, so that a job of an earlier schedule knows it is superseded. */
  readonly revision: number;
}

/** One version of a symmetric or HMAC key's material. The newest seals, every one opens (kms 16.5). */
export interface SecretMaterial {
  readonly kind: 'secret';
  readonly materialId: string;
  readonly key: SecretKey;
}
/** The only material of an asymmetric key. */
export interface PairMaterial {
  readonly kind: 'pair';
  readonly materialId: string;
  readonly pair: PrivateKey;
}
export type KeyMaterial = SecretMaterial | PairMaterial;

export interface MaterialRecord {
  readonly materialId: string;
  readonly createdAt: Date;
  /** Absent on the first material, which is no rotation (kms 16.7). */
  readonly rotation?: 'AUTOMATIC' | 'ON_DEMAND';
  readonly state: 'CURRENT' | 'NON_CURRENT' | 'PENDING_ROTATION' | 'PENDING_MULTI_REGION_IMPORT_AND_ROTATION';
  /** Of imported material only. */
  readonly importState?: 'IMPORTED' | 'PENDING_IMPORT';
  /** While it is imported. */
  readonly expiration?: Expiration;
  readonly description?: string;
}

export interface GrantRecord {
  readonly grantId: string;
  readonly keyArn: Arn;
  readonly name?: string;
  /** Unique id or ARN of the grantee, or a service principal such as `ec2.eu-west-1.amazonaws.com`. */
  readonly grantee: string;
  /** Whether the grant was made to it as a service principal, by a member of its own (kms 15.4). */
  readonly granteeIsService: boolean;
  readonly retiring?: string;
  readonly retiringIsService: boolean;
  readonly issuingAccount: AccountId;
  readonly operations: readonly string[];
  readonly constraints: GrantConstraints;
  readonly createdAt: Date;
}

/** At most one encryption context (kms 15.5). */
export interface GrantConstraints {
  readonly encryptionContextSubset?: EncryptionContext;
  readonly encryptionContextEquals?: EncryptionContext;
  /** 20 to 512 characters. */
  readonly sourceArn?: string;
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
