/**
 * Which members of an input an operation looks at: each optional member is given by itself, and reading it ends the
 * call. A listing of all members (a copy, a hash) does not count as looking; a refusal that names the member does.
 */
import type { Shape, StructShape } from '../../src/wire/shapes.ts';

class Looked extends Error {}

type Path = readonly string[];

/** Paths to every member, down to `depth` structures. */
export function memberPaths(
  shape: StructShape,
  depth: number,
  above: Path = [],
  within: readonly Shape[] = [],
): Path[] {
  return shape.members.flatMap((member) => {
    const path = [...above, member.name];
    const inner = structureIn(member.shape);
    const deeper =
      inner && depth > 1 && !within.includes(inner) ? memberPaths(inner, depth - 1, path, [...within, inner]) : [];
    return [path, ...deeper];
  });
}

function structureIn(shape: Shape): StructShape | undefined {
  if (shape.kind === 'struct') return shape;
  return shape.kind === 'list' ? structureIn(shape.item.shape) : undefined;
}

/** The input with `value` at `path`; lists on the way have one item. */
export function withMember(shape: StructShape, input: object, [name, ...rest]: Path, value: unknown): object {
  const member = shape.members.find((each) => each.name === name);
  if (!member || name === undefined) throw new Error(`no member ${name}`);
  const before = (input as Readonly<Record<string, unknown>>)[name];
  if (rest.length === 0) return { ...input, [name]: before ?? value };
  const inner = structureIn(member.shape) as StructShape;
  const inside = (member.shape.kind === 'list' ? (before as unknown[] | undefined)?.[0] : before) ?? {};
  const changed = withMember(inner, inside as object, rest, value);
  return { ...input, [name]: member.shape.kind === 'list' ? [changed] : changed };
}

/** Ends the call by an exception when `path` is read. */
export function watched(input: object, path: Path): object {
  let listed: PropertyKey | undefined;
  return new Proxy(input, {
    getOwnPropertyDescriptor(target, name) {
      listed = name;
      return Reflect.getOwnPropertyDescriptor(target, name);
    },
    get(target, name, receiver) {
      const listing = listed === name;
      listed = undefined;
      const value: unknown = Reflect.get(target, name, receiver);
      if (name !== path[0]) return value;
      if (path.length === 1) {
        if (listing) return value;
        throw new Looked();
      }
      const rest = path.slice(1);
      return Array.isArray(value) ? value.map((item) => watched(item as object, rest)) : watched(value as object, rest);
    },
  });
}

/** Whether the call looked at the member or named it, or itself as a whole, in a refusal. */
export async function isLookedAt(work: () => Promise<unknown>, path: Path, operation: string): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    if (error instanceof Looked || (error as Error).cause instanceof Looked) return true;
    const name = path.at(-1)!;
    const { message } = error as Error;
    return message.toLowerCase().includes(name.toLowerCase()) || message.startsWith(`${operation} is not supported`);
  }
}
