/** Signatures, MACs and public-key encryption against published vectors, and the two ways of signing against each other. */
import assert from 'node:assert/strict';
import { createHash, createPrivateKey } from 'node:crypto';
import { before, test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { generateKeyPair, type KeyPairKind, PrivateKey, PublicKey } from './key-pairs.ts';
import { hmac, type MacHash } from './mac.ts';
import {
  agreeOnSecret,
  decapsulate,
  decryptOaep,
  encapsulate,
  encryptOaep,
  oaepBytesMax,
} from './public-key-encryption.ts';
import { SecretKey } from './secret-key.ts';
import { type SignatureHash, type SignatureScheme, sign, signDigest, verify, verifyDigest } from './signatures.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const ascii = (text: string) => new Uint8Array(Buffer.from(text));
const digestOf = (hash: SignatureHash, message: Uint8Array) => createHash(hash).update(message).digest();

const KINDS: readonly KeyPairKind[] = [
  'rsa-2048',
  'p-256',
  'p-384',
  'p-521',
  'secp256k1',
  'ed25519',
  'ml-dsa-44',
  'ml-dsa-65',
  'ml-dsa-87',
  'ml-kem-512',
  'ml-kem-768',
  'ml-kem-1024',
];
const pairs = new Map<KeyPairKind, PrivateKey>();
const pair = (kind: KeyPairKind) => pairs.get(kind)!;
before(async () => {
  for (const kind of KINDS) pairs.set(kind, await generateKeyPair(kind));
});

test('of many key pairs asked for at once all are made, each another', async () => {
  const made = await Promise.all(Array.from({ length: 20 }, () => generateKeyPair('p-256')));
  const seen = new Set(made.map((key) => Buffer.from(key.publicKey().spki()).toString('hex')));
  assert.equal(seen.size, 20);
});

test('key pairs come back from PKCS#8 and SubjectPublicKeyInfo, know their kind, and print as redacted', () => {
  for (const kind of KINDS) {
    const key = pair(kind);
    const pkcs8 = key.exposePkcs8();
    const again = PrivateKey.take(pkcs8)!;
    assert.ok(
      pkcs8.every((byte) => byte === 0),
      'the bytes that were taken are wiped',
    );
    assert.equal(again.kind, kind);
    assert.deepEqual(again.publicKey().spki(), key.publicKey().spki());
    assert.equal(PublicKey.read(key.publicKey().spki())?.kind, kind);
    assert.equal(inspect(key) + String(key) + JSON.stringify(key), '[redacted key][redacted key]"[redacted key]"');
  }
  assert.equal(PrivateKey.take(new Uint8Array(40)), undefined);
  assert.equal(PublicKey.read(new Uint8Array(40)), undefined);
  const offCurve = pair('p-256').publicKey().spki();
  offCurve[offCurve.byteLength - 1]! ^= 1;
  assert.equal(PublicKey.read(offCurve), undefined, 'a point that is not on the curve is no public key');
});

const SCHEMES: readonly [KeyPairKind, SignatureScheme][] = [
  ...(['sha256', 'sha384', 'sha512'] as const).flatMap((hash): [KeyPairKind, SignatureScheme][] => [
    ['rsa-2048', { kind: 'rsa-pss', hash }],
    ['rsa-2048', { kind: 'rsa-pkcs1', hash }],
    ['p-256', { kind: 'ecdsa', hash }],
  ]),
  ['p-384', { kind: 'ecdsa', hash: 'sha384' }],
  ['p-521', { kind: 'ecdsa', hash: 'sha512' }],
  ['secp256k1', { kind: 'ecdsa', hash: 'sha256' }],
];

test('a digest that is signed verifies as its message, by OpenSSL alone, and the reverse; nothing else does', async () => {
  for (const [kind, scheme] of SCHEMES) {
    assert.ok(scheme.kind !== 'pure');
    const key = pair(kind);
    const open = key.publicKey();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), fc.nat(), async (bytes, position) => {
        const message = new Uint8Array(bytes);
        const digest = digestOf(scheme.hash, message);
        const byDigest = await signDigest(key, scheme, digest);
        const byMessage = await sign(key, scheme, message);
        assert.ok(await verify(open, scheme, message, byDigest));
        assert.ok(await verifyDigest(open, scheme, digest, byMessage));
        assert.ok(await verifyDigest(open, scheme, digest, byDigest));
        const changed = byMessage.slice();
        changed[position % changed.byteLength]! ^= 1 << (position % 8);
        assert.ok(!(await verifyDigest(open, scheme, digest, changed)));
        const otherDigest = Buffer.from(digest);
        otherDigest[position % 32]! ^= 1;
        assert.ok(!(await verifyDigest(open, scheme, otherDigest, byMessage)));
      }),
      { numRuns: 8 },
    );
    assert.ok(!(await verifyDigest(open, scheme, Buffer.alloc(32), new Uint8Array(0))));
  }
});

test('ECDSA over digests that are zero, or as large as they can be', async () => {
  for (const kind of ['p-256', 'secp256k1', 'p-521'] as const) {
    const key = pair(kind);
    const scheme = { kind: 'ecdsa', hash: 'sha256' } as const;
    for (const digest of [new Uint8Array(32), new Uint8Array(32).fill(255), new Uint8Array(64).fill(255)]) {
      const signature = await signDigest(key, scheme, digest);
      assert.ok(await verifyDigest(key.publicKey(), scheme, digest, signature));
      assert.ok(!(await verifyDigest(key.publicKey(), scheme, new Uint8Array(32).fill(1), signature)));
    }
  }
});

test('RFC 6979 A.2.5: the published signature over SHA-256("sample") on P-256 verifies both ways', async () => {
  const point = (text: string) => Buffer.from(text, 'hex').toString('base64url');
  const key = new PrivateKey(
    createPrivateKey({
      format: 'jwk',
      key: {
        kty: 'EC',
        crv: 'P-256',
        d: point('C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721'),
        x: point('60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6'),
        y: point('7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299'),
      },
    }),
  );
  const r = 'EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716';
  const s = 'F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8';
  const signature = hex(`3046022100${r}022100${s}`);
  const scheme = { kind: 'ecdsa', hash: 'sha256' } as const;
  assert.ok(await verify(key.publicKey(), scheme, ascii('sample'), signature));
  assert.ok(await verifyDigest(key.publicKey(), scheme, digestOf('sha256', ascii('sample')), signature));
  assert.ok(!(await verifyDigest(key.publicKey(), scheme, digestOf('sha256', ascii('simple')), signature)));
});

test('RFC 8032 7.1, test 1: Ed25519', async () => {
  const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
  const key = PrivateKey.take(hex(`302e020100300506032b657004220420${seed}`))!;
  const published =
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b';
  assert.equal(Buffer.from(await sign(key, { kind: 'pure' }, new Uint8Array(0))).toString('hex'), published);
});

test('Ed25519 and ML-DSA sign messages, and no digests', async () => {
  for (const kind of ['ed25519', 'ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const) {
    const key = pair(kind);
    const signature = await sign(key, { kind: 'pure' }, ascii('image'));
    assert.ok(await verify(key.publicKey(), { kind: 'pure' }, ascii('image'), signature));
    assert.ok(!(await verify(key.publicKey(), { kind: 'pure' }, ascii('other'), signature)));
    await assert.rejects(signDigest(key, { kind: 'pure' }, new Uint8Array(64)), RangeError);
  }
});

test('RFC 4231, test case 1: HMAC', () => {
  const table: readonly [MacHash, string][] = [
    ['sha224', '896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22'],
    ['sha256', 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
    ['sha384', 'afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6'],
    [
      'sha512',
      '87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854',
    ],
  ];
  for (const [hash, published] of table) {
    const key = SecretKey.take(new Uint8Array(20).fill(0x0b));
    assert.equal(Buffer.from(hmac(hash, key, ascii('Hi There'))).toString('hex'), published);
  }
});

test('RSA-OAEP opens what it sealed up to its longest message; one byte changed does not open', async () => {
  const key = pair('rsa-2048');
  for (const [hash, longest] of [
    ['sha1', 214],
    ['sha256', 190],
  ] as const) {
    assert.equal(oaepBytesMax(key.publicKey(), hash), longest);
    for (const byteCount of [0, 1, longest]) {
      const sealed = encryptOaep(key.publicKey(), hash, new Uint8Array(byteCount).fill(7));
      assert.deepEqual(await decryptOaep(key, hash, sealed), new Uint8Array(byteCount).fill(7));
      sealed[100]! ^= 1;
      assert.equal(await decryptOaep(key, hash, sealed), undefined);
    }
    assert.throws(() => encryptOaep(key.publicKey(), hash, new Uint8Array(longest + 1)));
  }
});

test('both sides of a key agreement have one secret; ML-KEM gives its secret to the private key only', async () => {
  for (const [kind, byteCount] of [
    ['p-256', 32],
    ['p-384', 48],
    ['p-521', 66],
  ] as const) {
    const other = await generateKeyPair(kind);
    const secret = await agreeOnSecret(pair(kind), other.publicKey());
    assert.equal(secret.byteLength, byteCount);
    assert.deepEqual(await agreeOnSecret(other, pair(kind).publicKey()), secret);
  }
  for (const kind of ['ml-kem-512', 'ml-kem-768', 'ml-kem-1024'] as const) {
    const { sharedSecret, ciphertext } = encapsulate(pair(kind).publicKey());
    assert.deepEqual(decapsulate(pair(kind), ciphertext), sharedSecret);
    assert.notDeepEqual(decapsulate(await generateKeyPair(kind), ciphertext), sharedSecret);
    assert.equal(decapsulate(pair(kind), ciphertext.subarray(1)), undefined);
  }
});

test('whatever takes a private key leaves the event loop free: signing, verifying, opening, agreeing', async () => {
  const rsa = await generateKeyPair('rsa-4096');
  const curve = pair('p-521');
  const digest = new Uint8Array(32).fill(1);
  const pss = { kind: 'rsa-pss', hash: 'sha256' } as const;
  const ecdsa = { kind: 'ecdsa', hash: 'sha256' } as const;
  const sealed = encryptOaep(rsa.publicKey(), 'sha256', digest);
  const works: [string, () => Promise<unknown>][] = [
    ['RSA over a digest', () => signDigest(rsa, pss, digest)],
    ['RSA over a message', () => sign(rsa, pss, digest)],
    ['ECDSA over a digest', () => signDigest(curve, ecdsa, digest)],
    ['RSA-OAEP', () => decryptOaep(rsa, 'sha256', sealed)],
    ['ECDH', () => agreeOnSecret(curve, pair('p-521').publicKey())],
  ];
  for (const [name, work] of works) {
    await work();
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    await Promise.all(Array.from({ length: 40 }, work));
    // Done on the loop, all of it would be over before the loop turns once.
    assert.ok(turned, `${name} is done on the event loop`);
  }
});

test('a failure in the thread of digests comes back as one, and the next job is done', async () => {
  const scheme = { kind: 'rsa-pss', hash: 'sha512' } as const;
  await assert.rejects(signDigest(pair('p-256'), scheme, new Uint8Array(64)), /a signature over a digest failed/);
  assert.ok((await signDigest(pair('rsa-2048'), scheme, new Uint8Array(64))).byteLength === 256);
});
