/** What a check is, and what it says. */
import type { Control } from './controls.ts';
import type { EstateIndex } from './estate-index.ts';
import type { Part, PlaceFacts, Resource, Severity } from './model.ts';

/** What a check found at one resource; at most one per check and resource. */
export interface Found {
  readonly resource: Resource;
  /** One sentence. */
  readonly detail: string;
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly mend: readonly string[];
  /** Where this one is less, or more, than the check's. */
  readonly severity?: Severity;
}

/** Something a check wanted to know about one resource and could not. */
export interface Doubt {
  readonly part: Part;
  readonly call: string;
  readonly resource: string;
  readonly reason: string;
}

export interface Check {
  /** Stable: findings, baselines and other programs' rules name it. */
  readonly id: string;
  readonly title: string;
  readonly severity: Severity;
  /** Why it matters, in one or two sentences. */
  readonly why: string;
  /** Facts it judges by: where one was not seen, the check has not passed. */
  readonly needs: readonly Part[];
  /** Asked only if this holds, for example where approved keys were named. */
  readonly asked?: (estate: EstateIndex) => boolean;
  readonly controls: readonly Control[];
  /** Judges one account in one region. */
  readonly find: (place: PlaceFacts, estate: EstateIndex, doubt: (doubt: Doubt) => void) => Found[];
}

/** A command of the AWS CLI; arguments with blanks or quotes are quoted for a POSIX shell. */
export function awsCommand(...words: readonly string[]): string {
  return ['aws', ...words].map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : shellQuoted(word))).join(' ');
}

function shellQuoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
