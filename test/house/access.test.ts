/** Every implemented operation, called by nobody, by a stranger, and by a user without rights: refused, and no change. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient } from '@aws-sdk/client-iam';
import { type App, createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import type { ClientConfig, Credentials } from './ingot.ts';
import { call, unsigned } from './operations.ts';

/** What a request without a signature is told, by protocol (authorization-and-wire 10). */
const UNSIGNED: Readonly<Record<string, readonly string[]>> = {
  ec2: ['MissingParameter', 'AuthFailure', 'MissingAuthenticationToken'],
  ebs: ['MissingAuthenticationTokenException'],
  kms: ['MissingAuthenticationTokenException'],
  cloudtrail: ['MissingAuthenticationTokenException'],
  organizations: ['MissingAuthenticationTokenException'],
  iam: ['MissingAuthenticationToken'],
  sts: ['MissingAuthenticationToken'],
};
const UNKNOWN_KEY: Readonly<Record<string, string>> = {
  ec2: 'AuthFailure',
  ebs: 'UnrecognizedClientException',
  kms: 'UnrecognizedClientException',
  cloudtrail: 'UnrecognizedClientException',
  organizations: 'UnrecognizedClientException',
  iam: 'InvalidClientTokenId',
  sts: 'InvalidClientTokenId',
};
const DENIED: Readonly<Record<string, readonly string[]>> = {
  ec2: ['UnauthorizedOperation'],
  ebs: ['AccessDeniedException'],
  kms: ['AccessDeniedException'],
  cloudtrail: ['AccessDeniedException'],
  organizations: ['AccessDeniedException'],
  iam: ['AccessDenied'],
  sts: ['AccessDenied'],
};
/** Answered to everybody who is somebody: needs no permission in AWS either. */
const OPEN_TO_ALL = new Set(['sts GetCallerIdentity', 'sts GetSessionToken']);

let app: App;
let dataDir: string;
let endpoint: string;
let powerless: Credentials;
const operations: { service: string; operation: string }[] = [];

before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'ingot-access-'));
  const config = readConfig({ data: dataDir, listen: '127.0.0.1:0', machines: 'none' }, {});
  app = await createApp(config, createLog('silent'));
  ({ endpoint } = await app.listen());
  for (const { name, operations: table } of app.services) {
    for (const operation of Object.keys(table)) operations.push({ service: name, operation });
  }
  const text = await readFile(join(dataDir, 'credentials'), 'utf8');
  const value = (name: string) => new RegExp(`^${name} = (.+)$`, 'm').exec(text)?.[1] ?? '';
  const root = { accessKeyId: value('aws_access_key_id'), secretAccessKey: value('aws_secret_access_key') };
  powerless = await makeUser(new IAMClient(configFor(root)), 'powerless');
});

after(async () => {
  await app.close();
  await rm(dataDir, { recursive: true, force: true });
});

function configFor(credentials: Credentials): ClientConfig {
  return { endpoint, region: 'eu-central-1', credentials, maxAttempts: 1 };
}

async function makeUser(iam: IAMClient, UserName: string): Promise<Credentials> {
  await iam.send(new CreateUserCommand({ UserName }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return { accessKeyId: AccessKey?.AccessKeyId ?? '', secretAccessKey: AccessKey?.SecretAccessKey ?? '' };
}

/** Collects what is wrong over all operations, so that one failure does not hide the others. */
async function complaintsOver(
  check: (service: string, operation: string) => Promise<string | undefined>,
): Promise<string[]> {
  const complaints: string[] = [];
  for (const { service, operation } of operations) {
    const complaint = await check(service, operation);
    if (complaint) complaints.push(`${service} ${operation}: ${complaint}`);
  }
  return complaints;
}

const nothing = (complaints: string[]) => assert.deepEqual(complaints, []);

describe('every operation', () => {
  it('is there to be called', () => {
    assert.ok(operations.length > 100, `only ${operations.length} operations`);
  });

  it('is refused without a signature, in its own dialect', async () => {
    const stranger = { ...configFor({ accessKeyId: 'x', secretAccessKey: 'x' }), ...unsigned };
    nothing(
      await complaintsOver(async (service, operation) => {
        const failure = await call(stranger, service, operation);
        if (failure && UNSIGNED[service]?.includes(failure.code) && failure.status >= 400 && failure.status < 500)
          return undefined;
        return JSON.stringify(failure ?? 'served');
      }),
    );
  });

  it('is refused with an access key nobody has', async () => {
    const stranger = configFor({ accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'x'.repeat(40) });
    nothing(
      await complaintsOver(async (service, operation) => {
        const failure = await call(stranger, service, operation);
        return failure?.code === UNKNOWN_KEY[service] ? undefined : JSON.stringify(failure ?? 'served');
      }),
    );
  });

  it('is refused with the wrong secret', async () => {
    const thief = configFor({ ...powerless, secretAccessKey: 'x'.repeat(40) });
    nothing(
      await complaintsOver(async (service, operation) => {
        const failure = await call(thief, service, operation);
        const expected = ['AuthFailure', 'SignatureDoesNotMatch', 'InvalidSignatureException'];
        return failure && expected.includes(failure.code) ? undefined : JSON.stringify(failure ?? 'served');
      }),
    );
  });

  it('is denied to a user without rights, before anything is said about what exists', async () => {
    nothing(
      await complaintsOver(async (service, operation) => {
        const failure = await call(configFor(powerless), service, operation);
        if (OPEN_TO_ALL.has(`${service} ${operation}`)) return failure && JSON.stringify(failure);
        return failure && DENIED[service]?.includes(failure.code) ? undefined : JSON.stringify(failure ?? 'served');
      }),
    );
  });
});
