/** Root, organizational units, and who stands where. */
import type * as aws from '@aws-sdk/client-organizations';
import type { OperationOf } from '../operation.ts';
import {
  authorizeManagement,
  invalidInput,
  type OrganizationsDeps,
  organizationsError,
  page,
  shownUnit,
  tagContext,
  tagsOf,
} from './organizations.ts';

export const listRoots =
  (deps: OrganizationsDeps): OperationOf<aws.ListRootsCommand> =>
  async (call, input) => {
    await authorizeManagement(deps, call, 'organizations:ListRoots');
    const { id, rootId, managementAccount } = await deps.identity.organizations.get();
    const policyTypes = (['SERVICE_CONTROL_POLICY', 'RESOURCE_CONTROL_POLICY'] as const).map((Type) => ({
      Type,
      Status: 'ENABLED' as const,
    }));
    const arn = `arn:aws:organizations::${managementAccount}:root/${id}/${rootId}`;
    const { items, ...rest } = page([{ Id: rootId, Arn: arn, Name: 'Root', PolicyTypes: policyTypes }], input);
    return { Roots: items, ...rest };
  };

export const createOrganizationalUnit =
  (deps: OrganizationsDeps): OperationOf<aws.CreateOrganizationalUnitCommand> =>
  async (call, input) => {
    const name = input.Name ?? '';
    if (name.length < 1 || name.length > 128)
      throw invalidInput('You provided an invalid name.', 'MAX_LENGTH_EXCEEDED');
    const tags = tagsOf(input.Tags);
    const context = tagContext(tags);
    const permit = await authorizeManagement(deps, call, 'organizations:CreateOrganizationalUnit', '*', context);
    const unit = await deps.identity.organizations.createUnit(permit, { parentId: input.ParentId ?? '', name, tags });
    return { OrganizationalUnit: shownUnit(unit) };
  };

export const describeOrganizationalUnit =
  (deps: OrganizationsDeps): OperationOf<aws.DescribeOrganizationalUnitCommand> =>
  async (call, input) => {
    const units = await deps.identity.organizations.units();
    const unit = units.find((one) => one.id === input.OrganizationalUnitId);
    await authorizeManagement(deps, call, 'organizations:DescribeOrganizationalUnit', unit?.arn ?? '*');
    if (!unit) {
      throw organizationsError(
        'OrganizationalUnitNotFoundException',
        "You specified an organizational unit that doesn't exist.",
      );
    }
    return { OrganizationalUnit: shownUnit(unit) };
  };

export const updateOrganizationalUnit =
  (deps: OrganizationsDeps): OperationOf<aws.UpdateOrganizationalUnitCommand> =>
  async (call, input) => {
    const units = await deps.identity.organizations.units();
    const unit = units.find((one) => one.id === input.OrganizationalUnitId);
    const permit = await authorizeManagement(deps, call, 'organizations:UpdateOrganizationalUnit', unit?.arn ?? '*');
    const name = input.Name ?? unit?.name ?? '';
    if (name.length < 1 || name.length > 128)
      throw invalidInput('You provided an invalid name.', 'MAX_LENGTH_EXCEEDED');
    const renamed = await deps.identity.organizations.renameUnit(permit, input.OrganizationalUnitId ?? '', name);
    return { OrganizationalUnit: shownUnit(renamed) };
  };

export const deleteOrganizationalUnit =
  (deps: OrganizationsDeps): OperationOf<aws.DeleteOrganizationalUnitCommand> =>
  async (call, input) => {
    const units = await deps.identity.organizations.units();
    const unit = units.find((one) => one.id === input.OrganizationalUnitId);
    const permit = await authorizeManagement(deps, call, 'organizations:DeleteOrganizationalUnit', unit?.arn ?? '*');
    await deps.identity.organizations.deleteUnit(permit, input.OrganizationalUnitId ?? '');
    return {};
  };

export const listOrganizationalUnitsForParent =
  (deps: OrganizationsDeps): OperationOf<aws.ListOrganizationalUnitsForParentCommand> =>
  async (call, input) => {
    await authorizeManagement(deps, call, 'organizations:ListOrganizationalUnitsForParent');
    const parent = input.ParentId ?? '';
    await requireParent(deps, parent);
    const { items, ...rest } = page(await deps.identity.organizations.units(parent), input);
    return { OrganizationalUnits: items.map(shownUnit), ...rest };
  };

async function requireParent(deps: OrganizationsDeps, parent: string): Promise<void> {
  const { rootId } = await deps.identity.organizations.get();
  if (parent === rootId) return;
  if ((await deps.identity.organizations.units()).some((unit) => unit.id === parent)) return;
  throw organizationsError(
    'ParentNotFoundException',
    "We can't find a root or OU with the ParentId that you specified.",
  );
}

export const listParents =
  (deps: OrganizationsDeps): OperationOf<aws.ListParentsCommand> =>
  async (call, input) => {
    await authorizeManagement(deps, call, 'organizations:ListParents');
    const child = input.ChildId ?? '';
    const account = await deps.identity.organizations.member(child);
    const unit = (await deps.identity.organizations.units()).find((one) => one.id === child);
    const parent = account?.parentId ?? unit?.parentId;
    if (parent === undefined) {
      throw organizationsError(
        'ChildNotFoundException',
        "We can't find an organizational unit (OU) or account with the ChildId that you specified.",
      );
    }
    const Type = parent.startsWith('r-') ? ('ROOT' as const) : ('ORGANIZATIONAL_UNIT' as const);
    const { items, ...rest } = page([{ Id: parent, Type }], input);
    return { Parents: items, ...rest };
  };

export const listChildren =
  (deps: OrganizationsDeps): OperationOf<aws.ListChildrenCommand> =>
  async (call, input) => {
    await authorizeManagement(deps, call, 'organizations:ListChildren');
    const parent = input.ParentId ?? '';
    await requireParent(deps, parent);
    const { organizations } = deps.identity;
    const type = input.ChildType;
    if (type !== 'ACCOUNT' && type !== 'ORGANIZATIONAL_UNIT') {
      throw invalidInput('You provided an invalid ChildType.', 'INVALID_ENUM');
    }
    const children = type === 'ACCOUNT' ? await organizations.accounts(parent) : await organizations.units(parent);
    const { items, ...rest } = page(children, input);
    return { Children: items.map(({ id }) => ({ Id: id, Type: type })), ...rest };
  };
