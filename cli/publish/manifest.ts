/** The manifest: YAML, checked against its JSON Schema, every complaint with its line. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Ajv, type ErrorObject } from 'ajv';
import { type Document, isMap, isNode, isPair, LineCounter, type Node, parseDocument } from 'yaml';
import { UsageError } from '../error.ts';

const SCHEMA = new URL('publish-v1.schema.json', import.meta.url);

export const readSchema = (): Promise<string> => readFile(SCHEMA, 'utf8');

export type Source =
  | {
      readonly kind: 'disk';
      readonly path: string;
      readonly bootMode?: string;
      readonly architecture: string;
      readonly rootDevice: string;
      readonly volumeSizeGiB?: number;
    }
  | { readonly kind: 'image'; readonly imageId: string }
  | { readonly kind: 'instance'; readonly instanceId: string; readonly reboot: boolean };

export interface Audience {
  readonly accounts: readonly string[];
  readonly organizationalUnits: readonly string[];
  readonly organization?: string;
  readonly everyone: boolean;
}

export interface TemplateTarget {
  readonly template: string;
  readonly region: string;
  readonly account?: string;
  readonly setDefault: boolean;
}

export interface Manifest {
  readonly path: string;
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly source: Source;
  /** Where the source is, or is brought to first. */
  readonly home: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly encrypted: boolean;
  /** In the order of the file. */
  readonly regions: readonly { readonly region: string; readonly key?: string }[];
  readonly mode: 'share' | 'reencrypt';
  readonly audience: Audience;
  readonly role: string;
  /** With `reencrypt`: the key of an account's copies; undefined for the account's default key. */
  keyOf(account: string): string | undefined;
  readonly autoScaling: boolean;
  readonly templates: readonly TemplateTarget[];
  readonly deprecateAfterDays?: number;
  readonly keep?: number;
}

/** As the schema has it. */
interface Raw {
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly source: {
    readonly disk?: string;
    readonly image?: string;
    readonly instance?: string;
    readonly region?: string;
    readonly reboot?: boolean;
    readonly bootMode?: string;
    readonly architecture?: string;
    readonly rootDevice?: string;
    readonly volumeSizeGiB?: number;
  };
  readonly tags?: Record<string, string>;
  readonly encrypted?: boolean;
  readonly key?: string;
  readonly regions: readonly string[] | Readonly<Record<string, { readonly key?: string } | null>>;
  readonly mode?: 'share' | 'reencrypt';
  readonly for: {
    readonly accounts?: readonly string[];
    readonly organizationalUnits?: readonly string[];
    readonly organization?: string;
    readonly everyone?: true;
    readonly role?: string;
    readonly key?: string;
    readonly keys?: Readonly<Record<string, string>>;
    readonly autoScaling?: boolean;
  };
  readonly launchTemplates?: readonly {
    readonly template: string;
    readonly region: string;
    readonly account?: string;
    readonly setDefault?: boolean;
  }[];
  readonly deprecate?: { readonly afterDays: number };
  readonly keep?: number;
}

/** @throws {UsageError} with one line per complaint: file, line, column, what is wrong. */
export async function readManifest(path: string): Promise<Manifest> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new UsageError(code === 'ENOENT' ? `There is no ${path}.` : `${path} cannot be read (${code}).`, { cause });
  }
  return parseManifest(text, path, JSON.parse(await readSchema()) as object);
}

export function parseManifest(text: string, path: string, schema: object): Manifest {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    throw new UsageError(document.errors.map(({ pos, message }) => `${at(pos[0])} ${message}`).join('\n'));
  }
  const raw: unknown = document.toJS();
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true, verbose: true }).compile(schema);
  const say = (place: readonly string[], complaint: string, key?: string) =>
    `${at(offsetOf(document, place, key))} ${place.length > 0 ? `${place.join('.')}: ` : ''}${complaint}`;
  if (!validate(raw)) {
    const complaints = telling(validate.errors ?? []).map((error) => {
      const place = error.instancePath.split('/').slice(1).map(unescaped);
      return say(place, complaintOf(error), (error.params.additionalProperty ?? error.params.propertyName) as string);
    });
    throw new UsageError([...new Set(complaints)].join('\n'));
  }
  const manifest = raw as Raw;
  const strays = contradictions(manifest).map(({ place, complaint }) => say(place, complaint));
  if (strays.length > 0) throw new UsageError(strays.join('\n'));
  return normalized(manifest, path);
}

const unescaped = (part: string) => part.replaceAll('~1', '/').replaceAll('~0', '~');

/** Failures of single alternatives say less than the alternative that was meant. */
function telling(errors: readonly ErrorObject[]): readonly ErrorObject[] {
  const alternatives = errors.filter(({ keyword }) => keyword === 'oneOf').map(({ instancePath }) => instancePath);
  return errors.filter(({ keyword, instancePath, schemaPath, propertyName }) => {
    if (propertyName !== undefined) return false;
    if (keyword === 'propertyNames') return true;
    const inAlternative = /\/oneOf\/\d+\//.test(schemaPath) && alternatives.some((path) => instancePath === path);
    return !inAlternative && !(keyword === 'oneOf' && errors.some((one) => isBelow(one.instancePath, instancePath)));
  });
}
const isBelow = (path: string, above: string) => path.startsWith(`${above}/`);

function complaintOf({ keyword, params, message, data, parentSchema, instancePath }: ErrorObject): string {
  const described = (parentSchema as { description?: string } | undefined)?.description;
  const given = JSON.stringify(data);
  switch (keyword) {
    case 'additionalProperties':
      return `there is no ${String(params.additionalProperty)} here`;
    case 'required':
      return `${String(params.missingProperty)} is missing`;
    case 'enum':
      return `must be one of ${(params.allowedValues as unknown[]).join(', ')}, not ${given}`;
    case 'oneOf':
      if (instancePath === '/source') return 'name exactly one of disk, image and instance';
      return instancePath === '/regions' ? 'must be a list of regions, or regions with their keys' : `${message}`;
    case 'type':
      if (params.type === 'string' && typeof data === 'number') return `${given} is a number here: put it in quotes`;
      return `must be of type ${[params.type].flat().join(' or ')}, not ${given}`;
    case 'pattern':
      return `${given} is not of the form wanted${described ? ` (${described})` : ''}: ${params.pattern}`;
    case 'propertyNames':
      return `${String(params.propertyName)} is no name for an entry of it`;
    default:
      return `${message}`;
  }
}

/** Where `place` is in the text: the node itself, or the key that should not be there, or the nearest that exists. */
function offsetOf(document: Document, place: readonly string[], key: string | undefined): number {
  for (let length = place.length; length >= 0; length--) {
    const path = place.slice(0, length).map((part) => (/^\d+$/.test(part) ? Number(part) : part));
    const found = (length === 0 ? document.contents : document.getIn(path, true)) as Node | null | undefined;
    const node = found ?? (length > 0 ? document.getIn(place.slice(0, length), true) : undefined);
    if (!isNode(node)) continue;
    if (key !== undefined && isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && String(item.key) === key);
      if (pair && isNode(pair.key)) return pair.key.range?.[0] ?? 0;
    }
    return node.range?.[0] ?? 0;
  }
  return 0;
}

interface Complaint {
  readonly place: readonly string[];
  readonly complaint: string;
}

/** What the schema cannot say. */
function contradictions(raw: Raw): Complaint[] {
  const found: Complaint[] = [];
  const complain = (place: readonly string[], complaint: string) => found.push({ place, complaint });
  const { source, for: audience, mode = 'share', encrypted = true } = raw;
  const named = regionsOf(raw).map(({ region }) => region);
  const ofDisk = ['bootMode', 'architecture', 'rootDevice', 'volumeSizeGiB'] as const;
  for (const name of ofDisk) {
    if (source[name] !== undefined && source.disk === undefined) complain(['source', name], 'is for a disk');
  }
  if (source.reboot !== undefined && source.instance === undefined)
    complain(['source', 'reboot'], 'is for an instance');
  if (source.disk !== undefined && source.region !== undefined && !named.includes(source.region)) {
    complain(['source', 'region'], 'a disk goes first to one of the regions it is published in');
  }
  const somebody = audience.accounts || audience.organizationalUnits || audience.organization || audience.everyone;
  if (!somebody) complain(['for'], 'name accounts, organizationalUnits, organization or everyone');
  if (audience.everyone && encrypted) {
    complain(['for', 'everyone'], 'encrypted snapshots cannot be public: say encrypted: false, or name who it is for');
  }
  if (!encrypted && !audience.everyone) {
    complain(['encrypted'], 'only an image for everyone is published without encryption');
  }
  if (!encrypted && (raw.key !== undefined || regionsOf(raw).some(({ key }) => key !== undefined))) {
    complain(['encrypted'], 'a key has no use here');
  }
  if (audience.everyone && mode === 'reencrypt') complain(['mode'], 'reencrypt is for accounts, not for everyone');
  for (const name of ['key', 'keys'] as const) {
    if (audience[name] !== undefined && mode === 'share') complain(['for', name], 'is for mode: reencrypt');
  }
  if (audience.autoScaling && (mode === 'reencrypt' || audience.everyone)) {
    complain(['for', 'autoScaling'], 'is for mode: share; whoever has a copy under a key of its own needs no grant');
  }
  raw.launchTemplates?.forEach(({ region }, index) => {
    if (!named.includes(region)) {
      complain(['launchTemplates', String(index), 'region'], `the image is not published in ${region}`);
    }
  });
  return found;
}

function regionsOf({ regions, key: common }: Raw): { region: string; key?: string }[] {
  const named = Array.isArray(regions)
    ? (regions as readonly string[]).map((region) => [region, undefined] as const)
    : Object.entries(regions as Readonly<Record<string, { readonly key?: string } | null>>);
  return named.map(([region, one]) => {
    const key = one?.key ?? common;
    return { region, ...(key === undefined ? {} : { key }) };
  });
}

function normalized(raw: Raw, path: string): Manifest {
  const regions = regionsOf(raw);
  const { for: audience } = raw;
  return {
    path,
    name: raw.name,
    version: raw.version,
    ...(raw.description === undefined ? {} : { description: raw.description }),
    source: sourceOf(raw.source, path),
    home: raw.source.region ?? regions[0]!.region,
    tags: raw.tags ?? {},
    encrypted: raw.encrypted ?? true,
    regions,
    mode: raw.mode ?? 'share',
    audience: {
      accounts: audience.accounts ?? [],
      organizationalUnits: audience.organizationalUnits ?? [],
      ...(audience.organization === undefined ? {} : { organization: audience.organization }),
      everyone: audience.everyone ?? false,
    },
    role: audience.role ?? 'OrganizationAccountAccessRole',
    keyOf: (account) => audience.keys?.[account] ?? audience.key,
    autoScaling: audience.autoScaling ?? false,
    templates: (raw.launchTemplates ?? []).map((one) => ({ ...one, setDefault: one.setDefault ?? true })),
    ...(raw.deprecate ? { deprecateAfterDays: raw.deprecate.afterDays } : {}),
    ...(raw.keep === undefined ? {} : { keep: raw.keep }),
  };
}

function sourceOf(source: Raw['source'], path: string): Source {
  if (source.image !== undefined) return { kind: 'image', imageId: source.image };
  if (source.instance !== undefined) {
    return { kind: 'instance', instanceId: source.instance, reboot: source.reboot ?? true };
  }
  return {
    kind: 'disk',
    path: resolve(dirname(path), source.disk!),
    ...(source.bootMode === undefined ? {} : { bootMode: source.bootMode }),
    architecture: source.architecture ?? 'x86_64',
    rootDevice: source.rootDevice ?? '/dev/xvda',
    ...(source.volumeSizeGiB === undefined ? {} : { volumeSizeGiB: source.volumeSizeGiB }),
  };
}
