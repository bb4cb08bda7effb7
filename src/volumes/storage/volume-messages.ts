/** What the storage's main thread and a volume's worker thread say to each other. */

import type { PageId } from '../../blocks/map-page.ts';
import type { Failure } from '../../blocks/messages.ts';
import type { WorkerKey } from '../../blocks/segment-reader.ts';

export interface WorkerBase {
  readonly root: PageId;
  readonly dataKey: WorkerKey;
}

export interface VolumeWorkerData {
  readonly volume: string;
  readonly segmentsDir: string;
  readonly overlaysDir: string;
  readonly socketPath: string;
  readonly sizeBytes: number;
  readonly base?: WorkerBase;
  /** Oldest first; the last one is written to. */
  readonly overlays: readonly string[];
  readonly dataKey: WorkerKey;
}

export type VolumeCommand =
  /** Answered by `recorded?`, and done when the main thread has said `recorded`. */
  | { readonly kind: 'freeze'; readonly newOverlay: string }
  | { readonly kind: 'rebase'; readonly base: WorkerBase; readonly removed: readonly string[] }
  | { readonly kind: 'close' };

export type ToVolume =
  | { readonly kind: 'command'; readonly id: number; readonly command: VolumeCommand }
  | { readonly kind: 'recorded'; readonly id: number; readonly failure?: Failure }
  | { readonly kind: 'page'; readonly id: number; readonly page?: Uint8Array; readonly failure?: Failure };

export type FromVolume =
  | { readonly kind: 'listening' }
  /** The volume cannot be served; the thread ends. */
  | { readonly kind: 'unfit'; readonly failure: Failure }
  | { readonly kind: 'done'; readonly id: number; readonly failure?: Failure }
  | { readonly kind: 'record'; readonly id: number }
  | { readonly kind: 'load'; readonly id: number; readonly page: PageId; readonly level: number }
  | { readonly kind: 'trouble'; readonly failure: Failure };
