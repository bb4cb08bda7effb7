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
import { call, sampleInput, unsigned } from './operations.ts';
import { makeResources, type Resources } from './resources.ts';

type Answer = readonly [code: string, status: number];
interface Words {
  readonly unsigned: Answer;
  readonly unknownKey: Answer;
  readonly wrongSecret: Answer;
  readonly denied: Answer;
}
/** authorization-and-wire 10.9 and 8; EC2's denial 8.6. */
const QUERY: Words = {
  unsigned: ['MissingAuthenticationToken', 403],
  unknownKey: ['InvalidClientTokenId', 403],
  wrongSecret: ['SignatureDoesNotMatch', 403],
  denied: ['AccessDenied', 403],
};
const JSON_1_1: Words = {
  unsigned: ['MissingAuthenticationTokenException', 400],
  unknownKey: ['UnrecognizedClientException', 400],
  wrongSecret: ['InvalidSignatureException', 400],
  denied: ['AccessDeniedException', 400],
};
const WORDS: Readonly<Record<string, Words>> = {
  ec2: {
    unsigned: ['MissingParameter', 400],
    unknownKey: ['AuthFailure', 401],
    wrongSecret: ['AuthFailure', 401],
    denied: ['UnauthorizedOperation', 403],
  },
  ebs: {
    unsigned: ['MissingAuthenticationTokenException', 403],
    unknownKey: ['UnrecognizedClientException', 403],
    wrongSecret: ['InvalidSignatureException', 403],
    denied: ['AccessDeniedException', 403],
  },
  kms: JSON_1_1,
  cloudtrail: JSON_1_1,
  organizations: JSON_1_1,
  iam: QUERY,
  sts: QUERY,
};
/** Answered to everybody who is somebody: needs no permission in AWS either. */
const OPEN_TO_ALL = new Set(['sts GetCallerIdentity', 'sts GetSessionToken']);

let app: App;
let dataDir: string;
let endpoint: string;
let powerless: Credentials;
/** What is denied exists: AWS tells of some things that they are not there before it asks who may know. */
let resources: Resources;
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
  resources = await makeResources(configFor(root));
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
async function complaintsOver(config: ClientConfig & { signer?: unknown }, words: keyof Words): Promise<string[]> {
  const complaints: string[] = [];
  for (const { service, operation } of operations) {
    const opens = ['Decrypt', 'ReEncrypt'].includes(operation) ? { CiphertextBlob: resources.ciphertext } : {};
    const failure = await call(config, service, operation, {
      ...sampleInput(service, operation, resources.ids),
      ...opens,
    });
    const open = words === 'denied' && OPEN_TO_ALL.has(`${service} ${operation}`);
    const [code, status] = open ? [] : (WORDS[service]?.[words] ?? ['unknown service', 0]);
    if (failure?.code !== code || failure?.status !== status) {
      complaints.push(`${service} ${operation}: ${failure ? JSON.stringify(failure) : 'served'}`);
    }
  }
  return complaints;
}

const nothing = (complaints: string[]) => assert.equal(complaints.length, 0, `\n  ${complaints.join('\n  ')}\n`);

describe('every operation', () => {
  it('is there to be called', () => {
    assert.ok(operations.length > 100, `only ${operations.length} operations`);
  });

  it('is refused without a signature, in its own dialect', async () => {
    nothing(
      await complaintsOver({ ...configFor({ accessKeyId: 'x', secretAccessKey: 'x' }), ...unsigned }, 'unsigned'),
    );
  });

  it('is refused with an access key nobody has', async () => {
    const stranger = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'x'.repeat(40) };
    nothing(await complaintsOver(configFor(stranger), 'unknownKey'));
  });

  it('is refused with the wrong secret', async () => {
    nothing(await complaintsOver(configFor({ ...powerless, secretAccessKey: 'x'.repeat(40) }), 'wrongSecret'));
  });

  it('is denied to a user without rights, before anything is said about what exists', async () => {
    nothing(await complaintsOver(configFor(powerless), 'denied'));
  });
});
