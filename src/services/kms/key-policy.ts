/** GetKeyPolicy, PutKeyPolicy and ListKeyPolicies: one policy per key, named `default` (kms 14.1). */
import type { GetKeyPolicyCommand, ListKeyPoliciesCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { refuse } from '../../keys/refusals.ts';
import type { OperationOf } from '../operation.ts';
import { Constraints } from './constraints.ts';
import { type Kms, note, permitted } from './kms.ts';
import { pageMembers, pageOf, pageRequest } from './paging.ts';

const NAME = 'default';
const LIST = 'ListKeyPolicies';

function requirePolicyName(name: string | undefined): void {
  new Constraints().length('policyName', name, 1, 128).enforce();
  if (name !== undefined && name !== NAME) throw refuse('policy-name', { name });
}

export const getKeyPolicy =
  (kms: Kms): OperationOf<GetKeyPolicyCommand> =>
  async (call, input) => {
    note(call, true, { keyId: input.KeyId, policyName: input.PolicyName ?? NAME });
    const { permit } = await permitted(kms, call, 'kms:GetKeyPolicy', input.KeyId!);
    requirePolicyName(input.PolicyName);
    return { Policy: await kms.keys.getKeyPolicy(permit), PolicyName: NAME };
  };

export const putKeyPolicy =
  (kms: Kms): OperationOf<PutKeyPolicyCommand> =>
  async (call, input) => {
    new Constraints().length('policy', input.Policy, 1, 131_072).enforce();
    const bypass = input.BypassPolicyLockoutSafetyCheck;
    note(call, false, {
      keyId: input.KeyId,
      policyName: input.PolicyName ?? NAME,
      policy: input.Policy,
      bypassPolicyLockoutSafetyCheck: bypass ?? false,
    });
    const { permit } = await permitted(kms, call, 'kms:PutKeyPolicy', input.KeyId!, {
      conditions: { 'kms:BypassPolicyLockoutSafetyCheck': bypass },
    });
    requirePolicyName(input.PolicyName);
    await kms.keys.putKeyPolicy(permit, input.Policy!, bypass ?? false);
    return {};
  };

export const listKeyPolicies =
  (kms: Kms): OperationOf<ListKeyPoliciesCommand> =>
  async (call, input) => {
    const request = pageRequest(LIST, input, { max: 1000, usual: 100 });
    note(call, true, { keyId: input.KeyId });
    await permitted(kms, call, 'kms:ListKeyPolicies', input.KeyId!);
    const page = pageOf([NAME], request);
    return { PolicyNames: [...page.items], ...pageMembers(LIST, page) };
  };
