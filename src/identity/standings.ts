/** What the organization says of an account: where it stands, and the control policies on every level above it. */

import { compilePolicy } from '../../policy/document.ts';
import type { NamedPolicy } from '../../policy/evaluate.ts';
import type { ControlPolicyType } from './control-policies.ts';
import type { Organizations } from './organization.ts';
import { cacheOf, type Store } from './store.ts';

const ACCOUNTS_CACHED_MAX = 10_000;

export interface AccountStanding {
  readonly organizationId?: string;
  /** `o-…/r-…/ou-…/` */
  readonly organizationPath?: string;
  /** Organization root, units and the account itself: what each level of the control policies is attached to. */
  readonly levels?: readonly string[];
  /** Absent where service control policies do not apply: the management account (1.3). */
  readonly serviceControl?: readonly (readonly NamedPolicy[])[];
  readonly resourceControl?: readonly (readonly NamedPolicy[])[];
}

export type StandingOf = (accountId: string) => Promise<AccountStanding>;

/** Cached until identity changes. */
export function createStandings(store: Store, organizations: Organizations): StandingOf {
  const standings = cacheOf<AccountStanding>(store, ACCOUNTS_CACHED_MAX);

  async function load(accountId: string): Promise<AccountStanding> {
    const account = await organizations.member(accountId);
    if (!account) return {};
    const organization = await organizations.get();
    const path = await organizations.pathTo(account.parentId);
    const member = accountId !== organization.managementAccount;
    const levels = [...path, accountId];
    return {
      organizationId: organization.id,
      organizationPath: `${[organization.id, ...path].join('/')}/`,
      ...(member
        ? {
            levels,
            serviceControl: await controlPolicies(levels, 'SERVICE_CONTROL_POLICY'),
            resourceControl: await controlPolicies(levels, 'RESOURCE_CONTROL_POLICY'),
          }
        : {}),
    };
  }

  async function controlPolicies(levels: readonly string[], type: ControlPolicyType): Promise<NamedPolicy[][]> {
    const found = await Promise.all(levels.map((level) => organizations.controlPoliciesOn(level)));
    return found.map((level) =>
      level.filter((one) => one.type === type).map((one) => ({ name: one.arn, policy: compilePolicy(one.document) })),
    );
  }

  return (accountId) => standings.get(accountId, () => load(accountId));
}
