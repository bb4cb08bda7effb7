import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSshKeyPair, readSshPublicKey } from './ssh-keys.ts';

const noSshKeygen = spawnSync('ssh-keygen', ['-?']).error ? 'ssh-keygen is not installed' : false;

for (const type of ['rsa', 'ed25519'] as const) {
  test(`a new ${type} pair: ssh-keygen finds the public half in the private one`, { skip: noSshKeygen }, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'ingot-ssh-'));
    try {
      const pair = await createSshKeyPair(type);
      const path = join(dir, 'key');
      await writeFile(path, pair.privateKey, { mode: 0o600 });
      const { stdout, stderr } = spawnSync('ssh-keygen', ['-y', '-f', path], { encoding: 'utf8' });
      assert.equal(stdout.trim().split(' ').slice(0, 2).join(' '), pair.publicKey, stderr);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  test(`a new ${type} pair can be imported`, async () => {
    const pair = await createSshKeyPair(type);
    const read = readSshPublicKey(Buffer.from(`${pair.publicKey} somebody@somewhere\n`));
    assert.equal(read?.publicKey, pair.publicKey);
    assert.match(pair.fingerprint, type === 'rsa' ? /^([0-9a-f]{2}:){19}[0-9a-f]{2}$/ : /^[A-Za-z0-9+/]{43}=$/);
    assert.match(read?.fingerprint ?? '', type === 'rsa' ? /^([0-9a-f]{2}:){15}[0-9a-f]{2}$/ : /=$/);
  });
}

test('what is no public key that EC2 takes is not read', () => {
  for (const text of [
    '',
    'ssh-rsa',
    'ssh-rsa AAAA',
    'ssh-dss AAAAB3NzaC1kc3M=',
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5',
    '{}',
  ]) {
    assert.equal(readSshPublicKey(Buffer.from(text)), undefined, text);
  }
});
