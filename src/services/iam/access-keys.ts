/** CreateAccessKey, ListAccessKeys, UpdateAccessKey, DeleteAccessKey (15.7). */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { ApiError } from '../../errors.ts';
import { entityArn } from '../../identity/entities.ts';
import type { OperationOf } from '../operation.ts';
import { authorize, authorizeOn, type Iam, page, validation } from './iam.ts';
import { existing } from './named-entities.ts';
import { userNameOrCaller } from './users.ts';

/** On the named user, the calling user, or the calling root user. */
async function permitFor<Action extends `iam:${string}`>(
  iam: Iam,
  call: Call,
  action: Action,
  userName: string | undefined,
): Promise<{ permit: Permit<Action>; name: string | undefined }> {
  const name = userNameOrCaller(call, userName);
  if (name !== undefined) return { permit: await authorizeOn(iam, call, action, 'user', name), name };
  return { permit: await authorize(iam, call, action, { arn: call.caller.arn }), name };
}

export const createAccessKey =
  (iam: Iam): OperationOf<aws.CreateAccessKeyCommand> =>
  async (call, input) => {
    const { permit, name } = await permitFor(iam, call, 'iam:CreateAccessKey', input.UserName);
    const { key, secret } = await iam.identity.accessKeys.create(permit);
    return {
      AccessKey: {
        UserName: name,
        AccessKeyId: key.id,
        Status: key.status,
        SecretAccessKey: secret,
        CreateDate: key.createdAt,
      },
    };
  };

export const listAccessKeys =
  (iam: Iam): OperationOf<aws.ListAccessKeysCommand> =>
  async (call, input) => {
    const { name } = await permitFor(iam, call, 'iam:ListAccessKeys', input.UserName);
    const owner = name === undefined ? call.caller.accountId : (await existing(iam, call, 'user', name)).id;
    const keys = await iam.identity.accessKeys.listOf(owner);
    const { items, ...rest } = page(keys, (key) => key.id, input);
    const shown = items.map((key) => ({
      ...(name === undefined ? {} : { UserName: name }),
      AccessKeyId: key.id,
      Status: key.status,
      CreateDate: key.createdAt,
    }));
    return { AccessKeyMetadata: shown, ...rest };
  };

/** Of a key of the own account; as in AWS, a key of another account reads like one that is not there. */
export const getAccessKeyLastUsed =
  (iam: Iam): OperationOf<aws.GetAccessKeyLastUsedCommand> =>
  async (call, input) => {
    const id = input.AccessKeyId ?? '';
    const found = await iam.identity.accessKeys.find(id);
    const own = found?.accountId === call.caller.accountId ? found : undefined;
    const arn = own?.user?.arn ?? entityArn(call.caller.accountId, 'user', '/', '*');
    await authorize(iam, call, 'iam:GetAccessKeyLastUsed', { arn, ...(own?.user ? { tags: own.user.tags } : {}) });
    if (!own) {
      throw new ApiError(
        'AccessDenied',
        `User: ${call.caller.arn} is not authorized to perform: iam:GetAccessKeyLastUsed on resource: access key ${id}`,
        {
          status: 403,
        },
      );
    }
    const use = await iam.identity.lastUses.of(id);
    return {
      ...(own.user ? { UserName: own.user.name } : {}),
      AccessKeyLastUsed: use
        ? { LastUsedDate: use.at, ServiceName: use.service, Region: use.region }
        : { LastUsedDate: undefined, ServiceName: 'N/A', Region: 'N/A' },
    };
  };

export const updateAccessKey =
  (iam: Iam): OperationOf<aws.UpdateAccessKeyCommand> =>
  async (call, input) => {
    const { permit } = await permitFor(iam, call, 'iam:UpdateAccessKey', input.UserName);
    if (input.Status !== 'Active' && input.Status !== 'Inactive') {
      throw validation(
        `1 validation error detected: Value '${input.Status}' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]`,
      );
    }
    await iam.identity.accessKeys.setStatus(permit, input.AccessKeyId ?? '', input.Status);
    return {};
  };

export const deleteAccessKey =
  (iam: Iam): OperationOf<aws.DeleteAccessKeyCommand> =>
  async (call, input) => {
    const { permit } = await permitFor(iam, call, 'iam:DeleteAccessKey', input.UserName);
    await iam.identity.accessKeys.remove(permit, input.AccessKeyId ?? '');
    return {};
  };
