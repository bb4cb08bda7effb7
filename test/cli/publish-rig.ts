/** A publisher and accounts of its organization on one server, and `ingot publish` as the publisher runs it. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompleteSnapshotCommand, EBSClient, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  EC2Client,
  type Image,
  RegisterImageCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import { AttachUserPolicyCommand, CreateAccessKeyCommand, CreateUserCommand, IAMClient } from '@aws-sdk/client-iam';
import { CreateAliasCommand, CreateKeyCommand, GetKeyPolicyCommand, KMSClient } from '@aws-sdk/client-kms';
import { CreateAccountCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { type ClientConfig, type Ingot, REPOSITORY, startIngot } from '../house/ingot.ts';
import { ended, type Ran } from './rig.ts';

export const HOME = 'eu-central-1';
export const AWAY = 'us-east-1';

export interface StepShown {
  readonly stage: string;
  readonly action: string;
  readonly account: string;
  readonly region: string;
  readonly what: string;
  readonly why: string;
  readonly encryption?: { readonly encrypted: boolean; readonly key?: string; readonly why: string };
}
export interface PlanShown {
  readonly nothingToDo: boolean;
  readonly account: string;
  readonly steps: readonly StepShown[];
  readonly launches: readonly { readonly account: string; readonly region: string; readonly encryption: object }[];
  readonly refusals: readonly {
    readonly code: string;
    readonly where: string;
    readonly message: string;
    readonly mend: string;
  }[];
  readonly notes: readonly string[];
}
export interface ApplyShown extends PlanShown {
  readonly proofs: readonly {
    readonly account: string;
    readonly region: string;
    readonly principal: string;
    readonly verdict: string;
    readonly why: readonly string[];
    readonly encryption?: { readonly encrypted: boolean; readonly key?: string };
  }[];
}

export class PublishRig implements AsyncDisposable {
  readonly dir: string;
  readonly ingot: Ingot;
  readonly account: string;
  readonly #publisher: ClientConfig;
  readonly #sessions = new Map<string, Promise<ClientConfig['credentials']>>();

  private constructor(dir: string, ingot: Ingot, account: string, publisher: ClientConfig) {
    this.dir = dir;
    this.ingot = ingot;
    this.account = account;
    this.#publisher = publisher;
  }

  static async start(): Promise<PublishRig> {
    const ingot = await startIngot();
    const dir = await mkdtemp(join(tmpdir(), 'ingot-publish-'));
    const root = await ingot.client(HOME);
    const { Account } = await new STSClient(root).send(new GetCallerIdentityCommand({}));
    const rig = new PublishRig(dir, ingot, Account!, await userOf(ingot, root, 'publisher'));
    return rig;
  }

  /** A user of the publisher's account with these managed policies. */
  async user(name: string, policies?: readonly string[]): Promise<ClientConfig> {
    return userOf(this.ingot, await this.ingot.client(HOME), name, policies);
  }

  async addAccount(name: string): Promise<string> {
    const organizations = new OrganizationsClient(await this.ingot.client(HOME));
    const command = new CreateAccountCommand({ AccountName: name, Email: `${name}@ingot.invalid` });
    const { CreateAccountStatus: status } = await organizations.send(command);
    return status!.AccountId!;
  }

  /** Clients of the publisher, or of the role that administers another account. */
  async config(region = HOME, account = this.account): Promise<ClientConfig> {
    if (account === this.account) return { ...this.#publisher, region };
    let session = this.#sessions.get(account);
    if (!session) {
      const RoleArn = `arn:aws:iam::${account}:role/OrganizationAccountAccessRole`;
      session = new STSClient(this.#publisher)
        .send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'test' }))
        .then(({ Credentials: one }) => ({
          accessKeyId: one!.AccessKeyId!,
          secretAccessKey: one!.SecretAccessKey!,
          sessionToken: one!.SessionToken!,
        }));
      this.#sessions.set(account, session);
    }
    return { ...this.#publisher, region, credentials: await session };
  }

  async ec2(region = HOME, account = this.account): Promise<EC2Client> {
    return new EC2Client(await this.config(region, account));
  }
  async kms(region = HOME, account = this.account): Promise<KMSClient> {
    return new KMSClient(await this.config(region, account));
  }

  /** A new key under an alias; gives its ARN. */
  async key(alias: string, region = HOME, account = this.account, more: object = {}): Promise<string> {
    const kms = await this.kms(region, account);
    const { KeyMetadata: key } = await kms.send(new CreateKeyCommand(more));
    await kms.send(new CreateAliasCommand({ AliasName: alias, TargetKeyId: key!.KeyId }));
    return key!.Arn!;
  }

  async policyOf(keyArn: string, region = HOME): Promise<{ Statement: { Sid?: string; [name: string]: unknown }[] }> {
    const { Policy } = await (await this.kms(region)).send(new GetKeyPolicyCommand({ KeyId: keyArn }));
    return JSON.parse(Policy!);
  }

  /** An AMI of one random block, under the key, or plain. */
  async sourceImage(name: string, KmsKeyArn?: string, region = HOME, account = this.account): Promise<string> {
    const config = await this.config(region, account);
    const ebs = new EBSClient(config);
    const started = await ebs.send(
      new StartSnapshotCommand({ VolumeSize: 1, ...(KmsKeyArn ? { Encrypted: true, KmsKeyArn } : {}) }),
    );
    const BlockData = randomBytes(524_288);
    const Checksum = createHash('sha256').update(BlockData).digest('base64');
    const block = {
      BlockIndex: 0,
      BlockData,
      DataLength: BlockData.length,
      Checksum,
      ChecksumAlgorithm: 'SHA256' as const,
    };
    await ebs.send(new PutSnapshotBlockCommand({ SnapshotId: started.SnapshotId, ...block }));
    await ebs.send(new CompleteSnapshotCommand({ SnapshotId: started.SnapshotId, ChangedBlocksCount: 1 }));
    const client = new EC2Client(config);
    const wait = { client, maxWaitTime: 60, minDelay: 0.1, maxDelay: 0.2 };
    await waitUntilSnapshotCompleted(wait, { SnapshotIds: [started.SnapshotId!] });
    const { ImageId } = await client.send(
      new RegisterImageCommand({
        Name: name,
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: started.SnapshotId } }],
      }),
    );
    return ImageId!;
  }

  /** Every AMI of the account in the region that is a version of `name`. */
  async versions(name: string, region = HOME, account = this.account): Promise<Image[]> {
    const { Images } = await (await this.ec2(region, account)).send(
      new DescribeImagesCommand({ Owners: ['self'], Filters: [{ Name: 'tag:ingot:publish/name', Values: [name] }] }),
    );
    return Images ?? [];
  }

  async snapshotsOf(name: string, region = HOME, account = this.account) {
    const { Snapshots } = await (await this.ec2(region, account)).send(
      new DescribeSnapshotsCommand({
        OwnerIds: ['self'],
        Filters: [{ Name: 'tag:ingot:publish/name', Values: [name] }],
      }),
    );
    return Snapshots ?? [];
  }

  async readers(imageId: string, region = HOME): Promise<string[]> {
    const { LaunchPermissions } = await (await this.ec2(region)).send(
      new DescribeImageAttributeCommand({ ImageId: imageId, Attribute: 'launchPermission' }),
    );
    return (LaunchPermissions ?? [])
      .map((one) => one.UserId ?? one.OrganizationArn ?? one.OrganizationalUnitArn ?? 'all')
      .sort();
  }

  async manifest(document: object, name = 'golden.yaml'): Promise<string> {
    const path = join(this.dir, name);
    // JSON is YAML.
    await writeFile(path, JSON.stringify(document, undefined, 2));
    return path;
  }

  spawn(
    args: readonly string[],
    credentials = this.#publisher.credentials,
    endpoint = this.ingot.endpoint,
  ): ChildProcess {
    return spawn(process.execPath, [join(REPOSITORY, 'bin/ingot.js'), 'publish', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: this.dir,
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
        AWS_REGION: HOME,
        AWS_ENDPOINT_URL: endpoint,
        AWS_EC2_METADATA_DISABLED: 'true',
      },
    });
  }

  run(args: readonly string[], credentials?: ClientConfig['credentials']): Promise<Ran> {
    return ended(this.spawn(args, credentials));
  }

  /** The document of a verb, and the exit code. */
  async told<Shown = PlanShown>(
    args: readonly string[],
    credentials?: ClientConfig['credentials'],
  ): Promise<Shown & { code: number | null; stderr: string }> {
    const { code, stdout, stderr } = await this.run([...args, '--json'], credentials);
    if (!stdout) throw new Error(`ingot publish ${args.join(' ')} ended with ${code} and told nothing: ${stderr}`);
    return { ...(JSON.parse(stdout) as Shown), code, stderr };
  }

  /** Applies, sees each consumer proven, and nothing left to do. */
  async applied(file: string, args: readonly string[] = []): Promise<ApplyShown> {
    const told = await this.told<ApplyShown>(['apply', file, ...args]);
    assert.equal(told.code, 0, told.stderr);
    for (const proof of told.proofs) assert.equal(proof.verdict, 'can launch', JSON.stringify(proof));
    const again = await this.told<ApplyShown>(['apply', file, ...args]);
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(again.steps, [], 'a second apply finds nothing to do');
    return told;
  }

  /** State in which an instance of the AMI ends up that the account launches. */
  async launched(imageId: string, account: string, region = HOME) {
    const ec2 = await this.ec2(region, account);
    const { Instances } = await ec2.send(
      new RunInstancesCommand({ ImageId: imageId, MinCount: 1, MaxCount: 1, InstanceType: 't3.micro' }),
    );
    const InstanceIds = [Instances![0]!.InstanceId!];
    for (;;) {
      const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds }));
      const instance = Reservations![0]!.Instances![0]!;
      if (instance.State?.Name === 'pending' || instance.State?.Name === 'shutting-down') continue;
      if (instance.State?.Name === 'running') await ec2.send(new TerminateInstancesCommand({ InstanceIds }));
      return instance.State?.Name;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ingot[Symbol.asyncDispose]();
    await rm(this.dir, { recursive: true, force: true });
  }
}

async function userOf(
  ingot: Ingot,
  root: ClientConfig,
  UserName: string,
  policies: readonly string[] = ['arn:aws:iam::aws:policy/AdministratorAccess'],
): Promise<ClientConfig> {
  const iam = new IAMClient(root);
  await iam.send(new CreateUserCommand({ UserName }));
  for (const PolicyArn of policies) await iam.send(new AttachUserPolicyCommand({ UserName, PolicyArn }));
  const { AccessKey: key } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return ingot.client(HOME, { accessKeyId: key!.AccessKeyId!, secretAccessKey: key!.SecretAccessKey! });
}
