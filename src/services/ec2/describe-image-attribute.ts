import type { DescribeImageAttributeRequest, ImageAttribute } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { ImageRecord } from '../../images/images.ts';
import { ec2Error, invalidParameterValue, missingParameter } from './errors.ts';
import { type ImageDeps, useOwnImage } from './image-access.ts';
import { isoTime, permissionShape } from './image-shapes.ts';

/** Single values by attribute; one that is unset is an empty element (L-18). */
const VALUES: Readonly<Record<string, readonly [keyof ImageAttribute, (image: ImageRecord) => string | undefined]>> = {
  description: ['Description', (image) => image.description],
  kernel: ['KernelId', () => undefined],
  ramdisk: ['RamdiskId', () => undefined],
  sriovNetSupport: ['SriovNetSupport', (image) => image.sriovNetSupport],
  bootMode: ['BootMode', (image) => image.bootMode],
  tpmSupport: ['TpmSupport', (image) => image.tpmSupport],
  uefiData: ['UefiData', (image) => image.uefiData],
  lastLaunchedTime: ['LastLaunchedTime', (image) => image.lastLaunchedAt && isoTime(image.lastLaunchedAt)],
  imdsSupport: ['ImdsSupport', (image) => image.imdsSupport],
  deregistrationProtection: ['DeregistrationProtection', (image) => image.deregistrationProtection.mode],
};

export const describeImageAttribute =
  (deps: ImageDeps) =>
  async (call: Call, input: DescribeImageAttributeRequest): Promise<ImageAttribute> => {
    const attribute = input.Attribute;
    if (!attribute) throw missingParameter('Attribute');
    const { image } = await useOwnImage(deps, call, 'ec2:DescribeImageAttribute', input);
    switch (attribute) {
      case 'launchPermission': {
        const permissions = await deps.images.launchPermissions(image.id);
        return { ImageId: image.id, LaunchPermissions: permissions.map(permissionShape) };
      }
      case 'productCodes':
        return { ImageId: image.id, ProductCodes: [] };
      case 'blockDeviceMapping':
        // SH-8: for the owner as well.
        throw ec2Error('AuthFailure', 'Unauthorized attempt to access restricted resource');
    }
    const value = Object.hasOwn(VALUES, attribute) ? VALUES[attribute] : undefined;
    if (!value) throw invalidParameterValue(`Value (${attribute}) for parameter attribute is invalid.`);
    const [member, read] = value;
    const found = read(image);
    return { ImageId: image.id, [member]: found === undefined ? {} : { Value: found } };
  };
