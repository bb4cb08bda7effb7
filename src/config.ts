/** What a process was asked to do: options and environment become one frozen {@link Config}. Nothing else reads them. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { LIMITS } from './limits.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';
import type { RootKeySource } from './root-key-source.ts';

/** `forward` lets this host reach each guest's SSH port at a loopback address of its own. */
export type GuestNetwork = { readonly kind: 'isolated' } | { readonly kind: 'forward'; readonly sshPort: number };
export type MachinesChoice = 'qemu' | 'none' | 'auto';

export interface Config {
  /** Absolute path of the data directory. */
  readonly dataDir: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** `auto` is QEMU where it is installed, else none. */
  readonly machines: MachinesChoice;
  readonly guestNetwork: GuestNetwork;
  /** Access key of the management account's root user; made at first start unless given. */
  readonly rootAccessKey?: { readonly id: string; readonly secret: string };
  /** What the root key is sealed under; absent where it lies plain in its file. */
  readonly rootKeySource?: RootKeySource;
  /** What it was sealed under before, where that changes. */
  readonly previousRootKeySource?: RootKeySource;
  readonly logLevel: LogLevel;
  /** Age at which events leave the audit trail; absent where they stay for ever. */
  readonly auditRetentionDays?: number;
  /** `aws` imposes AWS's rates of KMS calls. */
  readonly kmsThrottle: 'aws' | 'off';
  readonly cryptoWorkers: number;
}

/** The options of `ingot serve` as they stand on the command line. */
export interface ServeOptions {
  readonly data: string;
  readonly listen: string;
  readonly machines: string;
  readonly guestNetwork: string;
  readonly guestSshPort: string;
  readonly rootPassphraseFile?: string;
  readonly rootKeyCommand?: string;
  readonly rootPreviousPassphraseFile?: string;
  readonly rootPreviousKeyCommand?: string;
}

export const SERVE_DEFAULTS: ServeOptions = {
  data: './.ingot',
  listen: '127.0.0.1:4599',
  machines: 'auto',
  guestNetwork: 'isolated',
  guestSshPort: '22',
};

/** An option or variable that cannot be meant; the message says which, and what it may be. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export function readConfig(
  options: Partial<ServeOptions>,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Config {
  const { data, listen, machines, guestNetwork, guestSshPort } = { ...SERVE_DEFAULTS, ...options };
  if (data === '') throw new ConfigError('--data must name a directory');
  const rootAccessKey = readRootAccessKey(environment);
  const rootKeySource = readRootKeySource(
    options.rootPassphraseFile ?? environment.INGOT_ROOT_PASSPHRASE_FILE,
    options.rootKeyCommand ?? environment.INGOT_ROOT_KEY_COMMAND,
  );
  const previousRootKeySource = readRootKeySource(options.rootPreviousPassphraseFile, options.rootPreviousKeyCommand);
  if (previousRootKeySource && !rootKeySource) {
    throw new ConfigError('what the root key was sealed under is given, and not what it shall be sealed under');
  }
  const auditRetentionDays = readRetention(environment.INGOT_AUDIT_RETENTION_DAYS ?? 'forever');
  return Object.freeze({
    dataDir: resolve(data),
    listen: readAddress(listen),
    machines: oneOf('--machines', machines, ['qemu', 'none', 'auto'] as const),
    guestNetwork: readGuestNetwork(guestNetwork, guestSshPort),
    ...(rootAccessKey && { rootAccessKey }),
    ...(auditRetentionDays !== undefined && { auditRetentionDays }),
    ...(rootKeySource && { rootKeySource }),
    ...(previousRootKeySource && { previousRootKeySource }),
    logLevel: oneOf('INGOT_LOG', environment.INGOT_LOG ?? 'info', LOG_LEVELS),
    kmsThrottle: oneOf('INGOT_KMS_THROTTLE', environment.INGOT_KMS_THROTTLE ?? 'off', ['aws', 'off'] as const),
    cryptoWorkers: Math.min(LIMITS.cryptoWorkers, availableParallelism()),
  });
}

function readAddress(listen: string): Config['listen'] {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(listen);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw new ConfigError(`--listen must be HOST:PORT, for example 127.0.0.1:4599 or [::1]:4599, not ${listen}`);
  }
  return { host, port };
}

/** LookupEvents promises 90 days. */
const AUDIT_RETENTION_DAYS_MIN = 90;

function readRetention(text: string): number | undefined {
  if (text === 'forever') return undefined;
  const days = Number(text);
  if (!/^\d{1,6}$/.test(text) || days < AUDIT_RETENTION_DAYS_MIN) {
    throw new ConfigError(
      `INGOT_AUDIT_RETENTION_DAYS must be forever, or a number of days from ${AUDIT_RETENTION_DAYS_MIN}, not ${text}`,
    );
  }
  return days;
}

function readGuestNetwork(choice: string, port: string): GuestNetwork {
  const sshPort = Number(port);
  if (!/^\d{1,5}$/.test(port) || sshPort < 1 || sshPort > 65_535) {
    throw new ConfigError(`--guest-ssh-port must be a port from 1 to 65535, not ${port}`);
  }
  const kind = oneOf('--guest-network', choice, ['isolated', 'forward'] as const);
  return kind === 'isolated' ? { kind } : { kind, sshPort };
}

function readRootKeySource(file: string | undefined, command: string | undefined): RootKeySource | undefined {
  if (file && command) throw new ConfigError('the root key is sealed under a passphrase or a command, not both');
  if (file) return { kind: 'passphrase', file: resolve(file) };
  return command ? { kind: 'command', command } : undefined;
}

function readRootAccessKey(environment: Readonly<Record<string, string | undefined>>): Config['rootAccessKey'] {
  const { INGOT_ROOT_ACCESS_KEY_ID: id, INGOT_ROOT_SECRET_ACCESS_KEY: secret } = environment;
  if (!id && !secret) return undefined;
  if (!id || !secret) {
    throw new ConfigError('INGOT_ROOT_ACCESS_KEY_ID and INGOT_ROOT_SECRET_ACCESS_KEY must be set together');
  }
  if (!/^\w{16,128}$/.test(id)) throw new ConfigError('INGOT_ROOT_ACCESS_KEY_ID must be 16 to 128 letters and digits');
  if (!/^\S{16,128}$/.test(secret)) {
    throw new ConfigError('INGOT_ROOT_SECRET_ACCESS_KEY must be 16 to 128 characters without spaces');
  }
  return { id, secret };
}

function oneOf<Value extends string>(name: string, value: string, values: readonly Value[]): Value {
  const found = values.find((known) => known === value);
  if (found === undefined) throw new ConfigError(`${name} must be one of ${values.join(', ')}, not ${value}`);
  return found;
}
