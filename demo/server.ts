/** Starts a real Ingot server as a child process and hands out SDK clients for its accounts. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CloudTrailClient } from '@aws-sdk/client-cloudtrail';
import { EBSClient } from '@aws-sdk/client-ebs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { AttachUserPolicyCommand, CreateAccessKeyCommand, CreateUserCommand, IAMClient } from '@aws-sdk/client-iam';
import { KMSClient } from '@aws-sdk/client-kms';
import {
  CreateAccountCommand,
  DescribeCreateAccountStatusCommand,
  OrganizationsClient,
} from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { until } from './wait.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface Server {
  readonly endpoint: string;
  readonly root: Credentials;
  readonly pid: number;
  stop(): Promise<void>;
}

const repository = new URL('..', import.meta.url).pathname;
const READY = /^Ingot is listening on (http:\/\/\S+)$/m;

/** Starts `ingot serve` on a free port and waits for its ready line; rejects with what it said if it ends first. */
export async function startServer(options: {
  dataDir: string;
  machines?: string;
  /** Does not hear Ctrl-C: for a caller that hears it, and still needs the server to clear up. */
  apart?: boolean;
}): Promise<Server> {
  const args = [join(repository, 'src/main.ts'), 'serve', '--data', options.dataDir, '--listen', '127.0.0.1:0'];
  if (options.machines) args.push('--machines', options.machines);
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: options.apart ?? false });
  let stderr = '';
  child.stderr.on('data', (piece: Buffer) => {
    stderr = (stderr + piece.toString()).slice(-16_384);
  });
  const endpoint = await new Promise<string>((resolve, reject) => {
    let stdout = '';
    child.stdout.on('data', (piece: Buffer) => {
      stdout += piece.toString();
      const match = READY.exec(stdout);
      if (match?.[1]) resolve(match[1]);
    });
    child.once('exit', (code) => reject(new Error(`the server ended with code ${code}:\n${stderr}`)));
    child.once('error', reject);
  });
  const root = await readRootCredentials(options.dataDir);
  return { endpoint, root, pid: child.pid ?? -1, stop: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  await ended;
}

async function readRootCredentials(dataDir: string): Promise<Credentials> {
  const text = await readFile(join(dataDir, 'credentials'), 'utf8');
  const value = (name: string) => {
    const match = new RegExp(`^${name}\\s*=\\s*(\\S+)$`, 'm').exec(text);
    if (!match?.[1]) throw new Error(`no ${name} in ${join(dataDir, 'credentials')}`);
    return match[1];
  };
  return { accessKeyId: value('aws_access_key_id'), secretAccessKey: value('aws_secret_access_key') };
}

const administrators = new WeakMap<Server, Promise<Credentials>>();

/** An IAM user of the management account that may do everything: root itself can assume no role, as in AWS. */
function administrator(server: Server): Promise<Credentials> {
  let made = administrators.get(server);
  if (!made) {
    made = makeAdministrator(server);
    administrators.set(server, made);
  }
  return made;
}

async function makeAdministrator(server: Server): Promise<Credentials> {
  const iam = new IAMClient({ endpoint: server.endpoint, region: 'us-east-1', credentials: server.root });
  const UserName = 'pipeline';
  await iam.send(new CreateUserCommand({ UserName }));
  await iam.send(new AttachUserPolicyCommand({ UserName, PolicyArn: 'arn:aws:iam::aws:policy/AdministratorAccess' }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  if (!AccessKey?.AccessKeyId || !AccessKey.SecretAccessKey) throw new Error('no access key for the administrator');
  return { accessKeyId: AccessKey.AccessKeyId, secretAccessKey: AccessKey.SecretAccessKey };
}

/** SDK clients of one account in one region. */
export class Account {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  readonly #endpoint: string;
  readonly #credentials: Credentials;
  readonly ec2: EC2Client;
  readonly ebs: EBSClient;
  readonly kms: KMSClient;
  readonly trail: CloudTrailClient;

  constructor(endpoint: string, credentials: Credentials, id: string, name: string, region: string) {
    this.id = id;
    this.name = name;
    this.region = region;
    this.#endpoint = endpoint;
    this.#credentials = credentials;
    const config = { endpoint, region, credentials };
    this.ec2 = new EC2Client(config);
    this.ebs = new EBSClient(config);
    this.kms = new KMSClient(config);
    this.trail = new CloudTrailClient(config);
  }
  in(region: string): Account {
    return new Account(this.#endpoint, this.#credentials, this.id, this.name, region);
  }
}

/** Makes a member account and assumes OrganizationAccountAccessRole in it, as in AWS Organizations. */
export async function createAccount(server: Server, name: string, region: string): Promise<Account> {
  const config = { endpoint: server.endpoint, region: 'us-east-1', credentials: server.root };
  const organizations = new OrganizationsClient(config);
  const created = await organizations.send(
    new CreateAccountCommand({ AccountName: name, Email: `${name}@example.com` }),
  );
  const status = await until(`account ${name} is made`, async () => {
    const answer = await organizations.send(
      new DescribeCreateAccountStatusCommand({ CreateAccountRequestId: created.CreateAccountStatus?.Id }),
    );
    return answer.CreateAccountStatus?.State === 'IN_PROGRESS' ? undefined : answer.CreateAccountStatus;
  });
  if (!status.AccountId) throw new Error(`account ${name} could not be made: ${status.FailureReason}`);
  const admin = await administrator(server);
  const assumed = await new STSClient({ ...config, credentials: admin }).send(
    new AssumeRoleCommand({
      RoleArn: `arn:aws:iam::${status.AccountId}:role/OrganizationAccountAccessRole`,
      RoleSessionName: 'demo',
    }),
  );
  const { AccessKeyId, SecretAccessKey, SessionToken } = assumed.Credentials ?? {};
  if (!AccessKeyId || !SecretAccessKey || !SessionToken) throw new Error(`no credentials for account ${name}`);
  const credentials = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
  return new Account(server.endpoint, credentials, status.AccountId, name, region);
}
