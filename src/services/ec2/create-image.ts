import type { BlockDeviceMapping, CreateImageRequest, CreateImageResult, EbsBlockDevice } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { ec2Arn, imageArn, snapshotArn } from '../../ids.ts';
import type { ImageDevice, InstanceSource, NewImage } from '../../images/images.ts';
import type { VolumeRecord } from '../../volumes/volumes.ts';
import { authorizeAll, authorizeTagsOnCreate, dryRun, refuseAllBut, requestTagContext } from './common.ts';
import { ec2Error, instanceNotFound, invalidParameterValue, requireInstanceId } from './errors.ts';
import { checkImageDescription, type ImageDeps, requireImageName, requireOwnSnapshot } from './image-access.ts';
import { checkDeviceNames, newDevice, refuseKmsKey, volumeShape } from './image-devices.ts';
import { tagRecord } from './tag-resources.ts';
import { tagSpecifications } from './tag-specifications.ts';

/** CreateImage: a snapshot of each attached volume, with that volume's encryption and key (BI-4). */
export const createImage =
  (deps: ImageDeps) =>
  async (call: Call, input: CreateImageRequest): Promise<CreateImageResult> => {
    refuseAllBut(input, [
      'TagSpecifications',
      'DryRun',
      'InstanceId',
      'Name',
      'Description',
      'NoReboot',
      'BlockDeviceMappings',
    ]);
    requireInstanceId(input.InstanceId);
    requireImageName(input.Name);
    checkImageDescription(input.Description);
    const { accountId } = call.caller;
    const given = tagSpecifications(input.TagSpecifications, ['image', 'snapshot']);
    const imageTags = given.get('image') ?? [];
    const snapshotTags = given.get('snapshot') ?? [];
    checkDeviceNames(input.BlockDeviceMappings ?? []);
    refuseKmsKey(input.BlockDeviceMappings);

    const found = await deps.instances.imageSource(call.region, input.InstanceId);
    const source = found?.ownerId === accountId ? found : undefined;
    const instanceTags = (await deps.tags.of(accountId, call.region, [input.InstanceId])).get(input.InstanceId);
    const newImage = { arn: imageArn(call.region, '*') };
    const newSnapshot = { arn: snapshotArn(call.region, '*') };
    const [, permit] = await authorizeAll(deps.authorizer, call, 'ec2:CreateImage', [
      {
        resource: {
          arn: ec2Arn(call.region, accountId, 'instance', input.InstanceId),
          tags: tagRecord(instanceTags ?? []),
        },
        context: { 'ec2:RootDeviceType': 'ebs' },
      },
      { resource: newImage, context: { ...requestTagContext(imageTags), 'ec2:Owner': accountId } },
      { resource: newSnapshot, context: requestTagContext(snapshotTags) },
    ]);
    await authorizeTagsOnCreate(deps.authorizer, call, 'CreateImage', [
      { resource: newImage, tags: imageTags },
      { resource: newSnapshot, tags: snapshotTags },
    ]);
    dryRun(input);
    if (!source) throw instanceNotFound([input.InstanceId]);

    const { devices, volumes } = await devicesOf(deps, call, source, input.BlockDeviceMappings ?? []);
    if (!volumes.some(({ deviceName }) => deviceName === source.rootDeviceName)) {
      throw ec2Error('InvalidBlockDeviceMapping', 'No root snapshot specified in device mapping.');
    }
    const parent = source.imageId ? await deps.images.find(call.region, source.imageId) : undefined;
    const image: NewImage = {
      name: input.Name,
      ...(input.Description ? { description: input.Description } : {}),
      architecture: source.architecture,
      ...(source.bootMode ? { bootMode: source.bootMode } : {}),
      rootDeviceName: source.rootDeviceName,
      virtualizationType: source.virtualizationType,
      enaSupport: source.enaSupport,
      ...(parent?.sriovNetSupport ? { sriovNetSupport: parent.sriovNetSupport } : {}),
      ...(parent?.imdsSupport ? { imdsSupport: parent.imdsSupport } : {}),
      ...(parent?.tpmSupport ? { tpmSupport: parent.tpmSupport } : {}),
      ...(parent?.uefiData ? { uefiData: parent.uefiData } : {}),
      ...(parent?.platform ? { platform: parent.platform } : {}),
      platformDetails: parent?.platformDetails ?? 'Linux/UNIX',
      imageLocation: `${accountId}/${input.Name}`,
      blockDeviceMappings: devices,
    };
    const { id } = await deps.db.write((tx) =>
      deps.images.startCreate(tx, permit!, call, {
        source,
        image,
        devices: volumes,
        reboot: source.running && input.NoReboot !== true,
        imageTags,
        snapshotTags,
      }),
    );
    return { ImageId: id };
  };

/** The instance's volumes and what the request says over them, by device name (BI-1, BI-4). */
async function devicesOf(
  deps: ImageDeps,
  call: Call,
  source: InstanceSource,
  mappings: readonly BlockDeviceMapping[],
): Promise<{ devices: ImageDevice[]; volumes: { deviceName: string; volumeId: VolumeRecord['id'] }[] }> {
  const over = new Map(mappings.map((mapping) => [mapping.DeviceName, mapping]));
  const ids = source.devices.map(({ volumeId }) => volumeId);
  const records = new Map((await deps.volumes.findMany(call.region, ids)).map((volume) => [volume.id, volume]));
  const devices: ImageDevice[] = [];
  const volumes: { deviceName: string; volumeId: VolumeRecord['id'] }[] = [];
  for (const { deviceName, volumeId, deleteOnTermination } of source.devices) {
    const mapping = over.get(deviceName);
    over.delete(deviceName);
    const volume = records.get(volumeId);
    if (mapping?.NoDevice !== undefined || !volume) continue;
    devices.push(attachedDevice(deviceName, volume, deleteOnTermination, mapping));
    volumes.push({ deviceName, volumeId });
  }
  for (const mapping of over.values()) {
    if (mapping.NoDevice !== undefined) continue;
    const id = mapping.Ebs?.SnapshotId;
    const snapshot =
      id === undefined ? undefined : requireOwnSnapshot(call, id, await deps.snapshots.find(call.region, id));
    devices.push(newDevice({ ...mapping, DeviceName: mapping.DeviceName! }, snapshot));
  }
  return { devices, volumes };
}

/** Types whose IOPS were chosen; of others a volume's figure only follows from its size. */
const TAKES_IOPS = new Set(['gp3', 'io1', 'io2']);

function attachedDevice(
  deviceName: string,
  volume: VolumeRecord,
  deleteOnTermination: boolean,
  mapping: BlockDeviceMapping | undefined,
): ImageDevice {
  const ebs = mapping?.Ebs ?? {};
  refuseAllBut(
    ebs,
    ['DeleteOnTermination', 'Encrypted', 'VolumeSize', 'VolumeType', 'Iops', 'Throughput'],
    'BlockDeviceMapping.Ebs.',
  );
  if (ebs.VolumeSize !== undefined && ebs.VolumeSize !== volume.sizeGiB) {
    throw invalidParameterValue(`The size of the attached volume '${volume.id}' can't be changed by CreateImage.`);
  }
  if (ebs.Encrypted === true && !volume.encrypted) {
    throw ec2Error(
      'InvalidParameter',
      `Parameter encrypted is invalid. The volume '${volume.id}' is not encrypted, and CreateImage can't change that.`,
    );
  }
  const volumeType = ebs.VolumeType ?? volume.volumeType;
  const same = volumeType === volume.volumeType;
  const iops = ebs.Iops ?? (same && TAKES_IOPS.has(volumeType) ? volume.iops : undefined);
  const throughput = ebs.Throughput ?? (same && volumeType === 'gp3' ? volume.throughput : undefined);
  return {
    deviceName,
    ebs: {
      ...volumeShape({
        VolumeSize: volume.sizeGiB,
        VolumeType: volumeType as EbsBlockDevice['VolumeType'],
        Iops: iops,
        Throughput: throughput,
      }),
      deleteOnTermination: ebs.DeleteOnTermination ?? deleteOnTermination,
      encrypted: volume.encrypted,
    },
  };
}
