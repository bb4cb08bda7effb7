import type { Call } from '../../authz/caller.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { ec2Error, snapshotNotFound } from './errors.ts';

/** Snapshots of others that the caller may use are there, and not theirs to change; all others are not there (SH-29). */
export function requireOwnSnapshot(call: Call, id: string, found: SnapshotRecord | undefined): SnapshotRecord {
  if (!found) throw snapshotNotFound(id);
  if (found.ownerId !== call.caller.accountId) {
    throw ec2Error('AuthFailure', 'Unauthorized attempt to access restricted resource');
  }
  return found;
}
