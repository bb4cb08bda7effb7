/** The paths of the instance metadata service as a tree, and how a path is looked up in it. */

/** A document, made when it is asked for; `undefined` is as if it were not there. */
export type Leaf = string | (() => Promise<string | undefined>);
export interface Tree {
  readonly [name: string]: Leaf | Tree | undefined;
}

/** Versions of the tree that clients know by name; here they are all the same. */
export const VERSIONS = [
  '1.0',
  '2007-01-19',
  '2007-03-01',
  '2007-08-29',
  '2007-10-10',
  '2007-12-15',
  '2008-02-01',
  '2008-09-01',
  '2009-04-04',
  '2011-01-01',
  '2011-05-01',
  '2012-01-12',
  '2014-02-25',
  '2014-11-05',
  '2015-10-20',
  '2016-04-19',
  '2016-06-30',
  '2016-09-02',
  '2018-03-28',
  '2018-08-17',
  '2018-09-24',
  '2019-10-01',
  '2020-10-27',
  '2021-01-03',
  '2021-03-23',
  '2021-07-15',
  '2022-09-24',
  '2024-04-11',
  'latest',
] as const;

/** Public keys are listed as `0=name` and found at `0/`. */
const listed = (name: string, value: Leaf | Tree): string => {
  if (typeof value !== 'object') return name;
  const label = value[LABEL];
  return typeof label === 'string' ? `${name}=${label}` : `${name}/`;
};
/** Stands in a tree beside its children and is none of them. */
export const LABEL = '=';

/** What stands at `/<version>/<path>`: a document, or the names in a folder, a line each. */
export async function lookUp(tree: Tree, path: string): Promise<string | undefined> {
  const parts = path.split('/').slice(1);
  const version = parts.shift();
  if (version === '' && parts.length === 0) return VERSIONS.join('\n');
  if (!VERSIONS.some((known) => known === version)) return undefined;
  let at: Leaf | Tree | undefined = tree;
  while (parts.length > 0) {
    const name = parts.shift()!;
    if (typeof at !== 'object') return undefined;
    // A slash at the end asks for the folder itself.
    if (name === '' && parts.length === 0) break;
    at = name !== LABEL && Object.hasOwn(at, name) ? at[name] : undefined;
  }
  if (typeof at === 'function') return at();
  if (typeof at !== 'object') return at;
  const names = Object.entries(at).filter(([name, value]) => name !== LABEL && value !== undefined);
  return names.map(([name, value]) => listed(name, value!)).join('\n');
}
