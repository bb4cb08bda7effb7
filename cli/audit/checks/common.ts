/** What several checks have in common. */
import { isApproved } from '../approved-keys.ts';
import type { Doubt } from '../check.ts';
import type { EstateIndex } from '../estate-index.ts';
import type { PlaceFacts } from '../model.ts';

export const approvalAsked = ({ estate }: EstateIndex) => estate.policy.approvedKeys.length > 0;

/** Whether the key is one that nobody approved; a doubt is noted where that cannot be told. */
export function unapproved(
  place: PlaceFacts,
  estate: EstateIndex,
  named: string,
  doubt: (doubt: Doubt) => void,
): boolean {
  const key = estate.resolveKey(place, named);
  const approved = isApproved(key, named, estate.estate.policy.approvedKeys);
  if (approved !== 'unknown') return !approved;
  doubt({ part: 'key tags', call: 'kms:ListResourceTags', resource: named, reason: 'its tags were not seen' });
  return false;
}

export const APPROVED = '<approved key ARN>';
export const inRegion = (region: string) => ['--region', region];
