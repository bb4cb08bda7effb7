/**
 * Multi-Region keys (kms §18): one key id and the same material in several Regions, one of them primary.
 *
 * Every Region has a key row of its own, with its own policy, grants, aliases, tags and state, and its own sealed copies
 * of the material. A replica begins as `Creating`; a durable job gives it the material.
 */
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { type Arn, keyArn, type Region } from '../ids.ts';
import type { Program } from '../jobs/jobs.ts';
import { insertKey, requireRoom, updateKey } from './change.ts';
import { materialDigestFields, sealMaterial, unsealMaterial } from './material.ts';
import { callOf, type KeyParts } from './parts.ts';
import { defaultKeyPolicy, requirePolicyKeepsDoorOpen, storablePolicy } from './policies.ts';
import type { KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import type { Rotation } from './rotation.ts';
import { readKeyArn, serviceEvent } from './service-events.ts';
import { requireState } from './states.ts';
import { isReplica, readKey, relatedArns } from './store.ts';
import type { KeysTables } from './tables.ts';
import { type KeyTag, requireTags } from './tags.ts';

const PROGRAM = 'keys-replicate';

interface ReplicationPayload {
  readonly replicaArn: Arn;
}

export interface NewReplica {
  readonly description: string;
  readonly policy?: string;
  readonly bypassLockoutCheck: boolean;
  readonly tags: readonly KeyTag[];
}

export function multiRegionMethods(parts: KeyParts, rotation: Rotation) {
  const { store, rootKey, jobs, audit, clock } = parts;

  const replication: Program<ReplicationPayload> = {
    kind: PROGRAM,
    start: 'copy',
    attemptsMax: 1_000_000,
    steps: {
      async copy({ payload: { replicaArn } }) {
        return store.write(async (tables, tx) => {
          const replica = await readKey(tables, replicaArn);
          if (replica?.state !== 'Creating') return { kind: 'done' } as const;
          await copyMaterial(tx, replica);
          return { kind: 'hop', to: 'record' } as const;
        });
      },
      async record({ payload: { replicaArn: arn } }) {
        const name = readKeyArn(arn);
        await audit.record(serviceEvent('SynchronizeMultiRegionKey', { arn, ...name }, clock(), { keyId: name.keyId }));
        return { kind: 'done' };
      },
    },
  };
  jobs.register(replication);

  /** Imported material is imported into each Region by its owner: the replica knows it by its digest only (18.2). */
  async function copyMaterial(tx: Tx, replica: KeyRecord): Promise<void> {
    const tables = tx.as<KeysTables>();
    const primary = await readKey(tables, keyArn(replica.related!.primaryRegion, replica.accountId, replica.keyId));
    if (!primary) throw refuse('key-not-found', { arn: replica.arn });
    const external = replica.origin === 'EXTERNAL';
    const rows = await tables.selectFrom('keys_material').selectAll().where('key_arn', '=', primary.arn).execute();
    for (const row of rows) {
      const from = { keyArn: primary.arn, materialId: row.material_id, spec: replica.spec };
      const to = { ...from, keyArn: replica.arn };
      await tables
        .insertInto('keys_material')
        .values({
          ...row,
          key_arn: replica.arn,
          sealed: external ? new Uint8Array(0) : sealMaterial(rootKey, to, unsealMaterial(rootKey, from, row.sealed)),
          import_state: external ? 'PENDING_IMPORT' : null,
          expiration_model: null,
          valid_to: null,
          digest:
            row.digest && rootKey.seal(rootKey.open(row.digest, materialDigestFields(from)), materialDigestFields(to)),
        })
        .execute();
    }
    await updateKey(tables, replica.arn, {
      state: external ? 'PendingImport' : 'Enabled',
      current_material_id: primary.currentMaterialId ?? '',
    });
    store.changedRelated(tx, replica);
  }

  return {
    /** Permits on the primary key, and to create keys in the replica's Region, which the second permit's call names. */
    async replicateKey(
      from: Permit<'kms:ReplicateKey'>,
      create: Permit<'kms:CreateKey'>,
      request: NewReplica,
    ): Promise<KeyRecord> {
      const call = callOf(create);
      const { region } = call;
      requireTags(request.tags);
      const seen = await store.byArn(from.resource);
      if (!seen) throw refuse('key-not-found', { arn: from.resource });
      const arn = keyArn(region, seen.accountId, seen.keyId);
      const policy = await storablePolicy(parts, request.policy ?? defaultKeyPolicy(seen.accountId));
      const tags = Object.fromEntries(request.tags.map((tag) => [tag.key, tag.value]));
      await requirePolicyKeepsDoorOpen(parts, call, request, { ...seen, arn, tags, aliases: [], policy });
      await store.write(async (tables, tx) => {
        const primary = await readKey(tables, from.resource);
        if (!primary) throw refuse('key-not-found', { arn: from.resource });
        if (!primary.related || isReplica(primary)) throw refuse('key-not-primary', { arn: primary.arn });
        requireState(primary, 'ReplicateKey');
        if (primary.related.regions.includes(region)) throw refuse('replica-exists', { region });
        await requireRoom(tx, primary.accountId, region);
        await insertKey(parts, tx, {
          account: primary.accountId,
          region,
          keyId: primary.keyId,
          manager: 'CUSTOMER',
          spec: primary.spec,
          usage: primary.usage,
          origin: primary.origin,
          primaryRegion: primary.region,
          state: 'Creating',
          description: request.description,
          policy,
          tags: request.tags,
        });
        await jobs.enqueue<ReplicationPayload>(tx, PROGRAM, { replicaArn: arn });
        store.changedRelated(tx, primary);
        store.changed(tx, arn);
      });
      return (await store.byArn(arn)) as KeyRecord;
    },

    /** Permits on the primary key and on the replica that takes its place (18.7). */
    async updatePrimaryRegion(
      from: Permit<'kms:UpdatePrimaryRegion'>,
      to: Permit<'kms:UpdatePrimaryRegion'>,
    ): Promise<void> {
      await store.write(async (tables, tx) => {
        const primary = await readKey(tables, from.resource);
        const replica = await readKey(tables, to.resource);
        if (!primary) throw refuse('key-not-found', { arn: from.resource });
        if (!primary.related || isReplica(primary)) throw refuse('key-not-primary', { arn: primary.arn });
        if (!replica || replica.keyId !== primary.keyId) throw refuse('key-not-found', { arn: to.resource });
        requireState(primary, 'UpdatePrimaryRegion');
        requireState(replica, 'UpdatePrimaryRegion');
        if (replica.arn === primary.arn) return;
        for (const arn of relatedArns(primary)) await updateKey(tables, arn, { primary_region: replica.region });
        await rotation.move(tx, primary, replica.arn);
        store.changedRelated(tx, primary);
      });
    },
  };
}

/** The ARN of the key of the same set in another Region. */
export function relativeArn(key: KeyRecord, region: Region): Arn {
  return keyArn(region, key.accountId, key.keyId);
}
