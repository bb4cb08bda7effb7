/** Sealing against published vectors, our own formats against an independent implementation, and its properties. */
import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { IntegrityError } from '../errors.ts';
import { MESSAGE_BYTES_MAX, open, SEAL_OVERHEAD_BYTES, seal, sealWithSalt, tryOpen } from './aead.ts';
import { encodeFields, type Field, type Fields } from './fields.ts';
import { gcmOpen, gcmSeal } from './gcm.ts';
import { equalInConstantTime, sha256Hex } from './hash.ts';
import { hkdf } from './hkdf.ts';
import { randomBytes } from './random.ts';
import { SecretKey } from './secret-key.ts';

type JsonFields = [string, string | { hex: string }][];

const vectors = <Test>(file: string): Test[] =>
  (JSON.parse(readFileSync(new URL(`../../test/vectors/${file}`, import.meta.url), 'utf8')) as { tests: Test[] }).tests;
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');
const secret = (value: string) => SecretKey.take(bytes(value));
const fieldsOf = (fields: JsonFields): Fields =>
  fields.map(([name, value]): Field => [name, typeof value === 'string' ? value : bytes(value.hex)]);

test('AES-256-GCM agrees with the vectors of NIST, those that must fail included', () => {
  const tests = vectors<{
    key: string;
    nonce: string;
    aad: string;
    plaintext: string;
    ciphertext: string;
    tag: string;
    valid: boolean;
  }>('nist/aes-256-gcm.json');
  assert.ok(tests.some((one) => !one.valid));
  for (const one of tests) {
    const key = createSecretKey(bytes(one.key));
    const sealed = bytes(one.ciphertext + one.tag);
    const opened = gcmOpen(key, bytes(one.nonce), bytes(one.aad), sealed);
    assert.equal(opened && hex(opened), one.valid ? one.plaintext : undefined);
    if (one.valid)
      assert.deepEqual(hex(gcmSeal(key, bytes(one.nonce), bytes(one.aad), bytes(one.plaintext))), hex(sealed));
  }
});

test('HKDF-SHA256 agrees with RFC 5869', () => {
  for (const one of vectors<{ ikm: string; salt: string; info: string; length: number; okm: string }>(
    'nist/hkdf-sha256.json',
  )) {
    assert.equal(hex(hkdf(secret(one.ikm), bytes(one.salt), bytes(one.info), one.length)), one.okm);
  }
});

test('named fields are encoded as an independent implementation does', () => {
  for (const one of vectors<{ fields: JsonFields; encoded: string }>('formats/fields.json')) {
    assert.equal(hex(encodeFields(fieldsOf(one.fields))), one.encoded);
  }
});

test('no two lists of fields share an encoding', () => {
  const field = fc.tuple(fc.string({ unit: 'grapheme', maxLength: 4 }), fc.string({ unit: 'grapheme', maxLength: 4 }));
  fc.assert(
    fc.property(fc.array(field, { maxLength: 3 }), fc.array(field, { maxLength: 3 }), (one, other) => {
      const same = JSON.stringify(one) === JSON.stringify(other);
      assert.equal(hex(encodeFields(one)) === hex(encodeFields(other)), same);
    }),
  );
  assert.notEqual(hex(encodeFields([['a', 'bc']])), hex(encodeFields([['ab', 'c']])));
});

test('text that UTF-8 cannot tell apart is refused', () => {
  assert.throws(() => encodeFields([['a', '\ud800']]), TypeError);
});

test('sealed messages are as an independent implementation makes them', () => {
  for (const one of vectors<{ key: string; salt: string; fields: JsonFields; plaintext: string; sealed: string }>(
    'formats/sealed-message.json',
  )) {
    const fields = fieldsOf(one.fields);
    assert.equal(hex(sealWithSalt(secret(one.key), bytes(one.plaintext), fields, bytes(one.salt))), one.sealed);
    assert.equal(hex(open(secret(one.key), bytes(one.sealed), fields, 'a vector')), one.plaintext);
  }
});

test('what was sealed opens, and with any bit, field or key changed does not', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 20 })), { maxLength: 4 }),
      fc.nat(),
      (plaintext, fields, position) => {
        const key = SecretKey.take(randomBytes(32));
        const sealed = seal(key, plaintext, fields);
        assert.equal(sealed.byteLength, plaintext.byteLength + SEAL_OVERHEAD_BYTES);
        assert.deepEqual(open(key, sealed, fields, 'it'), new Uint8Array(plaintext));
        const flipped = sealed.slice();
        flipped[position % flipped.byteLength]! ^= 1 << (position % 8);
        assert.equal(tryOpen(key, flipped, fields), undefined);
        assert.equal(tryOpen(key, sealed, [...fields, ['more', '']]), undefined);
        assert.equal(tryOpen(SecretKey.take(randomBytes(32)), sealed, fields), undefined);
        assert.equal(tryOpen(key, sealed.subarray(0, position % sealed.byteLength), fields), undefined);
      },
    ),
  );
});

test('equal messages are sealed differently every time', () => {
  const key = SecretKey.take(randomBytes(32));
  const seen = new Set(Array.from({ length: 200 }, () => hex(seal(key, new Uint8Array(8), []))));
  assert.equal(seen.size, 200);
});

test('a stored message that does not open is an integrity error that names it and tells nothing', () => {
  const key = SecretKey.take(randomBytes(32));
  assert.throws(
    () => open(key, new Uint8Array(80), [], 'key material 1 of arn:x'),
    (error: unknown) => error instanceof IntegrityError && error.message.startsWith('key material 1 of arn:x is not'),
  );
});

test('messages too long and keys of another size are refused before anything is sealed', () => {
  assert.throws(() => seal(SecretKey.take(randomBytes(32)), new Uint8Array(MESSAGE_BYTES_MAX + 1), []), RangeError);
  assert.throws(() => seal(SecretKey.take(randomBytes(16)), new Uint8Array(1), []), RangeError);
});

test('digests and comparison', () => {
  assert.equal(sha256Hex('a', 'bc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  assert.equal(equalInConstantTime(bytes('00ff'), bytes('00ff')), true);
  assert.equal(equalInConstantTime(bytes('00ff'), bytes('00fe')), false);
  assert.equal(equalInConstantTime(bytes('00ff'), bytes('00')), false);
});
