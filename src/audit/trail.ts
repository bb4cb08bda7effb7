/**
 * The trail: events as CloudTrail writes them (kms 26), one row per event and account that sees it.
 *
 * Records of calls in flight share one commit: while a commit is under way, further records gather for the next. A call
 * is answered only after its record is on disk.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { CompiledQuery, type Expression, type ExpressionBuilder, type SqlBool } from 'kysely';
import type { Denied } from '../authz/authorizer.ts';
import type { Db, Migration, Tx } from '../db/db.ts';
import { type AccountId, newUuid, type Region } from '../ids.ts';
import type { Audit, AuditEntry } from './audit.ts';
import { userIdentity, userNameOf, wholeSeconds } from './user-identity.ts';

const EVENT_VERSION = '1.11';
const PRUNED_AT_A_TIME = 500;

interface EventRow {
  sequence: number;
  account_id: string;
  region: string;
  time: number;
  event_id: string;
  name: string;
  source: string;
  user_name: string | null;
  access_key_id: string | null;
  read_only: number;
  /** The event as JSON. */
  document: string;
}

interface ResourceRow {
  sequence: number;
  name: string;
  arn: string;
  type: string;
}

interface AuditTables {
  audit_event: EventRow;
  audit_resource: ResourceRow;
}

export const auditMigrations: readonly Migration[] = [
  {
    id: 'audit-0001',
    up: async (schema) => {
      await schema.schema
        .createTable('audit_event')
        .addColumn('sequence', 'integer', (column) => column.primaryKey().autoIncrement())
        .addColumn('account_id', 'text', (column) => column.notNull())
        .addColumn('region', 'text', (column) => column.notNull())
        .addColumn('time', 'integer', (column) => column.notNull())
        .addColumn('event_id', 'text', (column) => column.notNull())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('source', 'text', (column) => column.notNull())
        .addColumn('user_name', 'text')
        .addColumn('access_key_id', 'text')
        .addColumn('read_only', 'integer', (column) => column.notNull())
        .addColumn('document', 'text', (column) => column.notNull())
        .execute();
      for (const column of [undefined, 'event_id', 'name', 'user_name', 'access_key_id']) {
        await schema.schema
          .createIndex(`audit_event_${column ?? 'time'}`)
          .on('audit_event')
          .columns(['account_id', 'region', ...(column ? [column] : []), 'time', 'sequence'])
          .execute();
      }
      await schema.schema
        .createTable('audit_resource')
        .addColumn('sequence', 'integer', (column) => column.notNull().references('audit_event.sequence'))
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('arn', 'text', (column) => column.notNull())
        .addColumn('type', 'text', (column) => column.notNull())
        .execute();
      for (const column of ['sequence', 'name', 'arn']) {
        await schema.schema.createIndex(`audit_resource_${column}`).on('audit_resource').column(column).execute();
      }
    },
  },
];

export type TrailAttribute =
  | 'EventId'
  | 'EventName'
  | 'EventSource'
  | 'ReadOnly'
  | 'Username'
  | 'AccessKeyId'
  | 'ResourceName'
  | 'ResourceType';

export interface TrailQuery {
  readonly account: AccountId;
  readonly region: Region;
  readonly attribute?: { readonly key: TrailAttribute; readonly value: string };
  readonly from?: Date;
  readonly to?: Date;
  readonly limit: number;
  /** The last event of the page before. */
  readonly after?: TrailPlace;
}

/** Where an event stands: events are ordered by time, then by arrival. */
export interface TrailPlace {
  readonly time: number;
  readonly sequence: number;
}

export interface TrailEvent extends TrailPlace {
  readonly eventId: string;
  readonly name: string;
  readonly source: string;
  readonly userName?: string;
  readonly accessKeyId?: string;
  readonly readOnly: boolean;
  readonly resources: readonly { readonly name: string; readonly type: string }[];
  readonly document: string;
}

export interface AuditTrail extends Audit {
  /** Events that the account's own trail in that region holds, newest first. */
  lookUp(query: TrailQuery): Promise<TrailEvent[]>;
  /** Deletes a batch of the oldest events, those from before `before`; gives how many. */
  prune(before: Date): Promise<number>;
}

export interface AuditDeps {
  readonly db: Db;
  /** Seals the reasons of a denial for sts DecodeAuthorizationMessage; without it, records have none. */
  readonly encodeAuthorizationFailure?: EncodeDenial;
}

type EncodeDenial = (denied: Denied) => string;

export function createAudit(deps: AuditDeps): AuditTrail {
  return new Trail(deps.db, deps.encodeAuthorizationFailure);
}

interface Pending {
  readonly entry: AuditEntry;
  resolve(): void;
  reject(error: unknown): void;
}

class Trail implements AuditTrail {
  readonly #db: Db;
  #gathering: Pending[] = [];
  #committing = false;

  readonly #encodeDenial: EncodeDenial | undefined;

  constructor(db: Db, encodeDenial: EncodeDenial | undefined) {
    this.#db = db;
    this.#encodeDenial = encodeDenial;
  }

  record(given: AuditEntry): Promise<void> {
    const entry = this.#withReasons(given);
    return new Promise((resolve, reject) => {
      this.#gathering.push({ entry, resolve, reject });
      if (!this.#committing) void this.#commitAll();
    });
  }

  /** A member of its own beside what the operation says of itself. */
  #withReasons(entry: AuditEntry): AuditEntry {
    if (!entry.denied || !this.#encodeDenial) return entry;
    const { additionalEventData: data } = entry;
    const facts = typeof data === 'object' && data !== null ? data : {};
    return {
      ...entry,
      additionalEventData: { ...facts, encodedAuthorizationMessage: this.#encodeDenial(entry.denied) },
    };
  }

  async #commitAll(): Promise<void> {
    this.#committing = true;
    while (this.#gathering.length > 0) {
      let group: Pending[] = [];
      try {
        // Calls that end in the same turn of the loop go together: a commit costs as much for all as for one.
        await turnOfTheLoop();
        await this.#db.write(async (tx) => {
          // Taken when the transaction's turn has come, so that whatever gathered while it waited goes along.
          group = this.#gathering.splice(0);
          for (const { entry } of group) await insertEntry(tx, entry);
        });
        for (const { resolve } of group) resolve();
      } catch (error) {
        // A transaction that never began took nobody along, and nobody must be left waiting.
        for (const { reject } of group.length > 0 ? group : this.#gathering.splice(0)) reject(error);
      }
    }
    this.#committing = false;
  }

  async prune(before: Date): Promise<number> {
    // By arrival, which needs no index of its own; an event with a clock that was ahead waits for its time.
    const oldest = await this.#db
      .read<AuditTables>()
      .selectFrom('audit_event')
      .select(['sequence', 'time'])
      .orderBy('sequence')
      .limit(PRUNED_AT_A_TIME)
      .execute();
    const sequences = oldest.filter(({ time }) => time < before.getTime()).map(({ sequence }) => sequence);
    if (sequences.length === 0) return 0;
    await this.#db.write(async (tx) => {
      const tables = tx.as<AuditTables>();
      await tables.deleteFrom('audit_resource').where('sequence', 'in', sequences).execute();
      await tables.deleteFrom('audit_event').where('sequence', 'in', sequences).execute();
    });
    return sequences.length;
  }

  async lookUp(query: TrailQuery): Promise<TrailEvent[]> {
    let events = this.#db
      .read<AuditTables>()
      .selectFrom('audit_event')
      .selectAll()
      .where('account_id', '=', query.account)
      .where('region', '=', query.region)
      .orderBy('time', 'desc')
      .orderBy('sequence', 'desc')
      .limit(query.limit);
    const { attribute, from, to, after } = query;
    if (attribute) events = events.where((expression) => matches(expression, attribute.key, attribute.value));
    if (from) events = events.where('time', '>=', from.getTime());
    if (to) events = events.where('time', '<=', to.getTime());
    if (after) {
      events = events.where(({ or, and, eb }) =>
        or([eb('time', '<', after.time), and([eb('time', '=', after.time), eb('sequence', '<', after.sequence)])]),
      );
    }
    const rows = await events.execute();
    const resources = await this.#resourcesOf(rows.map((row) => row.sequence));
    return rows.map((row) => ({
      sequence: row.sequence,
      time: row.time,
      eventId: row.event_id,
      name: row.name,
      source: row.source,
      ...(row.user_name !== null && { userName: row.user_name }),
      ...(row.access_key_id !== null && { accessKeyId: row.access_key_id }),
      readOnly: row.read_only === 1,
      resources: resources.filter((resource) => resource.sequence === row.sequence),
      document: row.document,
    }));
  }

  async #resourcesOf(sequences: number[]): Promise<ResourceRow[]> {
    if (sequences.length === 0) return [];
    return this.#db
      .read<AuditTables>()
      .selectFrom('audit_resource')
      .selectAll()
      .where('sequence', 'in', sequences)
      .execute();
  }
}

type EventExpression = ExpressionBuilder<AuditTables, 'audit_event'>;

const ATTRIBUTE_COLUMNS = {
  EventId: 'event_id',
  EventName: 'name',
  EventSource: 'source',
  Username: 'user_name',
  AccessKeyId: 'access_key_id',
} as const;

function matches(event: EventExpression, key: TrailAttribute, value: string): Expression<SqlBool> {
  switch (key) {
    case 'ReadOnly':
      return event('read_only', '=', value.toLowerCase() === 'true' ? 1 : 0);
    case 'ResourceType':
      return event('sequence', 'in', event.selectFrom('audit_resource').select('sequence').where('type', '=', value));
    case 'ResourceName':
      return event(
        'sequence',
        'in',
        event
          .selectFrom('audit_resource')
          .select('sequence')
          .where((resource) => resource.or([resource('name', '=', value), resource('arn', '=', value)])),
      );
    default:
      return event(ATTRIBUTE_COLUMNS[key], '=', value);
  }
}

const INSERT_EVENT =
  'insert into audit_event (account_id, region, time, event_id, name, source, user_name, access_key_id, read_only, document)' +
  ' values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)';
const INSERT_RESOURCE = 'insert into audit_resource (sequence, name, arn, type) values (?, ?, ?, ?)';

/** Plain SQL: this runs for every call, and compiling the query would cost more than running it. */
async function insertEntry(tx: Tx, entry: AuditEntry): Promise<void> {
  const { call } = entry;
  const recipients = recipientsOf(entry);
  const sharedEventId = recipients.length > 1 ? newUuid() : undefined;
  for (const recipient of recipients) {
    const eventId = (recipient === call.caller.accountId && call.audit?.eventId) || newUuid();
    const inserted = await tx
      .as<AuditTables>()
      .executeQuery(
        CompiledQuery.raw(INSERT_EVENT, [
          recipient,
          call.region,
          call.now.getTime(),
          eventId,
          entry.eventName,
          entry.eventSource,
          userNameOf(call.caller) ?? null,
          call.caller.accessKeyId ?? null,
          entry.readOnly ? 1 : 0,
          JSON.stringify(eventDocument(entry, recipient, eventId, sharedEventId)),
        ]),
      );
    for (const { name, arn, type } of resourcesOf(entry)) {
      const values = [Number(inserted.insertId), name, arn, type];
      await tx.as<AuditTables>().executeQuery(CompiledQuery.raw(INSERT_RESOURCE, values));
    }
  }
}

/** Caller's trail and those of the owners touched; a denied call is the caller's affair only (kms 26.6). */
function recipientsOf({ call, otherAccounts, error }: AuditEntry): AccountId[] {
  const denied = error !== undefined && /AccessDenied|UnauthorizedOperation/.test(error.code);
  return [...new Set([call.caller.accountId, ...(denied ? [] : (otherAccounts ?? []))])];
}

/** Where the event names no ARN, the name stands for it. */
function resourcesOf({ resources = [], lookedUpBy = [] }: AuditEntry): Omit<ResourceRow, 'sequence'>[] {
  return [
    ...resources.map(({ arn, type }) => ({ name: resourceName(arn, type), arn, type })),
    ...lookedUpBy.map(({ name, type }) => ({ name, arn: name, type })),
  ];
}

/** CloudTrail lists EC2 resources by id and others by ARN. */
function resourceName(arn: string, type: string): string {
  return type.startsWith('AWS::EC2::') ? arn.slice(arn.lastIndexOf('/') + 1) : arn;
}

function eventDocument(
  entry: AuditEntry,
  recipient: AccountId,
  eventId: string,
  sharedEventId: string | undefined,
): object {
  const { call, error } = entry;
  const eventType = entry.eventType ?? 'AwsApiCall';
  return {
    eventVersion: EVENT_VERSION,
    userIdentity: userIdentity(call, recipient, eventType === 'AwsServiceEvent'),
    eventTime: wholeSeconds(call.now),
    eventSource: entry.eventSource,
    eventName: entry.eventName,
    awsRegion: call.region,
    // A service that calls for somebody stands in both places (kms 27.2).
    sourceIPAddress: call.invokedBy ?? call.sourceIp ?? 'AWS Internal',
    userAgent: call.invokedBy ?? call.userAgent,
    ...(error && { errorCode: error.code, errorMessage: error.message }),
    requestParameters: entry.requestParameters ?? null,
    responseElements: entry.responseElements ?? null,
    ...(entry.additionalEventData !== undefined && { additionalEventData: entry.additionalEventData }),
    requestID: call.requestId,
    eventID: eventId,
    readOnly: entry.readOnly,
    ...(entry.resources?.length && {
      resources: entry.resources.map(({ arn, accountId, type }) => ({ accountId, type, ARN: arn })),
    }),
    eventType,
    managementEvent: true,
    recipientAccountId: recipient,
    ...(sharedEventId && { sharedEventID: sharedEventId }),
    ...(entry.vpcEndpointId && { vpcEndpointId: entry.vpcEndpointId }),
    eventCategory: 'Management',
  };
}
