/**
 * Client tokens: which result a request with this token had, so that a repeated request changes nothing
 * (ec2-encryption L-20, L-21). What a mismatch means is each service's business; here are only the facts.
 */
import type { Kysely } from 'kysely';
import type { Db, Migration, Tx } from '../db/db.ts';
import type { AccountId, Region } from '../ids.ts';

/** One use of a token. `action` carries its service, for example `ec2:CreateVolume`. */
export interface TokenUse {
  readonly account: AccountId;
  readonly region: Region;
  readonly action: string;
  readonly token: string;
}

export interface RememberedResult {
  readonly parametersHash: string;
  /** Id of what the first request made. */
  readonly resultId: string;
}

export interface Idempotency {
  /** The first request with this token. Pass `tx` to decide in the transaction that would remember it. */
  find(use: TokenUse, tx?: Tx): Promise<RememberedResult | undefined>;
  /** Remembers the result; call after `find` with the same transaction found nothing. */
  remember(tx: Tx, use: TokenUse, parametersHash: string, resultId: string): Promise<void>;
  /**
   * Forgets tokens from before `before`, but for those whose results are still there: they answer as long as these do.
   * Looks at one batch, the oldest first, and goes on behind it the next time; `more` says that there is something.
   */
  prune(
    before: Date,
    isThere: (result: TokenResult) => Promise<boolean>,
  ): Promise<{ forgotten: number; more: boolean }>;
}

export interface TokenResult {
  readonly account: AccountId;
  readonly region: Region;
  readonly resultId: string;
}

export interface IdempotencyTables {
  idempotency_tokens: {
    account_id: string;
    region: string;
    action: string;
    token: string;
    parameters_hash: string;
    result_id: string;
    created_at: number;
  };
}

export const idempotencyMigrations: readonly Migration[] = [
  {
    id: 'idempotency-0001',
    async up(schema: Kysely<unknown>) {
      await schema.schema
        .createTable('idempotency_tokens')
        .addColumn('account_id', 'text', (column) => column.notNull())
        .addColumn('region', 'text', (column) => column.notNull())
        .addColumn('action', 'text', (column) => column.notNull())
        .addColumn('token', 'text', (column) => column.notNull())
        .addColumn('parameters_hash', 'text', (column) => column.notNull())
        .addColumn('result_id', 'text', (column) => column.notNull())
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('idempotency_tokens_key', ['account_id', 'region', 'action', 'token'])
        .execute();
    },
  },
  {
    id: 'idempotency-0002',
    async up(schema: Kysely<unknown>) {
      await schema.schema.createIndex('idempotency_tokens_age').on('idempotency_tokens').column('created_at').execute();
    },
  },
];

const PRUNED_AT_A_TIME = 200;
const KEY = ['account_id', 'region', 'action', 'token'] as const;

export function createIdempotency(deps: { db: Db; clock: () => Date }): Idempotency {
  /** The last token that was looked at; none where the next to look at is the oldest. */
  let lookedAt: { readonly created_at: number; readonly token: string } | undefined;

  return {
    async prune(before, isThere) {
      const rows = await deps.db
        .read<IdempotencyTables>()
        .selectFrom('idempotency_tokens')
        .select([...KEY, 'result_id', 'created_at'])
        .where('created_at', '<', before.getTime())
        .where(({ eb, or, and }) =>
          lookedAt === undefined
            ? and([])
            : or([
                eb('created_at', '>', lookedAt.created_at),
                and([eb('created_at', '=', lookedAt.created_at), eb('token', '>', lookedAt.token)]),
              ]),
        )
        .orderBy('created_at')
        .orderBy('token')
        .limit(PRUNED_AT_A_TIME)
        .execute();
      const more = rows.length === PRUNED_AT_A_TIME;
      lookedAt = more ? rows.at(-1) : undefined;
      const gone: typeof rows = [];
      for (const row of rows) {
        const result = {
          account: row.account_id as AccountId,
          region: row.region as Region,
          resultId: row.result_id,
        };
        if (!(await isThere(result))) gone.push(row);
      }
      if (gone.length > 0) {
        await deps.db.write(async (tx) => {
          for (const row of gone) {
            let query = tx.as<IdempotencyTables>().deleteFrom('idempotency_tokens');
            for (const column of KEY) query = query.where(column, '=', row[column]);
            await query.execute();
          }
        });
      }
      return { forgotten: gone.length, more };
    },
    async find(use, tx) {
      const query = tx ? tx.as<IdempotencyTables>() : deps.db.read<IdempotencyTables>();
      const row = await query
        .selectFrom('idempotency_tokens')
        .select(['parameters_hash', 'result_id'])
        .where('account_id', '=', use.account)
        .where('region', '=', use.region)
        .where('action', '=', use.action)
        .where('token', '=', use.token)
        .executeTakeFirst();
      return row && { parametersHash: row.parameters_hash, resultId: row.result_id };
    },
    async remember(tx, use, parametersHash, resultId) {
      await tx
        .as<IdempotencyTables>()
        .insertInto('idempotency_tokens')
        .values({
          account_id: use.account,
          region: use.region,
          action: use.action,
          token: use.token,
          parameters_hash: parametersHash,
          result_id: resultId,
          created_at: deps.clock().getTime(),
        })
        .execute();
    },
  };
}

const NOT_PARAMETERS = new Set(['ClientToken', 'DryRun']);

/** SHA-256 (hex) over the request's parameters in one spelling, without the token itself and DryRun. */
export async function hashParameters(input: object): Promise<string> {
  const parameters = Object.fromEntries(Object.entries(input).filter(([name]) => !NOT_PARAMETERS.has(name)));
  const digest = await globalThis.crypto.subtle.digest('SHA-256', new TextEncoder().encode(canonical(parameters)));
  return Buffer.from(digest).toString('hex');
}

function canonical(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (value instanceof Date) return JSON.stringify(value.toISOString());
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString('base64'));
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`);
  return `{${members.join(',')}}`;
}
