/** AttachVolume and DetachVolume; a running guest gets and gives the disk while it runs. */
import type { AttachVolumeCommand, DetachVolumeCommand, VolumeAttachment } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { ec2Arn } from '../../ids.ts';
import type { AttachedVolume, InstanceRecord } from '../../instances/instances.ts';
import type { VolumeRecord } from '../../volumes/volumes.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeOne, dryRun, refuseAllBut } from './common.ts';
import { ec2Error, invalidParameterValue, missingParameter, requireVolumeId, volumeNotFound } from './errors.ts';
import { type InstanceDeps, useInstance } from './instance-shapes.ts';
import { tagRecord } from './tag-resources.ts';
import { volumeContext } from './volume-shapes.ts';

const DEVICE = /^(\/dev\/)?(sd[a-z]([1-9]|1[0-5])?|xvd[a-z]{1,2}([1-9]|1[0-5])?|hd[a-z]([1-9]|1[0-5])?)$/;

/** Both the volume and the instance must be allowed (P table 4.2). */
async function useVolumeAndInstance<Action extends 'ec2:AttachVolume' | 'ec2:DetachVolume'>(
  deps: InstanceDeps,
  call: Call,
  action: Action,
  volumeId: string | undefined,
  instanceId: string | undefined,
): Promise<{ volume: VolumeRecord; record: InstanceRecord; permit: Permit<Action> }> {
  requireVolumeId(volumeId);
  const { accountId } = call.caller;
  const found = await deps.volumes.find(call.region, volumeId);
  const volume = found?.ownerId === accountId ? found : undefined;
  const tags = (await deps.tags.of(accountId, call.region, [volumeId])).get(volumeId);
  const resource = { arn: ec2Arn(call.region, accountId, 'volume', volumeId), tags: tagRecord(tags ?? []) };
  await authorizeOne(deps.authorizer, call, action, resource, volume ? volumeContext(volume) : {});
  const { record, permit } = await useInstance(deps, call, action, instanceId);
  if (!volume) throw volumeNotFound(volumeId);
  return { volume, record, permit };
}

/** Fails at once where the key cannot be used (K-18). */
export const attachVolume =
  (deps: InstanceDeps): OperationOf<AttachVolumeCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['VolumeId', 'InstanceId', 'Device', 'DryRun']);
    if (!input.Device) throw missingParameter('device');
    if (!DEVICE.test(input.Device)) {
      throw invalidParameterValue(
        `Value (${input.Device}) for parameter device is invalid. ${input.Device} is not a valid EBS device name.`,
      );
    }
    const { volume, permit } = await useVolumeAndInstance(
      deps,
      call,
      'ec2:AttachVolume',
      input.VolumeId,
      input.InstanceId,
    );
    dryRun(input);
    const request = { volumeId: volume.id, device: input.Device };
    const attached = await deps.instances.attachVolume(permit, call, request);
    return shown(attached, input.InstanceId!, 'attaching');
  };

export const detachVolume =
  (deps: InstanceDeps): OperationOf<DetachVolumeCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['VolumeId', 'InstanceId', 'Device', 'DryRun', 'Force']);
    requireVolumeId(input.VolumeId);
    const volume = await deps.volumes.find(call.region, input.VolumeId);
    const own = volume?.ownerId === call.caller.accountId ? volume : undefined;
    const attachments = own?.attachments ?? [];
    const only = attachments.length === 1 ? attachments[0] : undefined;
    const instanceId = input.InstanceId ?? only?.instanceId;
    const attachment = attachments.find((each) => each.instanceId === instanceId);
    if (instanceId === undefined) {
      const resource = { arn: ec2Arn(call.region, call.caller.accountId, 'volume', input.VolumeId) };
      await authorizeOne(deps.authorizer, call, 'ec2:DetachVolume', resource);
      if (!own) throw volumeNotFound(input.VolumeId);
      if (attachments.length > 1) throw missingParameter('instanceId');
      throw ec2Error('IncorrectState', `Volume '${input.VolumeId}' is in the 'available' state.`);
    }
    const { permit } = await useVolumeAndInstance(deps, call, 'ec2:DetachVolume', input.VolumeId, instanceId);
    dryRun(input);
    if (input.Device && attachment && input.Device !== attachment.device) {
      throw ec2Error(
        'InvalidAttachment.NotFound',
        `Volume '${input.VolumeId}' is not attached to '${instanceId}' as ${input.Device}`,
      );
    }
    const detached = await deps.instances.detachVolume(permit, own!.id, { force: input.Force ?? false });
    return shown(detached, instanceId, 'detaching');
  };

function shown(attached: AttachedVolume, instanceId: string, State: VolumeAttachment['State']): VolumeAttachment {
  return {
    VolumeId: attached.volumeId,
    InstanceId: instanceId,
    Device: attached.deviceName,
    State,
    AttachTime: attached.attachTime,
    DeleteOnTermination: attached.deleteOnTermination,
  };
}
