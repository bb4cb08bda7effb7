/** Making and changing keys (kms §7, §4), and the AWS managed key of EBS (§13). */
import type { Permit } from '../authz/permit.ts';
import { type AccountId, type Arn, type KeyId, keyArn, newUuid, type Region } from '../ids.ts';
import { changeKey, insertKey, requireRoom, updateKey } from './change.ts';
import { EBS_ALIAS } from './identifiers.ts';
import { requireMaterial } from './imports.ts';
import { type KeySpec, type KeyUsage, SYMMETRIC_DEFAULT } from './key-specs.ts';
import { newMaterial, newSymmetricMaterial } from './material.ts';
import { callOf, type KeyParts, permittedKey } from './parts.ts';
import { defaultKeyPolicy, ebsKeyPolicy, requirePolicyKeepsDoorOpen, storablePolicy } from './policies.ts';
import type { KeyOrigin, KeyRecord, Page, PageRequest } from './records.ts';
import type { Rotation } from './rotation.ts';
import { type KeyTag, requireTags } from './tags.ts';

const EBS_ROTATION_PERIOD_DAYS = 365;
const USUAL_KIND = {
  spec: SYMMETRIC_DEFAULT,
  usage: 'ENCRYPT_DECRYPT',
  origin: 'AWS_KMS',
  multiRegion: false,
} as const;

export interface NewKey {
  /** A symmetric encryption key of one Region, with material that Ingot makes, where absent. */
  readonly kind?: {
    readonly spec: KeySpec;
    readonly usage: KeyUsage;
    readonly origin: KeyOrigin;
    readonly multiRegion: boolean;
  };
  readonly description: string;
  /** As the caller wrote it; the default policy where absent (7.5). */
  readonly policy?: string;
  readonly bypassLockoutCheck: boolean;
  readonly tags: readonly KeyTag[];
}

export function lifecycleMethods(parts: KeyParts, rotation: Rotation) {
  const { store, rootKey, principals, clock } = parts;

  return {
    async createKey(permit: Permit<'kms:CreateKey'>, request: NewKey): Promise<KeyRecord> {
      const call = callOf(permit);
      const { accountId: account } = call.caller;
      const { region } = call;
      requireTags(request.tags);
      const { spec, usage, origin, multiRegion } = request.kind ?? USUAL_KIND;
      const uuid = newUuid();
      const keyId = (multiRegion ? `mrk-${uuid.replaceAll('-', '')}` : uuid) as KeyId;
      const arn = keyArn(region, account, keyId);
      const policy = await storablePolicy(parts, request.policy ?? defaultKeyPolicy(account));
      await requirePolicyKeepsDoorOpen(parts, call, request, {
        arn,
        accountId: account,
        tags: Object.fromEntries(request.tags.map((tag) => [tag.key, tag.value])),
        spec,
        usage,
        origin,
        multiRegion,
        aliases: [],
        policy,
      });
      const material = origin === 'AWS_KMS' ? await newMaterial(rootKey, arn, spec) : undefined;
      await store.write(async (_, tx) => {
        await requireRoom(tx, account, region);
        await insertKey(parts, tx, {
          account,
          region,
          keyId,
          manager: 'CUSTOMER',
          spec,
          usage,
          origin,
          ...(multiRegion ? { primaryRegion: region } : {}),
          state: material ? 'Enabled' : 'PendingImport',
          description: request.description,
          policy,
          tags: request.tags,
          ...(material ? { material } : {}),
        });
      });
      return (await store.byArn(arn)) as KeyRecord;
    },

    /** The AWS managed key of EBS, made on first use, once per account and Region (13.1). */
    async ebsManagedKey(account: AccountId, region: Region): Promise<KeyRecord> {
      const known = await store.byAlias(account, region, EBS_ALIAS);
      if (known) return known;
      const policy = await principals.canonicalizePolicy(ebsKeyPolicy(account, region));
      const keyId = newUuid() as KeyId;
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
        const arn = await insertKey(parts, tx, {
          account,
          region,
          keyId,
          manager: 'AWS',
          spec: SYMMETRIC_DEFAULT,
          usage: 'ENCRYPT_DECRYPT',
          origin: 'AWS_KMS',
          state: 'Enabled',
          description: 'Default key that protects my EBS volumes when no other key is defined',
          policy,
          tags: [],
          material: newSymmetricMaterial(rootKey, keyArn(region, account, keyId)),
        });
        await rotation.schedule(tx, arn, EBS_ROTATION_PERIOD_DAYS);
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
      const rotated = await changeKey(parts, permit, 'EnableKey', async (key, tables, tx) => {
        await requireMaterial(tables, key);
        await updateKey(tables, key.arn, { state: 'Enabled' });
        return (await rotation.rotateIfOverdue(tx, key)) ? key : undefined;
      });
      if (rotated) await rotation.record(rotated);
    },

    async disableKey(permit: Permit<'kms:DisableKey'>): Promise<void> {
      await changeKey(parts, permit, 'DisableKey', (key, tables) => updateKey(tables, key.arn, { state: 'Disabled' }));
    },

    async updateDescription(permit: Permit<'kms:UpdateKeyDescription'>, description: string): Promise<void> {
      await changeKey(parts, permit, 'UpdateKeyDescription', (key, tables) =>
        updateKey(tables, key.arn, { description }),
      );
    },
  };
}
