import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { RootKeyError } from './crypto/root-key.ts';
import { readProtection, wipe } from './root-key-source.ts';

async function fromFile(content: string | Uint8Array, mode = 0o600) {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-passphrase-'));
  const file = join(folder, 'passphrase');
  try {
    await writeFile(file, content);
    await chmod(file, mode);
    const protection = await readProtection({ kind: 'passphrase', file });
    return protection.kind === 'passphrase' ? Buffer.from(protection.passphrase).toString() : '';
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function fromCommand(command: string): Promise<string> {
  const protection = await readProtection({ kind: 'command', command });
  return protection.kind === 'command' ? Buffer.from(protection.key).toString('hex') : '';
}

describe('a passphrase file', () => {
  it('gives the passphrase without the line break at its end', async () => {
    assert.equal(await fromFile('correct horse\n'), 'correct horse');
    assert.equal(await fromFile('correct horse\r\n'), 'correct horse');
    assert.equal(await fromFile(' correct  horse \n\n'), ' correct  horse \n');
  });
  it('is refused when it is short, long, missing, or for everybody to read', async () => {
    await assert.rejects(fromFile('too short\n'), RootKeyError);
    await assert.rejects(fromFile('x'.repeat(4097)), RootKeyError);
    await assert.rejects(fromFile('correct horse', 0o604), /chmod o=/);
    await assert.rejects(readProtection({ kind: 'passphrase', file: '/nonexistent' }), RootKeyError);
  });
});

describe('a command', () => {
  const hex = '0123456789abcdef'.repeat(4);
  it('prints the key as digits or base64', async () => {
    assert.equal(await fromCommand(`echo ${hex}`), hex);
    assert.equal(await fromCommand(`printf %s ${Buffer.from(hex, 'hex').toString('base64')}`), hex);
  });
  it('is refused when it fails or prints anything else, and the message shows nothing of it', async () => {
    const wrong = [`echo ${hex}; exit 3`, `echo ${hex}00`, 'true', `kill -9 $$`, `yes ${hex} | head -c 100000`];
    for (const command of wrong) {
      await assert.rejects(fromCommand(command), (error: Error) => {
        assert.ok(error instanceof RootKeyError);
        assert.ok(!error.message.includes('0123'), error.message);
        return true;
      });
    }
  });
});

it('a secret is overwritten once it was used', async () => {
  const protection = await readProtection({ kind: 'command', command: `echo ${'ab'.repeat(32)}` });
  wipe(protection);
  assert.deepEqual(protection, { kind: 'command', key: new Uint8Array(32) });
});
