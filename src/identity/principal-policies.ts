/** The policies of one user, group or role: inline and attached, a user's groups included, and the boundary. */
import type { Policies } from './policies.ts';
import type { Store } from './store.ts';

export interface SourcedPolicy {
  /** Policy ARN, or the name of an inline policy. */
  readonly name: string;
  readonly document: string;
  /** As SimulatePrincipalPolicy names where a policy comes from. */
  readonly source: 'user' | 'group' | 'role' | 'aws-managed' | 'user-managed';
}

export interface PrincipalPolicies {
  readonly identity: readonly SourcedPolicy[];
  readonly boundary?: SourcedPolicy;
  readonly linkedService: boolean;
}

/** `undefined` where the principal is gone. */
export async function policiesOfPrincipal(
  store: Store,
  policies: Policies,
  type: 'user' | 'group' | 'role',
  id: string,
): Promise<PrincipalPolicies | undefined> {
  const owners: { type: typeof type; id: string }[] = [{ type, id }];
  let boundaryArn: string | null = null;
  let linkedService = false;
  const tables = store.read();
  if (type === 'user') {
    const rows = await tables.selectFrom('identity_user').selectAll().where('id', '=', id).execute();
    if (!rows[0]) return undefined;
    boundaryArn = rows[0].boundary_arn;
    const groups = await tables
      .selectFrom('identity_group_member')
      .select('group_id')
      .where('user_id', '=', id)
      .execute();
    for (const { group_id } of groups) owners.push({ type: 'group', id: group_id });
  } else if (type === 'role') {
    const rows = await tables.selectFrom('identity_role').selectAll().where('id', '=', id).execute();
    if (!rows[0]) return undefined;
    boundaryArn = rows[0].boundary_arn;
    linkedService = rows[0].linked_service !== null;
  }
  const identity: SourcedPolicy[] = [];
  for (const owner of owners) {
    for (const inline of await policies.inlineOf(owner.id)) identity.push({ ...inline, source: owner.type });
    for (const { arn } of await policies.attachedTo(owner.id)) identity.push(await managed(policies, arn));
  }
  return {
    identity,
    ...(boundaryArn === null ? {} : { boundary: await managed(policies, boundaryArn) }),
    linkedService,
  };
}

async function managed(policies: Policies, arn: string): Promise<SourcedPolicy> {
  const document = await policies.documentOf(arn);
  if (document === undefined) throw new Error(`attached policy ${arn} does not exist`);
  return { name: arn, document, source: arn.startsWith('arn:aws:iam::aws:') ? 'aws-managed' : 'user-managed' };
}
