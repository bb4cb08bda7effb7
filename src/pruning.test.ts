import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AuditEntry } from './audit/audit.ts';
import { auditMigrations, createAudit } from './audit/trail.ts';
import type { Call } from './authz/caller.ts';
import { serviceCaller } from './authz/caller.ts';
import { openTestDb } from './db/test-db.ts';
import { createIdempotency, idempotencyMigrations } from './idempotency/idempotency.ts';
import type { AccountId, Region } from './ids.ts';
import { prune } from './pruning.ts';

const account = '111122223333' as AccountId;
const region = 'eu-central-1' as Region;
const DAY_MS = 86_400_000;
const START = Date.UTC(2030, 0, 1);

async function world() {
  const database = await openTestDb([...auditMigrations, ...idempotencyMigrations]);
  let now = START;
  const clock = () => new Date(now);
  const audit = createAudit({ db: database.db });
  const idempotency = createIdempotency({ db: database.db, clock });
  const there = new Set<string>();
  const finders = { vol: async ({ resultId }: { resultId: string }) => (there.has(resultId) ? resultId : undefined) };
  const event = (name: string): AuditEntry => ({
    call: {
      caller: serviceCaller(account, 'ec2.amazonaws.com'),
      region,
      requestId: name,
      now: clock(),
      userAgent: 'test',
      secureTransport: false,
    } satisfies Call,
    eventSource: 'ec2.amazonaws.com',
    eventName: name,
    readOnly: false,
    resources: [
      { arn: `arn:aws:ec2:${region}:${account}:volume/vol-${name}`, accountId: account, type: 'AWS::EC2::Volume' },
    ],
  });
  return {
    db: database.db,
    there,
    pass: (days: number) => {
      now += days * DAY_MS;
    },
    record: (name: string) => audit.record(event(name)),
    names: async () => (await audit.lookUp({ account, region, limit: 5000 })).map(({ name }) => name),
    token: (token: string, resultId: string) =>
      database.db.write((tx) =>
        idempotency.remember(tx, { account, region, action: 'ec2:CreateVolume', token }, 'hash', resultId),
      ),
    knows: async (token: string) =>
      (await idempotency.find({ account, region, action: 'ec2:CreateVolume', token })) !== undefined,
    prune: (auditRetentionDays?: number) =>
      prune({
        audit,
        idempotency,
        finders,
        clock,
        ...(auditRetentionDays === undefined ? {} : { auditRetentionDays }),
      }),
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

test('events stay for ever unless an age is set, and then leave when they have it, with what they touched', async () => {
  await using at = await world();
  await at.record('old');
  at.pass(100);
  await at.record('young');
  assert.equal(await at.prune(), undefined);
  at.pass(10_000);
  assert.equal(await at.prune(), undefined);
  assert.deepEqual(await at.names(), ['young', 'old']);
  at.pass(-10_000);
  assert.deepEqual(await at.prune(90), { eventsDeleted: 1, tokensForgotten: 0 });
  assert.deepEqual(await at.names(), ['young']);
  const left = await at.db
    .read<{ audit_resource: { name: string } }>()
    .selectFrom('audit_resource')
    .select('name')
    .execute();
  assert.deepEqual(
    left.map(({ name }) => name),
    ['vol-young'],
  );
  at.pass(89);
  assert.equal(await at.prune(90), undefined);
  at.pass(2);
  assert.deepEqual(await at.prune(90), { eventsDeleted: 1, tokensForgotten: 0 });
});

test('many events leave in batches, and calls go on in between', async () => {
  await using at = await world();
  await Promise.all(Array.from({ length: 1300 }, (_, index) => at.record(`e${index}`)));
  at.pass(91);
  const pruning = at.prune(90);
  await at.record('meanwhile');
  assert.deepEqual(await pruning, { eventsDeleted: 1300, tokensForgotten: 0 });
  assert.deepEqual(await at.names(), ['meanwhile']);
});

test('a token is known for thirty days, and as long as what it made is there', async () => {
  await using at = await world();
  at.there.add('vol-1');
  await at.token('kept', 'vol-1');
  await at.token('vanished', 'vol-2');
  await at.token('nameless', '3');
  for (let index = 0; index < 450; index += 1) await at.token(`many-${index}`, index % 2 ? 'vol-1' : 'vol-2');
  at.pass(29);
  assert.equal(await at.prune(), undefined);
  at.pass(2);
  await at.token('new', 'vol-2');
  assert.deepEqual(await at.prune(), { eventsDeleted: 0, tokensForgotten: 2 + 225 });
  for (const [token, known] of Object.entries({
    kept: true,
    vanished: false,
    nameless: false,
    new: true,
    'many-1': true,
  })) {
    assert.equal(await at.knows(token), known, token);
  }
  at.there.clear();
  assert.deepEqual(await at.prune(), { eventsDeleted: 0, tokensForgotten: 1 + 225 });
  assert.equal(await at.knows('kept'), false);
});
