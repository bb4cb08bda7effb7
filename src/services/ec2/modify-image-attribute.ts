/** ModifyImageAttribute in both request styles, and the rules of sharing an image (SH-1 to SH-13, SH-31). */
import type { ModifyImageAttributeRequest, LaunchPermission as PermissionShape } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { isAccountId } from '../../ids.ts';
import type { ImageRecord, LaunchPermission } from '../../images/images.ts';
import { refuseAllBut } from './common.ts';
import {
  ec2Error,
  invalidParameterCombination,
  invalidParameterValue,
  missingParameter,
  requireImageId,
} from './errors.ts';
import { checkImageDescription, type ImageDeps, useOwnImage } from './image-access.ts';

/** What one call asks for: exactly one attribute (SH-3). */
export type AttributeChange =
  | { readonly attribute: 'description'; readonly value: string }
  | { readonly attribute: 'imdsSupport' }
  | {
      readonly attribute: 'launchPermission';
      readonly add: readonly LaunchPermission[];
      readonly remove: readonly LaunchPermission[];
    };

const ENTRIES_MAX = 10_000;

export function attributeChange(input: ModifyImageAttributeRequest): AttributeChange {
  const permissions = permissionChange(input);
  const description = attributeValue(input, 'description', input.Description);
  const imdsSupport = attributeValue(input, 'imdsSupport', input.ImdsSupport);
  const given = [
    ...(description ? ['description'] : []),
    ...(imdsSupport ? ['imdsSupport'] : []),
    ...(permissions ? ['launchPermission'] : []),
  ];
  if (given.length > 1) {
    throw invalidParameterCombination(`Fields for multiple attribute types specified: ${given.join(', ')}`);
  }
  if (description) {
    if (!description.value) throw missingParameter('description');
    checkImageDescription(description.value);
    return { attribute: 'description', value: description.value };
  }
  if (imdsSupport) {
    if (imdsSupport.value !== 'v2.0') throw missingParameter('imdsSupport with value v2.0');
    return { attribute: 'imdsSupport' };
  }
  if (permissions) {
    if (input.Value !== undefined) throw invalidParameterCombination('Value has no meaning for launchPermission.');
    return permissions;
  }
  const { Attribute: attribute } = input;
  if (attribute && !['description', 'imdsSupport', 'launchPermission'].includes(attribute)) {
    throw invalidParameterValue(`Value (${attribute}) for parameter attribute is invalid.`);
  }
  throw invalidParameterCombination('No attributes specified.');
}

/** By its own member, or by `Attribute` and `Value`. */
function attributeValue(
  input: ModifyImageAttributeRequest,
  attribute: string,
  member: { readonly Value?: string | undefined } | undefined,
): { readonly value: string | undefined } | undefined {
  if (member) return { value: member.Value };
  return input.Attribute === attribute ? { value: input.Value } : undefined;
}

function permissionChange(
  input: ModifyImageAttributeRequest,
): Extract<AttributeChange, { attribute: 'launchPermission' }> | undefined {
  const lists = input.LaunchPermission;
  const named: LaunchPermission[] = [
    ...(input.UserIds ?? []).map(account),
    ...(input.UserGroups ?? []).map(group),
    ...(input.OrganizationArns ?? []).map(organization),
    ...(input.OrganizationalUnitArns ?? []).map(organizationalUnit),
  ];
  const add = (lists?.Add ?? []).flatMap(entries);
  const remove = (lists?.Remove ?? []).flatMap(entries);
  if (named.length > 0) {
    if (input.Attribute !== undefined && input.Attribute !== 'launchPermission') {
      throw invalidParameterCombination(
        `Fields for multiple attribute types specified: ${input.Attribute}, launchPermission`,
      );
    }
    if (input.OperationType === 'add') add.push(...named);
    else if (input.OperationType === 'remove') remove.push(...named);
    else if (!(isSpelledOut(named, add) || isSpelledOut(named, remove))) throw missingParameter('OperationType');
  }
  if (add.length + remove.length > ENTRIES_MAX) {
    throw ec2Error(
      'RequestResourceCountExceeded',
      `At most ${ENTRIES_MAX} launch permissions can be changed in one call.`,
    );
  }
  return add.length + remove.length > 0 ? { attribute: 'launchPermission', add, remove } : undefined;
}

/** Packer names accounts and groups flatly beside the structure that says what is to be done with the same ones. */
function isSpelledOut(named: readonly LaunchPermission[], list: readonly LaunchPermission[]): boolean {
  const spelled = new Set(list.map(({ kind, value }) => `${kind} ${value}`));
  return named.every(({ kind, value }) => spelled.has(`${kind} ${value}`));
}

function entries(shape: PermissionShape): LaunchPermission[] {
  return [
    ...(shape.UserId === undefined ? [] : [account(shape.UserId)]),
    ...(shape.Group === undefined ? [] : [group(shape.Group)]),
    ...(shape.OrganizationArn === undefined ? [] : [organization(shape.OrganizationArn)]),
    ...(shape.OrganizationalUnitArn === undefined ? [] : [organizationalUnit(shape.OrganizationalUnitArn)]),
  ];
}

function invalidItem(value: string, type: string): Error {
  return ec2Error('InvalidAMIAttributeItemValue', `Invalid attribute item value "${value}" for ${type} item type.`);
}
function account(value: string): LaunchPermission {
  if (!isAccountId(value)) throw invalidItem(value, 'userId');
  return { kind: 'account', value };
}
function group(value: string): LaunchPermission {
  if (value !== 'all') throw invalidItem(value, 'group');
  return { kind: 'group', value };
}
function organization(value: string): LaunchPermission {
  if (!/^arn:[\w-]+:organizations::\d{12}:organization\/o-[a-z0-9]{10,32}$/.test(value)) {
    throw invalidItem(value, 'organizationArn');
  }
  return { kind: 'organization', value };
}
function organizationalUnit(value: string): LaunchPermission {
  if (!/^arn:[\w-]+:organizations::\d{12}:ou\/o-[a-z0-9]{10,32}\/ou-[a-z0-9]{4,32}-[a-z0-9]{8,32}$/.test(value)) {
    throw invalidItem(value, 'organizationalUnitArn');
  }
  return { kind: 'organizational-unit', value };
}

export const modifyImageAttribute = (deps: ImageDeps) => async (call: Call, input: ModifyImageAttributeRequest) => {
  refuseAllBut(input, [
    'Attribute',
    'Description',
    'ImageId',
    'LaunchPermission',
    'OperationType',
    'UserGroups',
    'UserIds',
    'Value',
    'OrganizationArns',
    'OrganizationalUnitArns',
    'ImdsSupport',
    'DryRun',
  ]);
  requireImageId(input.ImageId);
  const change = attributeChange(input);
  const { image, permit } = await useOwnImage(deps, call, 'ec2:ModifyImageAttribute', input, {
    'ec2:Attribute': change.attribute,
    ...(change.attribute === 'description' ? { 'ec2:Attribute/description': change.value } : {}),
  });
  if (change.attribute === 'launchPermission' && change.add.length > 0) {
    // What a pending image's snapshots are sealed under is not known yet.
    if (image.state !== 'available') {
      throw ec2Error(
        'IncorrectState',
        `The image ${image.id} is not in a valid state for this operation - ${image.state}`,
      );
    }
    await checkSharing(deps, call, image, change.add);
  }
  await deps.db.write(async (tx) => {
    if (change.attribute === 'description') await deps.images.setDescription(tx, permit, change.value);
    else if (change.attribute === 'imdsSupport') await deps.images.setImdsSupport(tx, permit);
    else await deps.images.changeLaunchPermissions(tx, permit, change);
  });
  return {};
};

/** What may be shared with whom; the key's policy is not looked at (SH-13). */
async function checkSharing(
  deps: ImageDeps,
  call: Call,
  image: ImageRecord,
  add: readonly LaunchPermission[],
): Promise<void> {
  const devices = image.blockDeviceMappings.flatMap(({ ebs }) => (ebs ? [ebs] : []));
  const snapshotIds = devices.flatMap(({ snapshotId }) => (snapshotId ? [snapshotId] : []));
  const snapshots = await deps.snapshots.findMany(image.region, snapshotIds);
  if (snapshots.some(({ underAwsManagedKey }) => underAwsManagedKey)) {
    throw ec2Error(
      'InvalidParameter',
      "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.",
    );
  }
  if (!add.some(({ kind }) => kind === 'group')) return;
  if (devices.some(({ encrypted, snapshotId }) => encrypted && snapshotId)) {
    throw ec2Error('UnsupportedOperation', "Encrypted snapshots can't be shared publicly. Specify another snapshot.");
  }
  if ((await deps.images.blockPublicAccess(image.ownerId, call.region)) === 'block-new-sharing' && !image.public) {
    throw ec2Error(
      'OperationNotPermitted',
      'You can’t publicly share this image because block public access for AMIs is enabled for this account. To publicly share the image, you must call the DisableImageBlockPublicAccess API.',
    );
  }
}
