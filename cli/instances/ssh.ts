/** Running `ingot ssh`: the system's own ssh, told where the instance is, who logs in and which host keys it has. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { EC2Client, Instance } from '@aws-sdk/client-ec2';
import { connect } from '../aws.ts';
import type { ConnectionOptions } from '../connection-options.ts';
import { CliError, UsageError } from '../error.ts';
import { interruptSignal } from '../interrupt.ts';
import { Report } from '../report.ts';
import { consoleOutput } from './console.ts';
import { hostKeysIn, userIn } from './console-text.ts';
import { findInstance } from './find.ts';

export interface SshOptions extends ConnectionOptions {
  readonly user?: string;
  readonly identity?: string;
  readonly port?: number;
  readonly private?: true;
  readonly acceptNew?: true;
  readonly wait: number;
}

/** What is remembered of an instance: it prints its keys once. */
interface Known {
  readonly hostKeys: readonly string[];
  readonly user?: string;
}

const POLL_MS = 2000;
const DEFAULT_USER = 'ec2-user';
const USER = /^[a-z_][\w.-]*$/i;

export async function sshTo(given: string, command: readonly string[], options: SshOptions): Promise<void> {
  if (options.user !== undefined && !USER.test(options.user)) {
    throw new UsageError(`--user must be a user's name, not ${JSON.stringify(options.user)}.`);
  }
  const report = new Report({});
  const signal = interruptSignal();
  const { ec2 } = await connect(options);
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(options.wait * 1000)]);
  const found = await findInstance(ec2, given, signal);
  const id = found.InstanceId!;
  const address = await report.waiting(`Waiting for ${id} to run`, () => addressOf(ec2, found, options, deadline));
  const known = await report
    .waiting(`Waiting for ${id} to print its host keys`, () => knownOf(ec2, id, options, deadline))
    .catch((cause: unknown) => {
      if (signal.aborted || !deadline.aborted) throw cause;
      throw new CliError(
        `${id} has printed no host keys on its console within ${options.wait} s, so that nobody can say whose answer ` +
          'the address gives. --accept-new takes the first answer for it.',
        { cause },
      );
    });
  const user = options.user ?? known.user ?? DEFAULT_USER;
  if (!USER.test(user)) throw new CliError(`The console of ${id} names no user: give --user.`);
  process.exitCode = await runSsh([
    ...(options.identity === undefined ? [] : ['-i', options.identity, '-o', 'IdentitiesOnly=yes']),
    ...(options.port === undefined ? [] : ['-p', String(options.port)]),
    ...['-o', `HostKeyAlias=${id}`, '-o', `UserKnownHostsFile=${knownHostsPath(id)}`],
    ...['-o', `StrictHostKeyChecking=${known.hostKeys.length > 0 ? 'yes' : 'accept-new'}`],
    ...['-o', 'GlobalKnownHostsFile=none', `${user}@${address}`, ...(command.length > 0 ? ['--', ...command] : [])],
  ]);
}

async function addressOf(ec2: EC2Client, found: Instance, options: SshOptions, deadline: AbortSignal): Promise<string> {
  for (let instance = found; ; instance = await findInstance(ec2, found.InstanceId!, deadline)) {
    const { State, InstanceId: id } = instance;
    if (State?.Name === 'running') {
      const address = options.private ? instance.PrivateIpAddress : (instance.PublicIpAddress ?? undefined);
      if (address) return address;
      throw new CliError(
        `${id} has no ${options.private ? 'private' : 'public'} address. Ingot gives one with \`serve --guest-network forward\`; ` +
          '--private takes the private address.',
      );
    }
    if (State?.Name !== 'pending') throw new CliError(`${id} is ${State?.Name}.`);
    await pause(POLL_MS, undefined, { signal: deadline });
  }
}

async function knownOf(ec2: EC2Client, id: string, options: SshOptions, deadline: AbortSignal): Promise<Known> {
  const remembered = await readKnown(id);
  if (remembered) return remembered;
  for (;;) {
    const text = await consoleOutput(ec2, id, deadline);
    const user = userIn(text);
    const known = { hostKeys: hostKeysIn(text), ...(user ? { user } : {}) };
    if (known.hostKeys.length > 0) {
      await remember(id, known);
      return known;
    }
    if (options.acceptNew) return known;
    await pause(POLL_MS, undefined, { signal: deadline });
  }
}

function stateDir(): string {
  return join(process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state'), 'ingot', 'ssh');
}
const knownHostsPath = (id: string) => join(stateDir(), `${id}.known_hosts`);
const knownPath = (id: string) => join(stateDir(), `${id}.json`);

async function readKnown(id: string): Promise<Known | undefined> {
  try {
    return JSON.parse(await readFile(knownPath(id), 'utf8')) as Known;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
}

async function remember(id: string, known: Known): Promise<void> {
  await mkdir(stateDir(), { recursive: true, mode: 0o700 });
  await writeFile(knownHostsPath(id), known.hostKeys.map((key) => `${id} ${key}\n`).join(''), { mode: 0o600 });
  await writeFile(knownPath(id), JSON.stringify(known), { mode: 0o600 });
}

/** ssh's own exit code, which is that of the command it ran. */
async function runSsh(args: readonly string[]): Promise<number> {
  await mkdir(stateDir(), { recursive: true, mode: 0o700 });
  const child = spawn('ssh', args, { stdio: 'inherit' });
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? 255;
  } catch (cause) {
    throw new CliError('ssh cannot be started: is it installed?', { cause });
  }
}
