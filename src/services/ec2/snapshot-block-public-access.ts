/** Block public access for snapshots (SH-32): a setting of the caller's account in one region. */
import type {
  DisableSnapshotBlockPublicAccessCommand,
  EnableSnapshotBlockPublicAccessCommand,
  GetSnapshotBlockPublicAccessStateCommand,
} from '@aws-sdk/client-ec2';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun } from './common.ts';
import { invalidParameterValue, missingParameter } from './errors.ts';
import type { VolumeDeps } from './volume-shapes.ts';

export const enableSnapshotBlockPublicAccess =
  (deps: VolumeDeps): OperationOf<EnableSnapshotBlockPublicAccessCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:EnableSnapshotBlockPublicAccess');
    dryRun(input);
    const { State: state } = input;
    if (!state) throw missingParameter('State');
    if (state !== 'block-all-sharing' && state !== 'block-new-sharing') {
      throw invalidParameterValue(`Value (${state}) for parameter State is invalid.`);
    }
    await deps.db.write((tx) =>
      deps.ebsDefaults.setSnapshotBlockPublicAccess(tx, call.caller.accountId, call.region, state),
    );
    return { State: state };
  };

export const disableSnapshotBlockPublicAccess =
  (deps: VolumeDeps): OperationOf<DisableSnapshotBlockPublicAccessCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DisableSnapshotBlockPublicAccess');
    dryRun(input);
    await deps.db.write((tx) =>
      deps.ebsDefaults.setSnapshotBlockPublicAccess(tx, call.caller.accountId, call.region, 'unblocked'),
    );
    return { State: 'unblocked' };
  };

export const getSnapshotBlockPublicAccessState =
  (deps: VolumeDeps): OperationOf<GetSnapshotBlockPublicAccessStateCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:GetSnapshotBlockPublicAccessState');
    dryRun(input);
    const state = await deps.ebsDefaults.snapshotBlockPublicAccess(call.caller.accountId, call.region);
    return { State: state, ManagedBy: 'account' };
  };
