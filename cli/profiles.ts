/** The AWS shared credentials file in the data directory: profiles of names and values. */
import { open, readFile, rename } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CliError } from './error.ts';

export type Profile = Readonly<Record<string, string>>;

export class Profiles {
  readonly path: string;
  readonly #text: string;
  readonly #profiles: Map<string, Profile>;

  private constructor(path: string, text: string) {
    this.path = path;
    this.#text = text;
    this.#profiles = parse(text);
  }

  static async read(dataDir: string): Promise<Profiles> {
    const path = join(resolve(dataDir), 'credentials');
    try {
      return new Profiles(path, await readFile(path, 'utf8'));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
      const message = `There is no ${path}: start the server with \`ingot serve\`, or name its directory with --data.`;
      throw new CliError(message, { cause });
    }
  }

  find(name: string): Profile | undefined {
    return this.#profiles.get(name);
  }

  get(name: string): Profile {
    const profile = this.find(name);
    if (profile) return profile;
    throw new CliError(`There is no profile ${name} in ${this.path}; it has ${[...this.#profiles.keys()].join(', ')}.`);
  }

  /** Writes the file anew with one more profile: whole or not at all, readable by its owner only. */
  async add(name: string, profile: Profile): Promise<Profiles> {
    const lines = Object.entries(profile).map(([key, value]) => `${key} = ${value}\n`);
    const text = `${this.#text.trimEnd()}\n\n[${name}]\n${lines.join('')}`;
    const temporary = `${this.path}.new`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.chmod(0o600);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.path);
    return new Profiles(this.path, text);
  }
}

function parse(text: string): Map<string, Profile> {
  const profiles = new Map<string, Record<string, string>>();
  let current: Record<string, string> | undefined;
  for (const line of text.split('\n')) {
    const header = /^\s*\[([^\]]+)\]\s*$/.exec(line);
    const setting = /^\s*([\w.-]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (header?.[1]) {
      current = {};
      profiles.set(header[1].trim(), current);
    } else if (setting?.[1] && current) {
      current[setting[1]] = setting[2] ?? '';
    }
  }
  return profiles;
}
