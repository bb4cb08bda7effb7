/**
 * SSH key pairs as EC2 gives and takes them: the OpenSSH line of a public key (RFC 4253, RFC 8709), the private key in
 * PEM (RSA: PKCS #1; Ed25519: OpenSSH's own format), and EC2's fingerprints. See
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/verify-keys.html
 */
import { createHash, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { randomBytes } from './random.ts';

export type SshKeyType = 'rsa' | 'ed25519';

export interface SshPublicKey {
  readonly type: SshKeyType;
  /** `ssh-rsa AAAA…` or `ssh-ed25519 AAAA…`, without a comment. */
  readonly publicKey: string;
  /** RSA: colon-separated MD5 of the public key in DER. Ed25519: SHA-256 of the OpenSSH key in base64. */
  readonly fingerprint: string;
}

const RSA_BITS = 2048;
/** Sizes that EC2 imports. */
const RSA_BITS_IMPORTED = [1024, 2048, 4096];
const generate = promisify(generateKeyPair);

/** The fingerprint of an RSA pair made here is the SHA-1 of its private key, as EC2 has it. */
export async function createSshKeyPair(type: SshKeyType): Promise<SshPublicKey & { readonly privateKey: string }> {
  if (type === 'rsa') {
    const { publicKey, privateKey } = await generate('rsa', { modulusLength: RSA_BITS });
    const der = privateKey.export({ type: 'pkcs8', format: 'der' });
    const fingerprint = colons(createHash('sha1').update(der).digest());
    der.fill(0);
    return {
      type,
      publicKey: lineOf(type, rsaBlob(publicKey)),
      fingerprint,
      privateKey: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    };
  }
  const { publicKey, privateKey } = await generate('ed25519');
  const point = bytesOf(publicKey.export({ format: 'jwk' }).x);
  const seed = bytesOf(privateKey.export({ format: 'jwk' }).d);
  const pem = opensshPrivateKey(point, seed);
  seed.fill(0);
  return { ...ed25519(point), privateKey: pem };
}

/** Reads an OpenSSH line or the base64 of a public key in DER; `undefined` where it is neither, or no kind EC2 takes. */
export function readSshPublicKey(material: Uint8Array): SshPublicKey | undefined {
  const text = Buffer.from(material).toString('latin1').trim();
  const line = /^(ssh-rsa|ssh-ed25519)\s+([A-Za-z0-9+/]+={0,2})(\s.*)?$/.exec(text);
  try {
    if (line?.[1] === 'ssh-ed25519') {
      const [name, point, ...more] = readStrings(Buffer.from(line[2]!, 'base64'));
      if (name?.toString() !== 'ssh-ed25519' || point?.length !== 32 || more.length > 0) return undefined;
      return ed25519(point);
    }
    const key = line ? rsaOf(Buffer.from(line[2]!, 'base64')) : derKey(text);
    return key && rsa(key);
  } catch {
    return undefined;
  }
}

function rsaOf(blob: Buffer): KeyObject | undefined {
  const [name, exponent, modulus, ...more] = readStrings(blob);
  if (name?.toString() !== 'ssh-rsa' || !exponent || !modulus || more.length > 0) return undefined;
  const jwk = { kty: 'RSA', e: exponent.toString('base64url'), n: withoutSign(modulus).toString('base64url') };
  return createPublicKey({ key: jwk, format: 'jwk' });
}

function derKey(text: string): KeyObject | undefined {
  const base64 = text.replace(/-----(BEGIN|END) PUBLIC KEY-----/g, '').replace(/\s/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  return createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' });
}

function rsa(key: KeyObject): SshPublicKey | undefined {
  if (key.asymmetricKeyType !== 'rsa') return undefined;
  if (!RSA_BITS_IMPORTED.includes(key.asymmetricKeyDetails?.modulusLength ?? 0)) return undefined;
  const der = key.export({ type: 'spki', format: 'der' });
  const fingerprint = colons(createHash('md5').update(der).digest());
  return { type: 'rsa', publicKey: lineOf('rsa', rsaBlob(key)), fingerprint };
}

function ed25519(point: Buffer): SshPublicKey {
  const blob = strings(Buffer.from('ssh-ed25519'), point);
  const fingerprint = createHash('sha256').update(blob).digest('base64');
  return { type: 'ed25519', publicKey: lineOf('ed25519', blob), fingerprint };
}

function lineOf(type: SshKeyType, blob: Buffer): string {
  return `ssh-${type} ${blob.toString('base64')}`;
}

function rsaBlob(key: KeyObject): Buffer {
  const { e, n } = key.export({ format: 'jwk' });
  return strings(Buffer.from('ssh-rsa'), positive(bytesOf(e)), positive(bytesOf(n)));
}

function bytesOf(base64url: string | undefined): Buffer {
  return Buffer.from(base64url ?? '', 'base64url');
}

/** An unsigned number as SSH writes it: a leading zero where the first bit is set. */
function positive(number: Buffer): Buffer {
  return (number[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.from([0]), number]) : number;
}
function withoutSign(number: Buffer): Buffer {
  return number[0] === 0 ? number.subarray(1) : number;
}

/** Each part behind its length in four bytes. */
function strings(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts.flatMap((part) => [uint32(part.length), part]));
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function readStrings(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    if (at + 4 + length > bytes.length) throw new RangeError('a string ends behind the key');
    parts.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return parts;
}

/** The format `openssh-key-v1`, not protected by a passphrase: PROTOCOL.key of OpenSSH. */
function opensshPrivateKey(point: Buffer, seed: Buffer): string {
  const none = Buffer.from('none');
  const name = Buffer.from('ssh-ed25519');
  const check = Buffer.from(randomBytes(4));
  const secret = Buffer.concat([check, check, strings(name, point, Buffer.concat([seed, point]), Buffer.alloc(0))]);
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, index) => index + 1));
  const key = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    strings(none, none, Buffer.alloc(0)),
    uint32(1),
    strings(strings(name, point), Buffer.concat([secret, padding])),
  ]);
  const lines = key.toString('base64').match(/.{1,70}/g) ?? [];
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${lines.join('\n')}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

function colons(digest: Buffer): string {
  return digest.toString('hex').replace(/(..)(?!$)/g, '$1:');
}
