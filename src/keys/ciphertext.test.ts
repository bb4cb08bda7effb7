import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { sealWithSalt } from '../crypto/aead.ts';
import { randomBytes } from '../crypto/random.ts';
import { SecretKey } from '../crypto/secret-key.ts';
import type { KeyId } from '../ids.ts';
import {
  ciphertextFields,
  encodeCiphertextHeader,
  openCiphertext,
  readCiphertextHeader,
  sealCiphertext,
} from './ciphertext.ts';
import type { SecretMaterial } from './records.ts';

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');
const KEY = '1234abcd-12ab-34cd-56ef-1234567890ab' as KeyId;

function material(): SecretMaterial {
  return { kind: 'secret', materialId: hex(randomBytes(32)), key: SecretKey.take(randomBytes(32)) };
}

/** Words short enough that pairs such as {a: 'bc'} and {ab: 'c'} turn up. */
const contexts = fc.dictionary(
  fc.string({ unit: 'grapheme', maxLength: 3 }),
  fc.string({ unit: 'grapheme', maxLength: 3 }),
  { maxKeys: 3 },
);
const sorted = (context: Record<string, string>) => JSON.stringify(Object.entries(context).sort());

test('ciphertext is as an independent implementation makes it', () => {
  const path = new URL('../../test/vectors/formats/kms-ciphertext.json', import.meta.url);
  const { tests } = JSON.parse(readFileSync(path, 'utf8')) as {
    tests: {
      keyId: KeyId;
      materialId: string;
      material: string;
      salt: string;
      context: Record<string, string>;
      plaintext: string;
      ciphertext: string;
    }[];
  };
  for (const one of tests) {
    const header = { keyId: one.keyId, materialId: one.materialId };
    assert.deepEqual(readCiphertextHeader(bytes(one.ciphertext)), header);
    const key = () => SecretKey.take(bytes(one.material));
    const fields = ciphertextFields(header, one.context);
    const sealed = sealWithSalt(key(), bytes(one.plaintext), fields, bytes(one.salt));
    assert.equal(hex(encodeCiphertextHeader(header)) + hex(sealed), one.ciphertext);
    const opened = openCiphertext({ materialId: one.materialId, key: key() }, bytes(one.ciphertext), one.context);
    assert.equal(opened && hex(opened), one.plaintext);
  }
});

test('kms 8.3, 11.2: what was encrypted decrypts for any bytes and context, whatever the order of its pairs', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), contexts, (plaintext, context) => {
      const current = material();
      const ciphertext = sealCiphertext(KEY, current, plaintext, context);
      const reversed = Object.fromEntries(Object.entries(context).reverse());
      assert.deepEqual(openCiphertext(current, ciphertext, reversed), new Uint8Array(plaintext));
      assert.deepEqual(readCiphertextHeader(ciphertext), { keyId: KEY, materialId: current.materialId });
    }),
  );
});

test('kms 8.6: no bit of a ciphertext can change', () => {
  const current = material();
  const ciphertext = sealCiphertext(KEY, current, bytes('00ff10'), { a: 'b' });
  for (let bit = 0; bit < ciphertext.byteLength * 8; bit++) {
    const flipped = ciphertext.slice();
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    const header = readCiphertextHeader(flipped);
    // A changed material id finds no material in a key; were it this one's, the seal would still not hold.
    const used = { ...current, materialId: header?.materialId ?? current.materialId };
    assert.equal(openCiphertext(used, flipped, { a: 'b' }), undefined, `bit ${bit}`);
  }
  for (let length = 0; length < ciphertext.byteLength; length++) {
    assert.equal(openCiphertext(current, ciphertext.subarray(0, length), { a: 'b' }), undefined, `length ${length}`);
  }
});

test('kms 11.2: another context does not open, and neither does a neighbour such as {ab: c} for {a: bc}', () => {
  fc.assert(
    fc.property(contexts, contexts, (one, other) => {
      const current = material();
      const ciphertext = sealCiphertext(KEY, current, new Uint8Array(1), one);
      const opens = openCiphertext(current, ciphertext, other) !== undefined;
      assert.equal(opens, sorted(one) === sorted(other));
    }),
  );
  const current = material();
  const ciphertext = sealCiphertext(KEY, current, new Uint8Array(1), { a: 'bc' });
  for (const context of [{ ab: 'c' }, { A: 'bc' }, { a: 'BC' }, {}, { a: 'bc', b: '' }] as Record<string, string>[]) {
    assert.equal(openCiphertext(current, ciphertext, context), undefined);
  }
});

test('kms 8.9: material of one key does not open what it sealed under the name of another', () => {
  const current = material();
  const ciphertext = sealCiphertext(KEY, current, new Uint8Array(8), {});
  const renamed = ciphertext.slice();
  renamed.set(
    encodeCiphertextHeader({ keyId: 'mrk-1234abcd12ab34cd56ef1234567890ab' as KeyId, materialId: current.materialId }),
  );
  assert.equal(readCiphertextHeader(renamed)?.keyId, 'mrk-1234abcd12ab34cd56ef1234567890ab');
  assert.equal(openCiphertext(current, renamed, {}), undefined);
});
