import type {
  DescribeSnapshotAttributeCommand,
  ModifySnapshotAttributeCommand,
  ResetSnapshotAttributeCommand,
} from '@aws-sdk/client-ec2';
import type { ConditionValues } from '../../authz/authorizer.ts';
import { type AccountId, isAccountId } from '../../ids.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { authorizeOne, dryRun } from './common.ts';
import {
  ec2Error,
  invalidParameterCombination,
  invalidParameterValue,
  missingParameter,
  requireSnapshotId,
} from './errors.ts';
import { requireOwnSnapshot } from './snapshot-access.ts';
import { snapshotResource, type VolumeDeps, visibleSnapshot } from './volume-shapes.ts';

/** SH-24. */
const MODIFICATIONS_MAX = 500;

interface Sharing {
  readonly operation: 'add' | 'remove';
  readonly accounts: readonly AccountId[];
  readonly everyone: boolean;
}

export const modifySnapshotAttribute =
  (deps: VolumeDeps): OperationOf<ModifySnapshotAttributeCommand> =>
  async (call, input) => {
    const { SnapshotId: id } = input;
    requireSnapshotId(id);
    const sharing = sharingOf(input);
    const found = await visibleSnapshot(deps, call, id);
    const { resource, context } = await snapshotResource(deps, call, found, id);
    await authorizeOne(deps.authorizer, call, 'ec2:ModifySnapshotAttribute', resource, {
      ...context,
      ...sharingContext(sharing),
    });
    dryRun(input);
    const snapshot = requireOwnSnapshot(call, id, found);
    if (sharing.operation === 'add') await requireShareable(deps, snapshot, sharing);
    await deps.db.write(async (tx) => {
      const before = (await deps.snapshots.find(call.region, id)) ?? snapshot;
      await deps.snapshots.setSharing(tx, snapshot.id, changed(before, sharing));
    });
    return {};
  };

function changed(before: SnapshotRecord, { operation, accounts, everyone }: Sharing) {
  return operation === 'add'
    ? { sharedWith: [...new Set([...before.sharedWith, ...accounts])], public: before.public || everyone }
    : {
        sharedWith: before.sharedWith.filter((account) => !accounts.includes(account)),
        public: before.public && !everyone,
      };
}

/** SH-26, SH-27, SH-32. */
async function requireShareable(deps: VolumeDeps, snapshot: SnapshotRecord, sharing: Sharing): Promise<void> {
  if (snapshot.underAwsManagedKey) {
    throw ec2Error('OperationNotPermitted', 'Encrypted snapshots with EBS default key cannot be shared');
  }
  if (!sharing.everyone) return;
  if (snapshot.encrypted) throw ec2Error('OperationNotPermitted', 'Encrypted snapshots cannot be shared publicly');
  const state = await deps.ebsDefaults.snapshotBlockPublicAccess(snapshot.ownerId, snapshot.region);
  if (state !== 'unblocked') {
    throw ec2Error(
      'OperationNotPermitted',
      "You can't publicly share this snapshot because block public access for snapshots is enabled for this account.",
    );
  }
}

/** Two request styles: CreateVolumePermission.Add/Remove, or Attribute with OperationType, UserIds and GroupNames. */
function sharingOf(input: InputOf<ModifySnapshotAttributeCommand>): Sharing {
  const attribute: string | undefined = input.Attribute;
  if (attribute !== undefined && attribute !== 'createVolumePermission') {
    throw invalidParameterValue(`Value (${attribute}) for parameter attribute is invalid.`);
  }
  const { Add: add = [], Remove: remove = [] } = input.CreateVolumePermission ?? {};
  const isFlat = Boolean(input.UserIds?.length || input.GroupNames?.length);
  const flat: string | undefined = isFlat ? input.OperationType : undefined;
  if (isFlat && flat === undefined && !isSpelledOut(input, add) && !isSpelledOut(input, remove)) {
    throw missingParameter('operationType');
  }
  const users = flat === undefined ? [] : (input.UserIds ?? []);
  const groups = flat === undefined ? [] : (input.GroupNames ?? []);
  const operations = new Set([...(add.length > 0 ? ['add'] : []), ...(remove.length > 0 ? ['remove'] : [])]);
  if (flat !== undefined) operations.add(flat);
  if (operations.size > 1) {
    throw invalidParameterCombination('One and only one operation type may be specified for createVolumePermissions');
  }
  const [operation] = operations;
  if (operation === undefined) throw missingParameter('createVolumePermission');
  if (operation !== 'add' && operation !== 'remove') {
    throw invalidParameterValue(`Value (${operation}) for parameter operationType is invalid.`);
  }
  const entries = [
    ...(operation === 'add' ? add : remove),
    ...users.map((UserId) => ({ UserId })),
    ...groups.map((Group) => ({ Group })),
  ] as readonly { readonly UserId?: string; readonly Group?: string }[];
  if (entries.length > MODIFICATIONS_MAX) {
    throw invalidParameterValue(`At most ${MODIFICATIONS_MAX} permissions can be changed in one request`);
  }
  const accounts: AccountId[] = [];
  let everyone = false;
  for (const { UserId, Group } of entries) {
    if (Group !== undefined) {
      if (Group !== 'all') throw badItem(Group, 'groupName');
      everyone = true;
    }
    if (UserId !== undefined) {
      if (!isAccountId(UserId)) throw badItem(UserId, 'userId');
      accounts.push(UserId);
    }
  }
  if (accounts.length === 0 && !everyone) throw missingParameter('createVolumePermission');
  return { operation, accounts, everyone };
}

/** Packer names accounts and groups flatly beside the structure that says what is to be done with the same ones. */
function isSpelledOut(
  { UserIds, GroupNames }: InputOf<ModifySnapshotAttributeCommand>,
  list: readonly { readonly UserId?: string | undefined; readonly Group?: string | undefined }[],
): boolean {
  const users = new Set(list.map(({ UserId }) => UserId));
  const groups = new Set<string | undefined>(list.map(({ Group }) => Group));
  return (UserIds ?? []).every((user) => users.has(user)) && (GroupNames ?? []).every((group) => groups.has(group));
}

/** SH-25. */
const badItem = (value: string, type: string) =>
  ec2Error('InvalidAMIAttributeItemValue', `Invalid attribute item value "${value}" for ${type} item type.`);

/** 7.8 and P-10: multivalued. */
function sharingContext({ operation, accounts, everyone }: Sharing): ConditionValues {
  const verb = operation === 'add' ? 'Add' : 'Remove';
  return {
    'ec2:Attribute': 'CreateVolumePermission',
    'ec2:Attribute/CreateVolumePermission': operation,
    ...(accounts.length > 0 && { [`ec2:${verb}/userId`]: accounts }),
    ...(everyone && { [`ec2:${verb}/group`]: ['all'] }),
  };
}

export const resetSnapshotAttribute =
  (deps: VolumeDeps): OperationOf<ResetSnapshotAttributeCommand> =>
  async (call, input) => {
    const { SnapshotId: id } = input;
    requireSnapshotId(id);
    const attribute: string | undefined = input.Attribute;
    if (attribute !== 'createVolumePermission') {
      throw ec2Error('InvalidRequest', 'The request received was invalid.');
    }
    const found = await visibleSnapshot(deps, call, id);
    const { resource, context } = await snapshotResource(deps, call, found, id);
    await authorizeOne(deps.authorizer, call, 'ec2:ResetSnapshotAttribute', resource, context);
    dryRun(input);
    const snapshot = requireOwnSnapshot(call, id, found);
    await deps.db.write((tx) => deps.snapshots.setSharing(tx, snapshot.id, { sharedWith: [], public: false }));
    return {};
  };

export const describeSnapshotAttribute =
  (deps: VolumeDeps): OperationOf<DescribeSnapshotAttributeCommand> =>
  async (call, input) => {
    const { SnapshotId: id, Attribute: attribute } = input;
    requireSnapshotId(id);
    if (!attribute) throw missingParameter('attribute');
    const found = await visibleSnapshot(deps, call, id);
    const { resource, context } = await snapshotResource(deps, call, found, id);
    await authorizeOne(deps.authorizer, call, 'ec2:DescribeSnapshotAttribute', resource, context);
    dryRun(input);
    const snapshot = requireOwnSnapshot(call, id, found);
    if (attribute === 'productCodes') return { SnapshotId: id, ProductCodes: [] };
    if (attribute !== 'createVolumePermission') {
      throw invalidParameterValue(`Value (${attribute}) for parameter attribute is invalid.`);
    }
    return {
      SnapshotId: id,
      CreateVolumePermissions: [
        ...snapshot.sharedWith.map((account) => ({ UserId: account })),
        ...(snapshot.public ? [{ Group: 'all' as const }] : []),
      ],
    };
  };
