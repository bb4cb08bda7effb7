/**
 * Identifiers and ARNs. Ids of different kinds are different types, so that one cannot stand in for another.
 *
 * EC2-style ids are a prefix and 17 hex digits (ec2-encryption L-4); Ingot accepts 8 or 17 digits.
 */

import type { ArnParts } from '../policy/arn.ts';

export { type ArnParts, parseArn } from '../policy/arn.ts';

declare const brand: unique symbol;
export type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Twelve decimal digits. */
export type AccountId = Branded<string, 'AccountId'>;
/** For example `eu-central-1`. */
export type Region = Branded<string, 'Region'>;
export type Arn = Branded<string, 'Arn'>;
export type SnapshotId = Branded<string, 'SnapshotId'>;
export type VolumeId = Branded<string, 'VolumeId'>;
export type ImageId = Branded<string, 'ImageId'>;
export type InstanceId = Branded<string, 'InstanceId'>;
export type LaunchTemplateId = Branded<string, 'LaunchTemplateId'>;
/** Lower-case UUID, or `mrk-` and 32 hex digits (kms 2.1). */
export type KeyId = Branded<string, 'KeyId'>;
/** UUID of one lineage's data key; EC2 shows it as DataEncryptionKeyId (ec2-encryption K-4). */
export type DataKeyId = Branded<string, 'DataKeyId'>;

export const PARTITION = 'aws';

const EC2_ID = /^[a-z]+-(?:[0-9a-f]{8}|[0-9a-f]{17})$/;

function randomHex(digits: number): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(Math.ceil(digits / 2)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .slice(0, digits);
}

/** A fresh EC2-style id such as `snap-0123456789abcdef0`. */
export function newEc2Id<Id extends string = string>(prefix: string): Id {
  return `${prefix}-${randomHex(17)}` as Id;
}

/** Whether `value` is `prefix-` and 8 or 17 lower-case hex digits. */
export function isEc2Id(value: string, prefix: string): boolean {
  return value.startsWith(`${prefix}-`) && EC2_ID.test(value);
}

export function newUuid(): string {
  return globalThis.crypto.randomUUID();
}

export function isAccountId(value: string): value is AccountId {
  return /^\d{12}$/.test(value);
}

/** Joins the six parts of an ARN. Region and account may be empty. */
export function formatArn(parts: Omit<ArnParts, 'partition'> & { partition?: string }): Arn {
  return `arn:${parts.partition ?? PARTITION}:${parts.service}:${parts.region}:${parts.account}:${parts.resource}` as Arn;
}

/** Image and snapshot ARNs have an empty account field (ec2-encryption P-8). */
export function imageArn(region: Region, id: string): Arn {
  return formatArn({ service: 'ec2', region, account: '', resource: `image/${id}` });
}
export function snapshotArn(region: Region, id: string): Arn {
  return formatArn({ service: 'ec2', region, account: '', resource: `snapshot/${id}` });
}
/** ARN of an EC2 resource that carries its owner's account: `volume`, `instance`, `launch-template`, … */
export function ec2Arn(region: Region, account: AccountId, type: string, id: string): Arn {
  return formatArn({ service: 'ec2', region, account, resource: `${type}/${id}` });
}
export function keyArn(region: Region, account: AccountId, id: KeyId): Arn {
  return formatArn({ service: 'kms', region, account, resource: `key/${id}` });
}
export function rootArn(account: AccountId): Arn {
  return formatArn({ service: 'iam', region: '', account, resource: 'root' });
}
