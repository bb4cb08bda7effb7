/** Making, changing and ending keys (kms §7, §4, §19), and the AWS managed key of EBS (§13). */
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { type AccountId, type Arn, type KeyId, keyArn, newUuid, type Region } from '../ids.ts';
import type { Program } from '../jobs/jobs.ts';
import { EBS_ALIAS } from './identifiers.ts';
import { newMaterial } from './material.ts';
import { callOf, DAY_MS, type KeyParts, permittedKey } from './parts.ts';
import { defaultKeyPolicy, ebsKeyPolicy, storablePolicy } from './policies.ts';
import type { KeyRecord, Page, PageRequest } from './records.ts';
import { refuse } from './refusals.ts';
import type { Rotation } from './rotation.ts';
import { readKeyArn, serviceEvent } from './service-events.ts';
import { requireState } from './states.ts';
import { readKey } from './store.ts';
import type { KeysTables } from './tables.ts';
import { type KeyTag, requireTags } from './tags.ts';

const KEYS_PER_ACCOUNT_AND_REGION_MAX = 100_000;
const ROTATION_PERIOD_DAYS = 365;
/** Longest nap of a job that waits for a date. */
const NAP_MS_MAX = DAY_MS;

export interface NewKey {
  readonly description: string;
  /** As the caller wrote it; the default policy where absent (7.5). */
  readonly policy?: string;
  readonly bypassLockoutCheck: boolean;
  readonly tags: readonly KeyTag[];
}

interface DeletionPayload {
  readonly keyArn: Arn;
  /** Epoch ms of the deletion this job was made for. */
  readonly deletionAt: number;
}
const DELETION = 'keys-delete';

interface KeyToInsert {
  readonly account: AccountId;
  readonly region: Region;
  readonly keyId: KeyId;
  readonly manager: KeyRecord['manager'];
  readonly description: string;
  readonly policy: string;
  readonly rotation: { readonly enabled: boolean };
}

export function lifecycleMethods(parts: KeyParts, rotation: Rotation) {
  const { store, access, rootKey, principals, jobs, audit, clock } = parts;

  const deletion: Program<DeletionPayload> = {
    kind: DELETION,
    start: 'wait',
    attemptsMax: 1_000_000,
    steps: {
      async wait({ payload }) {
        const key = await store.byArn(payload.keyArn);
        if (key?.state !== 'PendingDeletion' || key.deletionAt?.getTime() !== payload.deletionAt)
          return { kind: 'done' };
        const ms = payload.deletionAt - clock().getTime();
        if (ms > 0) return { kind: 'nap', ms: Math.min(ms, NAP_MS_MAX) };
        return (await destroy(key, payload.deletionAt)) ? { kind: 'hop', to: 'record' } : { kind: 'done' };
      },
      async record({ payload: { keyArn: arn } }) {
        const name = readKeyArn(arn);
        await audit.record(serviceEvent('DeleteKey', { arn, ...name }, clock(), { keyId: name.keyId }));
        return { kind: 'done' };
      },
    },
  };
  jobs.register(deletion);

  /** The key and everything that hangs on it. Sealed material is overwritten first: a freed page keeps its bytes. */
  function destroy(key: KeyRecord, deletionAt: number): Promise<boolean> {
    return store.write(async (tables, tx) => {
      const row = await tables
        .selectFrom('keys_key')
        .select('arn')
        .where('arn', '=', key.arn)
        .where('state', '=', 'PendingDeletion')
        .where('deletion_at', '=', deletionAt)
        .executeTakeFirst();
      if (!row) return false;
      const materials = await tables.selectFrom('keys_material').selectAll().where('key_arn', '=', key.arn).execute();
      for (const material of materials) {
        await tables
          .updateTable('keys_material')
          .set({ sealed: new Uint8Array(material.sealed.byteLength) })
          .where('key_arn', '=', key.arn)
          .where('material_id', '=', material.material_id)
          .execute();
      }
      await tables.deleteFrom('keys_key').where('arn', '=', key.arn).execute();
      store.changed(tx, key.arn);
      return true;
    });
  }

  async function insertKey(tx: Tx, key: KeyToInsert): Promise<Arn> {
    const arn = keyArn(key.region, key.account, key.keyId);
    const tables = tx.as<KeysTables>();
    const material = newMaterial(rootKey, arn);
    const now = clock().getTime();
    await tables
      .insertInto('keys_key')
      .values({
        arn,
        key_id: key.keyId,
        account_id: key.account,
        region: key.region,
        manager: key.manager,
        spec: 'SYMMETRIC_DEFAULT',
        usage: 'ENCRYPT_DECRYPT',
        origin: 'AWS_KMS',
        multi_region: 0,
        state: 'Enabled',
        description: key.description,
        created_at: now,
        deletion_at: null,
        current_material_id: material.materialId,
        policy: key.policy,
        rotation_enabled: 0,
        rotation_period_days: ROTATION_PERIOD_DAYS,
        rotation_next_at: null,
        rotation_revision: 0,
      })
      .execute();
    await tables
      .insertInto('keys_material')
      .values({
        key_arn: arn,
        material_id: material.materialId,
        version: 0,
        rotation: null,
        created_at: now,
        sealed: material.sealed,
      })
      .execute();
    if (key.rotation.enabled) await rotation.schedule(tx, arn, ROTATION_PERIOD_DAYS);
    store.changed(tx, arn);
    return arn;
  }

  /** Changes a key of which `operation` is allowed in its state, judged within the transaction that changes it. */
  async function change(
    permit: Permit,
    operation: Parameters<typeof requireState>[1],
    set: (key: KeyRecord) => Partial<KeysTables['keys_key']>,
    also?: (tx: Tx, key: KeyRecord) => Promise<void>,
  ): Promise<void> {
    await store.write(async (tables, tx) => {
      const key = await readKey(tables, permit.resource);
      if (!key) throw refuse('key-not-found', { arn: permit.resource });
      requireState(key, operation);
      await tables.updateTable('keys_key').set(set(key)).where('arn', '=', key.arn).execute();
      await also?.(tx, key);
      store.changed(tx, key.arn);
    });
  }

  return {
    async createKey(permit: Permit<'kms:CreateKey'>, request: NewKey): Promise<KeyRecord> {
      const call = callOf(permit);
      const { accountId: account } = call.caller;
      const { region } = call;
      requireTags(request.tags);
      const keyId = newUuid() as KeyId;
      const arn = keyArn(region, account, keyId);
      const policy = await storablePolicy(parts, request.policy ?? defaultKeyPolicy(account));
      const tags = Object.fromEntries(request.tags.map((tag) => [tag.key, tag.value]));
      // The default policy is the account's own affair: only a policy that the caller wrote can lock it out.
      if (request.policy !== undefined && !request.bypassLockoutCheck) {
        const draft = { arn, accountId: account, tags, spec: 'SYMMETRIC_DEFAULT', usage: 'ENCRYPT_DECRYPT' } as const;
        const key = { ...draft, origin: 'AWS_KMS', multiRegion: false, aliases: [] } as const;
        if (!(await access.mayPutPolicy(call, key, policy))) throw refuse('policy-lockout', { arn });
      }
      await store.write(async (tables, tx) => {
        const { count } = await tables
          .selectFrom('keys_key')
          .select((e) => e.fn.countAll<number>().as('count'))
          .where('account_id', '=', account)
          .where('region', '=', region)
          .where('manager', '=', 'CUSTOMER')
          .executeTakeFirstOrThrow();
        if (count >= KEYS_PER_ACCOUNT_AND_REGION_MAX) {
          throw refuse('key-limit', { limit: KEYS_PER_ACCOUNT_AND_REGION_MAX });
        }
        await insertKey(tx, {
          account,
          region,
          keyId,
          manager: 'CUSTOMER',
          description: request.description,
          policy,
          rotation: { enabled: false },
        });
        for (const tag of request.tags) {
          await tables
            .insertInto('keys_tag')
            .values({ key_arn: arn, tag_key: tag.key, tag_value: tag.value })
            .execute();
        }
      });
      return (await store.byArn(arn)) as KeyRecord;
    },

    /** The AWS managed key of EBS, made on first use, once per account and Region (13.1). */
    async ebsManagedKey(account: AccountId, region: Region): Promise<KeyRecord> {
      const known = await store.byAlias(account, region, EBS_ALIAS);
      if (known) return known;
      const policy = await principals.canonicalizePolicy(ebsKeyPolicy(account, region));
      await store.write(async (tables, tx) => {
        const alias = { account_id: account, region, name: EBS_ALIAS };
        const made = await tables
          .selectFrom('keys_alias')
          .select('name')
          .where('account_id', '=', account)
          .where('region', '=', region)
          .where('name', '=', EBS_ALIAS)
          .executeTakeFirst();
        if (made) return;
        const arn = await insertKey(tx, {
          account,
          region,
          keyId: newUuid() as KeyId,
          manager: 'AWS',
          description: 'Default key that protects my EBS volumes when no other key is defined',
          policy,
          rotation: { enabled: true },
        });
        const now = clock().getTime();
        await tables
          .insertInto('keys_alias')
          .values({ ...alias, key_arn: arn, created_at: now, updated_at: now })
          .execute();
      });
      return (await store.byAlias(account, region, EBS_ALIAS)) as KeyRecord;
    },

    async describeKey(permit: Permit<'kms:DescribeKey'>): Promise<KeyRecord> {
      return permittedKey(store, permit);
    },

    /** Keys of the caller's account in the Region, AWS managed ones included, ordered by id. */
    async listKeys(permit: Permit<'kms:ListKeys'>, page: PageRequest): Promise<Page<{ keyId: KeyId; arn: Arn }>> {
      const call = callOf(permit);
      const rows = await store
        .read()
        .selectFrom('keys_key')
        .select(['key_id', 'arn'])
        .where('account_id', '=', call.caller.accountId)
        .where('region', '=', call.region)
        .where('key_id', '>', page.after ?? '')
        .orderBy('key_id')
        .limit(page.limit + 1)
        .execute();
      const items = rows.slice(0, page.limit).map((row) => ({ keyId: row.key_id as KeyId, arn: row.arn as Arn }));
      return { items, ...(rows.length > page.limit ? { next: items.at(-1)!.keyId } : {}) };
    },

    async enableKey(permit: Permit<'kms:EnableKey'>): Promise<void> {
      let rotated: KeyRecord | undefined;
      await change(
        permit,
        'EnableKey',
        () => ({ state: 'Enabled' }),
        async (tx, key) => {
          if (await rotation.rotateIfOverdue(tx, key)) rotated = key;
        },
      );
      if (rotated) await rotation.record(rotated);
    },

    async disableKey(permit: Permit<'kms:DisableKey'>): Promise<void> {
      await change(permit, 'DisableKey', () => ({ state: 'Disabled' }));
    },

    async updateDescription(permit: Permit<'kms:UpdateKeyDescription'>, description: string): Promise<void> {
      await change(permit, 'UpdateKeyDescription', () => ({ description }));
    },

    /** Answers the date from which the key may be gone. */
    async scheduleDeletion(permit: Permit<'kms:ScheduleKeyDeletion'>, windowInDays: number): Promise<Date> {
      const deletionAt = clock().getTime() + windowInDays * DAY_MS;
      await change(
        permit,
        'ScheduleKeyDeletion',
        () => ({ state: 'PendingDeletion', deletion_at: deletionAt }),
        async (tx, key) => {
          await jobs.enqueue<DeletionPayload>(tx, DELETION, { keyArn: key.arn, deletionAt });
        },
      );
      return new Date(deletionAt);
    },

    /** The key is Disabled afterwards, whatever it was before (4.3). */
    async cancelDeletion(permit: Permit<'kms:CancelKeyDeletion'>): Promise<void> {
      await change(permit, 'CancelKeyDeletion', () => ({ state: 'Disabled', deletion_at: null }));
    },
  };
}
