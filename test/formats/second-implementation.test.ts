/** What Ingot sealed, opened by docs/formats/ alone: a second implementation in Python, over vectors and real data. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CompleteSnapshotCommand, EBSClient, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import { CreateKeyCommand, EncryptCommand, KMSClient, RotateKeyOnDemandCommand } from '@aws-sdk/client-kms';
import { missing, runProgram } from '../clients/programs.ts';
import { Ingot, REPOSITORY } from '../house/ingot.ts';

const BLOCK_BYTES = 524_288;
const OPEN = `${REPOSITORY}test/vectors/formats/open.py`;
const environment = { PYTHONDONTWRITEBYTECODE: '1' };

async function open(...words: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await runProgram('python3', [OPEN, ...words], { environment });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

const skip = missing('python3', ['-c', 'import cryptography'], 'pyca/cryptography');

describe('a second implementation of the formats', { skip }, () => {
  it('opens every vector', async () => {
    assert.deepEqual(await open('vectors'), { opened: 41 });
  });

  describe('of a data directory', () => {
    let ingot: Ingot;
    const ciphertexts: { text: string; blob: string; context: Record<string, string> }[] = [];
    const blocks = [7, 300].map((index) => ({ index, data: Buffer.alloc(BLOCK_BYTES, `block ${index}, `) }));
    const snapshots: string[] = [];

    before(async () => {
      ingot = await Ingot.start();
      const config = await ingot.client();
      const kms = new KMSClient(config);
      const KeyId = (await kms.send(new CreateKeyCommand({}))).KeyMetadata!.Arn!;
      for (const text of ['before its rotation', 'after it']) {
        const context = { purpose: 'a test', ünits: '°C' };
        const request = { KeyId, Plaintext: Buffer.from(text), EncryptionContext: context };
        const { CiphertextBlob } = await kms.send(new EncryptCommand(request));
        ciphertexts.push({ text, blob: Buffer.from(CiphertextBlob!).toString('base64'), context });
        await kms.send(new RotateKeyOnDemandCommand({ KeyId }));
      }
      const ebs = new EBSClient(config);
      for (const encryption of [{ Encrypted: true, KmsKeyArn: KeyId }, {}]) {
        const { SnapshotId } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1, ...encryption }));
        for (const { index, data } of blocks) {
          const Checksum = createHash('sha256').update(data).digest('base64');
          await ebs.send(
            new PutSnapshotBlockCommand({
              SnapshotId,
              BlockIndex: index,
              BlockData: data,
              DataLength: BLOCK_BYTES,
              Checksum,
              ChecksumAlgorithm: 'SHA256',
            }),
          );
        }
        await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: blocks.length }));
        snapshots.push(SnapshotId!);
      }
      await ingot.stop();
    });
    after(() => ingot[Symbol.asyncDispose]());

    it('opens KMS ciphertext, also of material that was rotated away', async () => {
      for (const { text, blob, context } of ciphertexts) {
        const { plaintext } = (await open('decrypt', ingot.dataDir, blob, JSON.stringify(context))) as {
          plaintext: string;
        };
        assert.equal(Buffer.from(plaintext, 'base64').toString(), text);
      }
    });

    it('does not open it with another context', async () => {
      const { code } = await runProgram('python3', [OPEN, 'decrypt', ingot.dataDir, ciphertexts[0]!.blob, '{}'], {
        environment,
      });
      assert.notEqual(code, 0);
    });

    it('opens sealed blocks of snapshots, under a KMS key and under the root key', async () => {
      for (const snapshot of snapshots) {
        for (const { index, data } of blocks) {
          const sha256 = createHash('sha256').update(data).digest('hex');
          assert.deepEqual(await open('block', ingot.dataDir, snapshot, String(index)), { sha256 });
        }
        assert.deepEqual(await open('block', ingot.dataDir, snapshot, '8'), { sha256: null });
      }
    });
  });
});
