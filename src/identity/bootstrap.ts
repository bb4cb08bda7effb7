/** The first start: management account, organization, and the root user's access key. */
import type { AccountId } from '../ids.ts';
import type { AccessKeys } from './access-keys.ts';
import type { Organizations } from './organization.ts';
import type { Store } from './store.ts';

export interface BootstrapOptions {
  /** Given by the operator; made where absent. Both or none. */
  readonly rootAccessKeyId?: string;
  readonly rootSecretAccessKey?: string;
  readonly accountName?: string;
  readonly email?: string;
  /** Keeps new credentials for the operator; if it fails, nothing was founded. May run again after a crash. */
  keepCredentials?(credentials: RootCredentials): Promise<void>;
}

export interface RootCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface BootstrapResult {
  readonly managementAccount: AccountId;
  /** Present only on the first start: the secret is not told again. */
  readonly credentials?: RootCredentials;
}

/** Founds the installation if the database is empty, in one transaction; changes nothing otherwise. */
export async function bootstrap(
  store: Store,
  organizations: Organizations,
  accessKeys: AccessKeys,
  options: BootstrapOptions,
): Promise<BootstrapResult> {
  const given = givenKey(options);
  return store.db.write(async (tx) => {
    const tables = store.within(tx);
    const founded = (await tables.selectFrom('identity_organization').selectAll().execute())[0];
    if (founded) return { managementAccount: founded.management_account as AccountId };
    const name = options.accountName ?? 'management';
    const organization = await organizations.found(tx, name, options.email ?? 'management@ingot.invalid');
    const made = await accessKeys.createRoot(tx, organization.managementAccount, given);
    const credentials = { accessKeyId: made.key.id, secretAccessKey: made.secret };
    // Before the commit: a founded installation whose secret nobody was told could never be entered.
    await options.keepCredentials?.(credentials);
    return { managementAccount: organization.managementAccount, credentials };
  });
}

function givenKey(options: BootstrapOptions): { id: string; secret: string } | undefined {
  const { rootAccessKeyId: id, rootSecretAccessKey: secret } = options;
  if (id === undefined && secret === undefined) return undefined;
  if (id === undefined || secret === undefined) {
    throw new Error('root credentials are an access key id and a secret access key: one of them is missing');
  }
  if (!/^\w{16,128}$/.test(id) || id.startsWith('ASIA')) {
    throw new Error('the root access key id has 16 to 128 letters and digits, and does not begin with ASIA');
  }
  if (secret.length < 16) throw new Error('the root secret access key has at least 16 characters');
  return { id, secret };
}
