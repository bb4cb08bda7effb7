/**
 * Launch templates: named, numbered, immutable versions of launch data (1.7). The data is kept as the request gave it;
 * what it means is decided at each launch. Templates belong to one account in one region and are never shared.
 */
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import type { AccountId, ImageId, LaunchTemplateId, Region } from '../ids.ts';

export interface LaunchTemplateRecord {
  readonly id: LaunchTemplateId;
  readonly ownerId: AccountId;
  readonly region: Region;
  readonly name: string;
  readonly createTime: Date;
  /** ARN of who made it. */
  readonly createdBy: string;
  readonly defaultVersion: number;
  readonly latestVersion: number;
}

export interface LaunchTemplateVersionRecord {
  readonly templateId: LaunchTemplateId;
  readonly number: number;
  readonly description?: string;
  readonly createTime: Date;
  readonly createdBy: string;
  /** RequestLaunchTemplateData of the SDK, as plain JSON. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** How a request names a template: by id or by name. */
export type TemplateName = { readonly id: string } | { readonly name: string };

export type LaunchTemplateRefusalReason =
  | 'template-name-in-use'
  | 'template-not-found'
  | 'template-version-not-found'
  | 'template-default-version'
  | 'template-limit'
  | 'template-version-limit';

export interface LaunchTemplates {
  find(owner: AccountId, region: Region, name: TemplateName): Promise<LaunchTemplateRecord | undefined>;
  list(owner: AccountId, region: Region): Promise<LaunchTemplateRecord[]>;
  version(id: LaunchTemplateId, number: number): Promise<LaunchTemplateVersionRecord | undefined>;
  /** Ascending by number. */
  versions(id: LaunchTemplateId): Promise<LaunchTemplateVersionRecord[]>;
  /** Templates by account whose newest versions, so many as `depth` says, name the image. */
  countByImage(region: Region, image: ImageId, depth: number): Promise<ReadonlyMap<AccountId, number>>;
  create(
    tx: Tx,
    permit: Permit<'ec2:CreateLaunchTemplate'>,
    template: Pick<LaunchTemplateRecord, 'ownerId' | 'region' | 'name' | 'createdBy'>,
    version: Pick<LaunchTemplateVersionRecord, 'description' | 'data'>,
  ): Promise<{ readonly template: LaunchTemplateRecord; readonly version: LaunchTemplateVersionRecord }>;
  /** Numbers go on from the highest ever given (LT-7). */
  addVersion(
    tx: Tx,
    permit: Permit<'ec2:CreateLaunchTemplateVersion'>,
    id: LaunchTemplateId,
    createdBy: string,
    version: Pick<LaunchTemplateVersionRecord, 'description' | 'data'>,
  ): Promise<LaunchTemplateVersionRecord>;
  setDefault(tx: Tx, permit: Permit<'ec2:ModifyLaunchTemplate'>, id: LaunchTemplateId, number: number): Promise<void>;
  delete(tx: Tx, permit: Permit<'ec2:DeleteLaunchTemplate'>, id: LaunchTemplateId): Promise<void>;
  deleteVersions(
    tx: Tx,
    permit: Permit<'ec2:DeleteLaunchTemplateVersions'>,
    id: LaunchTemplateId,
    numbers: readonly number[],
  ): Promise<void>;
}
