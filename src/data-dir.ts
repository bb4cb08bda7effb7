/**
 * The data directory: made with mode 0700, held by one server at a time, with the root user's credentials in it.
 *
 * The lock is an exclusive SQLite transaction on the file `lock`: the kernel lets go of it when the process ends,
 * however it ends, so it cannot go stale.
 */
import { chmod, lstat, mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sha256Hex } from './crypto/hash.ts';

/** The data directory cannot be used: another server holds it, or there can be no such folder. Says so in one sentence. */
export class DataDirError extends Error {
  override readonly name = 'DataDirError';
}

export interface DataDirLock {
  release(): void;
}

/** Makes the folder and those above it. Not by mkdir's own recursion, which never ends below /proc. */
async function makeDataDir(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(directory)).isDirectory()) return;
    if (code !== 'ENOENT' || dirname(directory) === directory) throw error;
    await makeDataDir(dirname(directory));
    await mkdir(directory, { mode: 0o700 });
  }
}

export async function lockDataDir(directory: string): Promise<DataDirLock> {
  await makeDataDir(directory).catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException;
    throw new DataDirError(`The data directory ${directory} cannot be made: ${code}. Choose another --data.`, {
      cause,
    });
  });
  const database = new DatabaseSync(join(directory, 'lock'), { timeout: 0 });
  try {
    // Nothing is ever written, so nothing need be undone: no journal file beside the lock.
    database.exec('pragma journal_mode = memory');
    database.exec('begin exclusive');
  } catch (cause) {
    database.close();
    if (!isBusy(cause)) throw cause;
    throw new DataDirError(`Another Ingot server is using ${directory}; stop it, or choose another --data.`, {
      cause,
    });
  }
  return { release: () => database.close() };
}

const SQLITE_BUSY = 5;

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

/** Longest path of the data directory below which sockets are made: the kernel allows a socket 107 bytes in all. */
const RUNTIME_PATH_BYTES_MAX = 70;

/** A private folder for sockets: in the data directory, or in the temporary folder where that path is too long. */
export async function runtimeFolder(directory: string, name: string): Promise<string> {
  const near = join(directory, name);
  const far = join(tmpdir(), `ingot-${name}-${sha256Hex(directory).slice(0, 16)}`);
  const folder = Buffer.byteLength(near) <= RUNTIME_PATH_BYTES_MAX ? near : far;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // In a shared temporary folder somebody else may have made the name first.
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== process.getuid?.())
    throw new Error(`${folder} is not a folder of this user`);
  await chmod(folder, 0o700);
  return folder;
}

const ROOT_PROFILE = 'ingot';
const DEFAULT_REGION = 'us-east-1';

function credentialsPath(directory: string): string {
  return join(directory, 'credentials');
}

/** Writes the root user's profile into a new credentials file, in the AWS shared credentials format. */
export async function writeRootCredentials(
  directory: string,
  key: { accessKeyId: string; secretAccessKey: string },
): Promise<void> {
  const lines = [
    `[${ROOT_PROFILE}]`,
    `aws_access_key_id = ${key.accessKeyId}`,
    `aws_secret_access_key = ${key.secretAccessKey}`,
    `region = ${DEFAULT_REGION}`,
    '',
  ];
  await writeWhole(credentialsPath(directory), lines.join('\n'));
}

/**
 * Puts the address into every profile, so that a client that forgets its endpoint meets this server and not AWS.
 * Leaves a missing file missing: who removed it keeps the credentials elsewhere.
 */
export async function writeEndpoint(directory: string, endpoint: string): Promise<void> {
  const path = credentialsPath(directory);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return;
  const line = `endpoint_url = ${endpoint}`;
  const withEndpoint = text
    .split(/^(?=\[)/m)
    .map((profile) => {
      if (!profile.startsWith('[')) return profile;
      if (/^endpoint_url\s*=.*$/m.test(profile)) return profile.replace(/^endpoint_url\s*=.*$/m, line);
      return profile.replace(/^(\[.*\])$/m, `$1\n${line}`);
    })
    .join('');
  if (withEndpoint !== text) await writeWhole(path, withEndpoint);
}

/** The file appears whole or not at all, and only its owner may read it. */
async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
