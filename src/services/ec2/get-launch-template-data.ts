import type { GetLaunchTemplateDataCommand, ResponseLaunchTemplateData } from '@aws-sdk/client-ec2';
import { ec2Arn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeOne, dryRun } from './common.ts';
import { instanceNotFound, requireInstanceId } from './errors.ts';
import type { InstanceDeps } from './instance-shapes.ts';
import { tagRecord } from './tag-resources.ts';

type Mapping = NonNullable<ResponseLaunchTemplateData['BlockDeviceMappings']>[number];

/** What an instance of a one-time request was asked for by. */
const SPOT: NonNullable<ResponseLaunchTemplateData['InstanceMarketOptions']> = {
  MarketType: 'spot',
  SpotOptions: { SpotInstanceType: 'one-time', InstanceInterruptionBehavior: 'terminate' },
};

/** The launch data that would make such an instance again: its image, type, key pair, groups, volumes and tags. */
export const getLaunchTemplateData =
  (deps: InstanceDeps): OperationOf<GetLaunchTemplateDataCommand> =>
  async (call, input) => {
    const { InstanceId: id } = input;
    requireInstanceId(id);
    const { accountId } = call.caller;
    const tags = (await deps.tags.of(accountId, call.region, [id])).get(id) ?? [];
    await authorizeOne(deps.authorizer, call, 'ec2:GetLaunchTemplateData', {
      arn: ec2Arn(call.region, accountId, 'instance', id),
      tags: tagRecord(tags),
    });
    dryRun(input);
    const instance = await deps.instances.find(call.region, id);
    if (instance?.ownerId !== accountId) throw instanceNotFound([id]);
    const attached = (await deps.instances.attachedVolumes(accountId, call.region)).get(instance.id) ?? [];
    const volumes = await deps.volumes.findMany(
      call.region,
      attached.map(({ volumeId }) => volumeId),
    );
    const mappings = attached.flatMap(({ deviceName, volumeId, deleteOnTermination }): Mapping[] => {
      const volume = volumes.find((each) => each.id === volumeId);
      if (!volume) return [];
      return [
        {
          DeviceName: deviceName,
          Ebs: {
            DeleteOnTermination: deleteOnTermination,
            Encrypted: volume.encrypted,
            ...(volume.kmsKeyArn && { KmsKeyId: volume.kmsKeyArn }),
            ...(volume.snapshotId && { SnapshotId: volume.snapshotId }),
            VolumeSize: volume.sizeGiB,
            VolumeType: volume.volumeType as NonNullable<NonNullable<Mapping['Ebs']>['VolumeType']>,
            ...(volume.iops !== undefined && volume.volumeType !== 'gp2' && { Iops: volume.iops }),
            ...(volume.throughput !== undefined && { Throughput: volume.throughput }),
          },
        },
      ];
    });
    const own = tags.filter(({ Key }) => !Key.startsWith('aws:'));
    return {
      LaunchTemplateData: {
        ImageId: instance.imageId,
        InstanceType: instance.instanceType as NonNullable<ResponseLaunchTemplateData['InstanceType']>,
        ...(instance.keyName && { KeyName: instance.keyName }),
        BlockDeviceMappings: mappings,
        NetworkInterfaces: [
          { DeviceIndex: 0, SubnetId: instance.subnetId, Groups: [...instance.groupIds], DeleteOnTermination: true },
        ],
        Placement: { AvailabilityZone: instance.zone },
        InstanceInitiatedShutdownBehavior: instance.shutdownBehavior,
        ...(instance.spot && { InstanceMarketOptions: SPOT }),
        DisableApiTermination: instance.disableApiTermination,
        DisableApiStop: instance.disableApiStop,
        ...(own.length > 0 && { TagSpecifications: [{ ResourceType: 'instance', Tags: own }] }),
      },
    };
  };
