/** Members that no record shows: secrets, keys, data and tokens (kms 26.2). */
import { lowerCamel } from '../wire/json.ts';
import type { Member } from '../wire/shapes.ts';

/** Those whose schema does not say so. */
const LEFT_OUT = new Set([
  'plaintext',
  'ciphertextBlob',
  'grantToken',
  'grantTokens',
  'sessionToken',
  'secretAccessKey',
  'tokenCode',
  'importToken',
  'keyMaterial',
  'privateKey',
  'password',
  'passwordData',
  'userData',
  'webIdentityToken',
  'sAMLAssertion',
  'samlAssertion',
  'blockToken',
]);

export function isHidden({ name, traits, shape }: Member): boolean {
  return Boolean(traits.sensitive) || shape.kind === 'blob' || LEFT_OUT.has(lowerCamel(name));
}
