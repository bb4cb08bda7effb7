/** CreateAlias, UpdateAlias, DeleteAlias and ListAliases (kms §12). */
import type {
  CreateAliasCommand,
  DeleteAliasCommand,
  ListAliasesCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-kms';
import { type Call, noteForAudit } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { requireAliasName } from '../../keys/aliases.ts';
import { aliasArn } from '../../keys/identifiers.ts';
import type { KeyRecord } from '../../keys/records.ts';
import { refuse } from '../../keys/refusals.ts';
import type { OperationOf } from '../operation.ts';
import { Constraints } from './constraints.ts';
import { authorize, type Kms, locate, note, permitted } from './kms.ts';
import { pageMembers, pageRequest } from './paging.ts';

const LIST = 'ListAliases';

type AliasAction = 'kms:CreateAlias' | 'kms:UpdateAlias' | 'kms:DeleteAlias';

/** The alias side of the right (12.7). Reserved names fail whatever the policies say (12.3). */
async function permittedAlias<Action extends AliasAction>(
  { keys }: Kms,
  call: Call,
  action: Action,
  name: string,
): Promise<Permit<Action>> {
  new Constraints().length('aliasName', name, 1, 256).enforce();
  requireAliasName(name);
  const { accountId } = call.caller;
  const arn = aliasArn({ account: accountId, region: call.region }, name);
  noteForAudit(call, { resources: [{ arn, accountId, type: 'AWS::KMS::Key' }] });
  return keys.access.authorizeIdentity(call, action, arn);
}

function requireKeyIdentifier(identifier: string): void {
  if (/^(alias\/|arn:[^:]*:kms:[^:]*:[^:]*:alias\/)/.test(identifier)) throw refuse('alias-target-is-alias');
}

/** The key that an alias of the caller is on now. */
async function keyOfAlias({ keys }: Kms, call: Call, name: string): Promise<KeyRecord> {
  const scope = { account: call.caller.accountId, region: call.region };
  const key = await keys.findByAlias(scope.account, scope.region, name);
  if (!key) throw refuse('alias-not-found', { arn: aliasArn(scope, name) });
  return key;
}

export const createAlias =
  (kms: Kms): OperationOf<CreateAliasCommand> =>
  async (call, input) => {
    const { AliasName: name, TargetKeyId: target } = input;
    note(call, false, { aliasName: name, targetKeyId: target });
    const alias = await permittedAlias(kms, call, 'kms:CreateAlias', name!);
    requireKeyIdentifier(target!);
    const { permit } = await permitted(kms, call, 'kms:CreateAlias', target!);
    await kms.keys.createAlias(alias, permit);
    return {};
  };

export const updateAlias =
  (kms: Kms): OperationOf<UpdateAliasCommand> =>
  async (call, input) => {
    const { AliasName: name, TargetKeyId: target } = input;
    note(call, false, { aliasName: name, targetKeyId: target });
    const alias = await permittedAlias(kms, call, 'kms:UpdateAlias', name!);
    requireKeyIdentifier(target!);
    const current = await keyOfAlias(kms, call, name!);
    const next = await locate(kms, call, 'kms:UpdateAlias', target!);
    const from = await authorize(kms, call, 'kms:UpdateAlias', { key: current, shownArn: current.arn });
    const to = await authorize(kms, call, 'kms:UpdateAlias', next);
    await kms.keys.updateAlias(alias, from, to);
    return {};
  };

export const deleteAlias =
  (kms: Kms): OperationOf<DeleteAliasCommand> =>
  async (call, input) => {
    note(call, false, { aliasName: input.AliasName });
    const alias = await permittedAlias(kms, call, 'kms:DeleteAlias', input.AliasName!);
    const key = await keyOfAlias(kms, call, input.AliasName!);
    const permit = await authorize(kms, call, 'kms:DeleteAlias', { key, shownArn: key.arn });
    await kms.keys.deleteAlias(alias, permit);
    return {};
  };

export const listAliases =
  (kms: Kms): OperationOf<ListAliasesCommand> =>
  async (call, input) => {
    const request = pageRequest(LIST, input, { max: 100, usual: 50 });
    note(call, true, input.KeyId === undefined ? null : { keyId: input.KeyId });
    const permit = await kms.keys.access.authorizeIdentity(call, 'kms:ListAliases', '*');
    let keyId: KeyRecord['keyId'] | undefined;
    if (input.KeyId !== undefined) {
      const { key } = await locate(kms, call, 'kms:ListAliases', input.KeyId);
      // Another account's key answers as one that does not exist (2.11, 23.2).
      if (key.accountId !== call.caller.accountId) {
        await kms.keys.access.refuseMissing(call, 'kms:ListAliases', key.arn, key.accountId);
      }
      keyId = key.keyId;
    }
    const page = await kms.keys.listAliases(permit, keyId, request);
    return {
      Aliases: page.items.map((alias) => ({
        AliasName: alias.name,
        AliasArn: alias.arn,
        ...('keyId' in alias
          ? { TargetKeyId: alias.keyId, CreationDate: alias.createdAt, LastUpdatedDate: alias.updatedAt }
          : {}),
      })),
      ...pageMembers(LIST, page),
    };
  };
