/** A real server for one test: its own process, data directory and port; everything is gone when the scope ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const REPOSITORY = new URL('../..', import.meta.url).pathname;

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** What every SDK client takes. */
export interface ClientConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: Credentials;
  readonly maxAttempts: number;
}

export interface IngotOptions {
  readonly machines?: 'qemu' | 'none';
  /** Further options of `ingot serve`. */
  readonly arguments?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** An existing data directory; removed in the end like a new one. */
  readonly dataDir?: string;
}

export class Ingot implements AsyncDisposable {
  readonly dataDir: string;
  readonly #options: IngotOptions;
  #server: RunningServer;

  private constructor(dataDir: string, options: IngotOptions, server: RunningServer) {
    this.dataDir = dataDir;
    this.#options = options;
    this.#server = server;
  }

  static async start(options: IngotOptions = {}): Promise<Ingot> {
    const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'ingot-house-')));
    try {
      return new Ingot(dataDir, options, await launch(dataDir, options));
    } catch (error) {
      await rm(dataDir, { recursive: true, force: true });
      throw error;
    }
  }

  get endpoint(): string {
    return this.#server.endpoint;
  }
  get pid(): number {
    return this.#server.pid;
  }
  get alive(): boolean {
    return this.#server.alive();
  }
  /** Resolves when the process is gone. */
  ended(): Promise<void> {
    return this.#server.ended;
  }
  /** Everything the server has said on standard error. */
  get said(): string {
    return this.#server.said();
  }

  async root(): Promise<Credentials> {
    const text = await readFile(join(this.dataDir, 'credentials'), 'utf8');
    const value = (name: string) => new RegExp(`^${name} = (.+)$`, 'm').exec(text)?.[1] ?? '';
    return { accessKeyId: value('aws_access_key_id'), secretAccessKey: value('aws_secret_access_key') };
  }

  /** For SDK clients; as the root user of the management account unless credentials are given. */
  async client(region = 'eu-central-1', credentials?: Credentials): Promise<ClientConfig> {
    return { endpoint: this.endpoint, region, credentials: credentials ?? (await this.root()), maxAttempts: 1 };
  }

  /** Sends the server's process a signal that does not end it. */
  signal(name: NodeJS.Signals): void {
    this.#server.signal(name);
  }
  /** Ends the process as a power failure would, and waits until it is gone. */
  kill(): Promise<void> {
    return this.#server.end('SIGKILL').then(() => {});
  }
  /** Ends it as an operator would; gives the exit code. */
  stop(): Promise<number | null> {
    return this.#server.end('SIGTERM');
  }
  /** Starts it again on the same data directory. */
  async restart(): Promise<void> {
    await this.stop();
    this.#server = await launch(this.dataDir, this.#options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.end('SIGKILL');
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

export function startIngot(options?: IngotOptions): Promise<Ingot> {
  return Ingot.start(options);
}

interface RunningServer {
  readonly endpoint: string;
  readonly pid: number;
  alive(): boolean;
  readonly ended: Promise<void>;
  said(): string;
  signal(name: NodeJS.Signals): void;
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
}

async function launch(dataDir: string, options: IngotOptions): Promise<RunningServer> {
  const child = spawnIngot(
    [
      ...['serve', '--data', dataDir, '--listen', '127.0.0.1:0', '--machines', options.machines ?? 'none'],
      ...(options.arguments ?? []),
    ],
    options.environment,
  );
  let said = '';
  child.stderr?.on('data', (piece: Buffer) => {
    said += piece;
  });
  const endpoint = await new Promise<string>((resolve, reject) => {
    let out = '';
    child.stdout?.on('data', (piece: Buffer) => {
      out += piece;
      const ready = /^Ingot is listening on (http:\/\/\S+)\n/m.exec(out);
      if (ready?.[1]) resolve(ready[1]);
    });
    child.once('error', reject);
    child.once('close', (code) => reject(new Error(`the server ended with code ${code}: ${said}`)));
  });
  return {
    endpoint,
    pid: child.pid ?? 0,
    ended: once(child, 'close').then(() => {}),
    alive: () => child.exitCode === null && child.signalCode === null,
    said: () => said,
    signal: (name) => child.kill(name),
    end: async (signal) => {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'close');
        child.kill(signal);
        await ended;
      }
      return child.exitCode;
    },
  };
}

/** `bin/ingot.js` with these arguments. */
export function spawnIngot(args: readonly string[], environment: Readonly<Record<string, string>> = {}): ChildProcess {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, INGOT_LOG: 'warn', ...environment };
  return spawn(process.execPath, [join(REPOSITORY, 'bin/ingot.js'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
}

/** Runs it to its end. */
export async function runIngot(
  args: readonly string[],
  environment?: Readonly<Record<string, string>>,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawnIngot(args, environment);
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (piece: Buffer) => {
    stdout += piece;
  });
  child.stderr?.on('data', (piece: Buffer) => {
    stderr += piece;
  });
  await once(child, 'close');
  return { code: child.exitCode, stdout, stderr };
}
