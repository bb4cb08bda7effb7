/** The root key sealed under a passphrase or a command's key, and secrets that never print, in a real server. */
import assert from 'node:assert/strict';
import { createPublicKey, publicEncrypt } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { EBSClient, GetSnapshotBlockCommand, ListSnapshotBlocksCommand } from '@aws-sdk/client-ebs';
import * as ec2Sdk from '@aws-sdk/client-ec2';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import {
  CreateKeyCommand,
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GetParametersForImportCommand,
  ImportKeyMaterialCommand,
  KMSClient,
  ListKeysCommand,
} from '@aws-sdk/client-kms';
import {
  DecodeAuthorizationMessageCommand,
  GetCallerIdentityCommand,
  GetSessionTokenCommand,
  STSClient,
} from '@aws-sdk/client-sts';
import { openRootKey } from '../../src/crypto/root-key.ts';
import type { Db } from '../../src/db/db.ts';
import { openDb } from '../../src/db/sqlite.ts';
import { type SealedAnew, sealColumnAnew } from '../../src/root-key/seal-anew.ts';
import { migrations, SEALED_COLUMNS } from '../../src/schema.ts';
import { importBlocks } from '../machines/plain-snapshot.ts';
import { type Ingot, runIngot, startIngot } from './ingot.ts';

const PASSPHRASE = 'correct horse battery staple';
const KEY = 'c0ffee00'.repeat(8);

async function sealSomething(ingot: Ingot): Promise<() => Promise<void>> {
  const Plaintext = Buffer.from('hello');
  const first = new KMSClient(await ingot.client());
  const { KeyMetadata } = await first.send(new CreateKeyCommand({}));
  const { CiphertextBlob } = await first.send(new EncryptCommand({ KeyId: KeyMetadata!.KeyId!, Plaintext }));
  return async () => {
    const kms = new KMSClient(await ingot.client());
    const opened = await kms.send(new DecryptCommand({ CiphertextBlob: CiphertextBlob! }));
    assert.deepEqual(Buffer.from(opened.Plaintext!), Plaintext);
  };
}

describe('the root key', () => {
  it('opens with its passphrase, and the server says what is missing without it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ingot-passphrase-'));
    try {
      const file = join(folder, 'passphrase');
      await writeFile(file, `${PASSPHRASE}\n`, { mode: 0o600 });
      await using ingot = await startIngot({ environment: { INGOT_ROOT_PASSPHRASE_FILE: file } });
      const check = await sealSomething(ingot);
      await ingot.restart();
      await check();
      await ingot.stop();
      const without = await runIngot([
        'serve',
        '--data',
        ingot.dataDir,
        '--listen',
        '127.0.0.1:0',
        '--machines',
        'none',
      ]);
      assert.equal(without.code, 1);
      assert.match(without.stderr, /is sealed under a passphrase: name the file .* --root-passphrase-file$/m);
      await writeFile(file, 'something else', { mode: 0o600 });
      const wrong = await runIngot([
        'serve',
        '--data',
        ingot.dataDir,
        '--listen',
        '127.0.0.1:0',
        '--machines',
        'none',
        '--root-passphrase-file',
        file,
      ]);
      assert.equal(wrong.code, 1);
      assert.match(wrong.stderr, /does not open with this passphrase/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('opens with the key a command prints', async () => {
    await using ingot = await startIngot({ environment: { INGOT_ROOT_KEY_COMMAND: `echo ${KEY}` } });
    const check = await sealSomething(ingot);
    await ingot.restart();
    await check();
  });
});

/** Something in every place that the root key seals, and in the hands of clients; gives the checks that all of it opens. */
async function sealEverything(ingot: Ingot): Promise<() => Promise<void>> {
  const config = await ingot.client();
  const [kms, iam, ec2, ebs] = [
    new KMSClient(config),
    new IAMClient(config),
    new ec2Sdk.EC2Client(config),
    new EBSClient(config),
  ];
  const openSomething = await sealSomething(ingot);
  const UserName = `user-${Date.now()}`;
  await iam.send(new CreateUserCommand({ UserName }));
  const PolicyDocument = JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: ['sts:*'], Resource: '*' }],
  });
  await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'p', PolicyDocument }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  const user = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
  const { Credentials: made } = await new STSClient(await ingot.client('eu-central-1', user)).send(
    new GetSessionTokenCommand({}),
  );
  const session = {
    accessKeyId: made!.AccessKeyId!,
    secretAccessKey: made!.SecretAccessKey!,
    sessionToken: made!.SessionToken!,
  };

  const snapshot = await importBlocks(config);
  const waiter = { client: ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
  const { ImageId } = await ec2.send(
    new ec2Sdk.RegisterImageCommand({
      Name: `image of ${snapshot}`,
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: snapshot } }],
    }),
  );
  const UserData = Buffer.from('secret of an instance').toString('base64');
  const LaunchTemplateName = `template-${snapshot}`;
  await ec2.send(
    new ec2Sdk.CreateLaunchTemplateCommand({ LaunchTemplateName, LaunchTemplateData: { UserData, ImageId: ImageId! } }),
  );
  const { Instances } = await ec2.send(
    new ec2Sdk.RunInstancesCommand({
      MinCount: 1,
      MaxCount: 1,
      InstanceType: 't3.micro',
      LaunchTemplate: { LaunchTemplateName },
    }),
  );
  const InstanceId = Instances![0]!.InstanceId!;
  await ec2Sdk.waitUntilInstanceRunning(waiter, { InstanceIds: [InstanceId] });
  const { Blocks } = await ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: snapshot }));
  const { BlockToken } = Blocks![0]!;

  const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Origin: 'EXTERNAL' }));
  const KeyId = KeyMetadata!.KeyId!;
  const parameters = await kms.send(
    new GetParametersForImportCommand({
      KeyId,
      WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
      WrappingKeySpec: 'RSA_2048',
    }),
  );
  const wrapped = publicEncrypt(
    {
      key: createPublicKey({ key: Buffer.from(parameters.PublicKey!), format: 'der', type: 'spki' }),
      oaepHash: 'sha256',
    },
    Buffer.alloc(32, 7),
  );
  const denial: Error = await new KMSClient(await ingot.client('eu-central-1', user))
    .send(new ListKeysCommand({}))
    .then(
      () => assert.fail('allowed'),
      (error: Error) => error,
    );
  assert.equal(denial.name, 'AccessDeniedException');
  const refusedLaunch = await new ec2Sdk.EC2Client(await ingot.client('eu-central-1', user))
    .send(new ec2Sdk.DeregisterImageCommand({ ImageId: ImageId! }))
    .then(
      () => assert.fail('allowed'),
      (error: Error) => error.message,
    );
  const EncodedMessage = /failure message: (\S+)/.exec(refusedLaunch)?.[1] ?? '';

  return async () => {
    await openSomething();
    const now = await ingot.client();
    const asUser = new STSClient(await ingot.client('eu-central-1', user));
    await asUser.send(new GetCallerIdentityCommand({}));
    await new STSClient(await ingot.client('eu-central-1', session)).send(new GetCallerIdentityCommand({}));
    const { DecodedMessage } = await asUser.send(new DecodeAuthorizationMessageCommand({ EncodedMessage }));
    assert.match(DecodedMessage ?? '', /ec2:DeregisterImage/);
    const ec2Now = new ec2Sdk.EC2Client(now);
    const { LaunchTemplateVersions } = await ec2Now.send(
      new ec2Sdk.DescribeLaunchTemplateVersionsCommand({ LaunchTemplateName }),
    );
    assert.equal(LaunchTemplateVersions![0]!.LaunchTemplateData!.UserData, UserData);
    const attribute = await ec2Now.send(
      new ec2Sdk.DescribeInstanceAttributeCommand({ InstanceId, Attribute: 'userData' }),
    );
    assert.equal(attribute.UserData?.Value, UserData);
    const block = await new EBSClient(now).send(
      new GetSnapshotBlockCommand({ SnapshotId: snapshot, BlockIndex: 0, BlockToken }),
    );
    assert.deepEqual((await block.BlockData!.transformToByteArray()).subarray(0, 2), new Uint8Array([1, 1]));
    // The volume of the instance was opened anew: its data key is another copy of the lineage's.
    const { Volumes } = await ec2Now.send(new ec2Sdk.DescribeVolumesCommand({}));
    assert.ok(Volumes!.every(({ State }) => State === 'in-use'));
    await new KMSClient(now).send(
      new ImportKeyMaterialCommand({
        KeyId,
        ImportToken: parameters.ImportToken!,
        EncryptedKeyMaterial: wrapped,
        ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      }),
    );
  };
}

/** What the newest root key alone opens, of everything that is sealed; the server is not running. */
async function openWithTheNewestAlone(dataDir: string): Promise<{ keys: number; rows: number; others: string[] }> {
  const rootKey = await openRootKey(dataDir, { create: false });
  const db = await openDb(join(dataDir, 'ingot.db'), migrations(rootKey));
  try {
    const done: SealedAnew[] = [];
    const untouched = { ...db, write: () => assert.fail('something was not under the newest root key') };
    const reading = { ...untouched, read: () => db.read() } as unknown as Db;
    for (const column of SEALED_COLUMNS) done.push(await sealColumnAnew(reading, rootKey, column));
    const others = done.filter(({ unreadable }) => unreadable > 0).map(({ table, column }) => `${table}.${column}`);
    return { keys: rootKey.keyCount, rows: done.reduce((sum, { rows }) => sum + rows, 0), others };
  } finally {
    await db.close();
  }
}

describe('replacing the root key', () => {
  it('leaves nothing to the earlier keys: the newest alone opens everything, and what clients hold goes on', async () => {
    await using ingot = await startIngot({ environment: { INGOT_LOG: 'info' } });
    const checks = [await sealEverything(ingot)];
    const file = join(ingot.dataDir, 'root.key');
    const oneKey = (await readFile(file)).byteLength;
    for (const delayMs of [0, 5, 20]) {
      ingot.signal('SIGUSR2');
      await setTimeout(delayMs);
      await ingot.kill();
      await ingot.restart();
    }
    ingot.signal('SIGUSR2');
    await said(ingot, 'the root key was replaced');
    // At work, the earlier keys stay for whatever is still held; the next start ends it before anything is read.
    assert.ok((await readFile(file)).byteLength > oneKey);
    checks.push(await sealEverything(ingot));
    await ingot.kill();
    await ingot.restart();
    await said(ingot, 'were dropped');
    assert.equal((await readFile(file)).byteLength, oneKey);
    await ingot.stop();
    const { keys, rows, others } = await openWithTheNewestAlone(ingot.dataDir);
    assert.deepEqual([keys, others], [1, []]);
    assert.ok(rows > 20, `only ${rows} rows`);
    await ingot.restart();
    for (const check of checks) await check();
  });

  it('happens while the server works, and the earlier key opens the database no longer', async () => {
    await using ingot = await startIngot({ environment: { INGOT_LOG: 'info', INGOT_ROOT_KEY_COMMAND: `echo ${KEY}` } });
    const file = join(ingot.dataDir, 'root.key');
    const check = await sealSomething(ingot);
    const earlier = await readFile(file);
    let busy = true;
    const load = (async () => {
      while (busy) await (await sealSomething(ingot))();
    })();
    ingot.signal('SIGUSR2');
    await said(ingot, 'the root key was replaced');
    busy = false;
    await load;
    await check();
    await ingot.restart();
    await check();
    await ingot.stop();

    await writeFile(file, earlier, { mode: 0o600 });
    const refused = await runIngot(
      ['serve', '--data', ingot.dataDir, '--listen', '127.0.0.1:0', '--machines', 'none'],
      { INGOT_ROOT_KEY_COMMAND: `echo ${KEY}` },
    );
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /the root key beside this database/);
  });

  it('may be interrupted at any moment: what was acknowledged opens, and the next start ends it', async () => {
    await using ingot = await startIngot({ environment: { INGOT_LOG: 'info' } });
    const checks: (() => Promise<void>)[] = [];
    for (const delayMs of [0, 3, 9]) {
      checks.push(await sealSomething(ingot));
      ingot.signal('SIGUSR2');
      await setTimeout(delayMs);
      await ingot.kill();
      await ingot.restart();
      for (const check of checks) await check();
    }
  });
});

async function said(ingot: Ingot, sentence: string): Promise<void> {
  for (let round = 0; round < 1000 && !ingot.said.includes(sentence); round += 1) await setTimeout(10);
  assert.ok(ingot.said.includes(sentence), ingot.said);
}

describe('secrets', () => {
  it('stand in no log and no audit record, whatever the log level', async () => {
    await using ingot = await startIngot({
      environment: { INGOT_LOG: 'debug', INGOT_ROOT_KEY_COMMAND: `echo ${KEY}` },
    });
    const root = await ingot.root();
    const iam = new IAMClient(await ingot.client());
    await iam.send(new CreateUserCommand({ UserName: 'ann' }));
    const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'ann' }));
    const ann = { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
    const session = await new STSClient(await ingot.client('eu-central-1', ann)).send(new GetSessionTokenCommand({}));
    const kms = new KMSClient(await ingot.client());
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
    const KeyId = KeyMetadata!.KeyId!;
    const { Plaintext } = await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }));
    await kms.send(new EncryptCommand({ KeyId, Plaintext: Buffer.from('a very secret plaintext') }));
    // Refusals and failures have more to say than successes.
    await assert.rejects(kms.send(new DecryptCommand({ CiphertextBlob: Buffer.alloc(200) })));
    await assert.rejects(new KMSClient(await ingot.client('eu-central-1', ann)).send(new CreateKeyCommand({})));
    await ingot.stop();

    const secrets = [
      root.secretAccessKey,
      ann.secretAccessKey,
      session.Credentials!.SecretAccessKey!,
      session.Credentials!.SessionToken!,
      'a very secret plaintext',
      KEY,
    ].flatMap((text) => [
      text,
      Buffer.from(text).toString('base64').replace(/=+$/, ''),
      Buffer.from(text).toString('hex'),
    ]);
    secrets.push(
      Buffer.from(Plaintext!).toString('base64').replace(/=+$/, ''),
      Buffer.from(Plaintext!).toString('hex'),
    );
    const database = await readFile(join(ingot.dataDir, 'ingot.db'));
    for (const secret of secrets) {
      assert.ok(!ingot.said.includes(secret), `the log shows ${secret.slice(0, 4)}…`);
      assert.ok(!database.includes(secret), `the database shows ${secret.slice(0, 4)}…`);
    }
    assert.ok(!database.includes(Buffer.from(Plaintext!)));
  });
});
