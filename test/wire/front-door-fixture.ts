/** A front door with a handful of operations behind it, for tests with real clients. */
import type { Audit, AuditEntry } from '../../src/audit/audit.ts';
import { createAuthenticator } from '../../src/authn/authenticate.ts';
import type { Credential, CredentialStore } from '../../src/authn/credentials.ts';
import type { Caller } from '../../src/authz/caller.ts';
import { SecretKey } from '../../src/crypto/secret-key.ts';
import { createPipeline } from '../../src/http/pipeline.ts';
import { createFrontDoor, type FrontDoor } from '../../src/http/server.ts';
import type { AccountId, Arn, Region } from '../../src/ids.ts';
import { createLog } from '../../src/log.ts';
import type { Service } from '../../src/services/operation.ts';
import { REGISTRY } from '../../src/wire/registry.ts';
import { Wire } from '../../src/wire/wire.ts';

export const ACCESS_KEY = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};
export const SESSION_KEY = {
  accessKeyId: 'ASIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'sessionUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  sessionToken: 'FwoGZXIvYXdzEXAMPLE/token+with=signs',
};
export const REGIONS = ['us-east-1', 'eu-central-1'] as Region[];

export function exampleCaller(accessKeyId: string): Caller {
  const accountId = '111122223333' as AccountId;
  const arn = `arn:aws:iam::${accountId}:user/alice` as Arn;
  return {
    accountId,
    type: 'User',
    arn,
    principalArn: arn,
    userId: 'AIDAEXAMPLE',
    uniqueId: 'AIDAEXAMPLE',
    userName: 'alice',
    accessKeyId,
    tags: {},
  };
}

export interface StoredKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly status?: 'active' | 'inactive';
  readonly expiresAt?: Date;
}

/** A credential store over a few keys in memory. */
export function credentialStore(keys: readonly StoredKey[]): CredentialStore {
  const credentials = new Map<string, Credential>();
  for (const { accessKeyId, secretAccessKey, sessionToken, status = 'active', expiresAt } of keys) {
    const secret = SecretKey.take(new TextEncoder().encode(secretAccessKey));
    const caller = exampleCaller(accessKeyId);
    const session = sessionToken && {
      expiresAt: expiresAt ?? new Date('2100-01-01'),
      tokenMatches: (token: string) => token === sessionToken,
    };
    credentials.set(accessKeyId, { secret, status, caller, ...(session ? { session } : {}) });
  }
  return { find: async (accessKeyId) => credentials.get(accessKeyId) };
}

export interface RunningDoor extends AsyncDisposable {
  readonly endpoint: string;
  readonly port: number;
  readonly door: FrontDoor;
  readonly entries: AuditEntry[];
  readonly logged: string[];
}

/** Listens on a port the system chooses; `entries` and `logged` fill as requests come. */
export async function openDoor(
  services: readonly Service[],
  options: {
    readonly audit?: Audit;
    readonly keys?: readonly StoredKey[];
    readonly credentials?: CredentialStore;
  } = {},
): Promise<RunningDoor> {
  const entries: AuditEntry[] = [];
  const logged: string[] = [];
  const log = createLog('info', { write: (line: string) => void logged.push(line) });
  const clock = () => new Date();
  const wire = new Wire(REGISTRY);
  const audit = options.audit ?? {
    record: async (entry) => {
      entries.push(entry);
    },
  };
  const credentials = options.credentials ?? credentialStore(options.keys ?? [ACCESS_KEY, SESSION_KEY]);
  const authenticator = createAuthenticator({ credentials, regions: REGIONS, clock });
  const pipeline = createPipeline({ wire, services, authenticator, audit, log, clock });
  const door = createFrontDoor({ wire, pipeline, log });
  const { port } = await door.listen('127.0.0.1', 0);
  const endpoint = `http://127.0.0.1:${port}`;
  return { endpoint, port, door, entries, logged, [Symbol.asyncDispose]: () => door.stop(1000) };
}
