import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { PublishedImage } from './published.ts';
import { partVersions } from './retention.ts';

const made = (version: string, day: number): PublishedImage => ({
  imageId: `ami-${version}`,
  version,
  source: '',
  state: 'available',
  createdAt: new Date(Date.UTC(2026, 0, day)),
  readers: [],
  snapshotIds: [],
  image: {},
});
const images = [made('1', 1), made('2', 2), made('3', 3), made('4', 4)];
const names = (list: readonly PublishedImage[]) => list.map(({ version }) => version).join();

/** Version that is applied, how many are kept; older ones that stay, and that go. */
const CASES = [
  { version: '4', keep: undefined, kept: '3,2,1', surplus: '' },
  { version: '4', keep: 1, kept: '', surplus: '3,2,1' },
  { version: '4', keep: 2, kept: '3', surplus: '2,1' },
  { version: '4', keep: 9, kept: '3,2,1', surplus: '' },
  // Not made yet: it will be the newest.
  { version: '5', keep: 2, kept: '4', surplus: '3,2,1' },
  // An older manifest applied again: what is newer is neither deprecated nor retired.
  { version: '2', keep: 1, kept: '', surplus: '1' },
  { version: '2', keep: 4, kept: '1', surplus: '' },
] as const;

for (const { version, keep, kept, surplus } of CASES) {
  it(`version ${version}, keep ${keep ?? 'all'}: stays ${kept || 'none'}, goes ${surplus || 'none'}`, () => {
    const sets = partVersions(images, version, keep);
    assert.deepEqual([names(sets.kept), names(sets.surplus)], [kept, surplus]);
  });
}
