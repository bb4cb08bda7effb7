/** Older versions at a site: which are kept, deprecated, or retired. */
import type { PublishedImage } from './published.ts';

export interface VersionSets {
  /** Older than the version, still within what is kept. */
  readonly kept: readonly PublishedImage[];
  /** Beyond what is kept. */
  readonly surplus: readonly PublishedImage[];
}

/**
 * Versions older than `version`, newest first, parted by `keep` (this version is one of them). Versions that are newer,
 * as when an older manifest is applied again, count as kept and are left alone.
 */
export function partVersions(
  images: readonly PublishedImage[],
  version: string,
  keep: number | undefined,
): VersionSets {
  const mine = images.find((image) => image.version === version);
  const others = images
    .filter((image) => image.version !== version)
    .sort((one, other) => other.createdAt.getTime() - one.createdAt.getTime());
  const newer = mine ? others.filter(({ createdAt }) => createdAt > mine.createdAt).length : 0;
  const kept = keep === undefined ? others.length : Math.max(newer, keep - 1);
  return { kept: others.slice(newer, kept), surplus: others.slice(kept) };
}
