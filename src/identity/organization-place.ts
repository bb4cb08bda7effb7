/** Where an account stands in the organization, for sharing with organizations and organizational units. */
import type { AccountId } from '../ids.ts';
import type { Organizations } from './organization.ts';

export interface OrganizationPlace {
  readonly organizationArn: string;
  /** ARNs of every organizational unit the account is in, the nearest first. */
  readonly organizationalUnitArns: readonly string[];
}

/** `undefined` for an account that is not in the organization. */
export async function organizationPlaceOf(
  organizations: Pick<Organizations, 'get' | 'member' | 'units'>,
  id: AccountId,
): Promise<OrganizationPlace | undefined> {
  const account = await organizations.member(id);
  if (!account) return undefined;
  const units = new Map((await organizations.units()).map((unit) => [unit.id, unit]));
  const arns: string[] = [];
  for (let unit = units.get(account.parentId); unit; unit = units.get(unit.parentId)) arns.push(unit.arn);
  return { organizationArn: (await organizations.get()).arn, organizationalUnitArns: arns };
}
