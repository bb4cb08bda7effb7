import assert from 'node:assert/strict';
import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decryptSectors, deriveOverlayKey, encryptSectors, XTS_SECTOR_BYTES } from './xts.ts';

/** XTS from its definition (IEEE 1619), one AES block at a time: tweak by ECB, doubling in GF(2^128). */
function xtsByDefinition(key: Buffer, sector: number, plaintext: Buffer): Buffer {
  const ecb = (half: Buffer, block: Buffer): Buffer => {
    const cipher = createCipheriv('aes-256-ecb', half, null).setAutoPadding(false);
    return cipher.update(block);
  };
  const number = Buffer.alloc(16);
  number.writeBigUInt64LE(BigInt(sector));
  let tweak = ecb(key.subarray(32), number);
  const out: Buffer[] = [];
  for (let at = 0; at < plaintext.byteLength; at += 16) {
    const block = Buffer.from(plaintext.subarray(at, at + 16).map((byte, i) => byte ^ tweak[i]!));
    out.push(Buffer.from(ecb(key.subarray(0, 32), block).map((byte, i) => byte ^ tweak[i]!)));
    let carry = 0;
    tweak = Buffer.from(
      tweak.map((byte) => {
        const shifted = (byte << 1) | carry;
        carry = byte >> 7;
        return shifted & 0xff;
      }),
    );
    if (carry) tweak[0]! ^= 0x87;
  }
  return Buffer.concat(out);
}

test('sectors are XTS as IEEE 1619 defines it, the tweak being the sector number, also beyond 32 bits', () => {
  const bytes = randomBytes(64);
  const key = createSecretKey(bytes);
  for (const first of [0, 1, 255, 0xffff_ffff, 0x1_0000_0000, 2 ** 34 - 1]) {
    const plaintext = randomBytes(3 * XTS_SECTOR_BYTES);
    const ciphertext = Buffer.alloc(plaintext.byteLength);
    encryptSectors(key, first, plaintext, ciphertext);
    for (let i = 0; i < 3; i++) {
      const at = i * XTS_SECTOR_BYTES;
      const expected = xtsByDefinition(bytes, first + i, plaintext.subarray(at, at + XTS_SECTOR_BYTES));
      assert.ok(expected.equals(ciphertext.subarray(at, at + XTS_SECTOR_BYTES)), `sector ${first + i}`);
    }
    decryptSectors(key, first, ciphertext, ciphertext);
    assert.ok(plaintext.equals(ciphertext));
  }
});

test('each overlay has a key of its own', () => {
  const dataKey = createSecretKey(randomBytes(64));
  const keys = [deriveOverlayKey(dataKey, Buffer.alloc(16, 1)), deriveOverlayKey(dataKey, Buffer.alloc(16, 2))];
  assert.ok(!keys[0]!.equals(keys[1]!));
  assert.ok(keys[0]!.equals(deriveOverlayKey(dataKey, Buffer.alloc(16, 1))));
  assert.equal(keys[0]!.symmetricKeySize, 64);
});

interface Vector {
  readonly dataKey: string;
  readonly overlay: string;
  readonly sector: number;
  readonly pattern: string;
  readonly ciphertext: string;
}

test('sectors of overlays are as a second implementation has them', () => {
  const file = new URL('../../test/vectors/formats/overlay.json', import.meta.url);
  const { tests } = JSON.parse(readFileSync(file, 'utf8')) as { tests: readonly Vector[] };
  const bytes = (hex: string) => Buffer.from(hex, 'hex');
  for (const { dataKey, overlay, sector, pattern, ciphertext } of tests) {
    const key = deriveOverlayKey(createSecretKey(bytes(dataKey)), bytes(overlay));
    const plaintext = Buffer.alloc(XTS_SECTOR_BYTES, bytes(pattern));
    const target = Buffer.alloc(XTS_SECTOR_BYTES);
    encryptSectors(key, sector, plaintext, target);
    assert.equal(target.toString('hex'), ciphertext);
    decryptSectors(key, sector, target, target);
    assert.deepEqual(target, plaintext);
  }
});
