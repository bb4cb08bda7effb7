/** Block public access for images of one account and region (SH-30). It holds at once, without AWS's delay. */
import type {
  DisableImageBlockPublicAccessRequest,
  DisableImageBlockPublicAccessResult,
  EnableImageBlockPublicAccessRequest,
  EnableImageBlockPublicAccessResult,
  GetImageBlockPublicAccessStateRequest,
  GetImageBlockPublicAccessStateResult,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { authorizeAny, dryRun } from './common.ts';
import { invalidParameterValue, missingParameter } from './errors.ts';
import type { ImageDeps } from './image-access.ts';

export const enableImageBlockPublicAccess =
  (deps: ImageDeps) =>
  async (call: Call, input: EnableImageBlockPublicAccessRequest): Promise<EnableImageBlockPublicAccessResult> => {
    const permit = await authorizeAny(deps.authorizer, call, 'ec2:EnableImageBlockPublicAccess');
    dryRun(input);
    const state = input.ImageBlockPublicAccessState;
    if (!state) throw missingParameter('ImageBlockPublicAccessState');
    if (state !== 'block-new-sharing') {
      throw invalidParameterValue(`Value (${state}) for parameter imageBlockPublicAccessState is invalid.`);
    }
    await deps.db.write((tx) =>
      deps.images.setBlockPublicAccess(tx, permit, call.caller.accountId, call.region, state),
    );
    return { ImageBlockPublicAccessState: state };
  };

export const disableImageBlockPublicAccess =
  (deps: ImageDeps) =>
  async (call: Call, input: DisableImageBlockPublicAccessRequest): Promise<DisableImageBlockPublicAccessResult> => {
    const permit = await authorizeAny(deps.authorizer, call, 'ec2:DisableImageBlockPublicAccess');
    dryRun(input);
    await deps.db.write((tx) =>
      deps.images.setBlockPublicAccess(tx, permit, call.caller.accountId, call.region, 'unblocked'),
    );
    return { ImageBlockPublicAccessState: 'unblocked' };
  };

export const getImageBlockPublicAccessState =
  (deps: ImageDeps) =>
  async (call: Call, input: GetImageBlockPublicAccessStateRequest): Promise<GetImageBlockPublicAccessStateResult> => {
    await authorizeAny(deps.authorizer, call, 'ec2:GetImageBlockPublicAccessState');
    dryRun(input);
    const state = await deps.images.blockPublicAccess(call.caller.accountId, call.region);
    return { ImageBlockPublicAccessState: state, ManagedBy: 'account' };
  };
