/** Reading and writing of image records; the only place with SQL on their tables. */
import type { ExpressionBuilder, ExpressionWrapper, Kysely, SqlBool } from 'kysely';
import type { Db, Tx } from '../db/db.ts';
import type { AccountId, ImageId, Region } from '../ids.ts';
import type {
  BlockPublicAccess,
  ImageQuery,
  ImageRecord,
  ImageUse,
  LaunchPermission,
  OrganizationPlace,
} from './images.ts';
import { type ImageTables, recordOf, rowOf, snapshotRowsOf } from './tables.ts';

const IDS_PER_QUERY = 1000;

type Query = Kysely<ImageTables>;

export async function findImage(query: Query, region: Region, id: string): Promise<ImageRecord | undefined> {
  const row = await query
    .selectFrom('image')
    .selectAll()
    .where('id', '=', id)
    .where('region', '=', region)
    .executeTakeFirst();
  return row && recordOf(row);
}

export async function findImages(query: Query, region: Region, ids: readonly string[]): Promise<ImageRecord[]> {
  const found: ImageRecord[] = [];
  for (let at = 0; at < ids.length; at += IDS_PER_QUERY) {
    const some = ids.slice(at, at + IDS_PER_QUERY);
    const rows = await query
      .selectFrom('image')
      .selectAll()
      .where('region', '=', region)
      .where('id', 'in', some)
      .execute();
    found.push(...rows.map(recordOf));
  }
  return found;
}

type Where = ExpressionBuilder<ImageTables, 'image'>;
type Condition = ExpressionWrapper<ImageTables, 'image', SqlBool>;

/** The launch permissions that cover an account, as (kind, value) pairs. */
function coverings(account: AccountId, place: OrganizationPlace | undefined): readonly LaunchPermission[] {
  return [
    { kind: 'account', value: account },
    ...(place ? [{ kind: 'organization' as const, value: place.organizationArn }] : []),
    ...(place?.organizationalUnitArns ?? []).map((value) => ({ kind: 'organizational-unit' as const, value })),
  ];
}

function hasPermission(where: Where, region: Region, permissions: readonly LaunchPermission[]): Condition {
  const images = where
    .selectFrom('image_launch_permission')
    .select('image_id')
    .where('image_launch_permission.region', '=', region)
    .where((permission) =>
      permission.or(
        permissions.map(({ kind, value }) =>
          permission.and([
            permission('image_launch_permission.kind', '=', kind as 'account'),
            permission('image_launch_permission.value', '=', value),
          ]),
        ),
      ),
    );
  return where('image.id', 'in', images);
}

function scoped(where: Where, query: ImageQuery, place: OrganizationPlace | undefined): Condition {
  const { viewer, region, scope } = query;
  const own = where('owner_id', '=', viewer);
  const shared = () => hasPermission(where, region, coverings(viewer, place));
  const open = where('public', '=', 1);
  switch (scope.kind) {
    case 'owned-by': {
      const owned = where('owner_id', 'in', [...scope.accounts]);
      return scope.accounts.every((account) => account === viewer)
        ? owned
        : where.and([owned, where.or([own, open, shared()])]);
    }
    case 'shared-with-viewer':
      return shared();
    case 'shared-with-account':
      return where.and([own, hasPermission(where, region, [{ kind: 'account', value: scope.account }])]);
    case 'public':
      return open;
    case 'launchable':
      return where.or([own, open, shared()]);
  }
}

export async function listImages(
  query: Query,
  asked: ImageQuery,
  place: OrganizationPlace | undefined,
): Promise<ImageRecord[]> {
  const { scope, ids, name } = asked;
  if (scope.kind === 'owned-by' && scope.accounts.length === 0) return [];
  if (ids?.length === 0 || name?.length === 0) return [];
  let select = query
    .selectFrom('image')
    .selectAll()
    .where('image.region', '=', asked.region)
    .where('state', '!=', 'deregistered')
    .where((where) => scoped(where, asked, place));
  if (ids) select = select.where('id', 'in', ids);
  if (name) select = select.where('name', 'in', name);
  if (asked.afterId !== undefined) select = select.where('id', '>', asked.afterId);
  const rows = await select.orderBy('id').limit(asked.limit).execute();
  return rows.map(recordOf);
}

export async function isCovered(
  query: Query,
  image: Pick<ImageRecord, 'id'>,
  account: AccountId,
  place: OrganizationPlace | undefined,
): Promise<boolean> {
  const rows = await query
    .selectFrom('image_launch_permission')
    .select('kind')
    .where('image_id', '=', image.id)
    .where((permission) =>
      permission.or(
        coverings(account, place).map(({ kind, value }) =>
          permission.and([permission('kind', '=', kind as 'account'), permission('value', '=', value)]),
        ),
      ),
    )
    .limit(1)
    .execute();
  return rows.length > 0;
}

export async function permissionsOf(query: Query, id: ImageId): Promise<LaunchPermission[]> {
  const image = await query.selectFrom('image').select('public').where('id', '=', id).executeTakeFirst();
  const rows = await query
    .selectFrom('image_launch_permission')
    .select(['kind', 'value'])
    .where('image_id', '=', id)
    .orderBy('kind')
    .orderBy('value')
    .execute();
  const everyone: LaunchPermission[] = image?.public === 1 ? [{ kind: 'group', value: 'all' }] : [];
  return [...everyone, ...rows.map((row) => ({ kind: row.kind, value: row.value }) as LaunchPermission)];
}

export async function usesOf(query: Query, snapshotId: string): Promise<ImageUse[]> {
  const rows = await query
    .selectFrom('image_snapshot')
    .innerJoin('image', 'image.id', 'image_snapshot.image_id')
    .select(['image.id', 'image.owner_id', 'image.state', 'image_snapshot.root'])
    .where('image_snapshot.snapshot_id', '=', snapshotId)
    .where('image.state', '!=', 'deregistered')
    .orderBy('image.id')
    .execute();
  return rows.map((row) => ({
    imageId: row.id as ImageId,
    ownerId: row.owner_id as AccountId,
    root: row.root === 1,
    disabled: row.state === 'disabled',
  }));
}

/** Images of CreateImage are pending as well, and come from an instance. */
export async function countPendingCopies(query: Query, region: Region, owner: AccountId): Promise<number> {
  const rows = await query
    .selectFrom('image')
    .selectAll()
    .where('region', '=', region)
    .where('owner_id', '=', owner)
    .where('state', '=', 'pending')
    .execute();
  return rows.map(recordOf).filter((image) => image.sourceImageId && !image.sourceInstanceId).length;
}

export async function findByName(
  query: Query,
  owner: AccountId,
  region: Region,
  name: string,
): Promise<ImageId | undefined> {
  const row = await query
    .selectFrom('image')
    .select('id')
    .where('region', '=', region)
    .where('owner_id', '=', owner)
    .where('name', '=', name)
    .where('state', '!=', 'deregistered')
    .executeTakeFirst();
  return row?.id as ImageId | undefined;
}

export async function insertImage(tx: Tx, record: ImageRecord): Promise<void> {
  await tx.as<ImageTables>().insertInto('image').values(rowOf(record)).execute();
  await writeSnapshots(tx, record);
}

/** Writes the whole record over the one of its id. */
export async function replaceImage(tx: Tx, record: ImageRecord): Promise<void> {
  const { id, ...columns } = rowOf(record);
  await tx.as<ImageTables>().updateTable('image').set(columns).where('id', '=', id).execute();
  await writeSnapshots(tx, record);
}

async function writeSnapshots(tx: Tx, record: ImageRecord): Promise<void> {
  await tx.as<ImageTables>().deleteFrom('image_snapshot').where('image_id', '=', record.id).execute();
  const rows = record.state === 'deregistered' ? [] : snapshotRowsOf(record);
  if (rows.length > 0) await tx.as<ImageTables>().insertInto('image_snapshot').values(rows).execute();
}

const CHANGES_PER_STATEMENT = 500;

export async function addPermissions(
  tx: Tx,
  record: ImageRecord,
  permissions: readonly LaunchPermission[],
): Promise<void> {
  const rows = permissions.flatMap((permission) =>
    permission.kind === 'group'
      ? []
      : [{ image_id: record.id, region: record.region, kind: permission.kind, value: permission.value }],
  );
  for (let at = 0; at < rows.length; at += CHANGES_PER_STATEMENT) {
    await tx
      .as<ImageTables>()
      .insertInto('image_launch_permission')
      .values(rows.slice(at, at + CHANGES_PER_STATEMENT))
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  }
  if (permissions.some(({ kind }) => kind === 'group')) await setPublic(tx, record.id, true);
}

export async function removePermissions(
  tx: Tx,
  record: ImageRecord,
  permissions: readonly LaunchPermission[] | 'all',
): Promise<void> {
  const rows = () => tx.as<ImageTables>().deleteFrom('image_launch_permission').where('image_id', '=', record.id);
  if (permissions === 'all') {
    await rows().execute();
    await setPublic(tx, record.id, false);
    return;
  }
  for (const permission of permissions) {
    if (permission.kind === 'group') await setPublic(tx, record.id, false);
    else await rows().where('kind', '=', permission.kind).where('value', '=', permission.value).execute();
  }
}

async function setPublic(tx: Tx, id: ImageId, isPublic: boolean): Promise<void> {
  await tx
    .as<ImageTables>()
    .updateTable('image')
    .set({ public: isPublic ? 1 : 0 })
    .where('id', '=', id)
    .execute();
}

export async function countPermissions(tx: Tx, id: ImageId): Promise<number> {
  const { count } = await tx
    .as<ImageTables>()
    .selectFrom('image_launch_permission')
    .select((row) => row.fn.countAll<number>().as('count'))
    .where('image_id', '=', id)
    .executeTakeFirstOrThrow();
  return count;
}

export async function noteLaunch(db: Pick<Db, 'write'>, id: ImageId, at: Date): Promise<void> {
  await db.write((tx) =>
    tx.as<ImageTables>().updateTable('image').set({ last_launched_at: at.getTime() }).where('id', '=', id).execute(),
  );
}

export async function readBlockPublicAccess(
  query: Query,
  account: AccountId,
  region: Region,
): Promise<BlockPublicAccess> {
  const row = await query
    .selectFrom('image_block_public_access')
    .select('state')
    .where('account_id', '=', account)
    .where('region', '=', region)
    .executeTakeFirst();
  return row?.state ?? 'block-new-sharing';
}

export async function writeBlockPublicAccess(
  tx: Tx,
  account: AccountId,
  region: Region,
  state: BlockPublicAccess,
): Promise<void> {
  await tx
    .as<ImageTables>()
    .insertInto('image_block_public_access')
    .values({ account_id: account, region, state })
    .onConflict((conflict) => conflict.columns(['account_id', 'region']).doUpdateSet({ state }))
    .execute();
}
