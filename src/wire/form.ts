/** Query strings as a tree: `Filter.1.Value.2=x` is the leaf under Filter, 1, Value, 2. Knows no schema. */
import { LIMITS } from '../limits.ts';
import { BoundPassed } from './reading.ts';

export interface FormNode {
  /** The full key that leads here. */
  readonly key: string;
  value: string | undefined;
  /** True when the key came twice: which one counts would be a guess. */
  repeated: boolean;
  children: Map<string, FormNode> | undefined;
}

/** The text is no query string: a broken percent-encoding, or not UTF-8. */
export class MalformedForm extends Error {
  override readonly name = 'MalformedForm';
}

function decodeComponent(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw new MalformedForm('a percent-encoding is broken', { cause });
  }
}

/** Name and value pairs in their order, decoded; `+` is a space (authorization-and-wire 11.1). */
export function* formPairs(text: string): Generator<readonly [name: string, value: string]> {
  let start = 0;
  while (start < text.length) {
    let end = text.indexOf('&', start);
    if (end === -1) end = text.length;
    if (end > start) {
      const pair = text.slice(start, end);
      const equals = pair.indexOf('=');
      yield equals === -1
        ? [decodeComponent(pair), '']
        : [decodeComponent(pair.slice(0, equals)), decodeComponent(pair.slice(equals + 1))];
    }
    start = end + 1;
  }
}

/** Reads a whole form within the bounds of {@link LIMITS}. */
export function parseForm(text: string): FormNode {
  const root: FormNode = { key: '', value: undefined, repeated: false, children: undefined };
  let pairs = 0;
  for (const [name, value] of formPairs(text)) {
    pairs += 1;
    if (pairs > LIMITS.inputMembersMax) {
      throw new BoundPassed(`The request has more than ${LIMITS.inputMembersMax} parameters`);
    }
    if (value.length > LIMITS.stringLengthMax) {
      throw new BoundPassed(`A value is longer than ${LIMITS.stringLengthMax} characters`);
    }
    const leaf = descend(root, name);
    if (leaf.value !== undefined) leaf.repeated = true;
    leaf.value = value;
  }
  return root;
}

function descend(root: FormNode, name: string): FormNode {
  let node = root;
  let start = 0;
  for (let depth = 0; ; depth += 1) {
    // A list costs up to three names in a query (`A.member.1`) where a schema has one level.
    if (depth > LIMITS.inputDepthMax * 2) {
      throw new BoundPassed(`A parameter is nested more than ${LIMITS.inputDepthMax * 2} names deep`);
    }
    const dot = name.indexOf('.', start);
    const end = dot === -1 ? name.length : dot;
    const segment = name.slice(start, end);
    node.children ??= new Map();
    let child = node.children.get(segment);
    if (!child) {
      child = { key: name.slice(0, end), value: undefined, repeated: false, children: undefined };
      node.children.set(segment, child);
    }
    node = child;
    if (dot === -1) return node;
    start = dot + 1;
  }
}

/** The first key in the tree that carries a value, for naming what is wrong. */
export function firstKey(node: FormNode): string {
  if (node.value !== undefined) return node.key;
  for (const child of node.children?.values() ?? []) return firstKey(child);
  return node.key;
}
