/** Clients as their users run them: real programs, in an environment that has nothing but what the test gives them. */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Ingot } from '../house/ingot.ts';

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Why a test that needs this program is skipped; `false` where the program is there. */
export function missing(program: string, args: readonly string[], name = program): string | false {
  const { error, status } = spawnSync(program, args, { stdio: 'ignore' });
  return error || status !== 0 ? `${name} is not installed` : false;
}

/** Runs it to its end. Variables of the tests' own environment but PATH and HOME are kept from it. */
export async function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', ...options.environment };
  const child = spawn(program, args, { cwd: options.cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** No pager, and no search for a metadata service. */
export const QUIET = { AWS_PAGER: '', AWS_EC2_METADATA_DISABLED: 'true' };

/** Endpoint, keys and region as `ingot env` exports them, for the root user of the management account. */
export async function rootEnvironment(ingot: Ingot, region = 'us-east-1'): Promise<Record<string, string>> {
  const { accessKeyId, secretAccessKey } = await ingot.root();
  return {
    AWS_ENDPOINT_URL: ingot.endpoint,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    ...QUIET,
  };
}

/** The credentials file in the data directory, and a profile in it. */
export const profileEnvironment = (ingot: Ingot, profile: string): Record<string, string> => ({
  AWS_SHARED_CREDENTIALS_FILE: join(ingot.dataDir, 'credentials'),
  AWS_PROFILE: profile,
  ...QUIET,
});
