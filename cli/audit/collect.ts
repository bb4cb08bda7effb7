/** Reads an estate: every account in every region, side by side within one gate. Reads only, and changes nothing. */

import type { Aws } from '../aws.ts';
import { mapBounded } from '../bounded.ts';
import { isKeyArn } from './arns.ts';
import { Gate } from './gate.ts';
import type { AuditPolicy, Estate, KeyFacts, NotSeen, Organization, Place, PlaceFacts } from './model.ts';
import {
  readForeignImages,
  readImages,
  readInstances,
  readSettings,
  readSnapshots,
  readTemplates,
  readVolumes,
} from './read-ec2.ts';
import { readForeignKey, readKeys } from './read-keys.ts';
import { Reader } from './reader.ts';

/** An account that is audited, and the credentials in it; `undefined` where they could not be had, with the reason. */
export interface AccountAccess {
  readonly id: string;
  readonly aws: Aws | undefined;
  readonly refused?: { readonly call: string; readonly reason: string };
}

export interface CollectRequest {
  readonly accounts: readonly AccountAccess[];
  readonly regions: readonly string[];
  readonly organization: Organization | 'none' | undefined;
  readonly policy: AuditPolicy;
  readonly notSeen: readonly NotSeen[];
  readonly callsAtOnce: number;
  readonly signal: AbortSignal;
  readonly now: Date;
  /** Called when a place has been read. */
  readonly onPlace: (place: Place) => void;
}

export async function collect(request: CollectRequest): Promise<Estate> {
  const { accounts, regions, policy, signal } = request;
  const notSeen = [...request.notSeen];
  const gate = new Gate(request.callsAtOnce);
  const wishes = { tags: policy.approvedKeys.some((one) => one.startsWith('tag:')) };
  const readers: Reader[] = [];
  for (const { id, aws, refused } of accounts) {
    if (aws) {
      for (const region of regions) {
        readers.push(new Reader(aws.inRegion(region), { account: id, region }, gate, notSeen, signal));
      }
    } else {
      const { call, reason } = refused ?? { call: 'sts:AssumeRole', reason: 'no credentials' };
      for (const region of regions) notSeen.push({ account: id, region, part: 'account', call, reason });
    }
  }
  // Few places at a time: of hundreds of accounts, what is half read would only be held longer.
  const places = await mapBounded(readers, request.callsAtOnce, signal, async (reader) => {
    const place = await readPlace(reader, wishes);
    request.onPlace(reader.place);
    return place;
  });
  const { organization, now } = request;
  return { places: await withForeignKeys(readers, places), notSeen, organization, policy, now };
}

async function readPlace(reader: Reader, wishes: { readonly tags: boolean }): Promise<PlaceFacts> {
  const [settings, images, snapshots, volumes, instances, templates, keys] = await Promise.all([
    readSettings(reader),
    readImages(reader),
    readSnapshots(reader),
    readVolumes(reader),
    readInstances(reader),
    readTemplates(reader),
    readKeys(reader, wishes),
  ]);
  const own = new Set(images.map(({ id }) => id));
  const used = new Set(templates.flatMap(({ image }) => (image && /^ami-/.test(image) ? [image] : [])));
  const foreignImages = await readForeignImages(
    reader,
    [...used].filter((id) => !own.has(id)),
  );
  return {
    ...reader.place,
    ...settings,
    ...{ images, foreignImages, snapshots, volumes, instances, templates, keys },
  };
}

/** Adds the keys that a place uses and that no audited account owns. */
async function withForeignKeys(readers: readonly Reader[], places: readonly PlaceFacts[]): Promise<PlaceFacts[]> {
  const known = new Set(places.flatMap(({ keys }) => keys.map(({ arn }) => arn)));
  return Promise.all(
    places.map(async (place, at) => {
      const wanted = [...usedKeys(place)].filter((arn) => !known.has(arn));
      const found = await Promise.all(wanted.map((arn) => readForeignKey(readers[at]!, arn)));
      return { ...place, keys: [...place.keys, ...found.filter((key): key is KeyFacts => key !== undefined)] };
    }),
  );
}

/** ARNs of keys in the place's region that something there names. */
function usedKeys({ region, defaultKey, snapshots, volumes, templates }: PlaceFacts): Set<string> {
  const named = [
    defaultKey,
    ...snapshots.map(({ key }) => key),
    ...volumes.map(({ key }) => key),
    ...templates.flatMap(({ devices }) => devices.map(({ key }) => key)),
  ];
  return new Set(named.filter((key): key is string => !!key && isKeyArn(key) && key.split(':')[3] === region));
}
