/** Accounts, users, keys and images of one server under test, made over the public API as their owners would. */
import { createHash } from 'node:crypto';
import { CloudTrailClient, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import { CompleteSnapshotCommand, EBSClient, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  EC2Client,
  type Instance,
  RegisterImageCommand,
  type Volume,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import {
  AttachUserPolicyCommand,
  CreateAccessKeyCommand,
  CreateUserCommand,
  IAMClient,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { CreateAccountCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { type ClientConfig, type Credentials, Ingot, type IngotOptions } from '../house/ingot.ts';
import { until } from '../machines/support.ts';

export const ROOT_DEVICE = '/dev/xvda';
const BLOCK_BYTES = 524_288;

/** What a user needs on a customer key to use EBS with it (kms 27.1). */
export const EBS_KEY_ACTIONS = [
  'kms:CreateGrant',
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:ReEncrypt*',
];

export interface Statement {
  readonly Sid?: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Principal?: unknown;
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

export const documentOf = (...statements: readonly object[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });
export const allow = (Action: string | readonly string[], more: Partial<Statement> = {}): Statement => ({
  Effect: 'Allow',
  Action,
  Resource: '*',
  ...more,
});
export const deny = (Action: string | readonly string[], more: Partial<Statement> = {}): Statement => ({
  Effect: 'Deny',
  Action,
  Resource: '*',
  ...more,
});

export function credentialsOf(made: { AccessKey?: Partial<Given> } | { Credentials?: Partial<Given> }): Credentials {
  const given: Partial<Given> =
    ('AccessKey' in made ? made.AccessKey : (made as { Credentials?: Partial<Given> }).Credentials) ?? {};
  return {
    accessKeyId: given.AccessKeyId ?? '',
    secretAccessKey: given.SecretAccessKey ?? '',
    ...(given.SessionToken ? { sessionToken: given.SessionToken } : {}),
  };
}
interface Given {
  readonly AccessKeyId: string | undefined;
  readonly SecretAccessKey: string | undefined;
  readonly SessionToken: string | undefined;
}

export interface Account {
  readonly id: string;
  /** Someone who may do everything in the account. */
  readonly admin: ClientConfig;
}

export interface KmsEvent {
  readonly eventName: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly userIdentity?: {
    readonly arn?: string;
    readonly principalId?: string;
    readonly accountId?: string;
    readonly invokedBy?: string;
  };
  readonly requestParameters?: Readonly<Record<string, unknown>> | null;
  readonly resources?: readonly { readonly ARN: string }[];
}

export class World implements AsyncDisposable {
  readonly ingot: Ingot;
  readonly region: string;
  readonly #operator: ClientConfig;
  #count = 0;

  private constructor(ingot: Ingot, region: string, operator: ClientConfig) {
    this.ingot = ingot;
    this.region = region;
    this.#operator = operator;
  }

  static async open(region: string, options: IngotOptions = {}): Promise<World> {
    const ingot = await Ingot.start(options);
    const iam = new IAMClient(await ingot.client(region));
    await iam.send(new CreateUserCommand({ UserName: 'operator' }));
    const PolicyArn = 'arn:aws:iam::aws:policy/AdministratorAccess';
    await iam.send(new AttachUserPolicyCommand({ UserName: 'operator', PolicyArn }));
    const made = await iam.send(new CreateAccessKeyCommand({ UserName: 'operator' }));
    return new World(ingot, region, await ingot.client(region, credentialsOf(made)));
  }

  /** An administrator of the management account, who is no root user. */
  get operator(): ClientConfig {
    return this.anew(this.#operator);
  }
  /** The same caller where the server listens now, after a restart. */
  anew(config: ClientConfig): ClientConfig {
    return { ...config, endpoint: this.ingot.endpoint };
  }

  fresh(what: string): string {
    this.#count += 1;
    return `${what}-${this.#count}`;
  }

  as(credentials: Credentials, region = this.region): Promise<ClientConfig> {
    return this.ingot.client(region, credentials);
  }

  /** The management account itself. */
  async management(): Promise<Account> {
    const { Account: id } = await new STSClient(this.operator).send(new GetCallerIdentityCommand({}));
    return { id: id!, admin: this.operator };
  }

  async account(name = this.fresh('account')): Promise<Account> {
    const made = await new OrganizationsClient(this.operator).send(
      new CreateAccountCommand({ AccountName: name, Email: `${name}@example.com` }),
    );
    const id = made.CreateAccountStatus?.AccountId ?? '';
    return { id, admin: await this.assume(this.operator, roleArn(id, 'OrganizationAccountAccessRole')) };
  }

  async assume(from: ClientConfig, RoleArn: string, policy?: string): Promise<ClientConfig> {
    const assumed = await new STSClient(from).send(
      new AssumeRoleCommand({ RoleArn, RoleSessionName: 'session', ...(policy ? { Policy: policy } : {}) }),
    );
    return this.as(credentialsOf(assumed));
  }

  /** A new user of the account with one inline policy. */
  async user(account: Account, ...statements: readonly Statement[]): Promise<User> {
    const iam = new IAMClient(account.admin);
    const UserName = this.fresh('user');
    const { User } = await iam.send(new CreateUserCommand({ UserName }));
    const user: User = {
      name: UserName,
      arn: User!.Arn!,
      config: await this.as(credentialsOf(await iam.send(new CreateAccessKeyCommand({ UserName })))),
      may: async (...now) => {
        await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'own', PolicyDocument: documentOf(...now) }));
      },
    };
    if (statements.length > 0) await user.may(...statements);
    return user;
  }

  /** A customer key with the default policy, or with these statements beside the account's. */
  async key(account: Account, ...statements: readonly Statement[]): Promise<string> {
    const Policy = keyPolicy(account.id, ...statements);
    const { KeyMetadata } = await new KMSClient(account.admin).send(new CreateKeyCommand({ Policy }));
    return KeyMetadata!.Arn!;
  }

  /** A completed snapshot of 1 GiB whose first block is `fill` throughout; under the key, or under the default one. */
  async snapshot(
    config: ClientConfig,
    options: { key?: string; encrypted?: boolean; fill?: number } = {},
  ): Promise<string> {
    const { key, encrypted = key !== undefined, fill = 1 } = options;
    const ebs = new EBSClient(config);
    const { SnapshotId } = await ebs.send(
      new StartSnapshotCommand({
        VolumeSize: 1,
        ...(encrypted ? { Encrypted: true } : {}),
        ...(key ? { KmsKeyArn: key } : {}),
      }),
    );
    const BlockData = new Uint8Array(BLOCK_BYTES).fill(fill);
    await ebs.send(
      new PutSnapshotBlockCommand({
        SnapshotId,
        BlockIndex: 0,
        BlockData,
        DataLength: BLOCK_BYTES,
        Checksum: createHash('sha256').update(BlockData).digest('base64'),
        ChecksumAlgorithm: 'SHA256',
      }),
    );
    await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 1 }));
    const client = new EC2Client(config);
    await waitUntilSnapshotCompleted(
      { client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 },
      { SnapshotIds: [SnapshotId!] },
    );
    return SnapshotId!;
  }

  async image(config: ClientConfig, SnapshotId: string): Promise<string> {
    const { ImageId } = await new EC2Client(config).send(
      new RegisterImageCommand({
        Name: this.fresh('image'),
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: ROOT_DEVICE,
        BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs: { SnapshotId } }],
      }),
    );
    return ImageId!;
  }

  /** The volume when it is available, or `undefined` when it has vanished, as one whose key was refused does. */
  async volumeInTheEnd(config: ClientConfig, id: string): Promise<Volume | undefined> {
    const ec2 = new EC2Client(config);
    const seen = await until(`${id} ended`, async () => {
      const { Volumes = [] } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] })).catch((error: Error) => {
        if (error.name === 'InvalidVolume.NotFound') return { Volumes: [] };
        throw error;
      });
      if (Volumes.length === 0) return 'vanished';
      return !['creating', 'deleting'].includes(Volumes[0]!.State!) && Volumes[0]!;
    });
    return seen === 'vanished' ? undefined : seen;
  }

  async instance(config: ClientConfig, id: string, ...states: readonly string[]): Promise<Instance> {
    const ec2 = new EC2Client(config);
    return until(`${id} is ${states.join(' or ')}`, async () => {
      const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
      const instance = Reservations?.[0]?.Instances?.[0];
      return states.includes(instance?.State?.Name ?? '') && instance;
    });
  }

  /** Calls of KMS in the account's trail that name `word`, the oldest first. */
  async kmsEvents(admin: ClientConfig, word: string): Promise<KmsEvent[]> {
    const trail = new CloudTrailClient(admin);
    const texts: string[] = [];
    let NextToken: string | undefined;
    do {
      const page = await trail.send(
        new LookupEventsCommand({
          LookupAttributes: [{ AttributeKey: 'EventSource', AttributeValue: 'kms.amazonaws.com' }],
          ...(NextToken ? { NextToken } : {}),
        }),
      );
      texts.push(...(page.Events ?? []).map(({ CloudTrailEvent }) => CloudTrailEvent ?? ''));
      NextToken = page.NextToken;
    } while (NextToken);
    return texts
      .filter((text) => text.includes(word))
      .map((text) => JSON.parse(text) as KmsEvent)
      .reverse();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.ingot[Symbol.asyncDispose]();
  }
}

export interface User {
  readonly name: string;
  readonly arn: string;
  readonly config: ClientConfig;
  /** Replaces the user's inline policy. */
  may(...statements: readonly Statement[]): Promise<void>;
}

export const roleArn = (account: string, name: string): string => `arn:aws:iam::${account}:role/${name}`;

export const keyPolicy = (account: string, ...statements: readonly Statement[]): string =>
  documentOf(
    { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' },
    ...statements,
  );

/** The error of a call that must fail. */
export async function refused(sent: Promise<unknown>, name: string, message?: RegExp): Promise<Error> {
  const error = await sent.then(
    () => undefined,
    (reason: Error) => reason,
  );
  if (!error) throw new Error(`it was allowed, where ${name} was expected`);
  if (error.name !== name)
    throw new Error(`${name} was expected, and it is ${error.name}: ${error.message}`, { cause: error });
  if (message && !message.test(error.message))
    throw new Error(`${message} was expected, and it is ${error.message}`, { cause: error });
  return error;
}
