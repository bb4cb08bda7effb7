/** What would die with a key: everything that is sealed under it, and everything that is set to use it. */
import type { EstateIndex } from './estate-index.ts';
import type { KeyFacts, KeyUse } from './model.ts';

export function useOf(key: KeyFacts, estate: EstateIndex): KeyUse {
  const use = {
    images: [] as string[],
    snapshots: [] as string[],
    volumes: [] as string[],
    instances: [] as string[],
    templates: [] as string[],
    defaults: [] as string[],
  };
  for (const place of estate.estate.places) {
    if (place.region !== key.region) continue;
    const snapshots = new Set(place.snapshots.flatMap((one) => (one.key === key.arn ? [one.id] : [])));
    const volumes = new Set(place.volumes.flatMap((one) => (one.key === key.arn ? [one.id] : [])));
    const images = place.images.filter(({ devices }) =>
      devices.some(({ snapshotId }) => snapshotId !== undefined && snapshots.has(snapshotId)),
    );
    const imageIds = new Set(images.map(({ id }) => id));
    const names = (named: string | undefined) =>
      named !== undefined && (named === key.arn || estate.resolveKey(place, named)?.arn === key.arn);
    use.snapshots.push(...snapshots);
    use.volumes.push(...volumes);
    use.images.push(...imageIds);
    use.instances.push(...place.instances.filter((one) => one.volumes.some(({ id }) => volumes.has(id))).map(idOf));
    const templates = place.templates.filter(
      ({ image, devices }) => (image !== undefined && imageIds.has(image)) || devices.some((one) => names(one.key)),
    );
    use.templates.push(...new Set(templates.map(idOf)));
    if (names(estate.defaultKey(place))) use.defaults.push(`${place.account}/${place.region}`);
  }
  return { key: key.arn, state: key.state, aliases: key.aliases, ...use };
}

const idOf = ({ id }: { readonly id: string }) => id;

export function isNeeded({ images, snapshots, volumes, instances, templates, defaults }: KeyUse): boolean {
  return [images, snapshots, volumes, instances, templates, defaults].some(({ length }) => length > 0);
}

/** `3 images, 1 volume`. */
export function describeUse(use: KeyUse): string {
  const kinds: readonly (readonly [number, string, string])[] = [
    [use.images.length, 'image', 'images'],
    [use.snapshots.length, 'snapshot', 'snapshots'],
    [use.volumes.length, 'volume', 'volumes'],
    [use.instances.length, 'instance', 'instances'],
    [use.templates.length, 'launch template', 'launch templates'],
    [use.defaults.length, 'default of EBS', 'defaults of EBS'],
  ];
  const parts = kinds
    .filter(([count]) => count > 0)
    .map(([count, one, many]) => `${count} ${count === 1 ? one : many}`);
  return parts.join(', ') || 'nothing';
}
