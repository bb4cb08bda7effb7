/** ResetImageAttribute and CancelImageLaunchPermission: launch permissions taken back by the owner, or given back. */
import type {
  CancelImageLaunchPermissionRequest,
  CancelImageLaunchPermissionResult,
  ResetImageAttributeRequest,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { ec2Error, imageNotOwned, missingParameter } from './errors.ts';
import { type ImageDeps, useImage, useOwnImage } from './image-access.ts';

/** Only launchPermission can be reset; every explicit and public permission goes (SH-7). */
export const resetImageAttribute = (deps: ImageDeps) => async (call: Call, input: ResetImageAttributeRequest) => {
  if (!input.Attribute) throw missingParameter('Attribute');
  if (input.Attribute !== 'launchPermission') throw ec2Error('InvalidRequest', 'The request received was invalid.');
  const { permit } = await useOwnImage(deps, call, 'ec2:ResetImageAttribute', input, {
    'ec2:Attribute': input.Attribute,
  });
  await deps.db.write((tx) => deps.images.changeLaunchPermissions(tx, permit, { remove: 'all' }));
  return {};
};

/** The consumer drops its own account's entry (SH-9). */
export const cancelImageLaunchPermission =
  (deps: ImageDeps) =>
  async (call: Call, input: CancelImageLaunchPermissionRequest): Promise<CancelImageLaunchPermissionResult> => {
    const { image, permit } = await useImage(deps, call, 'ec2:CancelImageLaunchPermission', input);
    const { accountId } = call.caller;
    const mine = (await deps.images.launchPermissions(image.id)).some(
      ({ kind, value }) => kind === 'account' && value === accountId,
    );
    if (!mine || image.ownerId === accountId) throw imageNotOwned(image.id);
    await deps.db.write((tx) =>
      deps.images.changeLaunchPermissions(tx, permit, { remove: [{ kind: 'account', value: accountId }] }),
    );
    return { Return: true };
  };
