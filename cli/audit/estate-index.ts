/** The facts of an estate, ready to be asked: keys by every name, volumes and snapshots by id, who a share reaches. */
import { isKeyArn } from './arns.ts';
import type {
  Estate,
  ImageFacts,
  KeyFacts,
  Organization,
  PlaceFacts,
  Share,
  SharedWith,
  SnapshotFacts,
  VolumeFacts,
} from './model.ts';

export class EstateIndex {
  readonly estate: Estate;
  readonly #keys = new Map<string, KeyFacts>();
  readonly #snapshots = new Map<string, SnapshotFacts>();
  readonly #volumes = new Map<string, VolumeFacts>();

  constructor(estate: Estate) {
    this.estate = estate;
    for (const place of estate.places) {
      // What the owner reads of a key says more than what a user of it is told.
      for (const key of place.keys) {
        if (!this.#keys.has(key.arn) || key.account === place.account) this.#keys.set(key.arn, key);
      }
      for (const snapshot of place.snapshots) this.#snapshots.set(snapshot.id, snapshot);
      for (const volume of place.volumes) this.#volumes.set(volume.id, volume);
    }
  }

  get keys(): KeyFacts[] {
    return [...this.#keys.values()];
  }
  snapshot(id: string): SnapshotFacts | undefined {
    return this.#snapshots.get(id);
  }
  volume(id: string): VolumeFacts | undefined {
    return this.#volumes.get(id);
  }
  key(arn: string): KeyFacts | undefined {
    return this.#keys.get(arn);
  }

  /** The key behind any of the four spellings of one (V-4), as it is read in this place. */
  resolveKey({ account, region }: PlaceFacts, named: string): KeyFacts | undefined {
    if (isKeyArn(named)) return this.#keys.get(named);
    const alias = /^arn:[\w-]+:kms:([\w-]+):(\d{12}):(alias\/.+)$/.exec(named);
    const [where, whose, name] = alias ? [alias[1], alias[2], alias[3] ?? ''] : [region, account, named];
    return this.keys.find(
      (key) => key.region === where && key.account === whose && (key.aliases.includes(name) || key.id === name),
    );
  }

  /** What people call the key: its alias, or its ARN. */
  nameOfKey(arn: string): string {
    return this.#keys.get(arn)?.aliases[0] ?? arn;
  }

  /** ARN of the default key of EBS, as far as it is known; the AWS managed key is found by its alias. */
  defaultKey(place: PlaceFacts): string | undefined {
    if (place.defaultKey === undefined) return undefined;
    return this.resolveKey(place, place.defaultKey)?.arn ?? place.defaultKey;
  }

  /** The snapshots behind an image that the audit has seen. */
  snapshotsOf(image: ImageFacts): SnapshotFacts[] {
    return image.devices.flatMap(({ snapshotId }) => {
      const snapshot = snapshotId === undefined ? undefined : this.#snapshots.get(snapshotId);
      return snapshot ? [snapshot] : [];
    });
  }

  /** Keys that an image needs, each once. */
  keysOf(image: ImageFacts): string[] {
    return [...new Set(this.snapshotsOf(image).flatMap(({ key }) => (key ? [key] : [])))];
  }

  /** Accounts that a share reaches, the owner aside; `undefined` where that cannot be told. */
  reached(share: Share, owner: string): readonly string[] | undefined {
    const others = (accounts: readonly string[]) => accounts.filter((account) => account !== owner);
    if (share.kind === 'account') return others([share.value]);
    if (share.kind === 'everyone') return undefined;
    const { organization } = this.estate;
    if (!organization || organization === 'none') return undefined;
    return others(membersOf(organization, share));
  }

  sharing(): SharedWith[] {
    return this.estate.places.flatMap(({ account, region, images }) =>
      images.flatMap(({ id, name, shares }) =>
        shares?.length
          ? [{ image: id, ...(name === undefined ? {} : { name }), owner: account, region, with: shares }]
          : [],
      ),
    );
  }
}

function membersOf({ arn, members }: Organization, share: Share): string[] {
  if (share.kind === 'organization') return share.value === arn ? [...members.keys()] : [];
  const unit = share.value.slice(share.value.lastIndexOf('/') + 1);
  return [...members].flatMap(([account, { path }]) => (path.split('/').includes(unit) ? [account] : []));
}
