/**
 * An organization of three accounts in two regions, with every fault that an audit looks for beside the same thing
 * without it. Made once; the tables of the tests name what is in it.
 */
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompleteSnapshotCommand, EBSClient, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  CreateLaunchTemplateCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DisableImageBlockPublicAccessCommand,
  EC2Client,
  EnableAllowedImagesSettingsCommand,
  EnableEbsEncryptionByDefaultCommand,
  EnableImageBlockPublicAccessCommand,
  EnableImageDeprecationCommand,
  EnableSnapshotBlockPublicAccessCommand,
  type LaunchTemplateBlockDeviceMappingRequest,
  ModifyEbsDefaultKmsKeyIdCommand,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  RegisterImageCommand,
  RunInstancesCommand,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DisableKeyCommand,
  EnableKeyRotationCommand,
  KMSClient,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import type { AuditReport } from '../../cli/audit/model.ts';
import { type ClientConfig, type Ingot, runIngot, spawnIngot, startIngot } from '../house/ingot.ts';
import { ended as endOf } from './rig.ts';

export const HOME = 'eu-central-1';
export const AWAY = 'eu-west-1';
export const STRANGER = '999988887777';

/** What an audit ended with. */
export interface Audited {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class AuditWorld implements AsyncDisposable {
  readonly ingot: Ingot;
  readonly dir: string;
  /** By the names the tests use: ids and ARNs of what was made. */
  readonly names = new Map<string, string>();
  #configs = new Map<string, ClientConfig>();

  private constructor(ingot: Ingot, dir: string) {
    this.ingot = ingot;
    this.dir = dir;
  }

  static async make(): Promise<AuditWorld> {
    const world = new AuditWorld(await startIngot(), await mkdtemp(join(tmpdir(), 'ingot-audit-')));
    await world.#accounts();
    await world.#build();
    await world.#other();
    return world;
  }

  id(name: string): string {
    const id = this.names.get(name);
    if (id === undefined) throw new Error(`nothing in this world is called ${name}`);
    return id;
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** The administrator of the management account, or a session of the role in a member. */
  async config(account: 'management' | 'build' | 'prod', region: string, role = 'OrganizationAccountAccessRole') {
    const name = `${account} ${role}`;
    let config = this.#configs.get(name);
    if (!config) {
      const admin = await this.#administrator();
      config = admin;
      if (account !== 'management') {
        const sts = new STSClient(admin);
        const RoleArn = `arn:aws:iam::${this.id(account)}:role/${role}`;
        const { Credentials: session } = await sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'test' }));
        config = {
          ...admin,
          credentials: {
            accessKeyId: session!.AccessKeyId!,
            secretAccessKey: session!.SecretAccessKey!,
            sessionToken: session!.SessionToken!,
          },
        };
      }
      this.#configs.set(name, config);
    }
    return { ...config, region };
  }

  /** `ingot audit …` as the administrator of the management account. */
  async audit(args: readonly string[]): Promise<Audited> {
    const { code, stdout, stderr } = await runIngot(['audit', ...args], this.#environment(this.ingot.endpoint));
    return { code: code ?? -1, stdout, stderr };
  }

  /** The same against a server that never answers, until it has been asked and Ctrl-C is pressed. */
  async interrupted(args: readonly string[]): Promise<Audited> {
    const silent = createServer();
    const asked = once(silent, 'request');
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const { port } = silent.address() as AddressInfo;
    const child = spawnIngot(['audit', ...args], this.#environment(`http://127.0.0.1:${port}`));
    try {
      const ended = endOf(child);
      await asked;
      child.kill('SIGINT');
      const { code, ...said } = await ended;
      return { code: code ?? -1, ...said };
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  }

  #environment(endpoint: string): Record<string, string> {
    return {
      AWS_SHARED_CREDENTIALS_FILE: join(this.ingot.dataDir, 'credentials'),
      AWS_PROFILE: 'ingot-admin',
      AWS_REGION: HOME,
      AWS_ENDPOINT_URL: endpoint,
      AWS_EC2_METADATA_DISABLED: 'true',
      HOME: this.dir,
    };
  }

  async report(args: readonly string[]): Promise<AuditReport> {
    const { code, stdout, stderr } = await this.audit([...args, '--json']);
    if (code !== 0) throw new Error(`ingot audit ${args.join(' ')} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as AuditReport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ingot[Symbol.asyncDispose]();
    await rm(this.dir, { recursive: true, force: true });
  }

  async #administrator(): Promise<ClientConfig> {
    const text = await readFile(join(this.ingot.dataDir, 'credentials'), 'utf8');
    const section = text.slice(text.indexOf('[ingot-admin]'));
    const value = (name: string) => new RegExp(`^${name} = (.+)$`, 'm').exec(section)?.[1] ?? '';
    const credentials = { accessKeyId: value('aws_access_key_id'), secretAccessKey: value('aws_secret_access_key') };
    return this.ingot.client(HOME, credentials);
  }

  async #accounts(): Promise<void> {
    for (const name of ['build', 'prod']) {
      const { stdout, stderr } = await runIngot(['account', 'add', name, '--data', this.ingot.dataDir]);
      const id = /is (\d{12})\./.exec(stdout)?.[1];
      if (!id) throw new Error(stderr);
      this.names.set(name, id);
    }
    const sts = new STSClient(await this.config('management', HOME));
    const { GetCallerIdentityCommand } = await import('@aws-sdk/client-sts');
    this.names.set('management', (await sts.send(new GetCallerIdentityCommand({}))).Account!);
  }

  /** The account that builds images, in its home region: everything that can be wrong, and its like that is right. */
  async #build(): Promise<void> {
    const config = await this.config('build', HOME);
    const [kms, ec2] = [new KMSClient(config), new EC2Client(config)];
    const build = this.id('build');
    const prod = this.id('prod');
    const key = async (name: string, options: { alias?: string; rotate?: boolean; policy?: object } = {}) => {
      const Policy = options.policy ? JSON.stringify(options.policy) : undefined;
      const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Description: name, Policy }));
      const arn = KeyMetadata!.Arn!;
      if (options.rotate) await kms.send(new EnableKeyRotationCommand({ KeyId: arn }));
      if (options.alias) await kms.send(new CreateAliasCommand({ AliasName: options.alias, TargetKeyId: arn }));
      this.names.set(name, arn);
      return arn;
    };
    const own = { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${build}:root` }, Action: 'kms:*', Resource: '*' };
    const use = (AWS: string, Condition?: object) => ({
      ...{ Effect: 'Allow', Principal: { AWS }, Resource: '*' },
      Action: ['kms:Decrypt', 'kms:DescribeKey', 'kms:ReEncryptFrom', 'kms:CreateGrant'],
      ...(Condition ? { Condition } : {}),
    });
    const policy = (...statements: object[]) => ({ Version: '2012-10-17', Statement: [own, ...statements] });
    const toProd = policy(use(`arn:aws:iam::${prod}:root`));
    await key('key golden', { alias: 'alias/golden', rotate: true });
    await key('key rogue', { policy: policy(use('*')) });
    await key('key narrow', {
      alias: 'alias/narrow',
      rotate: true,
      policy: policy(use('*', { StringEquals: { 'kms:CallerAccount': build } })),
    });
    await key('key shared', { alias: 'alias/shared', rotate: true, policy: toProd });
    await key('key idle', { alias: 'alias/idle', rotate: true, policy: toProd });
    await key('key disabled', { alias: 'alias/disabled', rotate: true });
    await key('key dying', { alias: 'alias/dying', rotate: true });
    await key('key unused', { alias: 'alias/unused', rotate: true });

    for (const [name, of] of [
      ['plain', undefined],
      ['golden', 'key golden'],
      ['rogue', 'key rogue'],
      ['shared', 'key shared'],
      ['idle', 'key idle'],
      ['disabled', 'key disabled'],
      ['dying', 'key dying'],
      ['public', undefined],
    ] as const) {
      this.names.set(`snapshot ${name}`, await this.#snapshot(config, of && this.id(of)));
    }
    await ec2.send(new DisableImageBlockPublicAccessCommand({}));
    for (const name of ['plain', 'golden', 'rogue', 'shared', 'public', 'outside', 'old'] as const) {
      const source = name === 'outside' || name === 'old' ? 'golden' : name;
      this.names.set(`image ${name}`, await this.#image(config, name, this.id(`snapshot ${source}`)));
    }
    const share = (name: string, Add: { UserId?: string; Group?: 'all' }) =>
      ec2.send(new ModifyImageAttributeCommand({ ImageId: this.id(name), LaunchPermission: { Add: [Add] } }));
    await share('image public', { Group: 'all' });
    await share('image golden', { UserId: prod });
    await share('image shared', { UserId: prod });
    await share('image outside', { UserId: STRANGER });
    await share('image old', { UserId: prod });
    await ec2.send(new EnableImageDeprecationCommand({ ImageId: this.id('image old'), DeprecateAt: tomorrow() }));
    const permit = (name: string, Add: { UserId?: string; Group?: 'all' }) =>
      ec2.send(
        new ModifySnapshotAttributeCommand({ SnapshotId: this.id(name), CreateVolumePermission: { Add: [Add] } }),
      );
    await permit('snapshot public', { Group: 'all' });
    await permit('snapshot shared', { UserId: STRANGER });

    for (const [name, of] of [
      ['plain', undefined],
      ['golden', 'key golden'],
      ['rogue', 'key rogue'],
    ] as const) {
      const sealed = of ? { Encrypted: true, KmsKeyId: this.id(of) } : {};
      const volume = await ec2.send(new CreateVolumeCommand({ AvailabilityZone: `${HOME}a`, Size: 1, ...sealed }));
      this.names.set(`volume ${name}`, volume.VolumeId!);
    }
    for (const name of ['plain', 'golden', 'rogue'] as const) {
      const ImageId = this.id(`image ${name}`);
      const { Instances } = await ec2.send(
        new RunInstancesCommand({ ImageId, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 }),
      );
      this.names.set(`instance ${name}`, Instances![0]!.InstanceId!);
    }
    await this.#running(ec2);

    const device = (Ebs: LaunchTemplateBlockDeviceMappingRequest['Ebs']) => [{ DeviceName: '/dev/xvda', Ebs }];
    for (const [name, data] of [
      ['plain', { ImageId: this.id('image plain') }],
      ['golden', { ImageId: this.id('image golden') }],
      [
        'rogue',
        {
          ImageId: this.id('image plain'),
          BlockDeviceMappings: device({ Encrypted: true, KmsKeyId: this.id('key rogue') }),
        },
      ],
    ] as const) {
      const request = { LaunchTemplateName: name, LaunchTemplateData: data };
      const { LaunchTemplate } = await ec2.send(new CreateLaunchTemplateCommand(request));
      this.names.set(`template ${name}`, LaunchTemplate!.LaunchTemplateId!);
    }
    // Last: what is under them was made while they worked.
    await kms.send(new DisableKeyCommand({ KeyId: this.id('key disabled') }));
    await kms.send(new ScheduleKeyDeletionCommand({ KeyId: this.id('key dying'), PendingWindowInDays: 7 }));
  }

  /** Everywhere else all is as it should be, but for one default key that does not exist. */
  async #other(): Promise<void> {
    for (const account of ['management', 'build', 'prod'] as const) {
      for (const region of [HOME, AWAY]) {
        if (account === 'build' && region === HOME) continue;
        const config = await this.config(account, region);
        const [kms, ec2] = [new KMSClient(config), new EC2Client(config)];
        const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
        await kms.send(new EnableKeyRotationCommand({ KeyId: KeyMetadata!.Arn! }));
        await kms.send(new CreateAliasCommand({ AliasName: 'alias/golden', TargetKeyId: KeyMetadata!.Arn! }));
        const missing = `arn:aws:kms:${region}:${this.id(account)}:key/11111111-2222-4333-8444-555555555555`;
        const lost = account === 'build';
        if (lost) this.names.set('key missing', missing);
        await ec2.send(new ModifyEbsDefaultKmsKeyIdCommand({ KmsKeyId: lost ? missing : KeyMetadata!.Arn! }));
        await ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
        await ec2.send(new EnableImageBlockPublicAccessCommand({ ImageBlockPublicAccessState: 'block-new-sharing' }));
        await ec2.send(new EnableSnapshotBlockPublicAccessCommand({ State: 'block-all-sharing' }));
        await ec2.send(new EnableAllowedImagesSettingsCommand({ AllowedImagesSettingsState: 'enabled' }));
      }
    }
  }

  async #snapshot(config: ClientConfig, key: string | undefined): Promise<string> {
    const ebs = new EBSClient(config);
    const sealed = key ? { Encrypted: true, KmsKeyArn: key } : {};
    const { SnapshotId } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1, ...sealed }));
    await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 0 }));
    const client = new EC2Client(config);
    await waitUntilSnapshotCompleted(
      { client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 },
      { SnapshotIds: [SnapshotId!] },
    );
    return SnapshotId!;
  }

  async #image(config: ClientConfig, Name: string, SnapshotId: string): Promise<string> {
    const { ImageId } = await new EC2Client(config).send(
      new RegisterImageCommand({
        Name,
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
      }),
    );
    return ImageId!;
  }

  /** Until every instance shows its volume: while it is pending it has none yet (RI-6). */
  async #running(ec2: EC2Client): Promise<void> {
    for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((done) => setTimeout(done, 200))) {
      const { Reservations } = await ec2.send(new DescribeInstancesCommand({}));
      const all = Reservations?.flatMap(({ Instances }) => Instances ?? []) ?? [];
      if (all.every((one) => one.State?.Name === 'running' && one.BlockDeviceMappings?.[0]?.Ebs?.VolumeId)) return;
    }
    throw new Error('not every instance came to run');
  }
}

/** Ahead of every audit of a test: none finds more than the one before because a minute has passed (L-12). */
function tomorrow(): Date {
  return new Date(Date.now() + 86_400_000);
}
