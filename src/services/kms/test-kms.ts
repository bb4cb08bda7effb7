/** KMS over its real parts for one test: SQLite, identity with its authorizer, the audit trail, jobs, a clock that stands. */
import { auditMigrations, createAudit } from '../../audit/trail.ts';
import { AuditNotes, type Call, type Caller } from '../../authz/caller.ts';
import { systemPermit } from '../../authz/permit.ts';
import { rootKeyFrom } from '../../crypto/root-key.ts';
import { openTestDb } from '../../db/test-db.ts';
import { ApiError } from '../../errors.ts';
import { createAuthorizationMessages } from '../../identity/authorization-messages.ts';
import { createIdentity, identityMigrations } from '../../identity/identity.ts';
import { type AccountId, type Arn, newUuid, type Region, rootArn } from '../../ids.ts';
import { createJobs, jobsMigrations } from '../../jobs/runner.ts';
import { createKeys } from '../../keys/keys.ts';
import { keysMigrations } from '../../keys/tables.ts';
import { createLog } from '../../log.ts';
import type { InputOf, OutputOf } from '../operation.ts';
import { kmsService } from './index.ts';

const WHY = 'a test';
export const REGION = 'eu-central-1' as Region;
const REGIONS = ['eu-central-1', 'eu-west-1', 'us-east-1'];
export const START = new Date('2026-03-01T12:00:00Z');

type Kms = typeof import('@aws-sdk/client-kms');
interface AnyCommand {
  readonly input: object;
  resolveMiddleware(...args: never[]): unknown;
}
type CommandOf<Name extends string> = `${Name}Command` extends keyof Kms
  ? Kms[`${Name}Command`] extends { prototype: infer Command extends AnyCommand }
    ? Command
    : never
  : never;
type In<Name extends string> = InputOf<CommandOf<Name>>;
type Out<Name extends string> = OutputOf<CommandOf<Name>>;

/** `await using world = await openKms()` */
export async function openKms(options: { readonly throttled?: boolean } = {}) {
  const database = await openTestDb([...keysMigrations, ...identityMigrations, ...auditMigrations, ...jobsMigrations]);
  let now = START.getTime();
  const clock = () => new Date(now);
  const rootKey = rootKeyFrom(new Uint8Array(32).fill(7));
  const identity = createIdentity({ db: database.db, rootKey, clock });
  const { managementAccount: account } = await identity.bootstrap();
  const made = await identity.organizations.createAccount(systemPermit('organizations:CreateAccount', '*', WHY), {
    name: 'other',
    email: 'other@example.com',
  });
  const other = made.accountId;
  if (!other) throw new Error('the second account was not made');
  const messages = createAuthorizationMessages(rootKey);
  const audit = createAudit({ db: database.db, encodeAuthorizationFailure: messages.encode });
  const jobs = createJobs({ db: database.db, clock, log: createLog('silent') });
  const { authorizer, principals } = identity;
  const deps = { db: database.db, rootKey, tokenKeys: rootKey, authorizer, audit, principals, jobs, clock };
  const { keys, onBehalf } = await createKeys({ ...deps, ...options });
  const service = kmsService({ keys, isRegion: (name) => (REGIONS as readonly string[]).includes(name) });
  await jobs.start();

  function callOf(caller: Caller, more: Partial<Call> = {}): Call {
    const common = { requestId: newUuid(), now: clock(), sourceIp: '192.0.2.1', userAgent: 'test' };
    return { caller, region: REGION, ...common, secureTransport: true, audit: new AuditNotes(), ...more };
  }

  return {
    ...database,
    db: database.db,
    account,
    other,
    root: rootOf(account),
    otherRoot: rootOf(other),
    identity,
    keys,
    onBehalf,
    jobs,
    audit,
    messages,
    rootKey,
    authorizer,
    principals,
    clock,
    callOf,
    service,

    /** Moves the clock and lets the jobs that are due then run. */
    async pass(ms: number) {
      now += ms;
      await jobs.idle();
    },

    /** Calls an operation as `caller` and answers what the wire would. */
    async as<Name extends string>(
      caller: Caller,
      name: Name,
      input: In<Name>,
      more: Partial<Call> = {},
    ): Promise<Out<Name>> {
      const call = callOf(caller, more);
      const operation = service.operations[name];
      if (!operation) throw new Error(`no operation ${name}`);
      try {
        return (await operation(call, input as never)) as Out<Name>;
      } catch (error) {
        throw service.translate(error, call, name) ?? error;
      }
    },

    async makeUser(name: string, statements: readonly object[], owner: AccountId = account): Promise<Caller> {
      const arn = `arn:aws:iam::${owner}:user/${name}` as Arn;
      const user = await identity.users.create(systemPermit('iam:CreateUser', arn, WHY), { tags: {} });
      if (statements.length > 0) {
        const document = JSON.stringify({ Version: '2012-10-17', Statement: statements });
        await identity.policies.putInline(systemPermit('iam:PutUserPolicy', arn, WHY), 'inline', document);
      }
      const { key } = await identity.accessKeys.create(systemPermit('iam:CreateAccessKey', arn, WHY));
      const credential = await identity.credentials.find(key.id);
      if (!credential) throw new Error(`user ${user.arn} has no credential`);
      return credential.caller;
    },

    /** A role without policies, and a session in it. */
    async makeRole(name: string): Promise<{ arn: Arn; session: Caller }> {
      const arn = `arn:aws:iam::${account}:role/${name}` as Arn;
      const trust = { Effect: 'Allow', Principal: { AWS: rootArn(account) }, Action: 'sts:AssumeRole' };
      const role = await identity.roles.create(systemPermit('iam:CreateRole', arn, WHY), {
        trustPolicy: JSON.stringify({ Version: '2012-10-17', Statement: [trust] }),
        description: '',
        maxSessionSeconds: 3600,
        tags: {},
      });
      const session = { name: 's', policies: [], policyArns: [], tags: {}, transitiveTagKeys: [] };
      const permit = systemPermit('sts:AssumeRole', arn, WHY);
      const { accessKeyId } = await identity.sessions.assumeRole(permit, role, session, 900);
      const credential = await identity.credentials.find(accessKeyId);
      if (!credential) throw new Error('the session has no credential');
      return { arn, session: credential.caller };
    },

    removeRole(arn: Arn): Promise<void> {
      return identity.roles.remove(systemPermit('iam:DeleteRole', arn, WHY));
    },

    async [Symbol.asyncDispose]() {
      await jobs.stop();
      await database[Symbol.asyncDispose]();
    },
  };
}

export type World = Awaited<ReturnType<typeof openKms>>;

function rootOf(accountId: AccountId): Caller {
  const arn = rootArn(accountId);
  return { accountId, type: 'Account', arn, principalArn: arn, userId: accountId, uniqueId: accountId, tags: {} };
}

/** `Code: message` of the error that a call answers; the output where it succeeds. */
export async function failureOf(work: Promise<unknown>): Promise<string> {
  try {
    return `succeeded: ${JSON.stringify(await work)}`;
  } catch (error) {
    if (error instanceof ApiError) return `${error.code}: ${error.message}`;
    throw error;
  }
}
