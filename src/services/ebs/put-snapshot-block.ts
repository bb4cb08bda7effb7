import type { PutSnapshotBlockCommand } from '@aws-sdk/client-ebs';
import type { OperationOf } from '../operation.ts';
import { authorizeSnapshot, BLOCK_BYTES, type EbsDeps, findSnapshot, requireBlockIndex, requireOwn } from './common.ts';
import { ebsError, invalid, invalidParameter } from './errors.ts';

const SHA256_BYTES = 32;

export const putSnapshotBlock =
  (deps: EbsDeps): OperationOf<PutSnapshotBlockCommand> =>
  async (call, input) => {
    const id = input.SnapshotId ?? '';
    const snapshot = await findSnapshot(deps, call, id);
    await authorizeSnapshot(deps, call, 'ebs:PutSnapshotBlock', id, snapshot);
    requireOwn(call, id, snapshot);

    const index = requireBlockIndex(input.BlockIndex);
    const block = input.BlockData ?? new Uint8Array();
    if (input.DataLength !== BLOCK_BYTES) throw wrongLength(input.DataLength);
    if (block.byteLength !== BLOCK_BYTES) throw wrongLength(block.byteLength);
    const algorithm: string | undefined = input.ChecksumAlgorithm;
    if (algorithm !== 'SHA256') {
      throw invalidParameter(`Unsupported Checksum Algorithm '${algorithm}', supported algorithms are SHA256`);
    }
    if (input.Progress !== undefined && (input.Progress < 0 || input.Progress > 100)) {
      throw invalidParameter('Progress must be between 0 and 100');
    }
    const expected = Buffer.from(input.Checksum ?? '', 'base64');
    if (expected.byteLength !== SHA256_BYTES) throw invalidParameter('Checksum must be the base64 of a SHA-256 digest');

    const { stored, sha256 } = await deps.direct.put(call, call.region, id, index, block, expected);
    const computed = Buffer.from(sha256).toString('base64');
    if (!stored) {
      // E-19.
      throw ebsError(
        'InvalidSignatureException',
        `The value passed in as x-amz-Checksum does not match the computed checksum. Computed checksum: ${computed} expected checksum: ${input.Checksum}`,
      );
    }
    return { Checksum: computed, ChecksumAlgorithm: 'SHA256' };
  };

const wrongLength = (length: number | undefined) =>
  invalid('INVALID_BLOCK', `Block data length ${length} is not valid, expected ${BLOCK_BYTES}`);
