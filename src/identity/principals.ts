/** Principals of stored policies: ARNs to unique ids and back (authorization-and-wire 2.3, kms 14.6, 14.9). */

import { PolicyMalformed } from '../../policy/document.ts';
import { accountOfPrincipal, isUniqueId } from '../../policy/principals.ts';
import type { PolicyPrincipals } from '../authz/policy-principals.ts';
import { type AccountId, isAccountId, parseArn, rootArn } from '../ids.ts';
import { findRow, parseEntityArn, roleOf, userOf } from './entities.ts';
import type { Store, Tables } from './store.ts';

export function createPolicyPrincipals(store: Store): PolicyPrincipals {
  return {
    canonicalizePolicy: (text) =>
      replacePrincipals(text, async (type, value) => {
        if (type !== 'AWS' || value === '*') return value;
        const stored = await canonicalize(store.read(), value);
        if (stored === undefined) {
          throw new PolicyMalformed('principal', `Invalid principal in policy: "${type}":"${value}"`);
        }
        return stored;
      }),
    displayPolicy: (stored) =>
      replacePrincipals(stored, async (type, value) => (type === 'AWS' ? display(store.read(), value) : value)),
    canonicalizePrincipal: (principal) => canonicalize(store.read(), principal),
    displayPrincipal: (stored) => display(store.read(), stored),
  };
}

async function accountExists(tables: Tables, account: string): Promise<boolean> {
  const rows = await tables.selectFrom('identity_account').select('id').where('id', '=', account).execute();
  return rows.length > 0;
}

async function canonicalize(tables: Tables, principal: string): Promise<string | undefined> {
  const account = accountOfPrincipal(principal);
  if (account !== undefined) {
    return (await accountExists(tables, account)) ? rootArn(account as AccountId) : undefined;
  }
  const arn = parseArn(principal);
  if (!arn || !isAccountId(arn.account) || /[*?]/.test(principal)) return undefined;
  if (arn.service === 'sts') {
    // A session exists only while somebody uses it, so its role answers for it; the text stays (2.4).
    const session = /^assumed-role\/([^/]+)\/([\w+=,.@-]+)$/.exec(arn.resource);
    if (session) return (await findRow(tables, 'identity_role', arn.account, session[1]!)) ? principal : undefined;
    // EC2's own principal for an instance stands behind no role of the account.
    const infrastructure = /^assumed-role\/aws:ec2-infrastructure\/i-[0-9a-f]+$/.test(arn.resource);
    return infrastructure && (await accountExists(tables, arn.account)) ? principal : undefined;
  }
  const entity = parseEntityArn(principal);
  if (entity?.type !== 'user' && entity?.type !== 'role') return undefined;
  const table = entity.type === 'user' ? 'identity_user' : 'identity_role';
  const row = await findRow(tables, table, entity.accountId, entity.name);
  return row && row.path === entity.path && row.name === entity.name ? row.id : undefined;
}

async function display(tables: Tables, stored: string): Promise<string> {
  if (!isUniqueId(stored)) return stored;
  if (stored.startsWith('AROA')) {
    const rows = await tables.selectFrom('identity_role').selectAll().where('id', '=', stored).execute();
    return rows[0] ? roleOf(rows[0]).arn : stored;
  }
  const rows = await tables.selectFrom('identity_user').selectAll().where('id', '=', stored).execute();
  return rows[0] ? userOf(rows[0]).arn : stored;
}

type Replace = (type: string, value: string) => Promise<string>;
type JsonObject = Record<string, unknown>;

/** Puts other principals into a document; a text that needs none keeps its formatting to the letter. */
async function replacePrincipals(text: string, replace: Replace): Promise<string> {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new PolicyMalformed('json', 'This policy contains invalid Json', { cause });
  }
  let changed = false;
  const replaced = async (type: string, value: unknown): Promise<unknown> => {
    if (typeof value !== 'string') return value;
    const other = await replace(type, value);
    changed ||= other !== value;
    return other;
  };
  const statements = isObject(document) ? document.Statement : undefined;
  for (const statement of Array.isArray(statements) ? statements : [statements]) {
    if (!isObject(statement)) continue;
    for (const element of ['Principal', 'NotPrincipal']) {
      const principals = statement[element];
      if (!isObject(principals)) continue;
      for (const [type, value] of Object.entries(principals)) {
        if (!Array.isArray(value)) principals[type] = await replaced(type, value);
        else for (const [index, one] of value.entries()) value[index] = await replaced(type, one);
      }
    }
  }
  return changed ? JSON.stringify(document, null, indentationOf(text)) : text;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The indentation the author used, so that a shown policy looks like the one that was put. */
function indentationOf(text: string): string {
  return /^\s*\{\r?\n([ \t]+)"/.exec(text)?.[1] ?? '';
}
