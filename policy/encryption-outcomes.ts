/**
 * The encryption outcome of everything that makes a volume or a snapshot, as pure functions of the request, the source
 * and encryption by default: tables 1.1, 1.4, 1.5 and 6.3 of the specification, whose rows are the test data.
 *
 * `snapshot-key` keeps the key of the source (A), `given-key` is the key of the request (B), `default-key` is the
 * caller's default key in the destination region (D).
 */
export type KeyChoice = 'plain' | 'default-key' | 'given-key' | 'snapshot-key';
export type OutcomeRefusal =
  | 'kms-key-without-encrypted'
  | 'encrypted-false-of-encrypted'
  | 'plain-copy-of-encrypted'
  | 'plain-despite-default'
  | 'parent-and-encrypted'
  | 'parent-and-key'
  | 'key-of-plain';
export type Choice = KeyChoice | { readonly refused: OutcomeRefusal };

export type SourceKind = 'none' | 'own-plain' | 'shared-plain' | 'own-encrypted' | 'shared-encrypted';

export interface OutcomeRequest {
  readonly source: SourceKind;
  readonly encrypted: boolean | undefined;
  readonly keyGiven: boolean;
  readonly encryptionByDefault: boolean;
}

const isEncrypted = (source: SourceKind) => source === 'own-encrypted' || source === 'shared-encrypted';

/** Table 1.1: CreateVolume and each EBS device of RunInstances. */
export function volumeOutcome({ source, encrypted, keyGiven, encryptionByDefault }: OutcomeRequest): Choice {
  if (keyGiven) return encrypted === true ? 'given-key' : { refused: 'kms-key-without-encrypted' };
  if (isEncrypted(source) && encrypted === false) return { refused: 'encrypted-false-of-encrypted' };
  if (source === 'own-encrypted') return 'snapshot-key';
  if (source === 'shared-encrypted') return 'default-key';
  return encrypted === true || encryptionByDefault ? 'default-key' : 'plain';
}

/** Table 1.4: CopySnapshot. The key of the source is never kept (CS-1). */
export function snapshotCopyOutcome({ source, encrypted, keyGiven, encryptionByDefault }: OutcomeRequest): Choice {
  if (isEncrypted(source)) return keyGiven ? 'given-key' : 'default-key';
  if (keyGiven) {
    const accepted = encrypted === true || (encrypted === undefined && encryptionByDefault);
    return accepted ? 'given-key' : { refused: 'kms-key-without-encrypted' };
  }
  return encrypted === true || encryptionByDefault ? 'default-key' : 'plain';
}

/** Table 1.5: each snapshot behind CopyImage. Within a region an own image keeps its keys (CI-1). */
export function imageCopyOutcome(request: OutcomeRequest & { readonly sameRegion: boolean }): Choice {
  const { source, encrypted, keyGiven, encryptionByDefault, sameRegion } = request;
  if (isEncrypted(source) && encrypted === false) return { refused: 'plain-copy-of-encrypted' };
  if (keyGiven) return encrypted === true ? 'given-key' : { refused: 'kms-key-without-encrypted' };
  if (source === 'own-encrypted' && sameRegion) return 'snapshot-key';
  if (isEncrypted(source)) return 'default-key';
  return encrypted === true || encryptionByDefault ? 'default-key' : 'plain';
}

/** Table 6.3: StartSnapshot of the EBS direct APIs. */
export function directSnapshotOutcome(request: {
  readonly parent: 'none' | 'plain' | 'encrypted';
  readonly encrypted: boolean | undefined;
  readonly keyGiven: boolean;
  readonly encryptionByDefault: boolean;
}): Choice {
  const { parent, encrypted, keyGiven, encryptionByDefault } = request;
  if (parent !== 'none') {
    if (encrypted !== undefined) return { refused: 'parent-and-encrypted' };
    if (keyGiven) return { refused: 'parent-and-key' };
    if (parent === 'encrypted') return 'snapshot-key';
    return encryptionByDefault ? { refused: 'plain-despite-default' } : 'plain';
  }
  if (encrypted === false) {
    if (keyGiven) return { refused: 'key-of-plain' };
    return encryptionByDefault ? { refused: 'plain-despite-default' } : 'plain';
  }
  if (keyGiven) return 'given-key';
  return encrypted === true || encryptionByDefault ? 'default-key' : 'plain';
}
