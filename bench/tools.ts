/**
 * `ingot import` and `ingot export` as their users run them, start of the program included, beside the published way of the
 * field (parallel PutSnapshotBlock with the SDK), a copy of the file with its checksum, and qemu-img into LUKS. The same
 * file for all; figures are of the data in it, which is half of its size.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { show, spread } from './measure.ts';

const REPOSITORY = new URL('..', import.meta.url).pathname;
const BLOCK = 524_288;

export interface ToolsBench {
  readonly endpoint: string;
  /** Shared credentials file with the profile `ingot`. */
  readonly credentialsFile: string;
  readonly region: string;
  readonly keyArn: string;
  readonly gib: number;
  readonly rounds: number;
  readonly say: (text: string) => void;
}

export async function benchTools(bench: ToolsBench): Promise<void> {
  const { gib, rounds, say } = bench;
  say(
    `\nTools: a disk of ${gib} GiB, half of it data, ${rounds} rounds; each its own process, from its start to its end`,
  );
  const dir = await mkdtemp(join(tmpdir(), 'ingot-bench-tools-'));
  try {
    const source = join(dir, 'source.raw');
    await writeHalfSparse(source, gib);
    const wanted = await digestOf(source);
    const luks = qemuImg() ? await luksHeader(dir, gib) : undefined;
    const dataGb = (gib * 2 ** 30) / 2 / 1e9;
    const figures = new Map<string, number[]>();
    const measure = async (name: string, work: () => Promise<unknown>) => {
      const started = performance.now();
      await work();
      const perSecond = dataGb / ((performance.now() - started) / 1000);
      figures.set(name, [...(figures.get(name) ?? []), perSecond]);
    };
    const target = (name: string) => join(dir, name);
    for (let round = 0; round < rounds; round += 1) {
      let snapshot = '';
      await measure('ingot import', async () => {
        const said = await ingot(bench, ['import', source, '--kms-key', bench.keyArn, '--json']);
        snapshot = (JSON.parse(said) as { snapshotId: string }).snapshotId;
      });
      await measure('parallel PutSnapshotBlock', () =>
        node(bench, ['bench/parallel-blocks.ts', 'put', source, String(gib), bench.keyArn]),
      );
      await measure('copy with checksum', () => copyWithChecksum(source, target('copy.raw')));
      if (luks) await measure('qemu-img convert to LUKS', () => luks.convert(source));
      await measure('ingot export', () =>
        ingot(bench, ['export', snapshot, target('export.raw'), '--force', '--json']),
      );
      await measure('parallel GetSnapshotBlock', () =>
        node(bench, ['bench/parallel-blocks.ts', 'get', target('get.raw'), snapshot]),
      );
      if (round > 0) continue;
      for (const name of ['copy.raw', 'export.raw', 'get.raw']) {
        if ((await digestOf(target(name))) !== wanted) throw new Error(`${name} is not what was imported`);
      }
    }
    for (const [name, values] of figures) say(`  ${name.padEnd(26)} ${show(spread(values))} GB/s`);
    const ratio = (ours: string, theirs: string) => {
      const peer = figures.get(theirs);
      const values = figures.get(ours)!.map((value, index) => value / (peer?.[index] ?? Number.NaN));
      say(peer ? `  ${ours} to ${theirs}: ${show(spread(values))}` : `  ${ours} to ${theirs}: skipped, it is not here`);
    };
    ratio('ingot import', 'qemu-img convert to LUKS');
    ratio('ingot import', 'parallel PutSnapshotBlock');
    ratio('ingot import', 'copy with checksum');
    ratio('ingot export', 'parallel GetSnapshotBlock');
    ratio('ingot export', 'copy with checksum');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function writeHalfSparse(path: string, gib: number): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.truncate(gib * 2 ** 30);
    for (let index = 0; index < gib * 1024; index += 1) {
      await file.write(randomBytes(BLOCK), 0, BLOCK, index * 2 * BLOCK);
    }
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function ingot(bench: ToolsBench, args: readonly string[]): Promise<string> {
  return node(bench, ['bin/ingot.js', ...args]);
}

function node(bench: ToolsBench, args: readonly string[]): Promise<string> {
  return run(process.execPath, args, {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    AWS_SHARED_CREDENTIALS_FILE: bench.credentialsFile,
    AWS_PROFILE: 'ingot',
    AWS_REGION: bench.region,
    AWS_ENDPOINT_URL: bench.endpoint,
    AWS_EC2_METADATA_DISABLED: 'true',
  });
}

/** What it prints; its complaint where it fails. */
function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const child = spawn(command, args, { cwd: REPOSITORY, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`${command} ${args[0]}: ${err}`))));
  });
}

/** Past the page cache as the others write, its holes kept, the data on the device; the checksum on the other core. */
function copyWithChecksum(from: string, to: string): Promise<unknown> {
  const copy = run('dd', [`if=${from}`, `of=${to}`, 'bs=512K', 'oflag=direct', 'conv=sparse,fdatasync']);
  return Promise.all([copy, run('sha256sum', [from])]);
}

function qemuImg(): boolean {
  try {
    execFileSync('qemu-img', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A LUKS file whose header, and with it the slow derivation of its key, is made before the clock starts. */
async function luksHeader(dir: string, gib: number) {
  const target = join(dir, 'luks.img');
  const secret = ['--object', 'secret,id=s,data=bench'];
  await run('qemu-img', [
    ...['create', '-q', '-f', 'luks', ...secret, '-o', 'key-secret=s,iter-time=10', target, `${gib}G`],
  ]);
  const options = `driver=luks,key-secret=s,file.driver=file,file.filename=${target}`;
  return {
    convert: (source: string) =>
      run('qemu-img', [
        ...['convert', '-n', '-f', 'raw', '-t', 'none', '-W', '-m', '8', ...secret],
        ...['--target-image-opts', source, options],
      ]),
  };
}
