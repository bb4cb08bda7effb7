/** The doctor as a user runs it: a process of its own, with a profile for every account of a fault. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Outcome, QUIET, runProgram } from '../clients/programs.ts';
import { type Credentials, REPOSITORY } from '../house/ingot.ts';
import type { BuiltFault } from './fault.ts';
import { REGION, type World } from './world.ts';

export interface PrintedMend {
  readonly kind: string;
  readonly title: string;
  readonly account: string;
  readonly json?: unknown;
  readonly commands: string;
  readonly terraform?: string;
}

export interface Found {
  readonly fault: string;
  readonly title: string;
  readonly symptom: string;
  readonly key?: string;
  readonly principal?: string;
  readonly actions?: readonly string[];
  readonly condition?: string;
  readonly details: readonly string[];
  readonly mends: readonly PrintedMend[];
}

export interface Diagnosis {
  readonly verdict: 'can' | 'cannot' | 'unknown';
  readonly task: string;
  readonly principal: string;
  readonly checks: readonly { readonly mark: string; readonly text: string }[];
  readonly findings: readonly Found[];
  readonly past: readonly Found[];
  readonly unseen: readonly string[];
  readonly applied: readonly {
    readonly finding: Found;
    readonly mend: PrintedMend;
    readonly results: readonly unknown[];
  }[];
}

export class Doctor implements AsyncDisposable {
  readonly #dir: string;
  readonly #endpoint: string;
  #count = 0;

  private constructor(dir: string, endpoint: string) {
    this.#dir = dir;
    this.#endpoint = endpoint;
  }

  static async at({ ingot }: World): Promise<Doctor> {
    return new Doctor(await mkdtemp(join(tmpdir(), 'ingot-doctor-')), ingot.endpoint);
  }

  /** Runs `ingot doctor` with these credentials, and further ones as profiles named by their account. */
  async run(
    args: readonly string[],
    credentials: Credentials,
    others: Readonly<Record<string, Credentials>> = {},
  ): Promise<Outcome> {
    const file = join(this.#dir, `credentials-${++this.#count}`);
    const profiles = Object.entries({ ...others, default: credentials });
    await writeFile(file, profiles.map(([name, each]) => profileText(name, each)).join('\n'));
    const environment = {
      HOME: this.#dir,
      AWS_SHARED_CREDENTIALS_FILE: file,
      AWS_CONFIG_FILE: join(this.#dir, 'config'),
      AWS_REGION: REGION,
      AWS_ENDPOINT_URL: this.#endpoint,
      ...QUIET,
    };
    return runProgram(process.execPath, [join(REPOSITORY, 'bin/ingot.js'), 'doctor', ...args], { environment });
  }

  /** Asks about a fault with the eyes of every account that may have to mend it. */
  async ask(
    fault: BuiltFault,
    subject: string,
    ...more: readonly string[]
  ): Promise<Diagnosis & { readonly code: number | null }> {
    const others = Object.keys(fault.administrators).filter((account) => account !== fault.account);
    const eyes = others.flatMap((account) => ['--owner-profile', account]);
    const args = [subject, '--as', fault.as, ...eyes, ...more, '--json'];
    const { code, stdout, stderr } = await this.run(args, fault.credentials, fault.administrators);
    if (stdout === '') throw new Error(`ingot doctor ${args.join(' ')} ended with ${code}: ${stderr}`);
    return { ...(JSON.parse(stdout) as Diagnosis), code };
  }

  /** Runs printed commands in a shell, with the AWS CLI and the credentials given. */
  async shell(commands: string, { accessKeyId, secretAccessKey, sessionToken }: Credentials): Promise<Outcome> {
    return runProgram('sh', ['-e', '-c', commands], {
      cwd: this.#dir,
      environment: {
        HOME: this.#dir,
        AWS_ENDPOINT_URL: this.#endpoint,
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        ...(sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: sessionToken }),
        AWS_REGION: REGION,
        AWS_DEFAULT_REGION: REGION,
        ...QUIET,
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true });
  }
}

function profileText(name: string, { accessKeyId, secretAccessKey, sessionToken }: Credentials): string {
  return [
    `[${name}]`,
    `aws_access_key_id = ${accessKeyId}`,
    `aws_secret_access_key = ${secretAccessKey}`,
    ...(sessionToken === undefined ? [] : [`aws_session_token = ${sessionToken}`]),
    '',
  ].join('\n');
}
