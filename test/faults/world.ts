/** One server with many accounts, and what the faults are built of: principals, keys, snapshots, images, launches. */
import assert from 'node:assert/strict';
import {
  CopyImageCommand,
  type CopyImageCommandInput,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  type Image,
  type Instance,
  type InstanceStateName,
  RegisterImageCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  type Snapshot,
  type SnapshotState,
  type Volume,
} from '@aws-sdk/client-ec2';
import {
  AttachUserPolicyCommand,
  CreateAccessKeyCommand,
  CreateRoleCommand,
  CreateUserCommand,
  DeleteRoleCommand,
  DeleteRolePolicyCommand,
  IAMClient,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam';
import { CreateKeyCommand, KMSClient, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import {
  AttachPolicyCommand,
  CreateAccountCommand,
  CreatePolicyCommand,
  DetachPolicyCommand,
  EnablePolicyTypeCommand,
  ListRootsCommand,
  OrganizationsClient,
} from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { type ClientConfig, type Credentials, type Ingot, startIngot } from '../house/ingot.ts';
import { importBlocks } from '../machines/plain-snapshot.ts';
import { until } from '../machines/support.ts';

export const REGION = 'eu-central-1';
export const OTHER_REGION = 'us-east-1';
export const ROOT_DEVICE = '/dev/xvda';

/** The documented rights of 4.1 on a key, in their two halves. */
export const USE_KEY = ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'];
export const CREATE_GRANT = ['kms:CreateGrant'];

export interface Statement {
  readonly Sid?: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Principal?: Readonly<Record<string, string | readonly string[]>> | '*';
  readonly Action: string | readonly string[];
  readonly Resource?: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

/** A policy document; `Resource` is `*` unless a statement says otherwise. */
export function policy(...statements: readonly Statement[]): string {
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: statements.map((statement) => ({ Resource: '*', ...statement })),
  });
}

export const allow = (Action: string | readonly string[], Resource: string | readonly string[] = '*'): Statement => ({
  Effect: 'Allow',
  Action,
  Resource,
});

/** The account decides by its IAM policies who may use the key. */
export const delegating = (account: string): Statement => ({
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${account}:root` },
  Action: 'kms:*',
});

/** Somebody with credentials, and clients of any service and region. */
export class Party {
  readonly account: string;
  /** ARN of the user, role or root, as policies name it. */
  readonly arn: string;
  readonly config: ClientConfig;

  constructor(account: string, arn: string, config: ClientConfig) {
    this.account = account;
    this.arn = arn;
    this.config = config;
  }
  get credentials(): Credentials {
    return this.config.credentials;
  }
  in(region: string): Party {
    return new Party(this.account, this.arn, { ...this.config, region });
  }
  /** After the server was started again. */
  at(endpoint: string): Party {
    return new Party(this.account, this.arn, { ...this.config, endpoint });
  }
  use<Client>(type: new (config: ClientConfig) => Client): Client {
    return new type(this.config);
  }
  get ec2(): EC2Client {
    return this.use(EC2Client);
  }
  get kms(): KMSClient {
    return this.use(KMSClient);
  }
  get iam(): IAMClient {
    return this.use(IAMClient);
  }
}

export class World implements AsyncDisposable {
  readonly ingot: Ingot;
  #management: Party;
  #accounts = 0;

  private constructor(ingot: Ingot, management: Party) {
    this.ingot = ingot;
    this.#management = management;
  }

  static async start(): Promise<World> {
    const ingot = await startIngot();
    try {
      return new World(ingot, await administratorOf(ingot));
    } catch (error) {
      await ingot[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Administrator of the organization's management account. */
  get management(): Party {
    return this.#management;
  }

  /** Kills the server and starts it again, at another endpoint: see {@link Party.at}. */
  async restart(): Promise<string> {
    await this.ingot.kill();
    await this.ingot.restart();
    const { endpoint } = this.ingot;
    this.#management = this.#management.at(endpoint);
    return endpoint;
  }

  /** A new account of the organization, by its administrator. */
  async account(): Promise<Party> {
    const name = `account-${++this.#accounts}`;
    const { CreateAccountStatus: status } = await this.management
      .use(OrganizationsClient)
      .send(new CreateAccountCommand({ AccountName: name, Email: `${name}@example.com` }));
    const account = status!.AccountId!;
    return assume(this.management, account, `arn:aws:iam::${account}:role/OrganizationAccountAccessRole`);
  }

  /** A role with these rights, in a session of its own. */
  async role(administrator: Party, name: string, ...statements: readonly Statement[]): Promise<Party> {
    const { account, iam } = administrator;
    const AssumeRolePolicyDocument = JSON.stringify({
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'sts:AssumeRole' }],
    });
    const { Role } = await iam.send(new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument }));
    await this.permit(administrator, name, ...statements);
    return assume(administrator, account, Role!.Arn!);
  }

  /** Gives the role these rights in place of those it has. */
  async permit(administrator: Party, RoleName: string, ...statements: readonly Statement[]): Promise<void> {
    const PolicyDocument = policy(...statements);
    await administrator.iam.send(new PutRolePolicyCommand({ RoleName, PolicyName: 'rights', PolicyDocument }));
  }

  async removeRole(administrator: Party, RoleName: string): Promise<void> {
    await administrator.iam.send(new DeleteRolePolicyCommand({ RoleName, PolicyName: 'rights' }));
    await administrator.iam.send(new DeleteRoleCommand({ RoleName }));
  }

  /** Denies the account an action by a service control policy of its own; gives the policy's id and what takes it off. */
  async denyInAccount({ account }: Party, Action: string): Promise<{ id: string; undo: () => Promise<void> }> {
    const organizations = this.management.use(OrganizationsClient);
    const Type = 'SERVICE_CONTROL_POLICY';
    const { Roots } = await organizations.send(new ListRootsCommand({}));
    await organizations
      .send(new EnablePolicyTypeCommand({ RootId: Roots![0]!.Id, PolicyType: Type }))
      .catch((error: Error) => {
        if (error.name !== 'PolicyTypeAlreadyEnabledException') throw error;
      });
    const { Policy } = await organizations.send(
      new CreatePolicyCommand({
        Name: `no ${Action} in ${account}`,
        Description: '',
        Type,
        Content: policy({ Effect: 'Deny', Action }),
      }),
    );
    const id = Policy!.PolicySummary!.Id!;
    const target = { PolicyId: id, TargetId: account };
    await organizations.send(new AttachPolicyCommand(target));
    return { id, undo: async () => void (await organizations.send(new DetachPolicyCommand(target))) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ingot[Symbol.asyncDispose]();
  }
}

/** Root users cannot assume roles. */
async function administratorOf(ingot: Ingot): Promise<Party> {
  const iam = new IAMClient(await ingot.client(REGION));
  const { User } = await iam.send(new CreateUserCommand({ UserName: 'administrator' }));
  const PolicyArn = 'arn:aws:iam::aws:policy/AdministratorAccess';
  await iam.send(new AttachUserPolicyCommand({ UserName: 'administrator', PolicyArn }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'administrator' }));
  const credentials = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
  return new Party(User!.Arn!.split(':')[4]!, User!.Arn!, await ingot.client(REGION, credentials));
}

async function assume(by: Party, account: string, RoleArn: string): Promise<Party> {
  const { Credentials: session } = await by
    .use(STSClient)
    .send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'faults' }));
  const credentials = {
    accessKeyId: session!.AccessKeyId!,
    secretAccessKey: session!.SecretAccessKey!,
    sessionToken: session!.SessionToken!,
  };
  return new Party(account, RoleArn, { ...by.config, credentials });
}

/** A customer managed key; its account's IAM policies decide unless statements are given. Gives the ARN. */
export async function newKey(owner: Party, ...statements: readonly Statement[]): Promise<string> {
  const Policy = policy(delegating(owner.account), ...statements);
  return (await owner.kms.send(new CreateKeyCommand({ Policy }))).KeyMetadata!.Arn!;
}

/** Replaces the key policy by the delegation to the account and these statements. */
export async function setKeyPolicy(owner: Party, KeyId: string, ...statements: readonly Statement[]): Promise<void> {
  const Policy = policy(delegating(owner.account), ...statements);
  await owner.kms.send(new PutKeyPolicyCommand({ KeyId, Policy }));
}

export interface Encryption {
  readonly Encrypted?: boolean;
  readonly KmsKeyArn?: string;
}

export const newSnapshot = (owner: Party, encryption: Encryption = {}): Promise<string> =>
  importBlocks(owner.config, encryption);

export async function registerImage(owner: Party, SnapshotId: string): Promise<string> {
  const { ImageId } = await owner.ec2.send(
    new RegisterImageCommand({
      Name: `image of ${SnapshotId}`,
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: ROOT_DEVICE,
      BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs: { SnapshotId } }],
    }),
  );
  return ImageId!;
}

export async function newImage(owner: Party, encryption: Encryption = {}): Promise<string> {
  return registerImage(owner, await newSnapshot(owner, encryption));
}

/** Launches one instance and gives its id. */
export async function run(who: Party, input: Partial<RunInstancesCommandInput>): Promise<string> {
  const given = input.LaunchTemplate ? {} : { InstanceType: 't3.micro' as const };
  const { Instances } = await who.ec2.send(new RunInstancesCommand({ ...given, MinCount: 1, MaxCount: 1, ...input }));
  return Instances![0]!.InstanceId!;
}

export async function instanceOf(who: Party, id: string): Promise<Instance> {
  const { Reservations } = await who.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return Reservations![0]!.Instances![0]!;
}

/** The instance once it has come to rest in a state; fails if that is another than the one wanted. */
export async function settled(who: Party, id: string, wanted: InstanceStateName): Promise<Instance> {
  const instance = await until(`${id} is ${wanted}`, async () => {
    const now = await instanceOf(who, id);
    return ['running', 'stopped', 'terminated'].includes(now.State!.Name!) && now;
  });
  assert.equal(instance.State?.Name, wanted, `${id}: ${instance.StateReason?.Message}`);
  return instance;
}

/** Launches and waits until it runs. */
export async function runs(who: Party, input: Partial<RunInstancesCommandInput>): Promise<void> {
  await settled(who, await run(who, input), 'running');
}

/** K-14, K-15: what a launch that KMS refused looks like afterwards. */
export async function diesOfItsKey(who: Party, input: Partial<RunInstancesCommandInput>): Promise<string> {
  const id = await run(who, input);
  const { StateReason, StateTransitionReason } = await settled(who, id, 'terminated');
  assert.deepEqual(StateReason, {
    Code: 'Client.InvalidKMSKey.InvalidState',
    Message: 'Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state',
  });
  assert.equal(StateTransitionReason, 'Client.InternalError');
  return id;
}

/** The volume when it is usable; `undefined` once it has vanished (CV-2). */
export function volumeOrNothing(who: Party, id: string): Promise<{ volume: Volume | undefined }> {
  return until(`${id} is there or gone`, async () => {
    try {
      const { Volumes } = await who.ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] }));
      const volume = Volumes![0]!;
      assert.notEqual(volume.State, 'error', 'K-22: KMS failures are not shown as errors of volumes');
      return volume.State === 'available' && { volume };
    } catch (error) {
      if ((error as Error).name !== 'InvalidVolume.NotFound') throw error;
      return { volume: undefined };
    }
  });
}

/** Copies an image, within the caller's region unless told, and gives the id of the copy. */
export async function copyImage(
  who: Party,
  input: Partial<CopyImageCommandInput> & { readonly SourceImageId: string },
): Promise<string> {
  const { ImageId } = await who.ec2.send(
    new CopyImageCommand({ SourceRegion: who.config.region, Name: `copy of ${input.SourceImageId}`, ...input }),
  );
  return ImageId!;
}

/** The image once it is no longer pending. */
export function imageOf(who: Party, id: string): Promise<Image> {
  return until(`${id} is made`, async () => {
    const { Images } = await who.ec2.send(new DescribeImagesCommand({ ImageIds: [id] }));
    return Images![0]!.State !== 'pending' && Images![0]!;
  });
}

/** {@link copyImage}, and the copy is available. */
export async function copiedImage(...[who, input]: Parameters<typeof copyImage>): Promise<string> {
  const id = await copyImage(who, input);
  const { State, StateReason } = await imageOf(who, id);
  assert.equal(State, 'available', `${id}: ${StateReason?.Message}`);
  return id;
}

/** The snapshot once it is no longer pending; fails if it ends otherwise than wanted. */
export async function copiedSnapshot(who: Party, id: string, wanted: SnapshotState): Promise<Snapshot> {
  const snapshot = await until(`${id} is ${wanted}`, async () => {
    const { Snapshots } = await who.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }));
    return Snapshots![0]!.State !== 'pending' && Snapshots![0]!;
  });
  assert.equal(snapshot.State, wanted, `${id}: ${snapshot.StateMessage}`);
  return snapshot;
}

/** The call is refused with this code and message. */
export async function isRefused(call: Promise<unknown>, name: string, message: string | RegExp): Promise<void> {
  await assert.rejects(call, { name, message });
}
