/** ListGrants and ListRetirableGrants (kms 15.14, 15.15). */
import type { ListGrantsCommand, ListRetirableGrantsCommand } from '@aws-sdk/client-kms';
import { parseArn } from '../../ids.ts';
import { forAwsResource } from '../../keys/grant-conditions.ts';
import { refuse } from '../../keys/refusals.ts';
import type { OperationOf } from '../operation.ts';
import { Constraints, invalid, unsupported } from './constraints.ts';
import { checkGrantId, type Kms, note, permitted } from './kms.ts';
import { pageMembers, pageRequest } from './paging.ts';
import { grantEntry } from './shapes.ts';

const LIMITS = { max: 100, usual: 50 };

export const listGrants =
  (kms: Kms): OperationOf<ListGrantsCommand> =>
  async (call, input) => {
    const request = pageRequest('ListGrants', input, LIMITS);
    new Constraints()
      .length('granteePrincipal', input.GranteePrincipal, 1, 256)
      .length('granteeServicePrincipal', input.GranteeServicePrincipal, 1, 256)
      .enforce();
    checkGrantId(input.GrantId);
    const grantee = input.GranteePrincipal ?? input.GranteeServicePrincipal;
    note(call, true, {
      keyId: input.KeyId,
      ...(input.GrantId === undefined ? {} : { grantId: input.GrantId }),
      ...(grantee === undefined ? {} : { granteePrincipal: grantee }),
    });
    const { permit } = await permitted(kms, call, 'kms:ListGrants', input.KeyId!, { conditions: forAwsResource(call) });
    const filter = {
      ...(input.GrantId === undefined ? {} : { grantId: input.GrantId }),
      ...(grantee === undefined ? {} : { granteePrincipal: grantee }),
    };
    const page = await kms.keys.listGrants(permit, filter, request);
    return { Grants: page.items.map(grantEntry), ...pageMembers('ListGrants', page) };
  };

export const listRetirableGrants =
  (kms: Kms): OperationOf<ListRetirableGrantsCommand> =>
  async (call, input) => {
    const request = pageRequest('ListRetirableGrants', input, LIMITS);
    new Constraints().length('retiringPrincipal', input.RetiringPrincipal, 1, 256).enforce();
    if ('RetiringServicePrincipal' in input && input.RetiringServicePrincipal !== undefined) {
      throw unsupported('RetiringServicePrincipal');
    }
    const principal = input.RetiringPrincipal;
    if (principal === undefined) throw invalid('RetiringPrincipal is required.');
    note(call, true, { retiringPrincipal: principal });
    if (parseArn(principal)?.account !== call.caller.accountId) throw refuse('principal-invalid', { arn: principal });
    const permit = await kms.keys.access.authorizeIdentity(call, 'kms:ListRetirableGrants', '*');
    const page = await kms.keys.listRetirableGrants(permit, principal, request);
    return { Grants: page.items.map(grantEntry), ...pageMembers('ListRetirableGrants', page) };
  };
