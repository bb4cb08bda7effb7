/** Whether a key is one of those that the auditor approves. */
import type { KeyFacts } from './model.ts';

/** `unknown` where keys are approved by tags and the key's were not seen. */
export function isApproved(key: KeyFacts | undefined, named: string, approved: readonly string[]): boolean | 'unknown' {
  const tags = approved.filter((one) => one.startsWith('tag:'));
  const names = approved.filter((one) => !one.startsWith('tag:'));
  if (names.some((one) => namesOf(key, named).has(one))) return true;
  if (tags.length === 0) return false;
  if (key?.manager === 'AWS') return false;
  if (!key?.tags) return 'unknown';
  const has = new Set(Object.entries(key.tags).map(([name, value]) => `tag:${name}=${value}`));
  return tags.some((one) => has.has(one));
}

/** What a key goes by: its ARN, its id (one for all replicas of a multi-Region key), its aliases and their ARNs. */
function namesOf(key: KeyFacts | undefined, named: string): Set<string> {
  if (!key) return new Set([named, named.slice(named.lastIndexOf('/') + 1)]);
  const prefix = key.arn.slice(0, key.arn.indexOf(':key/') + 1);
  return new Set([key.arn, key.id, ...key.aliases, ...key.aliases.map((alias) => `${prefix}${alias}`)]);
}
