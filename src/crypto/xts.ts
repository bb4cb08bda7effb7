/**
 * AES-256-XTS over 4 KiB sectors (IEEE 1619, as dm-crypt's `aes-xts-plain64`): the tweak is the sector number, 16 bytes
 * little-endian. XTS hides and does not authenticate. Two overlays never share a key: the key is derived from the
 * volume's data key and the overlay's random id, so equal sectors of two overlays differ.
 */
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';

export const XTS_SECTOR_BYTES = 4096;
const OVERLAY_KEY_INFO = 'ingot overlay v1';

/** The 64-byte XTS key of one overlay: HKDF-SHA-256 of the data key, info `ingot overlay v1` and the overlay id. */
export function deriveOverlayKey(dataKey: KeyObject, overlayId: Uint8Array): KeyObject {
  const info = Buffer.concat([Buffer.from(OVERLAY_KEY_INFO), overlayId]);
  const bytes = new Uint8Array(hkdfSync('sha256', dataKey, new Uint8Array(0), info, 64));
  try {
    // XTS with equal halves is no XTS; HKDF makes that a matter of 2^-256, and the standard asks for the check.
    if (timingSafeEqual(bytes.subarray(0, 32), bytes.subarray(32)))
      throw new Error('the halves of an XTS key are equal');
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

function tweakOf(sector: number): Buffer {
  const tweak = Buffer.alloc(16);
  tweak.writeUInt32LE(sector % 0x1_0000_0000, 0);
  tweak.writeUInt32LE(Math.floor(sector / 0x1_0000_0000), 4);
  return tweak;
}

/** Encrypts whole sectors from `source` into `target`, which may be the same memory. */
export function encryptSectors(key: KeyObject, firstSector: number, source: Uint8Array, target: Uint8Array): void {
  for (let at = 0, sector = firstSector; at < source.byteLength; at += XTS_SECTOR_BYTES, sector++) {
    const cipher = createCipheriv('aes-256-xts', key, tweakOf(sector));
    target.set(cipher.update(source.subarray(at, at + XTS_SECTOR_BYTES)), at);
    cipher.final();
  }
}

/** Decrypts whole sectors from `source` into `target`, which may be the same memory. */
export function decryptSectors(key: KeyObject, firstSector: number, source: Uint8Array, target: Uint8Array): void {
  for (let at = 0, sector = firstSector; at < source.byteLength; at += XTS_SECTOR_BYTES, sector++) {
    const decipher = createDecipheriv('aes-256-xts', key, tweakOf(sector));
    target.set(decipher.update(source.subarray(at, at + XTS_SECTOR_BYTES)), at);
    decipher.final();
  }
}
