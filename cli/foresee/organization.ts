/** Where an account stands in its organization, and the control policies on every level above it. */
import {
  DescribeOrganizationCommand,
  DescribePolicyCommand,
  ListParentsCommand,
  type Organization,
  OrganizationsClient,
  type PolicyType,
  paginateListPoliciesForTarget,
} from '@aws-sdk/client-organizations';
import type { Aws } from '../aws.ts';
import type { PlacedPolicy } from './identity-policies.ts';
import type { Seen, Unseen, Views } from './views.ts';

export interface Standing {
  readonly organizationId?: string;
  readonly managementAccount?: string;
  /** `o-…/r-…/ou-…/`, where the levels could be seen. */
  readonly organizationPath?: string;
  /** Root, units and account, each with its policies; empty where none apply. */
  readonly serviceControl: Seen<readonly (readonly PlacedPolicy[])[]>;
  readonly resourceControl: Seen<readonly (readonly PlacedPolicy[])[]>;
}

const NONE = { seen: true, value: [] } as const;

export function standingOf(views: Views, account: string): Promise<Standing> {
  return views.once(`standing ${account}`, async () => {
    const organization = await organizationOf(views, account);
    if (!organization.seen) return unseenControls(organization);
    const { value: found } = organization;
    if (!found) return { serviceControl: NONE, resourceControl: NONE };
    const organizationId = found.Id ?? '';
    const manager = found.MasterAccountId ?? '';
    // Control policies do not bind the management account.
    if (account === manager)
      return { organizationId, managementAccount: manager, serviceControl: NONE, resourceControl: NONE };
    const from = views.inAccount(manager) ?? views.own;
    const path = await views.look(
      {
        what: `where account ${account} stands in its organization`,
        wants: 'organizations:ListParents',
        account: manager,
      },
      (aws) => pathTo(aws, account),
      from,
    );
    if (!path.seen) return { organizationId, managementAccount: manager, ...unseenControls(path) };
    const levels = [...path.value, account];
    return {
      organizationId,
      managementAccount: manager,
      organizationPath: `${[organizationId, ...path.value].join('/')}/`,
      serviceControl: await controls(views, from, manager, levels, 'SERVICE_CONTROL_POLICY'),
      resourceControl: await controls(views, from, manager, levels, 'RESOURCE_CONTROL_POLICY'),
    };
  });
}

/** Two layers: one may be answered for otherwise, and the other not. */
function unseenControls(unseen: Unseen): Pick<Standing, 'serviceControl' | 'resourceControl'> {
  const { wants, account, what } = unseen;
  const of = (type: string): Unseen => ({
    seen: false,
    what: `${what}, and so its ${type} control policies,`,
    wants,
    account,
  });
  return { serviceControl: of('service'), resourceControl: of('resource') };
}

/** The organization of an account, `undefined` where it is in none. */
async function organizationOf(views: Views, account: string): Promise<Seen<Organization | undefined>> {
  const place = {
    what: `the organization of account ${account}`,
    wants: 'organizations:DescribeOrganization',
    account,
  };
  const own = await views.look(place, describe, views.inAccount(account) ?? views.own);
  if (!own.seen || views.inAccount(account)) return own;
  // Asked with the caller's own credentials, the answer is about the caller's organization.
  if (own.value && (await belongs(views, own.value, account))) return own;
  return { seen: false, ...place };
}

async function belongs(views: Views, organization: Organization, account: string): Promise<boolean> {
  if (organization.MasterAccountId === account) return true;
  const manager = organization.MasterAccountId ?? '';
  const path = await views.look(
    { what: `account ${account}`, wants: 'organizations:ListParents', account: manager },
    (aws) => pathTo(aws, account).catch(ignoreStrangers),
    views.inAccount(manager) ?? views.own,
  );
  return path.seen && path.value !== undefined;
}

function ignoreStrangers(error: unknown): undefined {
  if (error instanceof Error && error.name === 'ChildNotFoundException') return undefined;
  throw error;
}

async function describe(aws: Aws): Promise<Organization | undefined> {
  try {
    return (await aws.use(OrganizationsClient).send(new DescribeOrganizationCommand({}))).Organization;
  } catch (error) {
    if (error instanceof Error && error.name === 'AWSOrganizationsNotInUseException') return undefined;
    throw error;
  }
}

/** Ids from the root down to the parent of the account. */
async function pathTo(aws: Aws, account: string): Promise<string[]> {
  const path: string[] = [];
  for (let child = account; ; ) {
    const { Parents } = await aws.use(OrganizationsClient).send(new ListParentsCommand({ ChildId: child }));
    const parent = Parents?.[0];
    if (!parent?.Id) return path;
    path.unshift(parent.Id);
    if (parent.Type === 'ROOT') return path;
    child = parent.Id;
  }
}

function controls(
  views: Views,
  from: Aws,
  manager: string,
  levels: readonly string[],
  type: PolicyType & ('SERVICE_CONTROL_POLICY' | 'RESOURCE_CONTROL_POLICY'),
): Promise<Seen<PlacedPolicy[][]>> {
  const what = `the ${type === 'SERVICE_CONTROL_POLICY' ? 'service' : 'resource'} control policies over account ${levels.at(-1)}`;
  const place = { what, wants: 'organizations:ListPoliciesForTarget', account: manager };
  return views.look(
    place,
    async (aws) => {
      const found: PlacedPolicy[][] = [];
      for (const level of levels) found.push(await policiesOn(views, aws, level, type));
      return found;
    },
    from,
  );
}

async function policiesOn(views: Views, aws: Aws, TargetId: string, Filter: PolicyType): Promise<PlacedPolicy[]> {
  const client = aws.use(OrganizationsClient);
  const policies: PlacedPolicy[] = [];
  for await (const page of paginateListPoliciesForTarget({ client }, { TargetId, Filter })) {
    for (const { Id: id = '', Name: name = '' } of page.Policies ?? []) {
      const document = await views.once(`control policy ${id}`, async () => {
        const { Policy } = await client.send(new DescribePolicyCommand({ PolicyId: id }));
        return Policy?.Content ?? '';
      });
      policies.push({ name, document, place: { kind: 'control', policyId: id, policyName: name } });
    }
  }
  return policies;
}
