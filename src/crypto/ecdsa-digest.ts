/**
 * ECDSA over a digest that the caller made (FIPS 186-5, 6.4), with signatures in DER. Node signs messages only, so the
 * arithmetic of scalars stands here; every multiplication of a point is OpenSSL's.
 *
 * Side channels of signing: big integers of JavaScript do not run in constant time, so nonce and private key enter the
 * arithmetic only as products with a fresh random blind. They also stay in the heap until it is collected.
 */
import { createECDH, ECDH, type KeyObject } from 'node:crypto';
import { type CurveName, curveOf, type PrivateKey, type PublicKey } from './key-pairs.ts';
import { randomBytes } from './random.ts';

interface Curve {
  readonly name: CurveName;
  /** Field prime, coefficient a, and order of the base point (SEC 2). */
  readonly p: bigint;
  readonly a: bigint;
  readonly n: bigint;
  readonly orderBits: number;
  readonly coordinateBytes: number;
}

const CURVES: Readonly<Record<CurveName, Curve>> = {
  prime256v1: curve(
    'prime256v1',
    2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    -3n,
    0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  ),
  secp384r1: curve(
    'secp384r1',
    2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    -3n,
    0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  ),
  secp521r1: curve(
    'secp521r1',
    2n ** 521n - 1n,
    -3n,
    0x01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  ),
  secp256k1: curve(
    'secp256k1',
    2n ** 256n - 2n ** 32n - 977n,
    0n,
    0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
  ),
};

function curve(name: CurveName, p: bigint, a: bigint, n: bigint): Curve {
  const orderBits = n.toString(2).length;
  return { name, p, a: modulo(a, p), n, orderBits, coordinateBytes: Math.ceil(orderBits / 8) };
}

/** `undefined` is the point at infinity. */
type Point = { readonly x: bigint; readonly y: bigint } | undefined;

export function signDigestWithEcdsa(key: PrivateKey, digest: Uint8Array): Uint8Array {
  const curve = requireCurve(key);
  const { n } = curve;
  const { d } = key.keyObject().export({ format: 'jwk' });
  const secret = readBase64Url(d);
  const z = digestScalar(curve, digest);
  for (;;) {
    const k = randomScalar(curve);
    const r = modulo(multiplyBase(curve, k)!.x, n);
    const blind = randomScalar(curve);
    const s = modulo(invert(modulo(k * blind, n), n) * modulo(blind * z + r * modulo(blind * secret, n), n), n);
    if (r !== 0n && s !== 0n) return encodeSignature(r, s);
  }
}

export function verifyDigestWithEcdsa(key: PublicKey, digest: Uint8Array, signature: Uint8Array): boolean {
  const curve = requireCurve(key);
  const { n } = curve;
  const read = readSignature(signature);
  if (!read) return false;
  const { r, s } = read;
  if (r <= 0n || r >= n || s <= 0n || s >= n) return false;
  const w = invert(s, n);
  const u1 = modulo(digestScalar(curve, digest) * w, n);
  const u2 = modulo(r * w, n);
  const point = add(curve, multiplyBase(curve, u1), multiply(curve, publicPoint(key.keyObject()), u2));
  return point !== undefined && modulo(point.x, n) === r;
}

function requireCurve(key: PrivateKey | PublicKey): Curve {
  const name = curveOf(key.kind);
  if (name === undefined) throw new RangeError('this key is on no curve');
  return CURVES[name];
}

/** The leftmost bits of the digest, as many as the order has. */
function digestScalar(curve: Curve, digest: Uint8Array): bigint {
  const excess = digest.byteLength * 8 - curve.orderBits;
  return excess > 0 ? readBytes(digest) >> BigInt(excess) : readBytes(digest);
}

function multiplyBase(curve: Curve, scalar: bigint): Point {
  if (scalar === 0n) return undefined;
  const ecdh = createECDH(curve.name);
  ecdh.setPrivateKey(writeBytes(scalar, curve.coordinateBytes));
  return readPoint(curve, ecdh.getPublicKey());
}

/**
 * `scalar` times `point`. OpenSSL gives x only, so y is chosen between its two roots by the x of the next multiple.
 * INVARIANT: 0 < scalar < n.
 */
function multiply(curve: Curve, point: NonNullable<Point>, scalar: bigint): Point {
  if (scalar === 1n) return point;
  const negated = { x: point.x, y: modulo(-point.y, curve.p) };
  if (scalar === curve.n - 1n) return negated;
  const x = multiplyX(curve, point, scalar);
  const compressed = Buffer.concat([Buffer.from([2]), writeBytes(x, curve.coordinateBytes)]);
  const candidate = readPoint(curve, uncompress(curve, compressed));
  const next = multiplyX(curve, point, scalar + 1n);
  const other = { x, y: modulo(-candidate.y, curve.p) };
  return add(curve, candidate, point)?.x === next ? candidate : other;
}

function multiplyX(curve: Curve, point: NonNullable<Point>, scalar: bigint): bigint {
  const ecdh = createECDH(curve.name);
  ecdh.setPrivateKey(writeBytes(scalar, curve.coordinateBytes));
  const { coordinateBytes: bytes } = curve;
  const encoded = Buffer.concat([Buffer.from([4]), writeBytes(point.x, bytes), writeBytes(point.y, bytes)]);
  return readBytes(ecdh.computeSecret(encoded));
}

function uncompress(curve: Curve, point: Buffer): Buffer {
  const converted = ECDH.convertKey(point, curve.name, undefined, undefined, 'uncompressed');
  if (typeof converted === 'string') throw new TypeError('a point was asked for as bytes');
  return converted;
}

/** The chord and tangent rule. */
function add({ p, a }: Curve, one: Point, other: Point): Point {
  if (!one) return other;
  if (!other) return one;
  let slope: bigint;
  if (one.x !== other.x) slope = (other.y - one.y) * invert(other.x - one.x, p);
  else if (one.y === other.y && one.y !== 0n) slope = (3n * one.x * one.x + a) * invert(2n * one.y, p);
  else return undefined;
  const x = modulo(slope * slope - one.x - other.x, p);
  return { x, y: modulo(slope * (one.x - x) - one.y, p) };
}

function readPoint(curve: Curve, encoded: Uint8Array): NonNullable<Point> {
  const split = 1 + curve.coordinateBytes;
  return { x: readBytes(encoded.subarray(1, split)), y: readBytes(encoded.subarray(split)) };
}

function publicPoint(key: KeyObject): NonNullable<Point> {
  const { x, y } = key.export({ format: 'jwk' });
  return { x: readBase64Url(x), y: readBase64Url(y) };
}

/** Uniform in 1..n-1 but for a bias below 2^-64. */
function randomScalar(curve: Curve): bigint {
  const bytes = randomBytes(curve.coordinateBytes + 8);
  const scalar = (readBytes(bytes) % (curve.n - 1n)) + 1n;
  bytes.fill(0);
  return scalar;
}

function invert(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [modulo(value, modulus), modulus, 1n, 0n];
  while (a !== 0n) {
    const quotient = b / a;
    [a, b, x, y] = [b - quotient * a, a, y - quotient * x, x];
  }
  if (b !== 1n) throw new RangeError('no inverse');
  return modulo(y, modulus);
}

function modulo(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

function readBytes(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex') || '0'}`);
}

function readBase64Url(text: unknown): bigint {
  if (typeof text !== 'string') throw new TypeError('the key has no such coordinate');
  return readBytes(Buffer.from(text, 'base64url'));
}

function writeBytes(value: bigint, byteCount: number): Buffer {
  return Buffer.from(value.toString(16).padStart(byteCount * 2, '0'), 'hex');
}

/** SEQUENCE { INTEGER r, INTEGER s } (RFC 3279, 2.2.3). */
function encodeSignature(r: bigint, s: bigint): Uint8Array {
  const body = Buffer.concat([encodeInteger(r), encodeInteger(s)]);
  const length = body.byteLength < 128 ? [body.byteLength] : [0x81, body.byteLength];
  return new Uint8Array(Buffer.concat([Buffer.from([0x30, ...length]), body]));
}

function encodeInteger(value: bigint): Buffer {
  const digits = value.toString(16);
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
  const padded = bytes[0]! & 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
  return Buffer.concat([Buffer.from([2, padded.byteLength]), padded]);
}

/** Only the one DER encoding of a signature is read. */
function readSignature(signature: Uint8Array): { r: bigint; s: bigint } | undefined {
  let at = signature[1] === 0x81 ? 3 : 2;
  const integers: bigint[] = [];
  for (let turn = 0; turn < 2; turn++) {
    const length = signature[at + 1];
    if (length === undefined || signature[at] !== 2 || length === 0) return undefined;
    integers.push(readBytes(signature.subarray(at + 2, at + 2 + length)));
    at += 2 + length;
  }
  const [r, s] = integers as [bigint, bigint];
  const again = encodeSignature(r, s);
  return Buffer.compare(again, signature) === 0 ? { r, s } : undefined;
}
