import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { continuation, hostKeysIn, userIn } from './console-text.ts';

const WINDOW = 65_536;

describe('what a console says next', () => {
  it('is all of it and nothing twice, while no more comes at a time than the console keeps', () => {
    const parts = fc.array(fc.string({ minLength: 1, maxLength: 3000, unit: 'grapheme-ascii' }), { maxLength: 60 });
    fc.assert(
      fc.property(parts, (pieces) => {
        // Numbered, for a text that repeats itself does not tell where it goes on.
        const lines = pieces.map((piece, index) => `${index}:${piece}\n`);
        let [all, before, told] = ['', '', ''];
        for (const line of lines) {
          all += line;
          const now = all.slice(-WINDOW);
          const next = continuation(before, now);
          assert.equal(next.gap, false);
          told += next.text;
          before = now;
        }
        assert.equal(told, all);
      }),
    );
  });

  it('says where something is missing', () => {
    assert.deepEqual(continuation('a'.repeat(5000), 'b'.repeat(5000)), { text: 'b'.repeat(5000), gap: true });
    assert.deepEqual(continuation('', 'first'), { text: 'first', gap: false });
  });
});

const CONSOLE = `
ci-info: ++++++++Authorized keys from /home/debian/.ssh/authorized_keys for user debian++++++++
<14>Nov 23 17:42:46 cloud-init: #############################################################
-----BEGIN SSH HOST KEY KEYS-----\r
ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= root@ip-172-31-9-215\r
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 root@ip-172-31-9-215\r
evil -oProxyCommand=sh
-----END SSH HOST KEY KEYS-----
`;

describe('what cloud-init prints', () => {
  it('names the host keys, and nothing that is none', () => {
    assert.deepEqual(hostKeysIn(CONSOLE), [
      'ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY=',
      'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5',
    ]);
    assert.deepEqual(hostKeysIn('no keys here'), []);
  });

  it('of several boots gives the newest keys', () => {
    const again = CONSOLE.replaceAll('AAAAC3NzaC1lZDI1NTE5', 'NEWER');
    assert.equal(hostKeysIn(CONSOLE + again)[1], 'ssh-ed25519 NEWER');
  });

  it('names the user who may log in', () => {
    assert.equal(userIn(CONSOLE), 'debian');
    assert.equal(userIn('login:'), undefined);
  });
});
