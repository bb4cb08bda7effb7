/** Blocks of a snapshot by the EBS direct APIs, each compared with its checksum. */
import {
  type EBSClient,
  GetSnapshotBlockCommand,
  ListSnapshotBlocksCommand,
  type ListSnapshotBlocksResponse,
} from '@aws-sdk/client-ebs';
import { BLOCK_BYTES, sha256 } from '../disk/block.ts';
import { CliError } from '../error.ts';

const PAGE = 10_000;
/** A block that arrives damaged is asked for again: it is the way that is at fault, more often than the snapshot. */
const READS_MAX = 3;

export interface ListedBlock {
  readonly index: number;
  readonly token: string;
}

export interface Listing {
  readonly volumeSizeGiB: number;
  readonly blocks: readonly ListedBlock[];
}

export async function listBlocks(ebs: EBSClient, snapshotId: string, signal: AbortSignal): Promise<Listing> {
  const blocks: ListedBlock[] = [];
  let page: ListSnapshotBlocksResponse | undefined;
  do {
    const NextToken = page?.NextToken;
    const command = new ListSnapshotBlocksCommand({ SnapshotId: snapshotId, MaxResults: PAGE, NextToken });
    page = await ebs.send(command, { abortSignal: signal });
    if (page.BlockSize !== BLOCK_BYTES) throw new CliError(`${snapshotId} has blocks of ${page.BlockSize} bytes.`);
    for (const { BlockIndex, BlockToken } of page.Blocks ?? []) {
      blocks.push({ index: BlockIndex as number, token: BlockToken as string });
    }
  } while (page.NextToken !== undefined);
  return { volumeSizeGiB: page.VolumeSize as number, blocks };
}

export interface ReadBlock {
  readonly data: Buffer;
  readonly digest: Buffer;
}

/** Verifying is the client's job (E-3). */
export async function readBlock(
  ebs: EBSClient,
  snapshotId: string,
  { index, token }: ListedBlock,
  signal: AbortSignal,
): Promise<ReadBlock> {
  for (let read = 1; ; read += 1) {
    const command = new GetSnapshotBlockCommand({ SnapshotId: snapshotId, BlockIndex: index, BlockToken: token });
    const answer = await ebs.send(command, { abortSignal: signal });
    const data = await answer.BlockData?.transformToByteArray();
    if (data?.length === BLOCK_BYTES && answer.ChecksumAlgorithm === 'SHA256') {
      const digest = await sha256(data as Uint8Array<ArrayBuffer>);
      if (digest.toString('base64') === answer.Checksum) {
        return { data: Buffer.from(data.buffer, data.byteOffset, data.length), digest };
      }
    }
    if (read === READS_MAX) {
      throw new CliError(
        `Block ${index} of ${snapshotId} arrived ${READS_MAX} times with another checksum than it has.`,
      );
    }
  }
}
