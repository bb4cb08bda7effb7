import type { RegisterImageRequest, RegisterImageResult } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { imageArn, snapshotArn } from '../../ids.ts';
import type { ImageRecord, NewImage } from '../../images/images.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { authorizeAll, authorizeTagsOnCreate, dryRun, refuseAllBut, requestTagContext } from './common.ts';
import { ec2Error, invalidParameterCombination, invalidParameterValue } from './errors.ts';
import { checkImageDescription, type ImageDeps, requireImageName, requireOwnSnapshot } from './image-access.ts';
import { checkDeviceNames, newDevice, refuseKmsKey } from './image-devices.ts';
import { tagSpecifications } from './tag-specifications.ts';
import { snapshotContext } from './volume-shapes.ts';

const ARCHITECTURES = ['i386', 'x86_64', 'arm64', 'x86_64_mac', 'arm64_mac'];
const BOOT_MODES = ['legacy-bios', 'uefi', 'uefi-preferred'];

/** One of `allowed`, or the default where nothing is given. */
function oneOf<Value extends string>(
  name: string,
  value: string | undefined,
  allowed: readonly Value[],
): Value | undefined {
  if (value === undefined) return undefined;
  if ((allowed as readonly string[]).includes(value)) return value as Value;
  throw invalidParameterValue(`Value (${value}) for parameter ${name} is invalid.`);
}

/** L-15 to L-17. */
function bootAttributes(input: RegisterImageRequest): Partial<ImageRecord> {
  const bootMode = oneOf('bootMode', input.BootMode, BOOT_MODES as NonNullable<ImageRecord['bootMode']>[]);
  const tpmSupport = oneOf('tpmSupport', input.TpmSupport, ['v2.0']);
  const imdsSupport = oneOf('imdsSupport', input.ImdsSupport, ['v2.0']);
  if (tpmSupport && bootMode !== 'uefi') {
    throw invalidParameterCombination('The parameter TpmSupport requires the parameter BootMode to be uefi.');
  }
  if (input.UefiData) requireVariableStore(input.UefiData, bootMode);
  return {
    ...(bootMode && { bootMode }),
    ...(tpmSupport && { tpmSupport }),
    ...(imdsSupport && { imdsSupport }),
    ...(input.UefiData ? { uefiData: input.UefiData } : {}),
  };
}

const VARIABLE_STORE_BYTES_MAX = 64 * 1024;

function requireVariableStore(text: string, bootMode: ImageRecord['bootMode']): void {
  if (bootMode !== 'uefi' && bootMode !== 'uefi-preferred') {
    throw invalidParameterCombination('The parameter UefiData requires the parameter BootMode to be uefi.');
  }
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw invalidParameterValue('The parameter UefiData is not BASE64.');
  if (bytes.byteLength > VARIABLE_STORE_BYTES_MAX) {
    throw invalidParameterValue(`The parameter UefiData is limited to ${VARIABLE_STORE_BYTES_MAX} bytes.`);
  }
}

export const registerImage =
  (deps: ImageDeps) =>
  async (call: Call, input: RegisterImageRequest): Promise<RegisterImageResult> => {
    refuseAllBut(input, [
      'Name',
      'Description',
      'Architecture',
      'RootDeviceName',
      'BlockDeviceMappings',
      'VirtualizationType',
      'SriovNetSupport',
      'EnaSupport',
      'BootMode',
      'TpmSupport',
      'UefiData',
      'ImdsSupport',
      'TagSpecifications',
      'DryRun',
    ]);
    requireImageName(input.Name);
    checkImageDescription(input.Description);
    const { accountId } = call.caller;
    const tags = tagSpecifications(input.TagSpecifications, ['image']).get('image') ?? [];
    const mappings = input.BlockDeviceMappings ?? [];
    checkDeviceNames(mappings);
    refuseKmsKey(mappings);

    const ids = [...new Set(mappings.flatMap(({ Ebs }) => (Ebs?.SnapshotId ? [Ebs.SnapshotId] : [])))];
    const found = await deps.snapshots.findMany(call.region, ids);
    const snapshots = new Map<string, SnapshotRecord>(found.map((snapshot) => [snapshot.id, snapshot]));
    const resource = { arn: imageArn(call.region, '*') };
    const [permit] = await authorizeAll(deps.authorizer, call, 'ec2:RegisterImage', [
      { resource, context: { ...requestTagContext(tags), 'ec2:Owner': accountId } },
      ...ids.map((snapshotId) => {
        const snapshot = snapshots.get(snapshotId);
        const resource = { arn: snapshotArn(call.region, snapshotId) };
        return snapshot ? { resource, context: snapshotContext(snapshot) } : { resource };
      }),
    ]);
    await authorizeTagsOnCreate(deps.authorizer, call, 'RegisterImage', [{ resource, tags }]);
    dryRun(input);
    const devices = mappings.map((mapping) => {
      if (mapping.NoDevice !== undefined) {
        throw invalidParameterValue(`The device '${mapping.DeviceName}' is not there, so NoDevice has no meaning.`);
      }
      const id = mapping.Ebs?.SnapshotId;
      const snapshot = id === undefined ? undefined : requireOwnSnapshot(call, id, snapshots.get(id));
      return newDevice({ ...mapping, DeviceName: mapping.DeviceName! }, snapshot);
    });
    const rootDeviceName = input.RootDeviceName;
    const root = devices.find(({ deviceName }) => deviceName === rootDeviceName);
    if (!rootDeviceName || !root?.ebs?.snapshotId) {
      throw ec2Error('InvalidBlockDeviceMapping', 'No root snapshot specified in device mapping.');
    }
    const image: NewImage = {
      name: input.Name,
      ...(input.Description ? { description: input.Description } : {}),
      architecture: oneOf('architecture', input.Architecture, ARCHITECTURES) ?? 'i386',
      rootDeviceName,
      virtualizationType:
        oneOf('virtualizationType', input.VirtualizationType, ['hvm', 'paravirtual']) ?? 'paravirtual',
      enaSupport: input.EnaSupport ?? false,
      ...(input.SriovNetSupport
        ? { sriovNetSupport: oneOf('sriovNetSupport', input.SriovNetSupport, ['simple'])! }
        : {}),
      ...bootAttributes(input),
      platformDetails: 'Linux/UNIX',
      imageLocation: `${accountId}/${input.Name}`,
      blockDeviceMappings: devices,
    };

    const { id } = await deps.db.write(async (tx) => {
      const record = await deps.images.register(tx, permit!, accountId, call.region, image);
      await deps.tags.put(tx, accountId, call.region, 'image', record.id, tags);
      return record;
    });
    return { ImageId: id };
  };
