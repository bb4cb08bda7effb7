import type { ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { authorizeOne, dryRun } from './common.ts';
import { ec2Error, requireSnapshotId, snapshotNotFound } from './errors.ts';
import { snapshotResource, type VolumeDeps, visibleSnapshot } from './volume-shapes.ts';

/** Snapshots of others that the caller may use are there, and not theirs to change; all others are not there (SH-29). */
export function requireOwnSnapshot(call: Call, id: string, found: SnapshotRecord | undefined): SnapshotRecord {
  if (!found) throw snapshotNotFound(id);
  if (found.ownerId !== call.caller.accountId) {
    throw ec2Error('AuthFailure', 'Unauthorized attempt to access restricted resource');
  }
  return found;
}

/** The caller's own snapshot, authorized for `action` on it. A dry run ends here. */
export async function useOwnSnapshot(
  deps: VolumeDeps,
  call: Call,
  action: string,
  input: { readonly SnapshotId: string | undefined; readonly DryRun?: boolean | undefined },
  context: ConditionValues = {},
): Promise<SnapshotRecord> {
  const { SnapshotId: id } = input;
  requireSnapshotId(id);
  const found = await visibleSnapshot(deps, call, id);
  const check = await snapshotResource(deps, call, found, id);
  await authorizeOne(deps.authorizer, call, action, check.resource, { ...check.context, ...context });
  dryRun(input);
  return requireOwnSnapshot(call, id, found);
}
