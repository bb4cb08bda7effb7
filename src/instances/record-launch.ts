/** The records of a new instance: itself, its interface, and the tags of everything the launch will make. */
import type { Tx } from '../db/db.ts';
import { type InstanceId, newEc2Id, type VolumeId } from '../ids.ts';
import { givenProfile } from './attributes.ts';
import { type Context, writing } from './context.ts';
import { instanceType } from './instance-types.ts';
import type { InstanceRecord, LaunchRequest } from './instances.ts';
import { PENDING } from './reasons.ts';
import { insertInstance } from './tables.ts';
import { writeUserData } from './user-data.ts';

export async function recordLaunch(
  ctx: Context,
  tx: Tx,
  launchedBy: string,
  request: LaunchRequest,
  reservationId: string,
  launchIndex: number,
): Promise<InstanceRecord> {
  const { image, subnet, ownerId } = request;
  const { region } = image;
  const id = newEc2Id<InstanceId>('i');
  const link = await ctx.network.createInterface(tx, {
    accountId: ownerId,
    region,
    subnet,
    instanceId: id,
    groupIds: request.groupIds,
    description: request.interfaceDescription,
    deleteOnTermination: request.interfaceDeleteOnTermination,
    ...(request.privateIp === undefined ? {} : { privateIp: request.privateIp }),
  });
  const record: InstanceRecord = {
    id,
    ownerId,
    region,
    reservationId,
    launchIndex,
    launchedBy,
    imageId: image.id,
    instanceType: request.instanceType,
    state: 'pending',
    stateReason: PENDING,
    stateTransitionReason: '',
    launchTime: ctx.clock(),
    zone: subnet.zone,
    subnetId: subnet.id,
    vpcId: link.vpcId,
    privateIp: link.privateIp,
    groupIds: request.groupIds,
    ...(request.keyName === undefined ? {} : { keyName: request.keyName }),
    ...(request.publicKey === undefined ? {} : { publicKey: request.publicKey }),
    metadata: request.metadata,
    ...(request.profile ? { profile: givenProfile(ctx, request.profile) } : {}),
    architecture: image.architecture,
    ...(image.bootMode === undefined ? {} : { bootMode: image.bootMode }),
    currentBootMode: bootModeOf(ctx, request),
    rootDeviceName: image.rootDeviceName,
    virtualizationType: image.virtualizationType,
    enaSupport: image.enaSupport,
    ...(image.platform === undefined ? {} : { platform: image.platform }),
    platformDetails: image.platformDetails,
    shutdownBehavior: request.spotCall ? 'terminate' : request.shutdownBehavior,
    ...(request.spotCall ? { spot: { id: newSpotRequestId(), createdAt: ctx.clock().getTime() } } : {}),
    disableApiTermination: request.disableApiTermination,
    disableApiStop: request.disableApiStop,
    ...(request.clientToken === undefined ? {} : { clientToken: request.clientToken }),
    devices: request.devices.map((device) => ({ ...device, volumeId: newEc2Id<VolumeId>('vol') })),
    launched: false,
    held: false,
  };
  await insertInstance(writing(tx), record);
  if (request.userData) await writeUserData(ctx, tx, id, request.userData);
  const template = request.launchTemplate;
  const templateTags = template
    ? [
        { Key: 'aws:ec2launchtemplate:id', Value: template.id },
        { Key: 'aws:ec2launchtemplate:version', Value: String(template.version) },
      ]
    : [];
  await ctx.tags.put(tx, ownerId, region, 'instance', id, [...request.tags.instance, ...templateTags]);
  await ctx.tags.put(tx, ownerId, region, 'network-interface', link.id, request.tags['network-interface']);
  for (const { volumeId } of record.devices) {
    await ctx.tags.put(tx, ownerId, region, 'volume', volumeId, request.tags.volume);
  }
  return record;
}

/** As AWS's: `sir-` and eight digits. */
const newSpotRequestId = () => newEc2Id('sir').slice(0, 'sir-'.length + 8);

/** `uefi-preferred` is UEFI where type and driver have it; nothing said is BIOS, as on EC2's x86 types (L-15). */
function bootModeOf(ctx: Context, { image, instanceType: name }: LaunchRequest): InstanceRecord['currentBootMode'] {
  if (image.bootMode === 'uefi') return 'uefi';
  const hasUefi = instanceType(name)?.bootModes.includes('uefi') && ctx.driver.bootModes.includes('uefi');
  return image.bootMode === 'uefi-preferred' && hasUefi ? 'uefi' : 'legacy-bios';
}
