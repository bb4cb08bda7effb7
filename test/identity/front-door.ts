/** IAM, STS and Organizations behind the real front door, in this process, for the official SDK as client. */
import { IAMClient } from '@aws-sdk/client-iam';
import { OrganizationsClient } from '@aws-sdk/client-organizations';
import { STSClient } from '@aws-sdk/client-sts';
import { auditMigrations, createAudit } from '../../src/audit/trail.ts';
import { createAuthenticator } from '../../src/authn/authenticate.ts';
import { rootKeyFrom } from '../../src/crypto/root-key.ts';
import { openTestDb } from '../../src/db/test-db.ts';
import { createPipeline } from '../../src/http/pipeline.ts';
import { createFrontDoor } from '../../src/http/server.ts';
import { createAuthorizationMessages } from '../../src/identity/authorization-messages.ts';
import { createIdentity, identityMigrations } from '../../src/identity/identity.ts';
import type { Region } from '../../src/ids.ts';
import { createLog } from '../../src/log.ts';
import { iamService } from '../../src/services/iam/index.ts';
import { organizationsService } from '../../src/services/organizations/index.ts';
import { stsService } from '../../src/services/sts/index.ts';
import { REGISTRY } from '../../src/wire/registry.ts';
import { Wire } from '../../src/wire/wire.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export async function openIdentity() {
  const database = await openTestDb([...identityMigrations, ...auditMigrations]);
  const clock = () => new Date();
  const rootKey = rootKeyFrom(new Uint8Array(32).fill(3));
  const identity = createIdentity({ db: database.db, rootKey, clock });
  const { credentials, managementAccount } = await identity.bootstrap();
  const deps = { identity, authorizer: identity.authorizer, usesOfLinkedRole: async () => [] };
  const messages = createAuthorizationMessages(rootKey);
  const services = [iamService(deps), stsService(deps, messages), organizationsService(deps)];
  const wire = new Wire(REGISTRY);
  const log = createLog('silent');
  const regions = ['us-east-1', 'eu-central-1'] as Region[];
  const authenticator = createAuthenticator({ credentials: identity.credentials, regions, clock });
  const audit = createAudit({ db: database.db, encodeAuthorizationFailure: messages.encode });
  const pipeline = createPipeline({
    wire,
    services,
    authenticator,
    audit,
    log,
    clock,
    noteUse: ({ caller, region, now }, service) => identity.lastUses.note(caller, service, region, now, log),
  });
  const door = createFrontDoor({ wire, pipeline, log });
  const { host, port } = await door.listen('127.0.0.1', 0);
  const endpoint = `http://${host}:${port}`;
  const clients: { destroy(): void }[] = [];
  const keep = <Client extends { destroy(): void }>(client: Client): Client => {
    clients.push(client);
    return client;
  };
  const config = (who: Credentials) => ({ endpoint, region: 'us-east-1', credentials: who, maxAttempts: 1 });
  return {
    identity,
    managementAccount,
    root: credentials as Credentials,
    iam: (who: Credentials) => keep(new IAMClient(config(who))),
    sts: (who: Credentials) => keep(new STSClient(config(who))),
    organizations: (who: Credentials) => keep(new OrganizationsClient(config(who))),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await door.stop(1000);
      await database[Symbol.asyncDispose]();
    },
  };
}

export type OpenIdentity = Awaited<ReturnType<typeof openIdentity>>;
