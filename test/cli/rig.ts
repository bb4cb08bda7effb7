/** A server, a folder for disks, and the tools as a user runs them: credentials from a profile, state in the folder. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { EBSClient, GetSnapshotBlockCommand, paginateListSnapshotBlocks } from '@aws-sdk/client-ebs';
import { EC2Client } from '@aws-sdk/client-ec2';
import { type Ingot, REPOSITORY, startIngot } from '../house/ingot.ts';
import { Relay } from './relay.ts';

export const BLOCK = 524_288;
export const noQemu = spawnSync('qemu-img', ['--version']).error ? 'qemu-img is not installed' : false;
export const noXz = spawnSync('xz', ['--version']).error ? 'xz is not installed' : false;

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Rig implements AsyncDisposable {
  readonly dir: string;
  readonly ingot: Ingot;
  readonly relay: Relay;
  readonly ebs: EBSClient;
  readonly ec2: EC2Client;

  private constructor(dir: string, ingot: Ingot, relay: Relay, config: Awaited<ReturnType<Ingot['client']>>) {
    this.dir = dir;
    this.ingot = ingot;
    this.relay = relay;
    this.ebs = new EBSClient(config);
    this.ec2 = new EC2Client(config);
  }

  static async start(): Promise<Rig> {
    const dir = await mkdtemp(join(tmpdir(), 'ingot-cli-'));
    const ingot = await startIngot();
    return new Rig(dir, ingot, await Relay.to(ingot.endpoint), await ingot.client());
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  spawn(args: readonly string[], input?: Uint8Array): ChildProcess {
    const child = spawn(process.execPath, [join(REPOSITORY, 'bin/ingot.js'), ...args], {
      stdio: [input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        HOME: this.dir,
        XDG_STATE_HOME: this.path('state'),
        AWS_SHARED_CREDENTIALS_FILE: join(this.ingot.dataDir, 'credentials'),
        AWS_PROFILE: 'ingot',
        AWS_REGION: 'eu-central-1',
        AWS_ENDPOINT_URL: this.relay.endpoint,
        AWS_EC2_METADATA_DISABLED: 'true',
      },
    });
    if (input && child.stdin) {
      child.stdin.on('error', () => {});
      Readable.from([input]).pipe(child.stdin);
    }
    return child;
  }

  async run(args: readonly string[], input?: Uint8Array): Promise<Ran> {
    return ended(this.spawn(args, input));
  }

  /** The JSON result of a command that succeeds. */
  async json<Result>(args: readonly string[], input?: Uint8Array): Promise<Result> {
    const { code, stdout, stderr } = await this.run([...args, '--json'], input);
    if (code !== 0) throw new Error(`ingot ${args.join(' ')} ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as Result;
  }

  /** Every block that the snapshot has, read by the API. */
  async blocksOf(SnapshotId: string): Promise<Map<number, Buffer>> {
    const blocks = new Map<number, Buffer>();
    for await (const page of paginateListSnapshotBlocks({ client: this.ebs }, { SnapshotId })) {
      for (const { BlockIndex, BlockToken } of page.Blocks ?? []) {
        const answer = await this.ebs.send(new GetSnapshotBlockCommand({ SnapshotId, BlockIndex, BlockToken }));
        blocks.set(BlockIndex!, Buffer.from(await answer.BlockData!.transformToByteArray()));
      }
    }
    return blocks;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.relay[Symbol.asyncDispose]();
    await this.ingot[Symbol.asyncDispose]();
    await rm(this.dir, { recursive: true, force: true });
  }
}

export async function ended(child: ChildProcess): Promise<Ran> {
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

/** What a disk should be in a snapshot: its blocks that are not all zero. */
export function blocksIn(disk: Buffer): Map<number, Buffer> {
  const blocks = new Map<number, Buffer>();
  const zero = Buffer.alloc(BLOCK);
  for (let index = 0; index * BLOCK < disk.length; index += 1) {
    const block = Buffer.alloc(BLOCK);
    disk.copy(block, 0, index * BLOCK);
    if (!block.equals(zero)) blocks.set(index, block);
  }
  return blocks;
}

export async function writeDisk(path: string, bytes: Uint8Array): Promise<void> {
  const out = createWriteStream(path);
  out.end(bytes);
  await once(out, 'close');
}

/** The words of a transcript that change from run to run. */
export function settled(text: string): string {
  return text
    .replace(/\b(snap|ami)-[0-9a-f]{17}\b/g, '$1-ID')
    .replace(/arn:aws:kms:[\w:-]+\/[\w-]+/g, 'KEY-ARN')
    .replace(/\bin [\d.]+ s$/gm, 'in TIME');
}
