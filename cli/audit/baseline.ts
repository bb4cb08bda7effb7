/** Findings that somebody accepts: each with a reason, and until a day. After that day they count again. */
import { readFile } from 'node:fs/promises';
import { parse, stringify } from 'yaml';
import { CliError } from '../error.ts';
import type { Finding } from './model.ts';

export interface BaselineEntry {
  readonly fingerprint: string;
  readonly check: string;
  readonly resource: string;
  readonly reason: string;
  /** A day, `2027-01-31`; accepted to its end in UTC. */
  readonly expires: string;
}

const MEMBERS: readonly (keyof BaselineEntry)[] = ['fingerprint', 'check', 'resource', 'reason', 'expires'];

/** @throws {CliError} for a file that is no baseline, with the entry and what it lacks. */
export async function readBaseline(path: string): Promise<BaselineEntry[]> {
  const document = readYaml(await readText(path), path) as { readonly version?: unknown; readonly accepted?: unknown };
  if (document?.version !== 1 || !Array.isArray(document.accepted)) {
    throw new CliError(`${path} is no baseline: it needs "version: 1" and a list "accepted".`);
  }
  return document.accepted.map((entry: unknown, at) => readEntry(entry, `${path}, entry ${at + 1}`));
}

function readEntry(entry: unknown, where: string): BaselineEntry {
  if (typeof entry !== 'object' || entry === null) throw new CliError(`${where} is no entry.`);
  const given = entry as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(given).find((name) => !(MEMBERS as readonly string[]).includes(name));
  if (unknown !== undefined) throw new CliError(`${where}: there is no member ${JSON.stringify(unknown)}.`);
  for (const name of MEMBERS) {
    const value = given[name];
    if (typeof value !== 'string' || value.trim() === '') throw new CliError(`${where} has no ${name}.`);
  }
  if (!isDay(String(given.expires))) throw new CliError(`${where}: expires must be a day such as 2027-01-31.`);
  return given as unknown as BaselineEntry;
}

/** Whether it is a day of the calendar, written as year, month and day. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  const day = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text);
}

export interface Applied {
  readonly findings: Finding[];
  /** Fingerprints of entries whose day is past and whose finding is there again. */
  readonly expired: string[];
  /** Fingerprints of entries whose finding is gone. */
  readonly unused: string[];
}

export function applyBaseline(findings: readonly Finding[], entries: readonly BaselineEntry[], now: Date): Applied {
  const today = now.toISOString().slice(0, 10);
  const byFingerprint = new Map(entries.map((entry) => [entry.fingerprint, entry]));
  const there = new Set(findings.map(({ fingerprint }) => fingerprint));
  return {
    findings: findings.map((finding) => {
      const entry = byFingerprint.get(finding.fingerprint);
      if (!entry || entry.expires < today) return finding;
      return { ...finding, accepted: { reason: entry.reason, expires: entry.expires } };
    }),
    expired: entries.filter((one) => one.expires < today && there.has(one.fingerprint)).map(fingerprintOf),
    unused: entries.filter((one) => !there.has(one.fingerprint)).map(fingerprintOf),
  };
}

const fingerprintOf = ({ fingerprint }: BaselineEntry) => fingerprint;

/** Entries that still stand, and one for each open finding. */
export function renewedBaseline(
  applied: Applied,
  entries: readonly BaselineEntry[],
  { reason, expires }: { readonly reason: string; readonly expires: string },
): string {
  const kept = new Set(applied.findings.flatMap(({ accepted, fingerprint }) => (accepted ? [fingerprint] : [])));
  const added = applied.findings
    .filter(({ accepted }) => !accepted)
    .map(({ fingerprint, check, resource }): BaselineEntry => {
      return { fingerprint, check, resource: resource.arn, reason, expires };
    });
  const accepted = [...entries.filter((entry) => kept.has(entry.fingerprint)), ...added];
  return stringify({ version: 1, accepted });
}

export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new CliError(`${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/** JSON is YAML, too. Days stay text. */
export function readYaml(text: string, path: string): unknown {
  try {
    return parse(text, { schema: 'core' });
  } catch (cause) {
    throw new CliError(`${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}
