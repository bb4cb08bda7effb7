/** What can be changed of an instance without a job: attributes, metadata options, its profile. */
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { type AccountId, newEc2Id, parseArn, type Region } from '../ids.ts';
import { type Context, refuse, writing } from './context.ts';
import { idOf } from './id-of.ts';
import type { GivenProfile, InstanceRecord, Instances, MetadataOptions } from './instances.ts';
import { findInstance, recordOf, replaceInstance, selectInstances } from './tables.ts';
import { readUserData, writeUserData } from './user-data.ts';

/** As an instance has it that was launched before there was a metadata service. */
export const NO_METADATA: MetadataOptions = {
  httpEndpoint: 'disabled',
  httpTokens: 'required',
  hopLimit: 1,
  instanceTags: 'disabled',
};

export function givenProfile(ctx: Pick<Context, 'clock'>, profile: Pick<GivenProfile, 'arn' | 'id'>): GivenProfile {
  const { arn, id } = profile;
  return { arn, id, associationId: newEc2Id('iip-assoc'), since: ctx.clock().getTime() };
}

export function attributesOf(
  ctx: Context,
): Pick<Instances, 'modify' | 'modifyMetadata' | 'cancelSpotRequest' | 'userData' | 'giveProfile' | 'takeProfile'> {
  async function own(tx: Tx, permit: Permit): Promise<InstanceRecord> {
    const id = idOf(permit);
    const record = await findInstance(writing(tx), id);
    if (!record) throw refuse('instance-not-found', { instanceId: id });
    return record;
  }
  async function alive(tx: Tx, permit: Permit): Promise<InstanceRecord> {
    const record = await own(tx, permit);
    if (record.state === 'terminated' || record.state === 'shutting-down') {
      throw refuse('instance-state', { instanceId: record.id, state: record.state });
    }
    return record;
  }

  return {
    async modify(tx, permit, { userData, ...fields }) {
      const record = await own(tx, permit);
      const { id, state } = record;
      // It terminates whoever shuts it down.
      if (record.spot && fields.shutdownBehavior === 'stop') throw refuse('instance-spot', { instanceId: id });
      if ((fields.instanceType !== undefined || userData) && state !== 'stopped') {
        throw refuse('instance-state', { instanceId: id, state });
      }
      await replaceInstance(writing(tx), { ...record, ...fields });
      if (fields.groupIds) await ctx.network.setInterfaceGroups(tx, id, fields.groupIds);
      if (userData) await writeUserData(ctx, tx, id, userData);
    },

    async modifyMetadata(tx, permit, change) {
      const record = await alive(tx, permit);
      const metadata = { ...(record.metadata ?? NO_METADATA), ...change };
      await replaceInstance(writing(tx), { ...record, metadata });
      tx.afterCommit(() => ctx.links.setHopLimit(record.id, metadata.hopLimit));
      return metadata;
    },

    async cancelSpotRequest(tx, permit) {
      const { account, region } = parseArn(permit.resource)!;
      const requestId = idOf(permit) as string;
      const rows = await selectInstances(writing(tx))
        .where('owner_id', '=', account as AccountId)
        .where('region', '=', region as Region)
        .execute();
      const record = rows.map(recordOf).find(({ spot }) => spot?.id === requestId);
      if (!record?.spot) throw refuse('spot-request-not-found', { requestId });
      const spot = { cancelledAt: ctx.clock().getTime(), ...record.spot };
      const changed = { ...record, spot };
      await replaceInstance(writing(tx), changed);
      return changed;
    },

    userData: (permit) => readUserData(ctx, idOf(permit)),

    async giveProfile(tx, permit, wanted, replacing) {
      const record = await alive(tx, permit);
      if (replacing === undefined && record.profile) throw refuse('profile-given', { instanceId: record.id });
      if (replacing !== undefined && record.profile?.associationId !== replacing) {
        throw refuse('association-not-found', { associationId: replacing });
      }
      const changed = { ...record, profile: givenProfile(ctx, wanted) };
      await replaceInstance(writing(tx), changed);
      return changed;
    },

    async takeProfile(tx, permit, associationId) {
      const record = await own(tx, permit);
      if (record.profile?.associationId !== associationId) throw refuse('association-not-found', { associationId });
      const { profile: _, ...rest } = record;
      await replaceInstance(writing(tx), rest);
      return record;
    },
  };
}
