/** No byte of what is sealed lies anywhere in clear: not in the data directory, the log, or what processes show. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, it } from 'node:test';
import { promisify } from 'node:util';
import { CompleteSnapshotCommand, EBSClient, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  CreateKeyPairCommand,
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  CreateSnapshotCommand,
  DescribeVolumesCommand,
  EC2Client,
  RegisterImageCommand,
  RunInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient } from '@aws-sdk/client-iam';
import {
  CreateKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GetParametersForImportCommand,
  KMSClient,
} from '@aws-sdk/client-kms';
import { type Ingot, startIngot } from './ingot.ts';

const BLOCK_BYTES = 524_288;
/** A page of text that nothing else contains, and that no compression makes disappear. */
const marker = () => `clear text ${randomBytes(24).toString('hex')} `;
const blockOf = (text: string) => Buffer.alloc(BLOCK_BYTES, text);

let ingot: Ingot;
before(async () => {
  ingot = await startIngot({ environment: { INGOT_LOG: 'debug' } });
});
after(() => ingot[Symbol.asyncDispose]());

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function socketOf(volume: string): Promise<string> {
  const entries = await readdir(join(ingot.dataDir, 'run'), { recursive: true });
  const socket = entries.find((entry) => entry.includes(volume));
  assert.ok(socket, `no socket of ${volume} among ${entries.join(', ')}`);
  return join(ingot.dataDir, 'run', socket);
}

const noQemuIo = spawnSync('qemu-io', ['--version']).error ? 'qemu-io is not installed' : false;

it('K-2: leaves nothing of blocks, sectors, keys and secrets in clear', { skip: noQemuIo }, async (context) => {
  const config = await ingot.client();
  const ebs = new EBSClient(config);
  const ec2 = new EC2Client(config);
  const kms = new KMSClient(config);
  const waiter = { client: ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
  const secrets = new Map<string, Uint8Array>();
  const secret = (what: string, bytes: Uint8Array | string) =>
    secrets.set(what, typeof bytes === 'string' ? Buffer.from(bytes) : bytes);

  const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
  const KeyId = KeyMetadata!.Arn!;
  const put = marker();
  secret('a block put over the API', put);
  const { SnapshotId } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1, Encrypted: true, KmsKeyArn: KeyId }));
  const BlockData = blockOf(put);
  const Checksum = createHash('sha256').update(BlockData).digest('base64');
  await ebs.send(
    new PutSnapshotBlockCommand({
      SnapshotId,
      BlockIndex: 0,
      BlockData,
      DataLength: BLOCK_BYTES,
      Checksum,
      ChecksumAlgorithm: 'SHA256',
    }),
  );
  await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 1 }));
  await waitUntilSnapshotCompleted(waiter, { SnapshotIds: [SnapshotId!] });

  const { ImageId } = await ec2.send(
    new RegisterImageCommand({
      Name: 'golden-in-clear',
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId } }],
    }),
  );
  const userData = (what: string) => {
    const text = marker();
    const UserData = Buffer.from(text).toString('base64');
    secret(`${what}, as text`, text);
    secret(what, UserData);
    return UserData;
  };
  const LaunchTemplateName = 'with-user-data';
  await ec2.send(
    new CreateLaunchTemplateCommand({
      LaunchTemplateName,
      LaunchTemplateData: { UserData: userData('user data of a launch template') },
    }),
  );
  await ec2.send(
    new CreateLaunchTemplateVersionCommand({
      LaunchTemplateName,
      LaunchTemplateData: { UserData: userData('user data of its second version') },
      ClientToken: 'second',
    }),
  );
  const { Instances } = await ec2.send(
    new RunInstancesCommand({
      ImageId,
      InstanceType: 't3.micro',
      MinCount: 1,
      MaxCount: 1,
      UserData: userData('user data of an instance'),
    }),
  );
  const instance = Instances![0]!.InstanceId!;
  await waitUntilInstanceRunning(waiter, { InstanceIds: [instance] });

  const { Volumes } = await ec2.send(new DescribeVolumesCommand({}));
  const VolumeId = Volumes![0]!.VolumeId!;
  const written = 1 + (randomBytes(1)[0]! % 255);
  // qemu-io writes one byte over and over: a sector of it is as good as a text.
  secret('a sector written by the guest', Buffer.alloc(4096, written));
  const { stdout } = await promisify(execFile)('qemu-io', [
    '-f',
    'raw',
    '-c',
    `write -P ${written} 1M 64k`,
    '-c',
    'flush',
    '-c',
    `read -P ${written} 1M 64k`,
    `nbd+unix:///?socket=${await socketOf(VolumeId)}`,
  ]);
  assert.doesNotMatch(stdout, /verification failed/i);
  const snapshot = await ec2.send(new CreateSnapshotCommand({ VolumeId }));
  await waitUntilSnapshotCompleted(waiter, { SnapshotIds: [snapshot.SnapshotId!] });

  const plaintext = marker();
  secret('a plaintext given to KMS', plaintext);
  await kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from(plaintext) }));
  const dataKey = await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }));
  secret('a data key', dataKey.Plaintext!);
  const external = await kms.send(new CreateKeyCommand({ Origin: 'EXTERNAL' }));
  await kms.send(
    new GetParametersForImportCommand({
      KeyId: external.KeyMetadata!.KeyId!,
      WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
      WrappingKeySpec: 'RSA_2048',
    }),
  );
  const iam = new IAMClient(config);
  await iam.send(new CreateUserCommand({ UserName: 'ana' }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'ana' }));
  secret('the secret of an access key', AccessKey!.SecretAccessKey!);
  const pair = await ec2.send(new CreateKeyPairCommand({ KeyName: 'pair' }));
  secret('a private key of SSH', pair.KeyMaterial!.split('\n')[3]!);

  const found: string[] = [];
  let names = 0;
  const files = await filesBelow(ingot.dataDir);
  for (const file of files) {
    const bytes = await readFile(file);
    if (bytes.includes('golden-in-clear')) names += 1;
    for (const [what, needle] of secrets) if (bytes.includes(needle)) found.push(`${what} in ${file}`);
  }
  const said = Buffer.from(ingot.said);
  const shown = [
    ['the log', said],
    ['the command line', await readFile(`/proc/${ingot.pid}/cmdline`)],
    ['the environment', await readFile(`/proc/${ingot.pid}/environ`)],
  ] as const;
  for (const [where, bytes] of shown) {
    for (const [what, needle] of secrets) {
      const spelt = [needle, Buffer.from(needle).toString('base64'), Buffer.from(needle).toString('hex')];
      if (spelt.some((each) => bytes.includes(each))) found.push(`${what} in ${where}`);
    }
  }
  context.diagnostic(`${secrets.size} secrets looked for in ${files.length} files and ${said.byteLength} bytes of log`);
  assert.ok(names > 0, 'what is stored in clear is not found either: the search finds nothing');
  assert.deepEqual(found, []);
  assert.ok(files.some((file) => file.endsWith('-wal')) && files.some((file) => file.includes('segments')));
});
