/**
 * Who there is and what they may do: accounts and their organization, users, groups, roles, instance profiles,
 * policies, access keys and sessions. It promises that secrets are sealed, that deleted principals lose access at
 * once, and that what a stored policy names is a principal, not a name. How policies are judged is left to `authz/`.
 */
import type { CredentialStore } from '../authn/credentials.ts';
import type { Authorizer } from '../authz/authorizer.ts';
import type { PolicyPrincipals } from '../authz/policy-principals.ts';
import type { RootKey } from '../crypto/root-key.ts';
import type { Db } from '../db/db.ts';
import { type AccessKeys, createAccessKeys } from './access-keys.ts';
import { createAuthorizer } from './authorizer.ts';
import { type BootstrapOptions, type BootstrapResult, bootstrap } from './bootstrap.ts';
import { createCredentialStore } from './credentials.ts';
import { createGroups, type Groups } from './groups.ts';
import { createInstanceRoles, type InstanceRoles } from './instance-credentials.ts';
import { createInstanceProfiles, type InstanceProfiles } from './instance-profiles.ts';
import { createLastUses, type LastUses } from './last-used.ts';
import { createOrganizations, type Organizations } from './organization.ts';
import { createOrganizationTags, type OrganizationTags } from './organization-tags.ts';
import { createPolicies, type Policies } from './policies.ts';
import { createPolicyPrincipals } from './principals.ts';
import { createRoles, type Roles } from './roles.ts';
import { createSessions, type Sessions } from './sessions.ts';
import { createSimulator, type Simulator } from './simulator.ts';
import { createStandings } from './standings.ts';
import { createStore } from './store.ts';
import { createUsers, type Users } from './users.ts';

export { identityMigrations } from './tables.ts';

export interface IdentityDeps {
  readonly db: Db;
  readonly rootKey: RootKey;
  readonly clock: () => Date;
}

export interface Identity {
  readonly organizations: Organizations;
  readonly users: Users;
  readonly groups: Groups;
  readonly roles: Roles;
  readonly instanceProfiles: InstanceProfiles;
  readonly instanceRoles: InstanceRoles;
  readonly policies: Policies;
  readonly accessKeys: AccessKeys;
  readonly sessions: Sessions;
  readonly principals: PolicyPrincipals;
  readonly authorizer: Authorizer;
  readonly simulator: Simulator;
  readonly lastUses: LastUses;
  readonly organizationTags: OrganizationTags;
  readonly credentials: CredentialStore;
  /** Grows with every committed change of who there is and what they may do. */
  generation(): number;
  /** Founds the installation on the first start; on later ones it only tells the management account. */
  bootstrap(options?: BootstrapOptions): Promise<BootstrapResult>;
}

export function createIdentity({ db, rootKey, clock }: IdentityDeps): Identity {
  const store = createStore(db, clock, rootKey);
  const principals = createPolicyPrincipals(store);
  const roles = createRoles(store, principals);
  const organizations = createOrganizations(store, roles);
  const policies = createPolicies(store);
  const accessKeys = createAccessKeys(store);
  const instanceProfiles = createInstanceProfiles(store);
  const sessions = createSessions(store);
  const standingOf = createStandings(store, organizations);
  const authorizer = createAuthorizer(store, standingOf, policies);
  return {
    generation: store.generation,
    organizations,
    users: createUsers(store),
    groups: createGroups(store),
    roles,
    instanceProfiles,
    instanceRoles: createInstanceRoles({ instanceProfiles, roles, sessions, authorizer, clock }),
    policies,
    accessKeys,
    sessions,
    principals,
    authorizer,
    lastUses: createLastUses(store),
    organizationTags: createOrganizationTags(store),
    simulator: createSimulator(store, standingOf, policies),
    credentials: createCredentialStore(store, policies),
    bootstrap: (options = {}) => bootstrap(store, organizations, accessKeys, options),
  };
}
