/**
 * Which images of others an account lets itself find and launch (SH-34 to SH-36). Criteria are ORed, the fields of one
 * are ANDed; own images are never restricted.
 */
import { compileGlob } from '../../policy/glob.ts';
import type { Permit } from '../authz/permit.ts';
import type { Db, Tx } from '../db/db.ts';
import type { AccountId, Region } from '../ids.ts';
import type { ImageRecord } from './images.ts';
import type { ImageTables } from './tables.ts';

export interface ImageCriterion {
  /** Account ids, `none`, and the names AWS gives its own providers, none of which has images here. */
  readonly providers?: readonly string[];
  /** Images here have no product codes: a criterion with some matches nothing. */
  readonly marketplaceProductCodes?: readonly string[];
  /** With `*` and `?`. */
  readonly names?: readonly string[];
  readonly daysSinceCreatedMax?: number;
  readonly daysSinceDeprecatedMax?: number;
}

export interface AllowedImagesSettings {
  readonly state: 'enabled' | 'audit-mode' | 'disabled';
  readonly criteria: readonly ImageCriterion[];
}

export interface AllowedImages {
  /** `disabled` without criteria until it is changed. */
  settings(account: AccountId, region: Region): Promise<AllowedImagesSettings>;
  setState(
    tx: Tx,
    permit: Permit<'ec2:EnableAllowedImagesSettings' | 'ec2:DisableAllowedImagesSettings'>,
    account: AccountId,
    region: Region,
    state: AllowedImagesSettings['state'],
  ): Promise<void>;
  replaceCriteria(
    tx: Tx,
    permit: Permit<'ec2:ReplaceImageCriteriaInAllowedImagesSettings'>,
    account: AccountId,
    region: Region,
    criteria: readonly ImageCriterion[],
  ): Promise<void>;
}

const DAY_MS = 86_400_000;

/** Whether the image meets the criteria, whatever the state of the settings. */
export function isAllowed(
  { criteria }: Pick<AllowedImagesSettings, 'criteria'>,
  image: ImageRecord,
  viewer: AccountId,
  now: Date,
): boolean {
  return image.ownerId === viewer || criteria.some((criterion) => meets(criterion, image, now));
}

function meets(criterion: ImageCriterion, image: ImageRecord, now: Date): boolean {
  const { providers, marketplaceProductCodes, names, daysSinceCreatedMax, daysSinceDeprecatedMax } = criterion;
  const days = (date: Date) => (now.getTime() - date.getTime()) / DAY_MS;
  return (
    (providers === undefined || providers.includes(image.ownerId)) &&
    marketplaceProductCodes === undefined &&
    (names === undefined || names.some((name) => compileGlob(name).matches(image.name))) &&
    (daysSinceCreatedMax === undefined || days(image.creationDate) <= daysSinceCreatedMax) &&
    (daysSinceDeprecatedMax === undefined ||
      image.deprecateAt === undefined ||
      days(image.deprecateAt) <= daysSinceDeprecatedMax)
  );
}

export function createAllowedImages(db: Pick<Db, 'read'>): AllowedImages {
  const change = async (
    tx: Tx,
    account: AccountId,
    region: Region,
    columns: Partial<Pick<ImageTables['image_allowed_settings'], 'state' | 'criteria'>>,
  ) => {
    await tx
      .as<ImageTables>()
      .insertInto('image_allowed_settings')
      .values({ account_id: account, region, state: 'disabled', criteria: '[]', ...columns })
      .onConflict((conflict) => conflict.columns(['account_id', 'region']).doUpdateSet(columns))
      .execute();
  };
  return {
    async settings(account, region) {
      const row = await db
        .read<ImageTables>()
        .selectFrom('image_allowed_settings')
        .selectAll()
        .where('account_id', '=', account)
        .where('region', '=', region)
        .executeTakeFirst();
      return row
        ? { state: row.state, criteria: JSON.parse(row.criteria) as ImageCriterion[] }
        : { state: 'disabled', criteria: [] };
    },
    setState: (tx, _permit, account, region, state) => change(tx, account, region, { state }),
    replaceCriteria: (tx, _permit, account, region, criteria) =>
      change(tx, account, region, { criteria: JSON.stringify(criteria) }),
  };
}
