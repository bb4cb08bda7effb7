/**
 * Every implemented operation, called by nobody, by a stranger, by a user without rights, and by one with only the
 * rights it asks for: refused where it must be, and written down in the table of who may do what.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  AttachUserPolicyCommand,
  CreateAccessKeyCommand,
  CreateUserCommand,
  IAMClient,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam';
import { CreateAccountCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { type App, createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { type TableRow, tableDifferences, tableText } from './authorization-table.ts';
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
const REST: Words = {
  unsigned: ['MissingAuthenticationTokenException', 403],
  unknownKey: ['UnrecognizedClientException', 403],
  wrongSecret: ['InvalidSignatureException', 403],
  denied: ['AccessDeniedException', 403],
};
const WORDS: Readonly<Record<string, Words>> = {
  ec2: {
    unsigned: ['MissingParameter', 400],
    unknownKey: ['AuthFailure', 401],
    wrongSecret: ['AuthFailure', 401],
    denied: ['UnauthorizedOperation', 403],
  },
  ebs: REST,
  rbin: REST,
  ingot: REST,
  kms: JSON_1_1,
  cloudtrail: JSON_1_1,
  organizations: JSON_1_1,
  autoscaling: QUERY,
  iam: QUERY,
  sts: QUERY,
};
/** Answered to everybody who is somebody: needs no permission in AWS either. */
const OPEN_TO_ALL = new Set(['sts GetCallerIdentity', 'sts GetSessionToken']);

/** AWS words the absence of what they name as a denial. */
const DENIED_WHERE_MISSING = new Set(['iam GetAccessKeyLastUsed', 'kms RetireGrant', 'sts AssumeRole']);

let app: App;
let dataDir: string;
let endpoint: string;
let powerless: Credentials;
/** What is denied exists: AWS tells of some things that they are not there before it asks who may know. */
let resources: Resources;
interface Asked {
  readonly service: string;
  readonly operation: string;
}
const operations: Asked[] = [];
let root: Credentials;
let byNobody: Outcome[];
let byPowerless: Outcome[];

/** What only reads comes first, what ends things last: nothing is missing because of what was called before. */
function rank({ operation }: Asked): number {
  if (/^(?:Describe|Get|List|Lookup|Simulate)/.test(operation)) return 0;
  if (operation === 'LeaveOrganization') return 3;
  return /^(?:Close|Delete|Deregister|Detach|Disable|Remove|Retire|Revoke|Schedule|Terminate|Untag)/.test(operation)
    ? 2
    : 1;
}

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
  operations.sort((a, b) => rank(a) - rank(b));
  root = { accessKeyId: value('aws_access_key_id'), secretAccessKey: value('aws_secret_access_key') };
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

type Outcome = Awaited<ReturnType<typeof call>>;

/** The sample input with the ids of what exists. */
function inputOf({ service, operation }: Asked): object {
  const opens = ['Decrypt', 'ReEncrypt'].includes(operation) ? { CiphertextBlob: resources.ciphertext } : {};
  return { ...sampleInput(service, operation, resources.ids), ...opens };
}

/** Outcome of every operation, in the order of {@link operations}. */
async function outcomesOf(config: ClientConfig & { signer?: unknown }): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const asked of operations) outcomes.push(await call(config, asked.service, asked.operation, inputOf(asked)));
  return outcomes;
}

/** Collects what is wrong over all operations, so that one failure does not hide the others. */
function complaintsOver(outcomes: readonly Outcome[], words: keyof Words): string[] {
  return operations.flatMap(({ service, operation }, index) => {
    const failure = outcomes[index];
    const open = words === 'denied' && OPEN_TO_ALL.has(`${service} ${operation}`);
    const [code, status] = open ? [] : (WORDS[service]?.[words] ?? ['unknown service', 0]);
    if (failure?.code === code && failure?.status === status) return [];
    return [`${service} ${operation}: ${failure ? JSON.stringify(failure) : 'served'}`];
  });
}

const nothing = (complaints: string[]) => assert.equal(complaints.length, 0, `\n  ${complaints.join('\n  ')}\n`);

describe('every operation', () => {
  it('is there to be called', () => {
    assert.ok(operations.length > 100, `only ${operations.length} operations`);
  });

  it('is refused without a signature, in its own dialect', async () => {
    byNobody = await outcomesOf({ ...configFor({ accessKeyId: 'x', secretAccessKey: 'x' }), ...unsigned });
    nothing(complaintsOver(byNobody, 'unsigned'));
  });

  it('is refused with an access key nobody has', async () => {
    const stranger = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'x'.repeat(40) };
    nothing(complaintsOver(await outcomesOf(configFor(stranger)), 'unknownKey'));
  });

  it('is refused with the wrong secret', async () => {
    nothing(
      complaintsOver(await outcomesOf(configFor({ ...powerless, secretAccessKey: 'x'.repeat(40) })), 'wrongSecret'),
    );
  });

  it('is denied to a user without rights, before anything is said about what exists', async () => {
    byPowerless = await outcomesOf(configFor(powerless));
    nothing(complaintsOver(byPowerless, 'denied'));
  });

  it('is allowed to whom the table says, and to nobody else', async () => {
    const byStranger = await outcomesOf(configFor(await strangersAdministrator()));
    const iam = new IAMClient(configFor(root));
    const allowed = await makeUser(iam, 'allowed');
    const rows: TableRow[] = [];
    for (const [index, asked] of operations.entries()) {
      const said = (outcome: Outcome) => outcome?.code ?? 'ok';
      const [nobody, stranger, user] = [byNobody[index], byStranger[index], byPowerless[index]].map(said);
      const rights = await rightsFor(iam, configFor(allowed), asked);
      rows.push({ ...asked, nobody: nobody!, stranger: stranger!, powerless: user!, rights });
    }
    nothing(await tableDifferences(tableText(rows)));
  });
});

/** Allows one more action at a time, as the denials name them, until none is left. */
async function rightsFor(iam: IAMClient, config: ClientConfig, asked: Asked): Promise<string[]> {
  const { service, operation } = asked;
  // EC2 says by a dry run whether it would; the others do it.
  const input = { ...inputOf(asked), ...(service === 'ec2' ? { DryRun: true } : {}) };
  const rights: string[] = [];
  for (;;) {
    const failure = await call(config, service, operation, input);
    const missing = /not authorized to perform: (\S+)/.exec(failure?.message ?? '')?.[1];
    if (missing === undefined) return rights;
    if (DENIED_WHERE_MISSING.has(`${service} ${operation}`) && rights.includes(missing)) return rights;
    assert.ok(!rights.includes(missing), `${service} ${operation} is denied although ${missing} is allowed`);
    rights.push(missing);
    const PolicyDocument = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: rights, Resource: '*' }],
    });
    await iam.send(new PutUserPolicyCommand({ UserName: 'allowed', PolicyName: 'rights', PolicyDocument }));
  }
}

/** The administrator of an account that has none of our things. */
async function strangersAdministrator(): Promise<Credentials> {
  const iam = new IAMClient(configFor(root));
  const user = await makeUser(iam, 'traveller');
  const PolicyArn = 'arn:aws:iam::aws:policy/AdministratorAccess';
  await iam.send(new AttachUserPolicyCommand({ UserName: 'traveller', PolicyArn }));
  const { CreateAccountStatus } = await new OrganizationsClient(configFor(root)).send(
    new CreateAccountCommand({ AccountName: 'stranger', Email: 'stranger@example.com' }),
  );
  const RoleArn = `arn:aws:iam::${CreateAccountStatus?.AccountId}:role/OrganizationAccountAccessRole`;
  const { Credentials: session } = await new STSClient(configFor(user)).send(
    new AssumeRoleCommand({ RoleArn, RoleSessionName: 'stranger' }),
  );
  return {
    accessKeyId: session?.AccessKeyId ?? '',
    secretAccessKey: session?.SecretAccessKey ?? '',
    sessionToken: session?.SessionToken ?? '',
  };
}
