/** One reading of one request's input: its bounds, and what was found wrong. Each protocol says it in its own words. */
import { LIMITS } from '../limits.ts';

export type Problem =
  | { readonly kind: 'missing'; readonly path: string }
  | { readonly kind: 'unknown'; readonly path: string }
  | { readonly kind: 'repeated'; readonly path: string }
  /** `found` is a value's text (query) or the kind of a JSON value; `expected` is a noun phrase. */
  | { readonly kind: 'type'; readonly path: string; readonly found: string; readonly expected: string };

/** The request passes a bound of {@link LIMITS}; `what` names it in words. */
export class BoundPassed extends Error {
  override readonly name = 'BoundPassed';
}

/** More are not told: an answer should not grow with the nonsense it answers. */
const PROBLEMS_MAX = 10;

export class Reading {
  readonly problems: Problem[] = [];
  #members = 0;

  report(problem: Problem): undefined {
    if (this.problems.length < PROBLEMS_MAX) this.problems.push(problem);
  }

  /** Counts one more member, list item or map entry. */
  count(): void {
    this.#members += 1;
    if (this.#members > LIMITS.inputMembersMax) {
      throw new BoundPassed(`The request has more than ${LIMITS.inputMembersMax} members`);
    }
  }

  checkDepth(depth: number): void {
    if (depth > LIMITS.inputDepthMax) {
      throw new BoundPassed(`The request is nested more than ${LIMITS.inputDepthMax} levels deep`);
    }
  }

  checkLength(text: string): void {
    if (text.length > LIMITS.stringLengthMax) {
      throw new BoundPassed(`A value is longer than ${LIMITS.stringLengthMax} characters`);
    }
  }
}

/** A map as requests give it: no prototype, so that no key means anything but itself. */
export function emptyMap(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

/** Not accepted as a map key: an assignment under it is silently lost, in whatever code the map meets later. */
export const FORBIDDEN_MAP_KEY = '__proto__';
