/** What the storage's main thread and its block workers say to each other. */
import { IntegrityError } from '../errors.ts';
import type { FileScan } from './file-scan.ts';
import type { Inspection } from './inspection.ts';
import type { WorkerKey } from './segment-reader.ts';

export interface BlockWorkerData {
  readonly segmentsDir: string;
  readonly overlaysDir: string;
}

export interface PutRequest {
  readonly kind: 'put';
  readonly dataKey: WorkerKey;
  readonly plaintext: ArrayBuffer;
  readonly expectedSha256?: Uint8Array;
}
export interface PutResult {
  /** Absent where the digest is not the expected one. */
  readonly entry?: Uint8Array;
  readonly sha256: Uint8Array;
}

export interface ReadRequest {
  readonly kind: 'read';
  readonly dataKey: WorkerKey;
  readonly entry: Uint8Array;
}

export interface ResealRequest {
  readonly kind: 'reseal';
  readonly source: WorkerKey;
  readonly target: WorkerKey;
  /** Entries back to back; the result has the same shape. */
  readonly entries: Uint8Array;
}

export interface MergeRequest {
  readonly kind: 'merge';
  /** Names of frozen overlays, newest first, and the key of them and of the result. */
  readonly overlays: readonly string[];
  readonly dataKey: WorkerKey;
  readonly baseKey?: WorkerKey;
  readonly sizeBytes: number;
  readonly indexes: readonly number[];
  /** One entry of the base for each index, all zeros where there is none; the result has the same shape. */
  readonly entries: Uint8Array;
}

export interface InspectRequest {
  readonly kind: 'inspect';
  readonly dataKey: WorkerKey;
  /** Entries back to back. */
  readonly entries: Uint8Array;
}

export interface ScanRequest {
  readonly kind: 'scan';
  readonly path: string;
  readonly marker: Uint8Array;
}

export interface PingRequest {
  readonly kind: 'ping';
}
export interface CloseRequest {
  readonly kind: 'close';
}

export type BlockRequest =
  | PutRequest
  | ReadRequest
  | ResealRequest
  | MergeRequest
  | InspectRequest
  | ScanRequest
  | PingRequest
  | CloseRequest;
export type ResultOf<Request extends BlockRequest> = Request extends PutRequest
  ? PutResult
  : Request extends InspectRequest
    ? Inspection
    : Request extends ScanRequest
      ? FileScan | undefined
      : Request extends PingRequest | CloseRequest
        ? undefined
        : Uint8Array<ArrayBuffer>;

export interface Numbered<Body> {
  readonly id: number;
  readonly body: Body;
}

export type BlockReply =
  | { readonly kind: 'done'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure }
  | { readonly kind: 'opened' | 'closed'; readonly segment: string }
  | { readonly kind: 'buffered' };

/** An error on its way between threads: the class of an IntegrityError survives. */
export interface Failure {
  readonly integrity?: string;
  readonly error: Error;
}
export function failureOf(error: unknown): Failure {
  const plain = error instanceof Error ? error : new Error(String(error));
  return error instanceof IntegrityError ? { integrity: error.what, error: plain } : { error: plain };
}
export function errorOf(failure: Failure): Error {
  if (failure.integrity === undefined) return failure.error;
  return new IntegrityError(failure.integrity, { cause: failure.error.cause });
}
