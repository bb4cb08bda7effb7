/**
 * Recycle Bin: rules that keep what is deleted for some days, and what is in the bin (ec2-encryption L-9). What it means
 * for a snapshot or an image to be in the bin, and to leave it, is the business of their own modules.
 */
import type { Kysely } from 'kysely';
import type { Permit } from '../authz/permit.ts';
import type { Db, Migration, Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import type { AccountId, Region } from '../ids.ts';

export type BinnedType = 'EBS_SNAPSHOT' | 'EC2_IMAGE';

/** Without a value any will do. */
export interface RuleTag {
  readonly key: string;
  readonly value?: string;
}

export interface RuleRecord {
  readonly id: string;
  readonly accountId: AccountId;
  readonly region: Region;
  readonly resourceType: BinnedType;
  readonly description: string;
  readonly retentionDays: number;
  /** Of resources with any of these; without them the rule is for the whole region, but for `excluded`. */
  readonly tags: readonly RuleTag[];
  readonly excluded: readonly RuleTag[];
  readonly lock?: {
    readonly unlockDelayDays: number;
    readonly state: 'locked' | 'pending_unlock' | 'unlocked';
    readonly endsAt?: Date;
  };
}

export interface BinItem {
  readonly id: string;
  readonly enteredAt: Date;
  readonly exitsAt: Date;
  /** What the module that put it there wants to know again. */
  readonly detail: string;
}

export type RecycleBinRefusalReason =
  | 'rule-not-found'
  | 'rule-locked'
  | 'rule-not-locked'
  | 'rule-with-tags'
  | 'rule-limit';

type NewRule = Pick<RuleRecord, 'resourceType' | 'description' | 'retentionDays' | 'tags' | 'excluded'> & {
  readonly unlockDelayDays?: number;
};

export interface RecycleBin {
  createRule(
    tx: Tx,
    permit: Permit<'rbin:CreateRule'>,
    account: AccountId,
    region: Region,
    rule: NewRule,
  ): Promise<RuleRecord>;
  findRule(account: AccountId, region: Region, id: string): Promise<RuleRecord | undefined>;
  listRules(account: AccountId, region: Region): Promise<RuleRecord[]>;
  /** These four refuse what the rule's lock forbids. */
  updateRule(
    tx: Tx,
    permit: Permit<'rbin:UpdateRule'>,
    rule: RuleRecord,
    change: Partial<NewRule>,
  ): Promise<RuleRecord>;
  deleteRule(tx: Tx, permit: Permit<'rbin:DeleteRule'>, rule: RuleRecord): Promise<void>;
  lockRule(tx: Tx, permit: Permit<'rbin:LockRule'>, rule: RuleRecord, unlockDelayDays: number): Promise<RuleRecord>;
  unlockRule(tx: Tx, permit: Permit<'rbin:UnlockRule'>, rule: RuleRecord): Promise<RuleRecord>;

  /** Keeps what is being deleted, if a rule says so: the one that keeps it longest. */
  enter(
    tx: Tx,
    resource: {
      readonly account: AccountId;
      readonly region: Region;
      readonly type: BinnedType;
      readonly id: string;
      readonly tags: readonly { readonly Key: string; readonly Value: string }[];
      readonly detail: string;
    },
  ): Promise<BinItem | undefined>;
  leave(tx: Tx, id: string): Promise<void>;
  item(account: AccountId, region: Region, id: string): Promise<BinItem | undefined>;
  items(account: AccountId, region: Region, type: BinnedType): Promise<BinItem[]>;
}

interface RecycleBinTables {
  recycle_bin_rule: {
    id: string;
    account_id: AccountId;
    region: Region;
    resource_type: BinnedType;
    description: string;
    retention_days: number;
    /** JSON lists of {@link RuleTag}. */
    tags: string;
    excluded: string;
    unlock_delay_days: number | null;
    /** Null while locked; then the time from which it is unlocked. */
    unlocks_at: number | null;
  };
  recycle_bin_item: {
    id: string;
    account_id: AccountId;
    region: Region;
    resource_type: BinnedType;
    entered_at: number;
    exits_at: number;
    detail: string;
  };
}
type RuleRow = RecycleBinTables['recycle_bin_rule'];

export const recycleBinMigrations: readonly Migration[] = [
  {
    id: 'bin-0001',
    up: async ({ schema }: Kysely<unknown>) => {
      await schema
        .createTable('recycle_bin_rule')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('account_id', 'text', (column) => column.notNull())
        .addColumn('region', 'text', (column) => column.notNull())
        .addColumn('resource_type', 'text', (column) => column.notNull())
        .addColumn('description', 'text', (column) => column.notNull())
        .addColumn('retention_days', 'integer', (column) => column.notNull())
        .addColumn('tags', 'text', (column) => column.notNull())
        .addColumn('excluded', 'text', (column) => column.notNull())
        .addColumn('unlock_delay_days', 'integer')
        .addColumn('unlocks_at', 'integer')
        .execute();
      await schema
        .createIndex('recycle_bin_rule_account')
        .on('recycle_bin_rule')
        .columns(['account_id', 'region'])
        .execute();
      await schema
        .createTable('recycle_bin_item')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('account_id', 'text', (column) => column.notNull())
        .addColumn('region', 'text', (column) => column.notNull())
        .addColumn('resource_type', 'text', (column) => column.notNull())
        .addColumn('entered_at', 'integer', (column) => column.notNull())
        .addColumn('exits_at', 'integer', (column) => column.notNull())
        .addColumn('detail', 'text', (column) => column.notNull())
        .execute();
      await schema
        .createIndex('recycle_bin_item_account')
        .on('recycle_bin_item')
        .columns(['account_id', 'region'])
        .execute();
    },
  },
];

const DAY_MS = 86_400_000;
const RULES_MAX = 250;
const RULE_ID_LENGTH = 11;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

const refuse = (reason: RecycleBinRefusalReason, facts: Refusal['facts'] = {}) => new Refusal(reason, facts);

function newRuleId(): string {
  const bytes = globalThis.crypto.getRandomValues(new Uint32Array(RULE_ID_LENGTH));
  return Array.from(bytes, (value) => ALPHABET[value % ALPHABET.length]).join('');
}

function ruleOf(row: RuleRow, now: Date): RuleRecord {
  const lock = row.unlock_delay_days === null ? undefined : lockOf(row.unlock_delay_days, row.unlocks_at, now);
  return {
    id: row.id,
    accountId: row.account_id,
    region: row.region,
    resourceType: row.resource_type,
    description: row.description,
    retentionDays: row.retention_days,
    tags: JSON.parse(row.tags) as RuleTag[],
    excluded: JSON.parse(row.excluded) as RuleTag[],
    ...(lock && { lock }),
  };
}

function lockOf(unlockDelayDays: number, unlocksAt: number | null, now: Date): NonNullable<RuleRecord['lock']> {
  if (unlocksAt === null) return { unlockDelayDays, state: 'locked' };
  const state = unlocksAt > now.getTime() ? 'pending_unlock' : 'unlocked';
  return { unlockDelayDays, state, endsAt: new Date(unlocksAt) };
}

export function createRecycleBin({ db, clock }: { readonly db: Db; readonly clock: () => Date }): RecycleBin {
  const tables = (tx: Tx) => tx.as<RecycleBinTables>();
  const committed = () => db.read<RecycleBinTables>();
  const inTransaction = async (tx: Tx, { id }: Pick<RuleRecord, 'id'>): Promise<RuleRow> => {
    const row = await tables(tx).selectFrom('recycle_bin_rule').selectAll().where('id', '=', id).executeTakeFirst();
    if (!row) throw refuse('rule-not-found', { ruleId: id });
    return row;
  };
  const requireOpen = (row: RuleRow) => {
    const { lock } = ruleOf(row, clock());
    if (lock && lock.state !== 'unlocked') throw refuse('rule-locked', { ruleId: row.id });
  };
  const write = async (tx: Tx, row: RuleRow, columns: Partial<RuleRow>): Promise<RuleRecord> => {
    await tables(tx).updateTable('recycle_bin_rule').set(columns).where('id', '=', row.id).execute();
    return ruleOf({ ...row, ...columns }, clock());
  };

  return {
    async createRule(tx, _permit, account, region, rule) {
      const others = await tables(tx)
        .selectFrom('recycle_bin_rule')
        .select('id')
        .where('account_id', '=', account)
        .where('region', '=', region)
        .execute();
      if (others.length >= RULES_MAX) throw refuse('rule-limit', { max: RULES_MAX });
      if (rule.unlockDelayDays !== undefined && rule.tags.length > 0) throw refuse('rule-with-tags');
      const row: RuleRow = {
        id: newRuleId(),
        account_id: account,
        region,
        resource_type: rule.resourceType,
        description: rule.description,
        retention_days: rule.retentionDays,
        tags: JSON.stringify(rule.tags),
        excluded: JSON.stringify(rule.excluded),
        unlock_delay_days: rule.unlockDelayDays ?? null,
        unlocks_at: null,
      };
      await tables(tx).insertInto('recycle_bin_rule').values(row).execute();
      return ruleOf(row, clock());
    },
    async findRule(account, region, id) {
      const row = await committed()
        .selectFrom('recycle_bin_rule')
        .selectAll()
        .where('id', '=', id)
        .where('account_id', '=', account)
        .where('region', '=', region)
        .executeTakeFirst();
      return row && ruleOf(row, clock());
    },
    async listRules(account, region) {
      const rows = await committed()
        .selectFrom('recycle_bin_rule')
        .selectAll()
        .where('account_id', '=', account)
        .where('region', '=', region)
        .orderBy('id')
        .execute();
      return rows.map((row) => ruleOf(row, clock()));
    },
    async updateRule(tx, _permit, rule, change) {
      const row = await inTransaction(tx, rule);
      requireOpen(row);
      return write(tx, row, {
        ...(change.resourceType === undefined ? {} : { resource_type: change.resourceType }),
        ...(change.description === undefined ? {} : { description: change.description }),
        ...(change.retentionDays === undefined ? {} : { retention_days: change.retentionDays }),
        ...(change.tags === undefined ? {} : { tags: JSON.stringify(change.tags) }),
        ...(change.excluded === undefined ? {} : { excluded: JSON.stringify(change.excluded) }),
      });
    },
    async deleteRule(tx, _permit, rule) {
      requireOpen(await inTransaction(tx, rule));
      await tables(tx).deleteFrom('recycle_bin_rule').where('id', '=', rule.id).execute();
    },
    async lockRule(tx, _permit, rule, unlockDelayDays) {
      const row = await inTransaction(tx, rule);
      requireOpen(row);
      if ((JSON.parse(row.tags) as RuleTag[]).length > 0) throw refuse('rule-with-tags');
      return write(tx, row, { unlock_delay_days: unlockDelayDays, unlocks_at: null });
    },
    async unlockRule(tx, _permit, rule) {
      const row = await inTransaction(tx, rule);
      if (ruleOf(row, clock()).lock?.state !== 'locked') throw refuse('rule-not-locked', { ruleId: row.id });
      return write(tx, row, { unlocks_at: clock().getTime() + row.unlock_delay_days! * DAY_MS });
    },

    async enter(tx, { account, region, type, id, tags, detail }) {
      const rows = await tables(tx)
        .selectFrom('recycle_bin_rule')
        .selectAll()
        .where('account_id', '=', account)
        .where('region', '=', region)
        .where('resource_type', '=', type)
        .execute();
      const now = clock();
      const has = (wanted: RuleTag) =>
        tags.some(({ Key, Value }) => Key === wanted.key && (wanted.value === undefined || Value === wanted.value));
      const days = rows
        .map((row) => ruleOf(row, now))
        .filter((rule) => (rule.tags.length > 0 ? rule.tags.some(has) : !rule.excluded.some(has)))
        .map((rule) => rule.retentionDays);
      if (days.length === 0) return undefined;
      const item = { id, enteredAt: now, exitsAt: new Date(now.getTime() + Math.max(...days) * DAY_MS), detail };
      await tables(tx)
        .insertInto('recycle_bin_item')
        .values({
          id,
          account_id: account,
          region,
          resource_type: type,
          entered_at: now.getTime(),
          exits_at: item.exitsAt.getTime(),
          detail,
        })
        .execute();
      return item;
    },
    async leave(tx, id) {
      await tables(tx).deleteFrom('recycle_bin_item').where('id', '=', id).execute();
    },
    async item(account, region, id) {
      const row = await committed()
        .selectFrom('recycle_bin_item')
        .selectAll()
        .where('id', '=', id)
        .where('account_id', '=', account)
        .where('region', '=', region)
        .executeTakeFirst();
      return row && itemOf(row);
    },
    async items(account, region, type) {
      const rows = await committed()
        .selectFrom('recycle_bin_item')
        .selectAll()
        .where('account_id', '=', account)
        .where('region', '=', region)
        .where('resource_type', '=', type)
        .execute();
      return rows.map(itemOf);
    },
  };
}

function itemOf(row: RecycleBinTables['recycle_bin_item']): BinItem {
  return { id: row.id, enteredAt: new Date(row.entered_at), exitsAt: new Date(row.exits_at), detail: row.detail };
}
