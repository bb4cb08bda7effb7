/** Reads a volume through its layers: overlays, newest first, over the sealed blocks of its base. */
import { LIMITS } from '../limits.ts';
import { type Overlay, REGION_SECTORS, type SectorState } from './overlay.ts';

/** One plaintext block of the base, or `undefined` where it has none. The bytes are not to be changed. */
export type BaseReader = (index: number) => Promise<Uint8Array | undefined>;

/** Fills `target` with whole sectors from `firstSector` on. */
export async function readThrough(
  overlays: readonly Overlay[],
  base: BaseReader,
  firstSector: number,
  target: Uint8Array,
): Promise<void> {
  const end = firstSector + target.byteLength / LIMITS.sectorBytes;
  for (let sector = firstSector; sector < end; ) {
    const region = Math.floor(sector / REGION_SECTORS);
    const regionEnd = Math.min(end, (region + 1) * REGION_SECTORS);
    for (const overlay of overlays) await overlay.loadBits(region);
    while (sector < regionEnd) {
      const from = sourceOf(overlays, sector);
      let runEnd = sector + 1;
      while (runEnd < regionEnd && same(from, sourceOf(overlays, runEnd))) runEnd++;
      const bytes = target.subarray(
        (sector - firstSector) * LIMITS.sectorBytes,
        (runEnd - firstSector) * LIMITS.sectorBytes,
      );
      if (from.state === 'data') {
        await from.overlay.readSectors(sector, bytes);
      } else {
        const block = from.state === 'below' ? await base(region) : undefined;
        const at = (sector % REGION_SECTORS) * LIMITS.sectorBytes;
        if (block) bytes.set(block.subarray(at, at + bytes.byteLength));
        else bytes.fill(0);
      }
      sector = runEnd;
    }
  }
}

type SectorSource = { state: 'data'; overlay: Overlay } | { state: Exclude<SectorState, 'data'>; overlay?: undefined };
const ZERO: SectorSource = { state: 'zero' };
const BELOW: SectorSource = { state: 'below' };

function sourceOf(overlays: readonly Overlay[], sector: number): SectorSource {
  for (const overlay of overlays) {
    const state = overlay.stateOf(sector);
    if (state === 'data') return { state, overlay };
    if (state === 'zero') return ZERO;
  }
  return BELOW;
}

const same = (a: SectorSource, b: SectorSource): boolean => a.state === b.state && a.overlay === b.overlay;
