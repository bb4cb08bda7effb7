import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hintOf } from './error-text.ts';

/** Texts of section 8, as tools show them, and what each is about. */
const TEXTS: readonly (readonly [text: string, about: string])[] = [
  ['Client.InternalError: Client error on launch', 'launch'],
  ['Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state', 'launch'],
  ["An error occurred (InvalidVolume.NotFound): The volume 'vol-0' does not exist.", 'create-volume'],
  ['CustomerKeyHasBeenRevoked: The encrypted volume was unable to access the KMS key', 'attach'],
  ["Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.", 'share account'],
  ['Encrypted snapshots with EBS default key cannot be shared', 'share account'],
  ["Encrypted snapshots can't be shared publicly. Specify another snapshot.", 'share all'],
  ['Encrypted snapshots cannot be shared publicly', 'share all'],
  ['because block public access for AMIs is enabled for this account.', 'share all'],
  ['Creating unencrypted copy from an encrypted snapshot is not supported.', 'F12'],
  ['Creating an unencrypted copy from an encrypted snapshot is not supported.', 'F12'],
  ['You do not have permission to access the storage of this ami', 'copy-image'],
  ['Copy image failed with an internal error', 'copy-image'],
  ['Given key ID is not accessible', 'copy-snapshot'],
  ['Not authorized to use key arn:aws:kms:eu-central-1:111122223333:key/1 ', 'copy-snapshot'],
  ['The parameter KmsKeyId requires the parameter Encrypted to be set.', 'F16'],
  ['The parameter [KmsKeyId] requires the parameter Encrypted to be set.', 'F16'],
  ['The parameter KmsKeyId is not recognized', 'F17'],
  ['You cannot specify the encrypted flag if specifying a snapshot id in a block device mapping.', 'F18'],
  ['the encrypted flag cannot be specified since device /dev/sda1 has a snapshot specified.', 'F18'],
  ['Not authorized for images: [ami-0]', 'launch'],
];

for (const [text, about] of TEXTS) {
  test(`"${text}" is about ${about}`, () => {
    const hint = hintOf(text);
    assert.equal(hint?.mistake?.fault ?? hint?.task ?? (hint?.share && `share ${hint.share}`), about);
  });
}

test('what is not known is not guessed', () => {
  assert.equal(hintOf('Something went wrong.'), undefined);
});
