/** Why a plan is refused before any work starts: what would fail later, and the mend. */

export const REFUSALS = {
  'region-unreachable': 'a region of the manifest does not answer, or is not enabled',
  'source-missing': 'there is no such disk, AMI or instance',
  'source-unusable': 'the source is there, and cannot be published as it is',
  'source-not-ours': "the source is another account's, and its snapshots are not shared for copying",
  'no-key': 'no key is given, and the default key cannot be shared',
  'key-aws-managed': 'the AWS managed key cannot be shared',
  'key-missing': 'there is no such key',
  'key-other-region': 'the key is in another region',
  'key-replica-missing': 'the multi-Region key has no replica in the region',
  'key-disabled': 'the key is disabled',
  'key-pending-deletion': 'the key is to be deleted',
  'key-unusable': 'the key waits for its material, or is unavailable',
  'key-wrong-type': 'EBS takes symmetric encryption keys only',
  'key-denied': 'the copy would fail: whoever makes it may not use the key',
  'key-unseen': 'the key may not be looked at',
  'key-foreign': "the key is another account's: its policy cannot be changed from here",
  'key-policy-fixed': 'a consumer may not use the key, and its policy may not be changed',
  'key-policy-full': 'the key policy would be larger than KMS takes',
  'name-taken': 'an AMI that is no version of this image has its name',
  'version-differs': 'this version is published already, from another source',
  'public-blocked': 'public sharing is blocked in the region',
  'public-encrypted': 'the AMI would be encrypted, and could not be public',
  'role-not-assumable': 'the role in an account cannot be assumed',
  'organization-unseen': 'the accounts of a unit or organization cannot be listed',
  'template-missing': 'there is no such launch template',
  'template-stranger': 'the launch template is in an account that the image is not for',
  'template-key': 'the launch template asks for encryption that would fail',
} as const;

export type RefusalCode = keyof typeof REFUSALS;

export interface Refusal {
  readonly code: RefusalCode;
  /** What it is about, for example `us-east-1` or `111122223333 us-east-1`. */
  readonly where: string;
  readonly message: string;
  readonly mend: string;
}

export class Refusals {
  readonly #all: Refusal[] = [];

  add(code: RefusalCode, where: string, message: string, mend: string): void {
    if (this.#all.some((one) => one.code === code && one.where === where && one.message === message)) return;
    this.#all.push({ code, where, message, mend });
  }

  get all(): readonly Refusal[] {
    return this.#all;
  }
}
