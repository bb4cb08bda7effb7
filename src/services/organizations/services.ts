/** Policy types, trusted services and delegated administrators: both control policy types are on, and the rest is none. */
import type * as aws from '@aws-sdk/client-organizations';
import type { OperationOf } from '../operation.ts';
import { authorizeManagement, type OrganizationsDeps, organizationsError, page } from './organizations.ts';

export const enablePolicyType =
  (deps: OrganizationsDeps): OperationOf<aws.EnablePolicyTypeCommand> =>
  async (call, input) => {
    const type = input.PolicyType;
    await authorizeManagement(deps, call, 'organizations:EnablePolicyType', '*', { 'organizations:PolicyType': type });
    const { rootId } = await deps.identity.organizations.get();
    if (input.RootId !== rootId) {
      throw organizationsError('RootNotFoundException', "We can't find a root with the RootId that you specified.");
    }
    if (type === 'SERVICE_CONTROL_POLICY' || type === 'RESOURCE_CONTROL_POLICY') {
      throw organizationsError('PolicyTypeAlreadyEnabledException', 'The specified policy type is already enabled.');
    }
    throw organizationsError(
      'PolicyTypeNotAvailableForOrganizationException',
      `Ingot has no policies of type ${type}.`,
    );
  };

/** No other service is integrated with the organization. */
export const listAWSServiceAccessForOrganization =
  (deps: OrganizationsDeps): OperationOf<aws.ListAWSServiceAccessForOrganizationCommand> =>
  async (call, input) => {
    await authorizeManagement(deps, call, 'organizations:ListAWSServiceAccessForOrganization');
    const { items, ...rest } = page<aws.EnabledServicePrincipal>([], input);
    return { EnabledServicePrincipals: items, ...rest };
  };

/** Only the management account administers; a filter by service changes nothing about none. */
export const listDelegatedAdministrators =
  (deps: OrganizationsDeps): OperationOf<aws.ListDelegatedAdministratorsCommand> =>
  async (call, input) => {
    const context = { 'organizations:ServicePrincipal': input.ServicePrincipal };
    await authorizeManagement(deps, call, 'organizations:ListDelegatedAdministrators', '*', context);
    const { items, ...rest } = page<aws.DelegatedAdministrator>([], input);
    return { DelegatedAdministrators: items, ...rest };
  };
