/**
 * {@link Authorizer}: gathers every policy that applies to a call, fills the global condition keys, and asks the pure
 * evaluator. What is gathered is cached per principal and per account until identity changes, so that an ordinary
 * decision queries nothing.
 */
import { type Authorizer, type ConditionValues, Denied, type ResourceRef } from '../authz/authorizer.ts';
import type { Call, Caller } from '../authz/caller.ts';
import { type DecisionRequest, decide } from '../authz/decide.ts';
import type { NamedPolicy } from '../authz/evaluate.ts';
import { explain } from '../authz/explain.ts';
import { issuePermit } from '../authz/permit.ts';
import { compilePolicy } from '../authz/policy.ts';
import { conditionKeysOf, contextOf } from './context.ts';
import type { ControlPolicyType } from './control-policies.ts';
import type { Organizations } from './organization.ts';
import type { Policies } from './policies.ts';
import { cacheOf, type Store } from './store.ts';

const PRINCIPALS_CACHED_MAX = 10_000;
const ACCOUNTS_CACHED_MAX = 10_000;

interface PrincipalPolicies {
  readonly identity: readonly NamedPolicy[];
  readonly boundary?: NamedPolicy;
  readonly linkedService: boolean;
}

/** What the organization says of one account. */
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

export function createAuthorizer(store: Store, organizations: Organizations, policies: Policies): Authorizer {
  const principals = cacheOf<PrincipalPolicies>(store, PRINCIPALS_CACHED_MAX);
  const standings = cacheOf<AccountStanding>(store, ACCOUNTS_CACHED_MAX);

  async function policiesOf(caller: Caller): Promise<PrincipalPolicies> {
    if (caller.type === 'Account' || caller.type === 'Service') return NO_POLICIES;
    return principals.get(caller.uniqueId, () => loadPolicies(caller));
  }

  async function loadPolicies(caller: Caller): Promise<PrincipalPolicies> {
    const owners = [caller.uniqueId];
    let boundaryArn: string | null = null;
    let linkedService = false;
    const tables = store.read();
    if (caller.type === 'User') {
      const rows = await tables.selectFrom('identity_user').selectAll().where('id', '=', caller.uniqueId).execute();
      // A deleted user's last call finds nothing that allows it.
      if (!rows[0]) return NO_POLICIES;
      boundaryArn = rows[0].boundary_arn;
      const groups = await tables
        .selectFrom('identity_group_member')
        .select('group_id')
        .where('user_id', '=', caller.uniqueId)
        .execute();
      owners.push(...groups.map((row) => row.group_id));
    } else {
      const rows = await tables.selectFrom('identity_role').selectAll().where('id', '=', caller.uniqueId).execute();
      if (!rows[0]) return NO_POLICIES;
      boundaryArn = rows[0].boundary_arn;
      linkedService = rows[0].linked_service !== null;
    }
    const identity: NamedPolicy[] = [];
    for (const owner of owners) {
      for (const { name, document } of await policies.inlineOf(owner)) identity.push(named(name, document));
      for (const { arn } of await policies.attachedTo(owner)) identity.push(named(arn, await requireDocument(arn)));
    }
    return {
      identity,
      ...(boundaryArn === null ? {} : { boundary: named(boundaryArn, await requireDocument(boundaryArn)) }),
      linkedService,
    };
  }

  async function requireDocument(arn: string): Promise<string> {
    const document = await policies.documentOf(arn);
    if (document === undefined) throw new Error(`attached policy ${arn} does not exist`);
    return document;
  }

  async function loadStanding(accountId: string): Promise<AccountStanding> {
    const account = await organizations.account(accountId);
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
    return found.map((level) => level.filter((one) => one.type === type).map((one) => named(one.arn, one.document)));
  }

  const standingOf = (accountId: string) => standings.get(accountId, () => loadStanding(accountId));

  /** Everything a decision looks at, and what the service control levels are attached to. */
  async function gather(
    call: Call,
    action: string,
    resource: ResourceRef,
    context: ConditionValues,
  ): Promise<{ readonly request: DecisionRequest; readonly levels?: readonly string[] }> {
    const { caller } = call;
    const resourceAccount = resource.accountId ?? caller.accountId;
    const own = await policiesOf(caller);
    const callerStanding = await standingOf(caller.accountId);
    const ownerStanding = resourceAccount === caller.accountId ? callerStanding : await standingOf(resourceAccount);
    const exempt = own.linkedService || caller.type === 'Service';
    const controlled = !resource.awsManaged && /^(?:kms|sts):/i.test(action);
    const request: DecisionRequest = {
      principal: caller,
      action,
      resource: resource.arn,
      resourceAccount,
      context: contextOf(call, action, resource, context, { caller: callerStanding, owner: ownerStanding }),
      policies: {
        identity: own.identity,
        ...(own.boundary ? { boundary: own.boundary } : {}),
        ...(caller.session?.policies.length
          ? { session: caller.session.policies.map((document) => named('session policy', document)) }
          : {}),
        ...(resource.policy === undefined
          ? {}
          : { resource: named(RESOURCE_POLICY[resource.kind ?? 'other'], resource.policy) }),
        ...(callerStanding.serviceControl && !exempt ? { serviceControl: callerStanding.serviceControl } : {}),
        ...(ownerStanding.resourceControl && controlled ? { resourceControl: ownerStanding.resourceControl } : {}),
      },
      ...(resource.kind ? { kind: resource.kind } : {}),
      ...(resource.grants ? { grants: resource.grants } : {}),
      ...(resource.encryptionContext ? { encryptionContext: resource.encryptionContext } : {}),
      ...(resource.proposedGrant ? { proposedGrant: resource.proposedGrant } : {}),
    };
    return { request, ...(callerStanding.levels ? { levels: callerStanding.levels } : {}) };
  }

  return {
    async decide(call, action, resource, context = {}) {
      return decide((await gather(call, action, resource, context)).request);
    },
    async authorize(call, action, resource, context = {}) {
      const { request, levels } = await gather(call, action, resource, context);
      const decision = decide(request);
      if (decision.allowed) return issuePermit(call, action, resource.arn);
      const explanation = explain(request, {
        keys: conditionKeysOf(call, resource, context),
        ...(levels ? { serviceControlTargets: levels } : {}),
      });
      throw new Denied(call, action, resource.arn, { ...decision, explanation });
    },
  };
}

const NO_POLICIES: PrincipalPolicies = { identity: [], linkedService: false };
const RESOURCE_POLICY = { 'kms-key': 'key policy', role: 'trust policy', other: 'resource policy' } as const;

function named(name: string, document: string): NamedPolicy {
  return { name, policy: compilePolicy(document) };
}
