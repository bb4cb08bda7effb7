/** All checks, by id. */
import type { Check } from './check.ts';
import { ENCRYPTION_CHECKS } from './checks/encryption.ts';
import { KEY_SHARING_CHECKS } from './checks/key-sharing.ts';
import { KEY_CHECKS } from './checks/keys.ts';
import { SHARING_CHECKS } from './checks/sharing.ts';
import { TEMPLATE_CHECKS } from './checks/templates.ts';

export const CHECKS: readonly Check[] = [
  ...ENCRYPTION_CHECKS,
  ...TEMPLATE_CHECKS,
  ...SHARING_CHECKS,
  ...KEY_SHARING_CHECKS,
  ...KEY_CHECKS,
].sort((one, other) => (one.id < other.id ? -1 : 1));

const byId = new Map(CHECKS.map((check) => [check.id, check]));

/** @throws for an id that no check has. */
export function checkOf(id: string): Check {
  const check = byId.get(id);
  if (!check) throw new Error(`There is no check ${id}.`);
  return check;
}
