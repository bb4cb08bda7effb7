/** What can be read off the serial console of an instance. EC2 gives the newest 64 KiB as often as it is asked. */

/** So much of what was seen last is looked for in what comes next. */
const OVERLAP_MAX = 4096;

export interface Continuation {
  readonly text: string;
  /** More was written than the console keeps: between what was seen and this something is missing. */
  readonly gap: boolean;
}

/** What `now` has after `before`, both being the end of one growing text. */
export function continuation(before: string, now: string): Continuation {
  if (before === '') return { text: now, gap: false };
  if (now.startsWith(before)) return { text: now.slice(before.length), gap: false };
  const seen = before.slice(-OVERLAP_MAX);
  const at = now.lastIndexOf(seen);
  if (at >= 0) return { text: now.slice(at + seen.length), gap: false };
  return { text: now, gap: true };
}

/**
 * The host keys that cloud-init prints at the first boot, as lines of `known_hosts` without the host: what a signed call
 * of the API gives is better evidence than the first answer of an address.
 */
export function hostKeysIn(text: string): string[] {
  const blocks = text.matchAll(/-----BEGIN SSH HOST KEY KEYS-----([\s\S]*?)-----END SSH HOST KEY KEYS-----/g);
  const newest = [...blocks].at(-1)?.[1] ?? '';
  return [...newest.matchAll(/^\s*((?:ssh|ecdsa|sk)-[\w@.-]+ [A-Za-z0-9+/]+={0,2})(?: .*)?$/gm)].map(
    (match) => match[1]!,
  );
}

/** The user whose authorized keys cloud-init says it has written. */
export function userIn(text: string): string | undefined {
  return /Authorized keys from \/(?:home\/)?\S+ for user ([a-z_][\w-]*)/.exec(text)?.[1];
}
