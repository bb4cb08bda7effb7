/** The organization of the caller: its accounts, and where in its tree each stands. */
import {
  AWSOrganizationsNotInUseException,
  DescribeOrganizationCommand,
  OrganizationsClient,
  paginateListAccountsForParent,
  paginateListOrganizationalUnitsForParent,
  paginateListRoots,
} from '@aws-sdk/client-organizations';
import type { Organization } from './model.ts';
import type { Reader } from './reader.ts';

/** `none` for an account in no organization; `undefined`, noted as not seen, where it may not be asked about. */
export async function readOrganization(reader: Reader): Promise<Organization | 'none' | undefined> {
  const found = await reader.ask('organization', 'organizations:DescribeOrganization', async (aws, abortSignal) => {
    try {
      const { Organization: one } = await aws
        .use(OrganizationsClient)
        .send(new DescribeOrganizationCommand({}), { abortSignal });
      return one;
    } catch (error) {
      if (error instanceof AWSOrganizationsNotInUseException) return 'none' as const;
      throw error;
    }
  });
  if (found === undefined || found === 'none') return found;
  const { Id: id = '', Arn: arn = '', MasterAccountId: managementAccount = '' } = found;
  const members = await reader.ask('organization', 'organizations:ListAccountsForParent', (aws, signal) =>
    walk(aws.use(OrganizationsClient), id, signal),
  );
  return members && { id, arn, managementAccount, members };
}

async function walk(
  client: OrganizationsClient,
  organizationId: string,
  signal: AbortSignal,
): Promise<Organization['members']> {
  const members = new Map<string, { name: string; path: string }>();
  const levels: { id: string; path: string }[] = [];
  for await (const { Roots } of paginateListRoots({ client }, {})) {
    for (const { Id: id = '' } of Roots ?? []) levels.push({ id, path: `${organizationId}/${id}/` });
  }
  for (let level = levels.pop(); level; level = levels.pop()) {
    signal.throwIfAborted();
    const { id: ParentId, path } = level;
    for await (const { Accounts } of paginateListAccountsForParent({ client }, { ParentId })) {
      for (const { Id, Name, Status } of Accounts ?? []) {
        if (Id && Status !== 'SUSPENDED') members.set(Id, { name: Name ?? Id, path });
      }
    }
    for await (const { OrganizationalUnits } of paginateListOrganizationalUnitsForParent({ client }, { ParentId })) {
      for (const { Id: id = '' } of OrganizationalUnits ?? []) levels.push({ id, path: `${path}${id}/` });
    }
  }
  return members;
}
