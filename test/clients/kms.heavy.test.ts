/** KMS keys through the AWS CLI beside OpenSSL: what one side seals or signs, the other opens or verifies. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Ingot, startIngot } from '../house/ingot.ts';
import { missing, profileEnvironment, runProgram } from './programs.ts';

const withoutClis = missing('aws', ['--version'], 'the AWS CLI') || missing('openssl', ['version'], 'OpenSSL');

let ingot: Ingot;
let files: string;

before(async () => {
  ingot = await startIngot();
  files = await mkdtemp(join(tmpdir(), 'ingot-kms-'));
});
after(async () => {
  await ingot?.[Symbol.asyncDispose]();
  if (files) await rm(files, { recursive: true });
});

async function run(program: string, line: string): Promise<string> {
  const options = { environment: profileEnvironment(ingot, 'ingot'), cwd: files };
  const { code, stdout, stderr } = await runProgram(program, line.trim().split(/\s+/), options);
  assert.equal(code, 0, `${program} ${line}: ${stderr}${stdout}`);
  return stdout.trim();
}
/** One value of the answer, as text. */
const kms = (line: string, query: string) => run('aws', `kms ${line} --query ${query} --output text`);
/** A blob of the answer, into a file. */
async function blob(name: string, line: string, query: string): Promise<void> {
  await writeFile(join(files, name), Buffer.from(await kms(line, query), 'base64'));
}
const openssl = (line: string) => run('openssl', line);

const PSS = '-pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest';
const OAEP = '-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256';

describe('the AWS CLI and OpenSSL', { skip: withoutClis }, () => {
  it('kms 10.3: OpenSSL verifies what Sign signs, over messages and over digests', async () => {
    await writeFile(join(files, 'message'), 'a golden image');
    await openssl('dgst -sha256 -binary -out digest message');
    const rsa = await kms('create-key --key-spec RSA_2048 --key-usage SIGN_VERIFY', 'KeyMetadata.KeyId');
    const curve = await kms('create-key --key-spec ECC_SECG_P256K1 --key-usage SIGN_VERIFY', 'KeyMetadata.KeyId');
    const cases = [
      [rsa, 'RSASSA_PSS_SHA_256', 'DIGEST', 'digest', `-pkeyopt digest:sha256 ${PSS}`],
      [rsa, 'RSASSA_PKCS1_V1_5_SHA_256', 'RAW', 'message', '-pkeyopt digest:sha256'],
      [curve, 'ECDSA_SHA_256', 'DIGEST', 'digest', '-pkeyopt digest:sha256'],
    ] as const;
    for (const [key, algorithm, type, file, options] of cases) {
      await blob('public.der', `get-public-key --key-id ${key}`, 'PublicKey');
      const request = `--key-id ${key} --signing-algorithm ${algorithm} --message-type ${type} --message fileb://${file}`;
      await blob('signature', `sign ${request}`, 'Signature');
      const verify = `pkeyutl -verify -pubin -inkey public.der -keyform DER -in digest -sigfile signature ${options}`;
      assert.match(await openssl(verify), /Signature Verified Successfully/, algorithm);
    }
  });

  it('kms 8.4: Decrypt opens what OpenSSL sealed under the public key', async () => {
    const key = await kms('create-key --key-spec RSA_3072 --key-usage ENCRYPT_DECRYPT', 'KeyMetadata.KeyId');
    await blob('public.der', `get-public-key --key-id ${key}`, 'PublicKey');
    await writeFile(join(files, 'plain'), 'from outside');
    await openssl(`pkeyutl -encrypt -pubin -inkey public.der -keyform DER -in plain -out sealed ${OAEP}`);
    const algorithm = '--encryption-algorithm RSAES_OAEP_SHA_256';
    await blob('opened', `decrypt --key-id ${key} ${algorithm} --ciphertext-blob fileb://sealed`, 'Plaintext');
    assert.equal(await readFile(join(files, 'opened'), 'utf8'), 'from outside');
  });

  it('kms 17.1: material that OpenSSL wrapped is imported, replicated to another Region and deleted', async () => {
    const key = await kms('create-key --origin EXTERNAL --multi-region', 'KeyMetadata.KeyId');
    const wrapping = '--wrapping-algorithm RSAES_OAEP_SHA_256 --wrapping-key-spec RSA_2048';
    const answer = JSON.parse(
      await run('aws', `kms get-parameters-for-import --key-id ${key} ${wrapping} --output json`),
    );
    await writeFile(join(files, 'wrapping.der'), Buffer.from(answer.PublicKey, 'base64'));
    await writeFile(join(files, 'token'), Buffer.from(answer.ImportToken, 'base64'));
    await writeFile(join(files, 'material'), new Uint8Array(32).fill(7));
    await openssl(`pkeyutl -encrypt -pubin -inkey wrapping.der -keyform DER -in material -out wrapped ${OAEP}`);
    const bytes = '--encrypted-key-material fileb://wrapped --import-token fileb://token';
    const forever = '--expiration-model KEY_MATERIAL_DOES_NOT_EXPIRE';
    await run('aws', `kms import-key-material --key-id ${key} ${bytes} ${forever}`);
    assert.equal(await kms(`describe-key --key-id ${key}`, 'KeyMetadata.KeyState'), 'Enabled');
    const replicate = `replicate-key --key-id ${key} --replica-region eu-west-1`;
    assert.equal(await kms(replicate, 'ReplicaKeyMetadata.KeyState'), 'Creating');
    await run('aws', `kms delete-imported-key-material --key-id ${key}`);
    assert.equal(await kms(`describe-key --key-id ${key}`, 'KeyMetadata.KeyState'), 'PendingImport');
  });
});
