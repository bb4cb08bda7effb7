import { ec2Error, invalidParameterValue } from './errors.ts';

const USER_DATA_BYTES_MAX = 16 * 1024;

/** The bytes behind UserData of a launch or a template (LT-5). */
export function readUserData(text: string): Uint8Array {
  const compact = text.replaceAll(/\s/g, '');
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(compact)) {
    throw ec2Error('InvalidUserData.Malformed', 'Invalid BASE64 encoding of user data.');
  }
  if (Buffer.byteLength(compact, 'base64') > USER_DATA_BYTES_MAX) {
    throw invalidParameterValue('User data is limited to 16384 bytes');
  }
  return Buffer.from(compact, 'base64');
}
