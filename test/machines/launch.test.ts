/** The whole server with real machines: launch from a sealed snapshot, keys that refuse, restarts in between. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, connect as connectTo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  AttachVolumeCommand,
  CreateKeyPairCommand,
  CreateVolumeCommand,
  DescribeInstanceStatusCommand,
  DescribeInstancesCommand,
  DescribeKeyPairsCommand,
  DescribeNetworkInterfacesCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  EC2Client,
  GetConsoleOutputCommand,
  type Instance,
  type InstanceStateName,
  RebootInstancesCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import {
  AddRoleToInstanceProfileCommand,
  CreateInstanceProfileCommand,
  CreateRoleCommand,
  IAMClient,
} from '@aws-sdk/client-iam';
import { CreateKeyCommand, DisableKeyCommand, EnableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { type BootImage, buildBootImage } from '../../demo/image/build.ts';
import { whyNoLinuxImage } from '../../demo/image/linux.ts';
import { newEc2Id } from '../../src/ids.ts';
import { Ingot } from '../house/ingot.ts';
import { importGolden } from './golden.ts';
import { killMachinesOf, noQemu, until } from './support.ts';

const SECRET = newEc2Id('secret');
const skip = noQemu() || (await whyNoLinuxImage()) || false;

/** What a listener says to whoever connects. */
async function visit(host: string, port: number): Promise<string> {
  const socket = connectTo(port, host);
  let said = '';
  for await (const chunk of socket) said += String(chunk);
  return said;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

describe('instances with real machines', { skip, concurrency: false }, () => {
  const marker = `golden ${newEc2Id('x')}`;
  const imageDir = join(tmpdir(), `ingot-launch-${process.pid}`);
  let ingot: Ingot;
  let image: BootImage;
  let ec2: EC2Client;
  let kms: KMSClient;
  let keyArn: string;
  let imageId: string;
  let instanceId: string;
  let publicKey: string;
  let sshPort: number;
  const first = {
    ClientToken: 'token-1',
    KeyName: 'operator',
    UserData: Buffer.from(`#!/bin/sh\n# ${SECRET}\necho "user-data ran in a shell"\n`).toString('base64'),
    IamInstanceProfile: { Name: 'golden' },
  };

  async function connect() {
    const config = await ingot.client();
    ec2 = new EC2Client(config);
    kms = new KMSClient(config);
  }
  /** A key pair, user data, and a role that EC2 may hand to instances. */
  async function prepareLaunch() {
    await ec2.send(new CreateKeyPairCommand({ KeyName: 'operator', KeyType: 'ed25519' }));
    const { KeyPairs } = await ec2.send(new DescribeKeyPairsCommand({ IncludePublicKey: true }));
    publicKey = KeyPairs![0]!.PublicKey!;
    const iam = new IAMClient(await ingot.client());
    const trust = { Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' };
    await iam.send(
      new CreateRoleCommand({
        RoleName: 'golden-role',
        AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [trust] }),
      }),
    );
    await iam.send(new CreateInstanceProfileCommand({ InstanceProfileName: 'golden' }));
    await iam.send(new AddRoleToInstanceProfileCommand({ InstanceProfileName: 'golden', RoleName: 'golden-role' }));
  }
  async function see(id: string): Promise<Instance> {
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    return Reservations![0]!.Instances![0]!;
  }
  const untilState = (id: string, state: InstanceStateName) =>
    until(`${id} is ${state}`, async () => {
      const instance = await see(id);
      return instance.State?.Name === state && instance;
    });
  async function consoleOf(id: string): Promise<string> {
    const { Output } = await ec2.send(new GetConsoleOutputCommand({ InstanceId: id }));
    return Buffer.from(Output ?? '', 'base64').toString('latin1');
  }
  const untilConsole = (id: string, pattern: RegExp) =>
    until(`the console of ${id} says ${pattern}`, async () => {
      const said = await consoleOf(id);
      return pattern.test(said) && said;
    });
  async function run(input: Partial<RunInstancesCommandInput> = {}): Promise<Instance> {
    const { Instances } = await ec2.send(
      new RunInstancesCommand({ ImageId: imageId, InstanceType: 't3.nano', MinCount: 1, MaxCount: 1, ...input }),
    );
    return Instances![0]!;
  }
  async function filesHolding(text: string): Promise<string[]> {
    const held: string[] = [];
    for (const entry of await readdir(ingot.dataDir, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && (await readFile(path)).includes(text)) held.push(path);
    }
    return held;
  }
  before(async () => {
    sshPort = await freePort();
    const reached = ['--guest-network', 'forward', '--guest-ssh-port', String(sshPort)];
    ingot = await Ingot.start({ machines: 'qemu', arguments: reached });
    image = await buildBootImage({ dir: imageDir, marker, kind: 'linux' });
    await connect();
    await prepareLaunch();
    keyArn = (await kms.send(new CreateKeyCommand({}))).KeyMetadata!.Arn!;
    imageId = await importGolden(await ingot.client(), image, keyArn);
  });
  after(async () => {
    await killMachinesOf(ingot.dataDir);
    await ingot[Symbol.asyncDispose]();
    await rm(imageDir, { recursive: true, force: true });
  });

  test('RI-6, K-7: it boots from its sealed root volume, and its console stands in no file', async () => {
    const pending = await run(first);
    assert.deepEqual(pending.State, { Code: 0, Name: 'pending' });
    assert.deepEqual(pending.StateReason, { Code: 'pending', Message: 'pending' });
    assert.deepEqual(pending.BlockDeviceMappings, []);
    assert.equal(pending.StateTransitionReason, '');
    instanceId = pending.InstanceId!;
    const said = await untilConsole(instanceId, /ingot-alive/);
    assert.ok(said.includes(`ingot-marker: ${marker}`));
    const running = await untilState(instanceId, 'running');
    const volumeId = running.BlockDeviceMappings![0]!.Ebs!.VolumeId!;
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [volumeId] }));
    assert.equal(Volumes![0]!.Encrypted, true);
    assert.equal(Volumes![0]!.KmsKeyId, keyArn);
    assert.deepEqual(await filesHolding(marker), []);
  });

  test('the guest learns who it is, its key, its user data and its role from IMDSv2; IMDSv1 is refused (L-17)', async () => {
    const said = await untilConsole(instanceId, /ingot-imds-done/);
    const told = (what: string) => new RegExp(`ingot-imds ${what}: (.*?)\\r?$`, 'm').exec(said)?.[1];
    const seen = await see(instanceId);
    assert.equal(told('meta-data/instance-id'), instanceId);
    assert.equal(told('meta-data/placement/region'), 'eu-central-1');
    assert.equal(told('meta-data/public-keys/0/openssh-key'), publicKey.trim());
    assert.equal(told('user-data'), '#!/bin/sh');
    assert.match(said, /user-data ran in a shell/);
    const name = `ip-${seen.PrivateIpAddress!.replaceAll('.', '-')}`;
    assert.ok(said.includes(`${seen.PrivateIpAddress}/255.255.240.0 via 172.31.`), said);
    assert.ok(said.includes(`as ${name}.eu-central-1.compute.internal`), said);
    assert.match(said, /ingot-imds-v1: wget: server returned error: HTTP\/1.1 401 Unauthorized/);
    assert.deepEqual(seen.MetadataOptions, {
      State: 'applied',
      HttpEndpoint: 'enabled',
      HttpTokens: 'required',
      HttpPutResponseHopLimit: 2,
      HttpProtocolIpv6: 'disabled',
      InstanceMetadataTags: 'disabled',
    });
    const made = JSON.parse(/ingot-imds-credentials: (.*?)\r?$/m.exec(said)![1]!) as Record<string, string>;
    assert.equal(made.Code, 'Success');
    const sts = new STSClient({
      ...(await ingot.client()),
      credentials: {
        accessKeyId: made.AccessKeyId!,
        secretAccessKey: made.SecretAccessKey!,
        sessionToken: made.Token!,
      },
    });
    const { Arn } = await sts.send(new GetCallerIdentityCommand({}));
    assert.match(Arn!, new RegExp(`:assumed-role/golden-role/${instanceId}$`));
    assert.deepEqual(await filesHolding(SECRET), [], 'user data is sealed at rest');
  });

  test('this host reaches the SSH port of the guest at its public address, and the guest passes its status checks', async () => {
    const { PublicIpAddress } = await see(instanceId);
    assert.match(PublicIpAddress!, /^127\./);
    const byAddress = { Filters: [{ Name: 'ip-address', Values: [PublicIpAddress!] }] };
    const { Reservations } = await ec2.send(new DescribeInstancesCommand(byAddress));
    assert.equal(Reservations![0]!.Instances![0]!.InstanceId, instanceId);
    assert.equal((await visit(PublicIpAddress!, sshPort)).trim(), `ingot-guest ${instanceId}`);
    const status = await ec2.send(new DescribeInstanceStatusCommand({ InstanceIds: [instanceId] }));
    assert.equal(status.InstanceStatuses![0]!.InstanceStatus?.Status, 'ok');
    assert.equal(status.InstanceStatuses![0]!.SystemStatus?.Status, 'ok');
  });

  test('L-21: the same token gives the same instance', async () => {
    assert.equal((await run(first)).InstanceId, instanceId);
    await assert.rejects(run({ ...first, MaxCount: 2 }), { name: 'IdempotentParameterMismatch' });
  });

  test('a volume comes and goes while the guest runs', async () => {
    const zone = (await see(instanceId)).Placement!.AvailabilityZone!;
    const made = await ec2.send(
      new CreateVolumeCommand({ AvailabilityZone: zone, Size: 1, Encrypted: true, KmsKeyId: keyArn }),
    );
    const VolumeId = made.VolumeId!;
    await until('the volume is available', async () => {
      const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId] }));
      return Volumes![0]!.State === 'available';
    });
    await ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId: instanceId, Device: '/dev/sdf' }));
    await untilConsole(instanceId, new RegExp(`vdb=${VolumeId.replace('-', '')} `));
    await ec2.send(new DetachVolumeCommand({ VolumeId }));
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId] }));
    assert.equal(Volumes![0]!.State, 'available');
  });

  test('kill -9: the guest waits for its disk, and goes on when Ingot is back', async () => {
    await ingot.kill();
    await ingot.restart();
    await connect();
    assert.equal((await see(instanceId)).State?.Name, 'running');
    const before = (await consoleOf(instanceId)).length;
    const said = await until('the guest reads its disk again', async () => {
      const all = await consoleOf(instanceId);
      return /reads token=56/.test(all.slice(before)) && all;
    });
    assert.equal(said.match(/ingot-boots/g)?.length, 1, 'the same guest, not booted again');
  });

  test('K-14: with the key disabled a launch is accepted and ends terminated; the running guest goes on (K-19)', async () => {
    await kms.send(new DisableKeyCommand({ KeyId: keyArn }));
    const refused = await run();
    assert.equal(refused.State?.Name, 'pending');
    const ended = await untilState(refused.InstanceId!, 'terminated');
    assert.deepEqual(ended.StateReason, {
      Code: 'Client.InvalidKMSKey.InvalidState',
      Message: 'Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state',
    });
    assert.equal(ended.StateTransitionReason, 'Client.InternalError');
    assert.deepEqual(ended.BlockDeviceMappings, []);
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({}));
    assert.ok(Volumes!.every((volume) => volume.Attachments!.every((each) => each.InstanceId !== refused.InstanceId)));
    const links = await ec2.send(
      new DescribeNetworkInterfacesCommand({
        Filters: [{ Name: 'attachment.instance-id', Values: [refused.InstanceId!] }],
      }),
    );
    assert.deepEqual(links.NetworkInterfaces, []);
    const before = (await consoleOf(instanceId)).length;
    await until('the running guest reads its disk', async () =>
      /reads/.test((await consoleOf(instanceId)).slice(before)),
    );
  });

  test('K-19: Ingot is stopped and started with the key disabled: the same guest goes on, reached as before', async () => {
    const { PublicIpAddress } = await see(instanceId);
    assert.equal(await ingot.stop(), 0);
    await ingot.restart();
    await connect();
    const before = (await consoleOf(instanceId)).length;
    const said = await until('the guest reads its disk and asks for a token', async () => {
      const all = await consoleOf(instanceId);
      return /reads token=56/.test(all.slice(before)) && all;
    });
    assert.equal(said.match(/ingot-boots/g)?.length, 1, 'the same guest, not booted again');
    assert.equal((await see(instanceId)).PublicIpAddress, PublicIpAddress);
    assert.equal((await visit(PublicIpAddress!, sshPort)).trim(), `ingot-guest ${instanceId}`);
  });

  test('K-16, K-17: a start without the key ends stopped; with it the guest remembers its first boot', async () => {
    await ec2.send(new StopInstancesCommand({ InstanceIds: [instanceId] }));
    const stopped = await untilState(instanceId, 'stopped');
    assert.equal(stopped.StateReason?.Code, 'Client.UserInitiatedShutdown');
    assert.match(await consoleOf(instanceId), /ingot-powering-off/);
    const { StartingInstances } = await ec2.send(new StartInstancesCommand({ InstanceIds: [instanceId] }));
    assert.equal(StartingInstances![0]!.CurrentState?.Name, 'pending');
    const again = await untilState(instanceId, 'stopped');
    assert.equal(again.StateReason?.Code, 'Client.InternalError');
    assert.equal(again.StateReason?.Message, 'Client.InternalError: Client error on launch');
    await kms.send(new EnableKeyCommand({ KeyId: keyArn }));
    await ec2.send(new StartInstancesCommand({ InstanceIds: [instanceId] }));
    await untilConsole(instanceId, /ingot-boots: 2/);
  });

  test('a reboot is a boot of the same instance', async () => {
    await ec2.send(new RebootInstancesCommand({ InstanceIds: [instanceId] }));
    await untilConsole(instanceId, /ingot-boots: 3/);
    assert.equal((await untilState(instanceId, 'running')).InstanceId, instanceId);
  });

  test('L-3: a terminated instance takes its root volume along, and no machine is left', async () => {
    const volumeId = (await see(instanceId)).BlockDeviceMappings![0]!.Ebs!.VolumeId!;
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    await untilState(instanceId, 'terminated');
    await until('the volume is gone', async () => {
      try {
        await ec2.send(new DescribeVolumesCommand({ VolumeIds: [volumeId] }));
        return false;
      } catch (error) {
        assert.equal((error as Error).name, 'InvalidVolume.NotFound');
        return true;
      }
    });
    assert.deepEqual(await filesHolding(marker), []);
  });
});
