/**
 * Image usage reports: how many resources of each account name an image. A job counts once, right after the report was
 * asked for; thirty days later the report is gone.
 */
import type { Kysely, Selectable } from 'kysely';
import type { Permit } from '../authz/permit.ts';
import type { Db, Migration, Tx } from '../db/db.ts';
import { type AccountId, type ImageId, newEc2Id, parseArn, type Region } from '../ids.ts';
import type { Jobs, Program } from '../jobs/jobs.ts';
import type { Tags } from '../tags/tags.ts';

/** What may name an image. Image Builder has no resources here. */
export const USAGE_TYPES = [
  'ec2:Instance',
  'ec2:LaunchTemplate',
  'imagebuilder:ImageRecipe',
  'imagebuilder:ContainerRecipe',
] as const;
export type UsageType = (typeof USAGE_TYPES)[number];

export interface UsageScope {
  readonly type: UsageType;
  /** Of launch templates: how many versions are looked at, counted from the newest. */
  readonly versionDepth?: number;
}

export interface UsageReport {
  readonly id: string;
  readonly ownerId: AccountId;
  readonly region: Region;
  readonly imageId: ImageId;
  readonly scopes: readonly UsageScope[];
  /** Absent means every account. */
  readonly accounts?: readonly AccountId[];
  readonly state: 'pending' | 'available' | 'error';
  readonly createdAt: Date;
  readonly expiresAt: Date;
  /** Empty until it is available. Accounts without a use are not listed. */
  readonly entries: readonly UsageEntry[];
}

export interface UsageEntry {
  readonly accountId: AccountId;
  readonly type: UsageType;
  readonly count: number;
}

/** Counts by account; handed in by `app.ts`, because what uses images stands above them. */
export interface ImageUsers {
  instances(region: Region, image: ImageId): Promise<ReadonlyMap<AccountId, number>>;
  launchTemplates(region: Region, image: ImageId, versionDepth: number): Promise<ReadonlyMap<AccountId, number>>;
}

export interface UsageReports {
  create(
    tx: Tx,
    permit: Permit<'ec2:CreateImageUsageReport'>,
    report: Pick<UsageReport, 'ownerId' | 'region' | 'imageId' | 'scopes' | 'accounts'>,
  ): Promise<UsageReport>;
  /** Those that are not gone, in ascending order of id. */
  list(owner: AccountId, region: Region): Promise<UsageReport[]>;
  /** Tags go with it; what is gone already stays gone. */
  delete(tx: Tx, permit: Permit<'ec2:DeleteImageUsageReport'>, owner: AccountId, region: Region): Promise<void>;
}

export interface UsageReportTables {
  image_usage_report: {
    id: string;
    owner_id: string;
    region: string;
    image_id: string;
    state: UsageReport['state'];
    created_at: number;
    expires_at: number;
    /** JSON list of {@link UsageScope}. */
    scopes: string;
    /** JSON list of account ids. */
    accounts: string | null;
    /** JSON list of {@link UsageEntry}. */
    entries: string;
  };
}

export const usageReportMigration: Migration = {
  id: 'images-0004',
  up: async ({ schema }: Kysely<unknown>) => {
    await schema
      .createTable('image_usage_report')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('owner_id', 'text', (column) => column.notNull())
      .addColumn('region', 'text', (column) => column.notNull())
      .addColumn('image_id', 'text', (column) => column.notNull())
      .addColumn('state', 'text', (column) => column.notNull())
      .addColumn('created_at', 'integer', (column) => column.notNull())
      .addColumn('expires_at', 'integer', (column) => column.notNull())
      .addColumn('scopes', 'text', (column) => column.notNull())
      .addColumn('accounts', 'text')
      .addColumn('entries', 'text', (column) => column.notNull())
      .execute();
    await schema
      .createIndex('image_usage_report_owner')
      .on('image_usage_report')
      .columns(['region', 'owner_id'])
      .execute();
  },
};

const KIND = 'images.usage-report';
const LIFE_MS = 30 * 24 * 60 * 60 * 1000;
/** Versions of a template that are looked at unless the report says otherwise. */
export const VERSION_DEPTH = 20;

function reportOf(row: Selectable<UsageReportTables['image_usage_report']>): UsageReport {
  return {
    id: row.id,
    ownerId: row.owner_id as AccountId,
    region: row.region as Region,
    imageId: row.image_id as ImageId,
    state: row.state,
    createdAt: new Date(row.created_at),
    expiresAt: new Date(row.expires_at),
    scopes: JSON.parse(row.scopes),
    ...(row.accounts === null ? {} : { accounts: JSON.parse(row.accounts) }),
    entries: JSON.parse(row.entries),
  };
}

/** Registers its job with `deps.jobs`: call before jobs start. */
export function createUsageReports(deps: {
  readonly db: Db;
  readonly jobs: Jobs;
  readonly tags: Tags;
  readonly clock: () => Date;
  readonly users: ImageUsers;
}): UsageReports {
  const { db, jobs, tags, clock } = deps;
  jobs.register(countProgram(deps));

  /** Reports whose time is over go when their owner makes another. */
  async function removeExpired(tx: Tx, owner: AccountId, region: Region): Promise<void> {
    const expired = await tx
      .as<UsageReportTables>()
      .deleteFrom('image_usage_report')
      .where('owner_id', '=', owner)
      .where('region', '=', region)
      .where('expires_at', '<=', clock().getTime())
      .returning('id')
      .execute();
    for (const { id } of expired) await tags.removeAll(tx, owner, region, id);
  }

  return {
    async create(tx, _permit, { ownerId, region, imageId, scopes, accounts }) {
      await removeExpired(tx, ownerId, region);
      const now = clock().getTime();
      const row = {
        id: newEc2Id('amiur'),
        owner_id: ownerId,
        region,
        image_id: imageId,
        state: 'pending' as const,
        created_at: now,
        expires_at: now + LIFE_MS,
        scopes: JSON.stringify(scopes),
        accounts: accounts ? JSON.stringify(accounts) : null,
        entries: '[]',
      };
      await tx.as<UsageReportTables>().insertInto('image_usage_report').values(row).execute();
      await jobs.enqueue<CountPayload>(tx, KIND, { id: row.id });
      return reportOf(row);
    },
    async list(owner, region) {
      const rows = await db
        .read<UsageReportTables>()
        .selectFrom('image_usage_report')
        .selectAll()
        .where('owner_id', '=', owner)
        .where('region', '=', region)
        .where('expires_at', '>', clock().getTime())
        .orderBy('id')
        .execute();
      return rows.map(reportOf);
    },
    async delete(tx, permit, owner, region) {
      const id = parseArn(permit.resource)?.resource.replace(/^image-usage-report\//, '') ?? '';
      await tx
        .as<UsageReportTables>()
        .deleteFrom('image_usage_report')
        .where('id', '=', id)
        .where('owner_id', '=', owner)
        .where('region', '=', region)
        .execute();
      await tags.removeAll(tx, owner, region, id);
    },
  };
}

interface CountPayload {
  readonly id: string;
}

function countProgram({ db, users }: { readonly db: Db; readonly users: ImageUsers }): Program<CountPayload> {
  async function counted({ region, imageId, scopes, accounts }: UsageReport): Promise<UsageEntry[]> {
    const entries: UsageEntry[] = [];
    for (const { type, versionDepth = VERSION_DEPTH } of scopes) {
      if (type.startsWith('imagebuilder:')) continue;
      const found =
        type === 'ec2:Instance'
          ? await users.instances(region, imageId)
          : await users.launchTemplates(region, imageId, versionDepth);
      for (const [accountId, count] of found) {
        if (!accounts || accounts.includes(accountId)) entries.push({ accountId, type, count });
      }
    }
    return entries;
  }
  const settle = (id: string, change: { state: UsageReport['state']; entries?: string }) =>
    db.write((tx) =>
      tx.as<UsageReportTables>().updateTable('image_usage_report').set(change).where('id', '=', id).execute(),
    );
  return {
    kind: KIND,
    start: 'count',
    steps: {
      async count({ payload: { id } }) {
        const row = await db
          .read<UsageReportTables>()
          .selectFrom('image_usage_report')
          .selectAll()
          .where('id', '=', id)
          .executeTakeFirst();
        if (row) await settle(id, { state: 'available', entries: JSON.stringify(await counted(reportOf(row))) });
        return { kind: 'done' };
      },
    },
    failed: async ({ id }) => void (await settle(id, { state: 'error' })),
  };
}
