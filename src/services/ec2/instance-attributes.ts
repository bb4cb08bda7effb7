/** DescribeInstanceAttribute and ModifyInstanceAttribute, as far as the attributes are real. */
import type {
  DescribeInstanceAttributeCommand,
  InstanceBlockDeviceMapping,
  ModifyInstanceAttributeCommand,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { instanceType } from '../../instances/instance-types.ts';
import type { InstanceChange, InstanceRecord } from '../../instances/instances.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { dryRun, refuseAllBut } from './common.ts';
import { ec2Error, invalidParameterCombination, invalidParameterValue, missingParameter } from './errors.ts';
import { groupNotFound, type InstanceDeps, showGroups, useInstance, viewOf } from './instance-shapes.ts';
import { readUserData } from './user-data.ts';

type Attribute = NonNullable<InputOf<DescribeInstanceAttributeCommand>['Attribute']>;

export const describeInstanceAttribute =
  (deps: InstanceDeps): OperationOf<DescribeInstanceAttributeCommand> =>
  async (call, input) => {
    if (!input.Attribute) throw missingParameter('Attribute');
    const { record, permit } = await useInstance(deps, call, 'ec2:DescribeInstanceAttribute', input.InstanceId, {
      'ec2:Attribute': input.Attribute,
    });
    dryRun(input);
    if (input.Attribute === 'userData') {
      const data = await deps.instances.userData(permit);
      return { InstanceId: record.id, UserData: data ? { Value: Buffer.from(data).toString('base64') } : {} };
    }
    return { InstanceId: record.id, ...(await attribute(deps, call, record, input.Attribute)) };
  };

async function attribute(deps: InstanceDeps, call: Call, record: InstanceRecord, name: Attribute) {
  switch (name) {
    case 'instanceType':
      return { InstanceType: { Value: record.instanceType } };
    case 'instanceInitiatedShutdownBehavior':
      return { InstanceInitiatedShutdownBehavior: { Value: record.shutdownBehavior } };
    case 'disableApiTermination':
      return { DisableApiTermination: { Value: record.disableApiTermination } };
    case 'disableApiStop':
      return { DisableApiStop: { Value: record.disableApiStop } };
    case 'rootDeviceName':
      return { RootDeviceName: { Value: record.rootDeviceName } };
    case 'ebsOptimized':
      return { EbsOptimized: { Value: false } };
    case 'enaSupport':
      return { EnaSupport: { Value: record.enaSupport } };
    case 'sourceDestCheck':
      return { SourceDestCheck: { Value: true } };
    case 'kernel':
      return { KernelId: {} };
    case 'ramdisk':
      return { RamdiskId: {} };
    case 'productCodes':
      return { ProductCodes: [] };
    case 'sriovNetSupport':
      return { SriovNetSupport: {} };
    case 'enclaveOptions':
      return { EnclaveOptions: { Enabled: false } };
    case 'groupSet':
      return { Groups: showGroups(record.groupIds, await viewOf(deps, call, [record])) };
    case 'blockDeviceMapping':
      return { BlockDeviceMappings: await deviceMappings(deps, call, record) };
    default:
      throw invalidParameterValue(`Invalid value '${String(name)}' for attribute.`);
  }
}

async function deviceMappings(
  deps: InstanceDeps,
  call: Call,
  record: InstanceRecord,
): Promise<InstanceBlockDeviceMapping[]> {
  const volumes = (await deps.instances.attachedVolumes(call.caller.accountId, call.region)).get(record.id) ?? [];
  return volumes.map((volume) => ({
    DeviceName: volume.deviceName,
    Ebs: {
      VolumeId: volume.volumeId,
      Status: volume.state as 'attached',
      AttachTime: volume.attachTime,
      DeleteOnTermination: volume.deleteOnTermination,
    },
  }));
}

const MODIFIABLE = [
  'DisableApiTermination',
  'DisableApiStop',
  'InstanceInitiatedShutdownBehavior',
  'InstanceType',
  'BlockDeviceMappings',
  'SourceDestCheck',
  'UserData',
  'Groups',
] as const;

/** One attribute a call. Encryption is none of them (RI-9). */
export const modifyInstanceAttribute =
  (deps: InstanceDeps): OperationOf<ModifyInstanceAttributeCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['InstanceId', 'DryRun', 'Attribute', 'Value', ...MODIFIABLE]);
    const change = changeOf(input);
    const { record, permit } = await useInstance(deps, call, 'ec2:ModifyInstanceAttribute', input.InstanceId, {
      'ec2:Attribute': change.attribute,
    });
    dryRun(input);
    if (change.devices) {
      const volumes = (await deps.instances.attachedVolumes(record.ownerId, record.region)).get(record.id) ?? [];
      const settings = change.devices.map(({ deviceName, value }) => {
        const volume = volumes.find((each) => each.deviceName === deviceName);
        if (!volume) {
          throw ec2Error('InvalidInstanceAttributeValue', `No device is currently mapped at ${deviceName}`);
        }
        return { volumeId: volume.volumeId, value };
      });
      await deps.db.write(async (tx) => {
        for (const { volumeId, value } of settings) {
          await deps.volumes.setDeleteOnTermination(tx, volumeId, record.id, value);
        }
      });
    }
    if (change.fields?.groupIds) await requireGroups(deps, call, change.fields.groupIds);
    if (change.fields) await deps.db.write((tx) => deps.instances.modify(tx, permit, change.fields!));
    return {};
  };

interface Change {
  readonly attribute: string;
  readonly fields?: InstanceChange;
  readonly devices?: readonly { readonly deviceName: string; readonly value: boolean }[];
}

function changeOf(input: InputOf<ModifyInstanceAttributeCommand>): Change {
  const given = MODIFIABLE.filter((name) => input[name] !== undefined);
  const { Attribute, Value } = input;
  if (given.length + (Attribute === undefined ? 0 : 1) > 1) {
    throw invalidParameterCombination('Fields for multiple attribute types specified: only one can be modified.');
  }
  if (Attribute !== undefined) return named(Attribute, Value);
  if (input.DisableApiTermination) {
    return named('disableApiTermination', String(input.DisableApiTermination.Value));
  }
  if (input.DisableApiStop) return named('disableApiStop', String(input.DisableApiStop.Value));
  if (input.InstanceInitiatedShutdownBehavior) {
    return named('instanceInitiatedShutdownBehavior', input.InstanceInitiatedShutdownBehavior.Value);
  }
  if (input.InstanceType) return named('instanceType', input.InstanceType.Value);
  if (input.SourceDestCheck) return named('sourceDestCheck', String(input.SourceDestCheck.Value));
  if (input.UserData) return { attribute: 'userData', fields: { userData: input.UserData.Value ?? new Uint8Array() } };
  if (input.Groups) {
    if (input.Groups.length === 0) throw missingParameter('GroupId');
    return { attribute: 'groupSet', fields: { groupIds: [...new Set(input.Groups)] } };
  }
  if (input.BlockDeviceMappings) {
    const devices = input.BlockDeviceMappings.map((mapping) => {
      refuseAllBut(mapping, ['DeviceName', 'Ebs'], 'BlockDeviceMapping.');
      refuseAllBut(mapping.Ebs ?? {}, ['DeleteOnTermination', 'VolumeId'], 'BlockDeviceMapping.Ebs.');
      if (!mapping.DeviceName) throw missingParameter('BlockDeviceMapping.DeviceName');
      const value = mapping.Ebs?.DeleteOnTermination;
      if (value === undefined) throw missingParameter('BlockDeviceMapping.Ebs.DeleteOnTermination');
      return { deviceName: mapping.DeviceName, value };
    });
    return { attribute: 'blockDeviceMapping', devices };
  }
  throw invalidParameterCombination('No attributes specified.');
}

function named(attribute: string, value: string | undefined): Change {
  switch (attribute) {
    case 'disableApiTermination':
      return { attribute, fields: { disableApiTermination: truth(attribute, value) } };
    case 'disableApiStop':
      return { attribute, fields: { disableApiStop: truth(attribute, value) } };
    case 'instanceInitiatedShutdownBehavior':
      if (value !== 'stop' && value !== 'terminate') throw invalid(attribute, value);
      return { attribute, fields: { shutdownBehavior: value } };
    case 'userData':
      return { attribute, fields: { userData: readUserData(value ?? '') } };
    case 'instanceType':
      if (value === undefined || !instanceType(value)) throw invalid(attribute, value);
      return { attribute, fields: { instanceType: value } };
    case 'sourceDestCheck':
      // It is always on; only that can be asked for.
      if (!truth(attribute, value)) {
        throw ec2Error('UnsupportedOperation', 'The parameter SourceDestCheck is not supported.');
      }
      return { attribute };
    default:
      throw ec2Error('UnsupportedOperation', `The attribute ${attribute} cannot be modified.`);
  }
}

async function requireGroups(deps: InstanceDeps, call: Call, ids: readonly string[]): Promise<void> {
  const known = await deps.network.groups(call.caller.accountId, call.region);
  const missing = ids.find((id) => !known.some((group) => group.id === id));
  if (missing !== undefined) throw groupNotFound(missing);
}

function truth(attribute: string, value: string | undefined): boolean {
  if (value === 'true' || value === 'false') return value === 'true';
  throw invalid(attribute, value);
}

function invalid(attribute: string, value: string | undefined) {
  return ec2Error('InvalidInstanceAttributeValue', `Invalid value '${value}' for ${attribute}.`);
}
