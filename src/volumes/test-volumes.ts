/** The house below the services for one test: real database, identity, keys, storage and jobs in a temporary folder. */
import { join } from 'node:path';
import { type AuditTrail, auditMigrations, createAudit } from '../audit/trail.ts';
import type { Authorizer } from '../authz/authorizer.ts';
import type { Call, Caller } from '../authz/caller.ts';
import { systemPermit } from '../authz/permit.ts';
import { type RootKey, rootKeyFrom } from '../crypto/root-key.ts';
import type { Db, Migration } from '../db/db.ts';
import { openTestDb } from '../db/test-db.ts';
import { createIdempotency, type Idempotency, idempotencyMigrations } from '../idempotency/idempotency.ts';
import { createIdentity, type Identity, identityMigrations } from '../identity/identity.ts';
import { type AccountId, type Arn, newUuid, type Region, rootArn } from '../ids.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { createJobs, jobsMigrations } from '../jobs/runner.ts';
import { createKeys, type Keys } from '../keys/keys.ts';
import type { KeysOnBehalf } from '../keys/on-behalf.ts';
import { keysMigrations } from '../keys/tables.ts';
import { createLog } from '../log.ts';
import { createRecycleBin, type RecycleBin, recycleBinMigrations } from '../recycle-bin/recycle-bin.ts';
import { createTags, type Tags, tagMigrations } from '../tags/tags.ts';
import { createVolumes, type VolumesParts, volumesMigrations } from './create.ts';
import { openStorage } from './storage/open-storage.ts';
import { storageMigrations } from './storage/tables.ts';
import type { Storage } from './storage.ts';

export const REGION = 'eu-central-1' as Region;
export const OTHER_REGION = 'us-east-1' as Region;
const CONDITION_MS = 20_000;

export interface TestVolumes extends VolumesParts, AsyncDisposable {
  readonly db: Db;
  readonly rootKey: RootKey;
  readonly folder: string;
  readonly identity: Identity;
  readonly authorizer: Authorizer;
  readonly keys: Keys;
  readonly onBehalf: KeysOnBehalf;
  readonly storage: Storage;
  readonly jobs: Jobs;
  readonly tags: Tags;
  readonly bin: RecycleBin;
  readonly audit: AuditTrail;
  readonly idempotency: Idempotency;
  readonly clock: () => Date;
  /** Two accounts; calls as their root users. */
  readonly build: AccountId;
  readonly prod: AccountId;
  as(account: AccountId, region?: Region): Call;
  /** A user whose only inline policy has these statements. */
  userOf(account: AccountId, name: string, statements: readonly object[], region?: Region): Promise<Call>;
  /** A customer managed key; the default policy unless statements are given. */
  key(call: Call, statements?: readonly object[]): Promise<Arn>;
  /** What the caller's account sees of KMS events since the test began, oldest first. */
  kmsEvents(account: AccountId, region?: Region): Promise<{ name: string; event: Record<string, unknown> }[]>;
  /** A clock that a test moves on. */
  advance(ms: number): void;
}

const MIGRATIONS = [
  auditMigrations,
  idempotencyMigrations,
  identityMigrations,
  jobsMigrations,
  keysMigrations,
  storageMigrations,
  recycleBinMigrations,
  tagMigrations,
  volumesMigrations,
].flat();

export const policy = (statements: readonly object[]) =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });

/** Resolves when `met` gives a value; fails after a time in which any job ends. */
export async function until<Value>(what: string, met: () => Promise<Value | undefined | false>): Promise<Value> {
  const deadline = Date.now() + CONDITION_MS;
  for (;;) {
    const value = await met();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not met in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const testRootKey = () => rootKeyFrom(new Uint8Array(32).fill(7));

/** What stands on volumes and registers job programs of its own is made by `above`, before jobs start. */
export interface Storeys {
  readonly migrations: readonly Migration[];
  above(parts: Omit<TestVolumes, typeof Symbol.asyncDispose>): void;
}

/** With `pausedJobs` nothing runs in the background until the test calls `jobs.start()`. */
export async function openTestVolumes(
  storeys?: Storeys,
  options?: { readonly pausedJobs: boolean },
): Promise<TestVolumes> {
  const database = await openTestDb([...MIGRATIONS, ...(storeys?.migrations ?? [])]);
  const { db, folder } = database;
  let offsetMs = 0;
  const clock = () => new Date(Date.now() + offsetMs);
  const log = createLog('silent');
  const rootKey = testRootKey();
  const identity = createIdentity({ db, rootKey, clock });
  await identity.bootstrap();
  const { authorizer, principals } = identity;
  const audit = createAudit({ db });
  const jobs = createJobs({ db, clock, log });
  const tags = createTags(db);
  const idempotency = createIdempotency({ db, clock });
  const { keys, onBehalf } = await createKeys({
    db,
    rootKey,
    tokenKeys: rootKey,
    authorizer,
    audit,
    principals,
    jobs,
    clock,
  });
  const storage = await openStorage({ dir: join(folder, 'data'), db, log, workers: 1 });
  const bin = createRecycleBin({ db, clock });
  const parts = createVolumes({ db, storage, keys: onBehalf, jobs, tags, bin, clock, log, rootKey });

  const account = async (name: string) => {
    const permit = systemPermit('organizations:CreateAccount', '*', 'test');
    const { accountId } = await identity.organizations.createAccount(permit, { name, email: `${name}@example.com` });
    if (!accountId) throw new Error(`account ${name} was not made`);
    return accountId;
  };
  const build = await account('build');
  const prod = await account('prod');
  const callOf = (caller: Caller, region: Region): Call => ({
    caller,
    region,
    requestId: newUuid(),
    now: clock(),
    sourceIp: '192.0.2.1',
    userAgent: 'test',
    secureTransport: true,
  });
  const root = (accountId: AccountId): Caller => ({
    accountId,
    type: 'Account',
    arn: rootArn(accountId),
    principalArn: rootArn(accountId),
    userId: accountId,
    uniqueId: accountId,
    tags: {},
  });

  const test: Omit<TestVolumes, typeof Symbol.asyncDispose> = {
    ...parts,
    db,
    rootKey,
    folder,
    identity,
    authorizer,
    keys,
    onBehalf,
    storage,
    jobs,
    tags,
    bin,
    audit,
    idempotency,
    clock,
    build,
    prod,
    as: (accountId, region = REGION) => callOf(root(accountId), region),
    async userOf(accountId, name, statements, region = REGION) {
      const arn = `arn:aws:iam::${accountId}:user/${name}`;
      await identity.users.create(systemPermit('iam:CreateUser', arn, 'test'), { tags: {} });
      await identity.policies.putInline(systemPermit('iam:PutUserPolicy', arn, 'test'), 'p', policy(statements));
      const { key } = await identity.accessKeys.create(systemPermit('iam:CreateAccessKey', arn, 'test'));
      const credential = await identity.credentials.find(key.id);
      if (!credential) throw new Error(`${arn} has no credential`);
      return callOf(credential.caller, region);
    },
    async key(call, statements) {
      const permit = await authorizer.authorize(call, 'kms:CreateKey', { arn: '*' });
      const made = await keys.createKey(permit, {
        description: '',
        bypassLockoutCheck: true,
        tags: [],
        ...(statements && { policy: policy(statements) }),
      });
      return made.arn;
    },
    async kmsEvents(accountId, region = REGION) {
      const events = await audit.lookUp({ account: accountId, region, limit: 1000 });
      return events
        .map(({ document }) => JSON.parse(document) as Record<string, unknown>)
        .filter((event) => event.eventSource === 'kms.amazonaws.com')
        .map((event) => ({ name: String(event.eventName), event }))
        .reverse();
    },
    advance(ms) {
      offsetMs += ms;
    },
  };
  storeys?.above(test);
  if (!options?.pausedJobs) await jobs.start();
  return {
    ...test,
    async [Symbol.asyncDispose]() {
      await jobs.stop();
      await storage.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
