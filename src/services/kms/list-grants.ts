/** ListGrants and ListRetirableGrants (kms 15.14, 15.15). */
import type { ListGrantsCommand, ListRetirableGrantsCommand } from '@aws-sdk/client-kms';
import { parseArn } from '../../ids.ts';
import { forAwsResource } from '../../keys/grant-conditions.ts';
import type { Retiring } from '../../keys/grants.ts';
import { refuse } from '../../keys/refusals.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { Constraints, invalid } from './constraints.ts';
import { checkGrantId, type Kms, note, permitted } from './kms.ts';
import { pageMembers, pageRequest } from './paging.ts';
import { checkServicePrincipal, oneOf } from './service-principals.ts';
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
    const { GranteePrincipal: grantee, GranteeServicePrincipal: service } = input;
    if (grantee !== undefined && service !== undefined) throw oneOf('GranteePrincipal', 'GranteeServicePrincipal');
    const filter = {
      ...(input.GrantId === undefined ? {} : { grantId: input.GrantId }),
      ...(grantee === undefined ? {} : { granteePrincipal: grantee }),
      ...(service === undefined
        ? {}
        : { granteeServicePrincipal: checkServicePrincipal('GranteeServicePrincipal', service) }),
    };
    note(call, true, { keyId: input.KeyId, ...filter });
    const { permit } = await permitted(kms, call, 'kms:ListGrants', input.KeyId!, { conditions: forAwsResource(call) });
    const page = await kms.keys.listGrants(permit, filter, request);
    return { Grants: page.items.map(grantEntry), ...pageMembers('ListGrants', page) };
  };

export const listRetirableGrants =
  (kms: Kms): OperationOf<ListRetirableGrantsCommand> =>
  async (call, input) => {
    const request = pageRequest('ListRetirableGrants', input, LIMITS);
    new Constraints()
      .length('retiringPrincipal', input.RetiringPrincipal, 1, 256)
      .length('retiringServicePrincipal', input.RetiringServicePrincipal, 1, 256)
      .enforce();
    const retiring = readRetiring(input);
    note(call, true, retiring);
    const { retiringPrincipal: arn } = retiring;
    if (arn !== undefined && parseArn(arn)?.account !== call.caller.accountId)
      throw refuse('principal-invalid', { arn });
    const permit = await kms.keys.access.authorizeIdentity(call, 'kms:ListRetirableGrants', '*');
    const page = await kms.keys.listRetirableGrants(permit, retiring, request);
    return { Grants: page.items.map(grantEntry), ...pageMembers('ListRetirableGrants', page) };
  };

function readRetiring({
  RetiringPrincipal: principal,
  RetiringServicePrincipal: service,
}: InputOf<ListRetirableGrantsCommand>): Retiring {
  if (service === undefined) {
    if (principal === undefined) throw invalid('RetiringPrincipal is required.');
    return { retiringPrincipal: principal };
  }
  if (principal !== undefined) throw oneOf('RetiringPrincipal', 'RetiringServicePrincipal');
  return { retiringServicePrincipal: checkServicePrincipal('RetiringServicePrincipal', service) };
}
