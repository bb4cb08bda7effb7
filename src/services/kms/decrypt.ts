import type { DecryptCommand } from '@aws-sdk/client-kms';
import { Denied } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { KmsAction } from '../../keys/access.ts';
import { refuse } from '../../keys/refusals.ts';
import type { OperationOf } from '../operation.ts';
import { ENCRYPTION_ALGORITHMS, SYMMETRIC_DEFAULT } from './algorithms.ts';
import { Constraints, encryptionContext, invalid, unsupported } from './constraints.ts';
import { contextNote } from './encrypt.ts';
import { dryRunOf, dryRunSucceeded } from './errors.ts';
import { authorize, checkGrantTokens, type Kms, locate, note, noteMaterial, type Target } from './kms.ts';

export const decrypt =
  (kms: Kms): OperationOf<DecryptCommand> =>
  async (call, input) => {
    const algorithm = input.EncryptionAlgorithm ?? SYMMETRIC_DEFAULT;
    const constraints = new Constraints()
      .bytes('ciphertextBlob', input.CiphertextBlob, 1, 6144)
      .oneOf('encryptionAlgorithm', algorithm, ENCRYPTION_ALGORITHMS);
    const ignoresCiphertext = readsNoCiphertext(input, constraints);
    if (!ignoresCiphertext) constraints.given('ciphertextBlob', input.CiphertextBlob);
    constraints.enforce();
    if (input.Recipient) throw unsupported('Recipient');
    const context = encryptionContext(input.EncryptionContext);
    const keyNote = input.KeyId === undefined ? {} : { keyId: input.KeyId };
    note(call, true, { encryptionAlgorithm: algorithm, ...keyNote, ...contextNote(context) });
    checkGrantTokens(kms, input.GrantTokens);
    requireNamedKey(input.KeyId, algorithm);
    const target = await sourceOf(kms, call, 'kms:Decrypt', input.KeyId, input.CiphertextBlob);
    const permit = await hidingDenial(input.KeyId, () =>
      authorize(kms, call, 'kms:Decrypt', target, {
        encryptionContext: context,
        conditions: { 'kms:EncryptionAlgorithm': algorithm },
      }),
    );
    if (ignoresCiphertext) {
      await kms.keys.requireUsable(permit, { algorithm, context });
      throw dryRunSucceeded();
    }
    const opened = await kms.keys.decrypt(permit, input.CiphertextBlob!, { algorithm, context }, dryRunOf(input));
    noteMaterial(call, opened.materialId);
    if (input.DryRun) {
      opened.plaintext.fill(0);
      throw dryRunSucceeded();
    }
    return {
      Plaintext: opened.plaintext,
      KeyId: target.key.arn,
      EncryptionAlgorithm: algorithm,
      ...(opened.materialId === undefined ? {} : { KeyMaterialId: opened.materialId }),
    };
  };

/** Only symmetric ciphertext names its key (8.4). */
export function requireNamedKey(keyId: string | undefined, algorithm: string): void {
  if (keyId === undefined && algorithm !== SYMMETRIC_DEFAULT) {
    throw invalid(`KeyId is required with the encryption algorithm ${algorithm}.`);
  }
}

/** The key that opens: the one the caller names, or the one that the ciphertext names (8.4, 8.8). */
export async function sourceOf(
  kms: Kms,
  call: Call,
  action: KmsAction,
  keyId: string | undefined,
  ciphertext: Uint8Array | undefined,
): Promise<Target> {
  if (keyId !== undefined) return locate(kms, call, action, keyId, 'any');
  if (!ciphertext) throw invalid('KeyId is required where the ciphertext is ignored.');
  const key = await kms.keys.keyOfCiphertext(call.region, ciphertext);
  if (!key) throw refuse('ciphertext-key-unknown');
  return { key, shownArn: key.arn };
}

/** Where the caller named no key, a denial says no more than that the ciphertext's key is out of reach (8.8). */
export async function hidingDenial<Result>(keyId: string | undefined, ask: () => Promise<Result>): Promise<Result> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof Denied && keyId === undefined) throw refuse('ciphertext-key-unknown', {}, { cause });
    throw cause;
  }
}

/** A dry run may ask about permission without showing a ciphertext (22.3). */
export function readsNoCiphertext(
  input: { readonly DryRun?: boolean | undefined; readonly DryRunModifiers?: readonly string[] | undefined },
  constraints: Constraints,
): boolean {
  for (const [index, modifier] of (input.DryRunModifiers ?? []).entries()) {
    constraints.oneOf(`dryRunModifiers.${index + 1}.member`, modifier, ['IGNORE_CIPHERTEXT']);
  }
  return input.DryRun === true && (input.DryRunModifiers ?? []).includes('IGNORE_CIPHERTEXT');
}
