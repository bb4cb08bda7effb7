import type { ReEncryptCommand } from '@aws-sdk/client-kms';
import { noteForAudit } from '../../authz/caller.ts';
import type { OperationOf } from '../operation.ts';
import { ENCRYPTION_ALGORITHMS, SYMMETRIC_DEFAULT } from './algorithms.ts';
import { Constraints, encryptionContext } from './constraints.ts';
import { hidingDenial, readsNoCiphertext, requireNamedKey, sourceOf } from './decrypt.ts';
import { dryRunOf, dryRunSucceeded } from './errors.ts';
import { authorize, checkGrantTokens, type Kms, locate, note } from './kms.ts';

/** Two keys, two independent permits: kms:ReEncryptFrom and kms:ReEncryptTo (8.11). */
export const reEncrypt =
  (kms: Kms): OperationOf<ReEncryptCommand> =>
  async (call, input) => {
    const sourceAlgorithm = input.SourceEncryptionAlgorithm ?? SYMMETRIC_DEFAULT;
    const destinationAlgorithm = input.DestinationEncryptionAlgorithm ?? SYMMETRIC_DEFAULT;
    const constraints = new Constraints()
      .bytes('ciphertextBlob', input.CiphertextBlob, 1, 6144)
      .oneOf('sourceEncryptionAlgorithm', sourceAlgorithm, ENCRYPTION_ALGORITHMS)
      .oneOf('destinationEncryptionAlgorithm', destinationAlgorithm, ENCRYPTION_ALGORITHMS);
    const ignoresCiphertext = readsNoCiphertext(input, constraints);
    if (!ignoresCiphertext) constraints.given('ciphertextBlob', input.CiphertextBlob);
    constraints.enforce();
    const sourceContext = encryptionContext(input.SourceEncryptionContext);
    const destinationContext = encryptionContext(input.DestinationEncryptionContext);
    note(call, true, {
      ...(input.SourceKeyId === undefined ? {} : { sourceKeyId: input.SourceKeyId }),
      ...(Object.keys(sourceContext).length > 0 ? { sourceEncryptionContext: sourceContext } : {}),
      sourceEncryptionAlgorithm: sourceAlgorithm,
      destinationKeyId: input.DestinationKeyId,
      ...(Object.keys(destinationContext).length > 0 ? { destinationEncryptionContext: destinationContext } : {}),
      destinationEncryptionAlgorithm: destinationAlgorithm,
    });
    checkGrantTokens(kms, input.GrantTokens);
    requireNamedKey(input.SourceKeyId, sourceAlgorithm);
    const source = await sourceOf(kms, call, 'kms:ReEncryptFrom', input.SourceKeyId, input.CiphertextBlob);
    const destination = await locate(kms, call, 'kms:ReEncryptTo', input.DestinationKeyId!, 'any');
    const onSameKey = { 'kms:ReEncryptOnSameKey': source.key.arn === destination.key.arn };
    const from = await hidingDenial(input.SourceKeyId, () =>
      authorize(kms, call, 'kms:ReEncryptFrom', source, {
        encryptionContext: sourceContext,
        conditions: { 'kms:EncryptionAlgorithm': sourceAlgorithm, ...onSameKey },
      }),
    );
    const to = await authorize(kms, call, 'kms:ReEncryptTo', destination, {
      encryptionContext: destinationContext,
      conditions: { 'kms:EncryptionAlgorithm': destinationAlgorithm, ...onSameKey },
    });
    const sourceMethod = { algorithm: sourceAlgorithm, context: sourceContext };
    const destinationMethod = { algorithm: destinationAlgorithm, context: destinationContext };
    if (ignoresCiphertext) {
      await kms.keys.requireUsable(from, sourceMethod);
      await kms.keys.requireUsable(to, destinationMethod);
      throw dryRunSucceeded();
    }
    const result = await kms.keys.reEncrypt(
      from,
      to,
      { ciphertext: input.CiphertextBlob!, ...sourceMethod },
      destinationMethod,
      dryRunOf(input),
    );
    const { sourceMaterialId, destinationMaterialId } = result;
    noteForAudit(call, {
      additionalEventData: { sourceKeyMaterialId: sourceMaterialId, destinationKeyMaterialId: destinationMaterialId },
    });
    if (input.DryRun) throw dryRunSucceeded();
    return {
      CiphertextBlob: result.ciphertext,
      SourceKeyId: source.key.arn,
      KeyId: destination.key.arn,
      SourceEncryptionAlgorithm: sourceAlgorithm,
      DestinationEncryptionAlgorithm: destinationAlgorithm,
      ...(sourceMaterialId === undefined ? {} : { SourceKeyMaterialId: sourceMaterialId }),
      ...(destinationMaterialId === undefined ? {} : { DestinationKeyMaterialId: destinationMaterialId }),
    };
  };
