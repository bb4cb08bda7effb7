/** Constraints of KMS's request members, in the words of kms 1.8. All that fail are reported at once. */
import { ApiError } from '../../errors.ts';

/** Collects what is wrong with one request. `path` is the member as AWS words it: `tags.1.member.tagKey`. */
export class Constraints {
  readonly #problems: string[] = [];

  length(path: string, value: string | readonly unknown[] | undefined, min: number, max: number): this {
    if (value === undefined) return this;
    return this.#bounds(`Value '${shown(value)}' at '${path}'`, 'length', value.length, min, max);
  }

  /** Blobs are never shown. */
  bytes(path: string, value: Uint8Array | undefined, min: number, max: number): this {
    return value === undefined ? this : this.#bounds(`Value at '${path}'`, 'length', value.byteLength, min, max);
  }

  range(path: string, value: number | undefined, min: number, max: number): this {
    return value === undefined ? this : this.#bounds(`Value '${value}' at '${path}'`, 'value', value, min, max);
  }

  oneOf(path: string, value: string | undefined, allowed: readonly string[]): this {
    if (value === undefined || allowed.includes(value)) return this;
    return this.#fail(`Value '${shown(value)}' at '${path}'`, `satisfy enum value set: [${allowed.join(', ')}]`);
  }

  pattern(path: string, value: string | undefined, pattern: RegExp, text: string): this {
    if (value === undefined || pattern.test(value)) return this;
    return this.#fail(`Value '${shown(value)}' at '${path}'`, `satisfy regular expression pattern: ${text}`);
  }

  given(path: string, value: unknown): this {
    return value === undefined ? this.#fail(`Value at '${path}'`, 'not be null') : this;
  }

  /** @throws {ApiError} ValidationException */
  enforce(): void {
    const count = this.#problems.length;
    if (count === 0) return;
    throw invalid(`${count} validation error${count === 1 ? '' : 's'} detected: ${this.#problems.join('; ')}`);
  }

  #bounds(subject: string, what: 'length' | 'value', found: number, min: number, max: number): this {
    if (found < min) return this.#fail(subject, `have ${what} greater than or equal to ${min}`);
    if (found > max) return this.#fail(subject, `have ${what} less than or equal to ${max}`);
    return this;
  }

  #fail(subject: string, rule: string): this {
    this.#problems.push(`${subject} failed to satisfy constraint: Member must ${rule}`);
    return this;
  }
}

export function invalid(message: string): ApiError {
  return new ApiError('ValidationException', message);
}

/** What AWS KMS offers and Ingot does not. */
export function unsupported(what: string): ApiError {
  return new ApiError('UnsupportedOperationException', `${what} is not supported by Ingot.`);
}

function shown(value: string | readonly unknown[]): string {
  const text = typeof value === 'string' ? value : `[${value.join(', ')}]`;
  return text.length > 256 ? `${text.slice(0, 256)}…` : text;
}

const CONTEXT_CHARACTERS_MAX = 8192;

/** The encryption context of a request; an absent one is an empty one (11.3, 11.4). */
export function encryptionContext(context: Readonly<Record<string, string>> | undefined): Record<string, string> {
  const given = { ...context };
  let characters = 0;
  for (const [name, value] of Object.entries(given)) {
    // A lone surrogate has no UTF-8 form, so it could not be told from another.
    if (!name.isWellFormed() || !value.isWellFormed()) throw invalid('EncryptionContext is not well-formed text.');
    characters += name.length + value.length;
  }
  if (characters > CONTEXT_CHARACTERS_MAX) {
    throw invalid(`EncryptionContext is longer than ${CONTEXT_CHARACTERS_MAX} characters.`);
  }
  return given;
}
