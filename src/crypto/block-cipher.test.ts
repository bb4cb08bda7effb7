import assert from 'node:assert/strict';
import { createCipheriv, createHash, createSecretKey, hkdfSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type BlockPlace, deriveSegmentKey, openBlock, sealBlockInto } from './block-cipher.ts';
import { encodeFields } from './fields.ts';

const secret = Buffer.from(Array.from({ length: 64 }, (_, i) => i));
const place: BlockPlace = {
  dataKeyId: '0b5e6a52-0000-4000-8000-000000000001',
  segment: Buffer.alloc(16, 0xa5),
  slot: 7,
};

test('a block is sealed exactly as docs/formats/segment.md says', () => {
  const plaintext = randomBytes(4096);
  const target = Buffer.alloc(4096);
  const tag = sealBlockInto(deriveSegmentKey(createSecretKey(secret), place.segment), place, plaintext, target);

  const info = Buffer.concat([Buffer.from('ingot block v1'), place.segment]);
  const key = Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), info, 32));
  const nonce = Buffer.from('000000000000000000000007', 'hex');
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(
    encodeFields([
      ['format', Buffer.from([0, 0, 0, 1])],
      ['data-key', place.dataKeyId],
      ['segment', place.segment],
      ['slot', Buffer.from([0, 0, 0, 7])],
    ]),
  );
  assert.deepEqual(target, Buffer.concat([cipher.update(plaintext), cipher.final()]));
  assert.deepEqual(Buffer.from(tag), cipher.getAuthTag());
});

const changes: [string, Partial<BlockPlace>][] = [
  ['another data key id', { dataKeyId: '0b5e6a52-0000-4000-8000-000000000002' }],
  ['another segment id', { segment: Buffer.alloc(16, 0xa4) }],
  ['another slot', { slot: 8 }],
];
test('a block opens in its place only', () => {
  const key = deriveSegmentKey(createSecretKey(secret), place.segment);
  const plaintext = randomBytes(524_288);
  const target = Buffer.alloc(524_288);
  const tag = sealBlockInto(key, place, plaintext, target);
  assert.ok(plaintext.equals(openBlock(key, place, target, tag)!));
  for (const [what, change] of changes) {
    assert.equal(openBlock(key, { ...place, ...change }, target, tag), undefined, what);
  }
});

interface Vector {
  readonly dataKey: string;
  readonly dataKeyId: string;
  readonly segment: string;
  readonly slot: number;
  readonly pattern: string;
  readonly ciphertextSha256: string;
  readonly tag: string;
}

test('blocks are sealed and open as a second implementation has them', () => {
  const file = new URL('../../test/vectors/formats/segment.json', import.meta.url);
  const { tests } = JSON.parse(readFileSync(file, 'utf8')) as { tests: readonly Vector[] };
  const bytes = (hex: string) => Buffer.from(hex, 'hex');
  for (const vector of tests) {
    const { dataKeyId, slot } = vector;
    const at = { dataKeyId, slot, segment: bytes(vector.segment) };
    const key = deriveSegmentKey(createSecretKey(bytes(vector.dataKey)), at.segment);
    const plaintext = Buffer.alloc(524_288, bytes(vector.pattern));
    const target = Buffer.alloc(plaintext.byteLength);
    const tag = sealBlockInto(key, at, plaintext, target);
    assert.equal(createHash('sha256').update(target).digest('hex'), vector.ciphertextSha256);
    assert.equal(Buffer.from(tag).toString('hex'), vector.tag);
    assert.ok(plaintext.equals(openBlock(key, at, target, bytes(vector.tag))!));
  }
});
