/**
 * `ingot backup`: a copy of a data directory that is consistent, while the server runs or not.
 *
 * The database is copied as of one moment. Blocks are written before the database names them, and never changed: so
 * segments copied after the database hold everything it names, except what the collector of unnamed segments deletes
 * meanwhile. Links made before and after the database's moment keep those.
 */
import { constants } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { CliError } from './error.ts';

const DATABASE = 'ingot.db';
const SEGMENTS = 'segments';
const OVERLAYS = 'overlays';
const SECRETS = ['root.key', 'credentials'];

export interface BackupOptions {
  readonly data: string;
  readonly secrets?: true;
}

export async function backUp(directory: string, options: BackupOptions): Promise<void> {
  const source = resolve(options.data);
  const target = resolve(directory);
  await stat(join(source, DATABASE)).catch((cause: unknown) => {
    throw new CliError(`There is no ${join(source, DATABASE)}: name the server's directory with --data.`, { cause });
  });
  await mkdir(dirname(target), { recursive: true });
  await mkdir(target, { mode: 0o700 }).catch((cause: unknown) => {
    throw new CliError(`${target} cannot be made, or exists already.`, { cause });
  });
  const held = join(source, `backup-${process.pid}`);
  try {
    await mkdir(held, { mode: 0o700 });
    await hold(join(source, SEGMENTS), held);
    await copyDatabase(join(source, DATABASE), join(target, DATABASE));
    await hold(join(source, SEGMENTS), held);
    const segments = await copyFolder(held, join(target, SEGMENTS));
    const overlays = await copyFolder(join(source, OVERLAYS), join(target, OVERLAYS));
    if (options.secrets) {
      for (const name of SECRETS) await copyWhole(join(source, name), join(target, name));
    }
    await sync(target);
    const rest = options.secrets ? '' : ' root.key is not among it: keep it elsewhere.';
    process.stdout.write(
      `Backed up the database, ${segments} segments and ${overlays} overlays to ${target}.${rest}\n`,
    );
  } catch (error) {
    await rm(target, { recursive: true, force: true });
    throw error;
  } finally {
    await rm(held, { recursive: true, force: true });
  }
}

/** Links every segment, so that the server may delete it under its own name. */
async function hold(segments: string, held: string): Promise<void> {
  for (const name of await namesIn(segments)) {
    await link(join(segments, name), join(held, name)).catch((error: NodeJS.ErrnoException) => {
      // Linked before, or deleted just now: then the database's moment does not name it.
      if (error.code !== 'EEXIST' && error.code !== 'ENOENT') throw error;
    });
  }
}

async function copyDatabase(from: string, to: string): Promise<void> {
  const database = new DatabaseSync(from, { readOnly: true, timeout: 10_000 });
  try {
    await backup(database, to);
  } finally {
    database.close();
  }
  const copy = new DatabaseSync(to);
  try {
    const found = copy.prepare('pragma integrity_check').get() as { integrity_check?: string } | undefined;
    if (found?.integrity_check !== 'ok')
      throw new CliError(`The copy of the database is damaged: ${found?.integrity_check}`);
  } finally {
    copy.close();
  }
  await sync(to);
}

/** Gives the number of files. */
async function copyFolder(from: string, to: string): Promise<number> {
  await mkdir(to, { mode: 0o700 });
  let count = 0;
  for (const name of await namesIn(from)) {
    const path = join(from, name);
    const found = await stat(path).catch(missing);
    if (found?.isDirectory()) count += await copyFolder(path, join(to, name));
    else if (found) {
      // An overlay may go with its volume between the two.
      const copied = await copyWhole(path, join(to, name)).then(() => true, missing);
      if (copied) count += 1;
    }
  }
  await sync(to);
  return count;
}

/** Shares blocks where the file system can; holes stay holes only then. */
async function copyWhole(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  await sync(to);
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(missing)) ?? [];
}

function missing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
