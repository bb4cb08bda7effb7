/** The root key sealed under a passphrase or a command's key, and secrets that never print, in a real server. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient } from '@aws-sdk/client-iam';
import {
  CreateKeyCommand,
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  KMSClient,
} from '@aws-sdk/client-kms';
import { GetSessionTokenCommand, STSClient } from '@aws-sdk/client-sts';
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

describe('replacing the root key', () => {
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
