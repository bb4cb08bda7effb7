/** Put, Get, Delete and List of the inline policies of users, groups and roles. */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import type { OwnerType } from '../../identity/policies.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeOn, encodeDocument, type Iam, noSuchEntity, type PageInput, page, requireName } from './iam.ts';
import { existing, type Naming, nameIn, TITLES, type Title } from './named-entities.ts';

type OfPolicy<Type extends OwnerType> = Naming<Type> & { readonly PolicyName: string | undefined };
type Shown<Type extends OwnerType> = { readonly [Member in `${Title<Type>}Name`]: string } & {
  readonly PolicyName: string;
  readonly PolicyDocument: string;
};

function inlineOf<Type extends OwnerType>(type: Type) {
  const title: Title<Type> = TITLES[type];
  const documentsOf = async (iam: Iam, call: Call, name: string) =>
    iam.identity.policies.inlineOf((await existing(iam, call, type, name)).id);

  return {
    put: (iam: Iam) => async (call: Call, input: OfPolicy<Type> & { readonly PolicyDocument: string | undefined }) => {
      const permit = await authorizeOn(iam, call, `iam:Put${title}Policy`, type, nameIn(type, input));
      const policy = requireName(input.PolicyName, 'policy');
      await iam.identity.policies.putInline(permit, policy, input.PolicyDocument ?? '');
      return {};
    },
    get:
      (iam: Iam) =>
      async (call: Call, input: OfPolicy<Type>): Promise<Shown<Type>> => {
        const name = nameIn(type, input);
        const PolicyName = requireName(input.PolicyName, 'policy');
        await authorizeOn(iam, call, `iam:Get${title}Policy`, type, name);
        const found = (await documentsOf(iam, call, name)).find((one) => one.name === PolicyName);
        if (!found) throw noSuchEntity(`The ${type} policy with name ${PolicyName} cannot be found.`);
        const shown = { [`${title}Name`]: name, PolicyName, PolicyDocument: encodeDocument(found.document) };
        return shown as Shown<Type>;
      },
    remove: (iam: Iam) => async (call: Call, input: OfPolicy<Type>) => {
      const permit = await authorizeOn(iam, call, `iam:Delete${title}Policy`, type, nameIn(type, input));
      await iam.identity.policies.deleteInline(permit, requireName(input.PolicyName, 'policy'));
      return {};
    },
    list: (iam: Iam) => async (call: Call, input: Naming<Type> & PageInput) => {
      const name = nameIn(type, input);
      await authorizeOn(iam, call, `iam:List${title}Policies`, type, name);
      const names = (await documentsOf(iam, call, name)).map((one) => one.name);
      const { items, ...rest } = page(names, (policy) => policy, input);
      return { PolicyNames: items, ...rest };
    },
  };
}

const ofUser = inlineOf('user');
export const putUserPolicy: (iam: Iam) => OperationOf<aws.PutUserPolicyCommand> = ofUser.put;
export const getUserPolicy: (iam: Iam) => OperationOf<aws.GetUserPolicyCommand> = ofUser.get;
export const deleteUserPolicy: (iam: Iam) => OperationOf<aws.DeleteUserPolicyCommand> = ofUser.remove;
export const listUserPolicies: (iam: Iam) => OperationOf<aws.ListUserPoliciesCommand> = ofUser.list;

const ofGroup = inlineOf('group');
export const putGroupPolicy: (iam: Iam) => OperationOf<aws.PutGroupPolicyCommand> = ofGroup.put;
export const getGroupPolicy: (iam: Iam) => OperationOf<aws.GetGroupPolicyCommand> = ofGroup.get;
export const deleteGroupPolicy: (iam: Iam) => OperationOf<aws.DeleteGroupPolicyCommand> = ofGroup.remove;
export const listGroupPolicies: (iam: Iam) => OperationOf<aws.ListGroupPoliciesCommand> = ofGroup.list;

const ofRole = inlineOf('role');
export const putRolePolicy: (iam: Iam) => OperationOf<aws.PutRolePolicyCommand> = ofRole.put;
export const getRolePolicy: (iam: Iam) => OperationOf<aws.GetRolePolicyCommand> = ofRole.get;
export const deleteRolePolicy: (iam: Iam) => OperationOf<aws.DeleteRolePolicyCommand> = ofRole.remove;
export const listRolePolicies: (iam: Iam) => OperationOf<aws.ListRolePoliciesCommand> = ofRole.list;
