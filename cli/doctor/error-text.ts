/** Error texts that tools show, and what they are about (the symptoms of section 8). */

import { requestMend } from '../foresee/mend.ts';
import type { Task } from '../foresee/needs.ts';
import type { Finding } from './diagnosis.ts';

/** A mistake in a request, which no key and no policy can help. */
export interface RequestMistake {
  readonly fault: string;
  readonly title: string;
  readonly mend: string;
  readonly json: object;
}

interface Known {
  readonly text: RegExp;
  readonly mistake?: RequestMistake;
  /** What was being done when the text was shown. */
  readonly task?: Task;
  readonly share?: 'all' | 'account';
}

const DEVICE = '/dev/xvda';

const KNOWN: readonly Known[] = [
  {
    text: /unencrypted copy from an encrypted snapshot/i,
    mistake: {
      fault: 'F12',
      title: 'The request copies an encrypted image with Encrypted=false',
      mend: 'Leave Encrypted out of the request, or give Encrypted=true with a key of the destination region',
      json: { Encrypted: true },
    },
  },
  {
    text: /KmsKeyId\]? requires the parameter Encrypted/i,
    mistake: {
      fault: 'F16',
      title: 'A device has a key and not Encrypted=true',
      mend: 'Give Encrypted=true beside the key',
      json: [{ DeviceName: DEVICE, Ebs: { Encrypted: true, KmsKeyId: 'the same key' } }],
    },
  },
  {
    text: /parameter KmsKeyId is not recognized/i,
    mistake: {
      fault: 'F17',
      title: 'A mapping of RegisterImage or CreateImage has a key, which belongs to the launch or to a copy',
      mend: 'Leave KmsKeyId out of the mapping; give it in the mapping of the launch, or copy the image under the key',
      json: [{ DeviceName: DEVICE, Ebs: { SnapshotId: 'the same snapshot' } }],
    },
  },
  {
    text: /cannot specify the encrypted flag if specifying a snapshot id|encrypted flag cannot be specified since device/i,
    mistake: {
      fault: 'F18',
      title: 'A mapping has both a snapshot and Encrypted: an image is as encrypted as its snapshots are',
      mend: 'Leave Encrypted out of the mapping; to encrypt, copy the snapshot or the image under a key',
      json: [{ DeviceName: DEVICE, Ebs: { SnapshotId: 'the same snapshot' } }],
    },
  },
  { text: /AWS Managed CMK can't be shared|EBS default key cannot be shared/i, share: 'account' },
  { text: /snapshots can(?:'t| ?not) be shared publicly|block public access/i, share: 'all' },
  {
    text: /permission to access the storage of this ami|Copy image failed with an internal error/i,
    task: 'copy-image',
  },
  { text: /Given key ID is not accessible|Not authorized to use key|specified keyId/i, task: 'copy-snapshot' },
  { text: /CustomerKeyHasBeenRevoked|unable to access the KMS key/i, task: 'attach' },
  { text: /InvalidVolume\.NotFound|IdempotentParameterMismatch/i, task: 'create-volume' },
  { text: /Client error on launch|InvalidKMSKey|Not authorized for images|inaccessible AWS KMS key/i, task: 'launch' },
];

export type ErrorHint = Omit<Known, 'text'>;

/** What a text is about, or nothing where it is not known. */
export function hintOf(text: string): ErrorHint | undefined {
  return KNOWN.find(({ text: pattern }) => pattern.test(text));
}

export function mistakeFinding({ fault, title, mend, json }: RequestMistake, symptom: string): Finding {
  return {
    fault,
    title,
    symptom,
    details: [],
    mends: [requestMend(mend, json)],
    alternatives: [],
  };
}
