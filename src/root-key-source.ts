/**
 * Where the key that seals `root.key` comes from: a file with a passphrase, or a command that prints the key. Asked
 * once, when the server starts.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { type Protection, RootKeyError } from './crypto/root-key.ts';

export type RootKeySource =
  | { readonly kind: 'passphrase'; readonly file: string }
  | { readonly kind: 'command'; readonly command: string };

const PASSPHRASE_BYTES_MIN = 12;
const INPUT_BYTES_MAX = 4096;
const COMMAND_MS_MAX = 60_000;
const KEY_BYTES = 32;

/** Reads what the source gives for `use` alone, and overwrites it then. @throws {RootKeyError} */
export async function withProtection<Result>(
  source: RootKeySource | undefined,
  use: (protection: Protection | undefined) => Promise<Result>,
): Promise<Result> {
  if (!source) return use(undefined);
  const protection = await readProtection(source);
  try {
    return await use(protection);
  } finally {
    wipe(protection);
  }
}

/** Wipe what it holds after use. @throws {RootKeyError} */
export function readProtection(source: RootKeySource): Promise<Protection> {
  return source.kind === 'passphrase' ? readPassphrase(source.file) : runCommand(source.command);
}

/** Overwrites the secret in memory. */
export function wipe(protection: Protection): void {
  (protection.kind === 'passphrase' ? protection.passphrase : protection.key).fill(0);
}

/** The whole file, without one line break at its end. */
async function readPassphrase(path: string): Promise<Protection> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new RootKeyError(`the passphrase file ${path} cannot be read`, { cause });
  });
  try {
    if (((await file.stat()).mode & 0o007) !== 0) {
      throw new RootKeyError(`${path} can be read by everybody: run chmod o= ${path}`);
    }
    const buffer = Buffer.alloc(INPUT_BYTES_MAX + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, 0);
    const read = buffer.subarray(0, bytesRead);
    const passphrase = Uint8Array.prototype.slice.call(withoutLineBreak(read));
    buffer.fill(0);
    if (bytesRead > INPUT_BYTES_MAX || passphrase.byteLength < PASSPHRASE_BYTES_MIN) {
      passphrase.fill(0);
      throw new RootKeyError(`the passphrase in ${path} must have ${PASSPHRASE_BYTES_MIN} to ${INPUT_BYTES_MAX} bytes`);
    }
    return { kind: 'passphrase', passphrase };
  } finally {
    await file.close();
  }
}

function withoutLineBreak(bytes: Uint8Array): Uint8Array {
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.byteLength;
  return bytes.subarray(0, end);
}

/** Runs in a shell; what it says on standard error is the operator's to see, what it prints is never shown. */
async function runCommand(command: string): Promise<Protection> {
  const child = spawn('/bin/sh', ['-c', command], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: COMMAND_MS_MAX,
    killSignal: 'SIGKILL',
  });
  const printed = Buffer.alloc(INPUT_BYTES_MAX);
  let length = 0;
  child.stdout.on('data', (piece: Buffer) => {
    if (length + piece.byteLength <= INPUT_BYTES_MAX) piece.copy(printed, length);
    length += piece.byteLength;
    piece.fill(0);
  });
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    if (code !== 0) {
      throw new RootKeyError(
        `the command for the root key ended ${code === null ? `by ${signal}` : `with code ${code}`}`,
      );
    }
    const key = length > INPUT_BYTES_MAX ? undefined : readKey(printed.subarray(0, length).toString('latin1').trim());
    if (!key) {
      throw new RootKeyError(
        `the command for the root key must print ${KEY_BYTES} bytes as hexadecimal digits or base64`,
      );
    }
    return { kind: 'command', key };
  } finally {
    printed.fill(0);
  }
}

function readKey(text: string): Uint8Array | undefined {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Uint8Array.from(Buffer.from(text, 'hex'));
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return undefined;
  return Uint8Array.from(Buffer.from(text, 'base64'));
}
