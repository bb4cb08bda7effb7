/** How callers name a key: key id, key ARN, alias name or alias ARN (kms §2). */
import { type AccountId, type Arn, formatArn, isAccountId, keyArn, PARTITION, parseArn, type Region } from '../ids.ts';
import { isKeyId } from './ciphertext.ts';
import type { KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import type { KeyStore } from './store.ts';

/** Aliases of AWS managed keys that Ingot makes on first use. */
export const EBS_ALIAS = 'alias/aws/ebs';

/** What an identifier means, whether or not there is such a key. */
export type KeyName =
  | { readonly kind: 'key'; readonly account: AccountId; readonly arn: Arn }
  | { readonly kind: 'alias'; readonly account: AccountId; readonly arn: Arn; readonly alias: string };

export interface Scope {
  readonly account: AccountId;
  readonly region: Region;
}

export function aliasArn({ account, region }: Scope, name: string): Arn {
  return formatArn({ service: 'kms', region, account, resource: name });
}

/**
 * Reads an identifier; ids and alias names without ARN are those of the caller's account and Region (2.2).
 * @throws {Refusal} `key-identifier-invalid`, `key-other-region` or `key-arn-invalid` (2.7, 2.8).
 */
export function readKeyName(identifier: string, scope: Scope): KeyName {
  if (identifier.startsWith('arn:')) return readArn(identifier, scope);
  if (identifier.startsWith('alias/')) {
    return { kind: 'alias', account: scope.account, arn: aliasArn(scope, identifier), alias: identifier };
  }
  if (!isKeyId(identifier)) throw refuse('key-identifier-invalid', { value: identifier });
  return { kind: 'key', account: scope.account, arn: keyArn(scope.region, scope.account, identifier) };
}

function readArn(identifier: string, scope: Scope): KeyName {
  const parts = parseArn(identifier);
  const wellFormed = parts?.partition === PARTITION && parts.service === 'kms' && isAccountId(parts.account);
  if (!parts || !wellFormed || !isAccountId(parts.account)) throw refuse('key-arn-invalid', { value: identifier });
  if (parts.region !== scope.region) throw refuse('key-other-region', { region: parts.region });
  const arn = identifier as Arn;
  if (parts.resource.startsWith('alias/')) return { kind: 'alias', account: parts.account, arn, alias: parts.resource };
  const id = /^key\/(.+)$/s.exec(parts.resource)?.[1];
  if (id === undefined) throw refuse('key-arn-invalid', { value: identifier });
  if (!isKeyId(id)) throw refuse('key-identifier-invalid', { value: id });
  return { kind: 'key', account: parts.account, arn };
}

/** The key behind a name, or `undefined` where there is none. */
export async function findKey(store: KeyStore, name: KeyName, region: Region): Promise<KeyRecord | undefined> {
  return name.kind === 'key' ? store.byArn(name.arn) : store.byAlias(name.account, region, name.alias);
}
