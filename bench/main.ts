/**
 * `npm run bench`: what Ingot does a second, beside a peer or a limit measured in the same run. Rounds are interleaved
 * with the peer; medians with minimum and maximum are shown, CPU-seconds of the server beside wall time, and what was
 * timed is checked once a run. The client shares the machine with the server.
 *
 * npm run bench -- [--rounds 5] [--gib 1] [--only import,tools,kms,launch,memory]
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CompleteSnapshotCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  CopySnapshotCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  RegisterImageCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateKeyCommand } from '@aws-sdk/client-kms';
import { Account, type Server, startServer } from '../demo/server.ts';
import { until } from '../demo/wait.ts';
import { inLanes, LeanClient } from './client.ts';
import { nextServedVolume, readFirstBytes, servedVolumes } from './first-byte.ts';
import { cpuSecondsOf, memoryOf, opensslGcm, show, spread } from './measure.ts';
import { benchTools } from './tools.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    gib: { type: 'string', default: '1' },
    only: { type: 'string', default: 'import,tools,kms,launch,memory' },
  },
});
const ROUNDS = Number(options.rounds);
const GIB = Number(options.gib);
const PARTS = new Set(options.only.split(','));
const REGION = 'eu-central-1';
const BLOCK = 524_288;
const LANES = 8;
const FIRST_BYTES = 4096;

const say = (text = '') => process.stdout.write(`${text}\n`);

/** A pool of random blocks: real data without paying for randomness while the clock runs. */
const POOL = Array.from({ length: 16 }, () => {
  const bytes = randomBytes(BLOCK);
  return { bytes, digest: createHash('sha256').update(bytes).digest() };
});

interface Timed {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
}

async function timed(server: Server, work: () => Promise<void>): Promise<Timed> {
  const cpu = cpuSecondsOf(server.pid);
  const started = performance.now();
  await work();
  return { wallSeconds: (performance.now() - started) / 1000, cpuSeconds: cpuSecondsOf(server.pid) - cpu };
}

async function newKey(account: Account): Promise<string> {
  const { KeyMetadata } = await account.kms.send(new CreateKeyCommand({}));
  return KeyMetadata?.Arn as string;
}

async function completed(account: Account, snapshotId: string): Promise<void> {
  await until(
    `${snapshotId} is completed`,
    async () => {
      const { Snapshots } = await account.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] }));
      if (Snapshots?.[0]?.State === 'error') throw new Error(Snapshots[0].StateMessage);
      return Snapshots?.[0]?.State === 'completed' ? true : undefined;
    },
    600,
  );
}

/** Imports `gib` GiB of which every second block is written, as a golden image half full would be. */
async function importHalfSparse(account: Account, client: LeanClient, key: string, gib: number): Promise<string> {
  const { SnapshotId } = await account.ebs.send(
    new StartSnapshotCommand({ VolumeSize: gib, Encrypted: true, KmsKeyArn: key }),
  );
  const blocks = gib * 1024;
  const linear = createHash('sha256');
  for (let index = 0; index < blocks; index += 1) linear.update(POOL[index % POOL.length]!.digest);
  await inLanes(blocks, LANES, async (index) => {
    const { bytes, digest } = POOL[index % POOL.length]!;
    const answer = await client.send(
      'PUT',
      `/snapshots/${SnapshotId}/blocks/${index * 2}`,
      {
        'x-amz-data-length': String(BLOCK),
        'x-amz-checksum': digest.toString('base64'),
        'x-amz-checksum-algorithm': 'SHA256',
        'content-type': 'application/octet-stream',
      },
      bytes,
      true,
    );
    if (answer.status !== 201) throw new Error(`PutSnapshotBlock: ${answer.status} ${answer.body}`);
  });
  await account.ebs.send(
    new CompleteSnapshotCommand({
      SnapshotId,
      ChangedBlocksCount: blocks,
      Checksum: linear.digest('base64'),
      ChecksumAlgorithm: 'SHA256',
      ChecksumAggregationMethod: 'LINEAR',
    }),
  );
  await completed(account, SnapshotId as string);
  return SnapshotId as string;
}

async function copy(account: Account, source: string, key: string): Promise<string> {
  const { SnapshotId } = await account.ec2.send(
    new CopySnapshotCommand({ SourceSnapshotId: source, SourceRegion: REGION, Encrypted: true, KmsKeyId: key }),
  );
  await completed(account, SnapshotId as string);
  return SnapshotId as string;
}

async function benchImport(server: Server, account: Account, client: LeanClient): Promise<void> {
  say(`\nImport and re-encrypting copy: ${GIB} GiB volume, half of it data, ${ROUNDS} rounds`);
  const bytes = GIB * 1024 * BLOCK;
  const sourceKey = await newKey(account);
  const targetKey = await newKey(account);
  const figures = {
    openssl: [] as number[],
    imported: [] as number[],
    copied: [] as number[],
    importCpu: [] as number[],
    copyCpu: [] as number[],
  };
  for (let round = 0; round < ROUNDS; round += 1) {
    const limit = opensslGcm(cpus().length);
    if (limit !== undefined) figures.openssl.push(limit);
    let snapshot = '';
    const imported = await timed(server, async () => {
      snapshot = await importHalfSparse(account, client, sourceKey, GIB);
    });
    const copied = await timed(server, async () => {
      await copy(account, snapshot, targetKey);
    });
    figures.imported.push(bytes / 1e9 / imported.wallSeconds);
    figures.copied.push(bytes / 1e9 / copied.wallSeconds);
    figures.importCpu.push(imported.cpuSeconds / (bytes / 1e9));
    figures.copyCpu.push(copied.cpuSeconds / (bytes / 1e9));
  }
  say(
    `  import over the API, signed, checksummed: ${show(spread(figures.imported))} GB/s; server CPU ${show(spread(figures.importCpu))} s/GB`,
  );
  say(
    `  CopySnapshot under another key:           ${show(spread(figures.copied))} GB/s; server CPU ${show(spread(figures.copyCpu))} s/GB`,
  );
  if (figures.openssl.length === 0) {
    say('  beside openssl speed: skipped, openssl is not installed');
    return;
  }
  say(`  openssl speed aes-256-gcm, ${cpus().length} processes:   ${show(spread(figures.openssl))} GB/s`);
  const ratios = (values: number[]) => spread(values.map((value, index) => value / figures.openssl[index]!));
  say(
    `  ratio to openssl a round: import ${show(ratios(figures.imported), 3)}, copy ${show(ratios(figures.copied), 3)}`,
  );
}

async function kmsRound(
  client: LeanClient,
  body: string,
  target: string,
  seconds: number,
  lanes: number,
): Promise<number> {
  const bytes = Buffer.from(body);
  const deadline = performance.now() + seconds * 1000;
  let done = 0;
  const lane = async () => {
    while (performance.now() < deadline) {
      const answer = await client.send('POST', '/', { ...JSON_HEADERS, 'x-amz-target': target }, bytes);
      if (answer.status !== 200) throw new Error(`${target}: ${answer.status} ${answer.body}`);
      done += 1;
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: lanes }, lane));
  return done / ((performance.now() - started) / 1000);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** moto's server, the peer for KMS calls; `undefined` where it is not installed. */
async function startMoto(): Promise<{ endpoint: string; stop: () => void } | undefined> {
  try {
    execFileSync('moto_server', ['--help'], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  const port = await freePort();
  const child = spawn('moto_server', ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' });
  await until(
    'moto listens',
    () =>
      new Promise<true | undefined>((resolve) => {
        const socket = createConnection(port, '127.0.0.1');
        socket.once('connect', () => {
          socket.destroy();
          resolve(true);
        });
        socket.once('error', () => resolve(undefined));
      }),
  );
  return { endpoint: `http://127.0.0.1:${port}`, stop: () => child.kill('SIGKILL') };
}

const JSON_HEADERS = { 'content-type': 'application/x-amz-json-1.1' };

async function kms(client: LeanClient, operation: string, input: object): Promise<Record<string, unknown>> {
  const headers = { ...JSON_HEADERS, 'x-amz-target': `TrentService.${operation}` };
  const answer = await client.send('POST', '/', headers, Buffer.from(JSON.stringify(input)));
  if (answer.status !== 200) throw new Error(`${operation}: ${answer.status} ${answer.body}`);
  return JSON.parse(answer.body.toString()) as Record<string, unknown>;
}

/** A key and one body for each operation that is measured. */
async function kmsBodies(client: LeanClient): Promise<Readonly<Record<string, string>>> {
  const { KeyMetadata } = (await kms(client, 'CreateKey', {})) as { KeyMetadata: { KeyId: string } };
  const { KeyId } = KeyMetadata;
  const Plaintext = Buffer.alloc(64, 7).toString('base64');
  const { CiphertextBlob } = await kms(client, 'Encrypt', { KeyId, Plaintext });
  const opened = await kms(client, 'Decrypt', { CiphertextBlob });
  if (opened.Plaintext !== Plaintext) throw new Error('Decrypt gives something else than was encrypted');
  return {
    Encrypt: JSON.stringify({ KeyId, Plaintext }),
    GenerateDataKey: JSON.stringify({ KeyId, NumberOfBytes: 64 }),
    Decrypt: JSON.stringify({ CiphertextBlob }),
  };
}

async function benchKms(server: Server): Promise<void> {
  say(
    `\nKMS through HTTP: signature, policy and a durable audit record a call; ${ROUNDS} rounds of 3 s, 32 connections`,
  );
  const options = { credentials: server.root, region: REGION, service: 'kms', connections: 32 };
  const client = new LeanClient({ endpoint: server.endpoint, ...options });
  const moto = await startMoto();
  const motoClient = moto && new LeanClient({ endpoint: moto.endpoint, ...options });
  try {
    const bodies = await kmsBodies(client);
    const motoBodies = motoClient && (await kmsBodies(motoClient));
    for (const [operation, body] of Object.entries(bodies)) {
      const target = `TrentService.${operation}`;
      const ours: number[] = [];
      const theirs: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        ours.push(await kmsRound(client, body, target, 3, 32));
        // moto answers one call at a time: more connections only queue.
        if (motoClient && motoBodies)
          theirs.push(await kmsRound(motoClient, motoBodies[operation] ?? '', target, 3, 8));
      }
      const ratio = theirs.length > 0 && show(spread(ours.map((value, i) => value / theirs[i]!)), 1);
      const beside = ratio
        ? `moto ${show(spread(theirs), 0)}; ratio a round ${ratio}`
        : 'beside moto: skipped, moto_server is not installed';
      say(`  ${operation.padEnd(16)} ${show(spread(ours), 0)} requests/s; ${beside}`);
    }
  } finally {
    client.close();
    motoClient?.close();
    moto?.stop();
  }
}

async function benchLaunch(dataDir: string, account: Account, client: LeanClient): Promise<void> {
  say(`\nLaunch from an encrypted image of 1 GiB, without a guest (driver none), ${ROUNDS} rounds`);
  const key = await newKey(account);
  const snapshot = await importHalfSparse(account, client, key, 1);
  const { ImageId } = await account.ec2.send(
    new RegisterImageCommand({
      Name: `bench-${Date.now()}`,
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: snapshot, VolumeType: 'gp3' } }],
    }),
  );
  const firstByte: number[] = [];
  const running: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = await servedVolumes(dataDir);
    const started = performance.now();
    const { Instances } = await account.ec2.send(
      new RunInstancesCommand({ ImageId, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 }),
    );
    const bytes = await readFirstBytes(await nextServedVolume(dataDir, before), FIRST_BYTES);
    firstByte.push((performance.now() - started) / 1000);
    if (!bytes.equals(POOL[0]!.bytes.subarray(0, FIRST_BYTES))) throw new Error('the volume does not hold the image');
    const id = Instances?.[0]?.InstanceId as string;
    await instanceIs(account, id, 'running');
    running.push((performance.now() - started) / 1000);
    await account.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await instanceIs(account, id, 'terminated');
  }
  say(
    `  RunInstances until the first 4 KiB of the volume are read by NBD: ${show(spread(firstByte), 3)} s, bytes checked`,
  );
  say(`  RunInstances until DescribeInstances says running (polled every 100 ms): ${show(spread(running))} s`);
}

async function instanceIs(account: Account, id: string, wanted: string): Promise<void> {
  await until(`${id} is ${wanted}`, async () => {
    const { Reservations } = await account.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    const instance = Reservations?.[0]?.Instances?.[0];
    const state = instance?.State?.Name;
    if (state === 'terminated' && wanted !== state) throw new Error(`${id} ended: ${instance?.StateReason?.Message}`);
    return state === wanted ? true : undefined;
  });
}

async function benchMemory(): Promise<void> {
  say('\nMemory of the server while 4 GiB (half data) are imported and copied under another key');
  await withServer(async (server, account, client) => {
    const before = memoryOf(server.pid);
    const snapshot = await importHalfSparse(account, client, await newKey(account), 4);
    const imported = memoryOf(server.pid);
    await copy(account, snapshot, await newKey(account));
    const copied = memoryOf(server.pid);
    say(
      `  resident before ${before.residentMiB.toFixed(0)} MiB; peak after import ${imported.peakMiB.toFixed(0)} MiB; peak after copy ${copied.peakMiB.toFixed(0)} MiB (limit 300 MB = 286 MiB)`,
    );
  });
}

async function withServer(
  work: (server: Server, account: Account, client: LeanClient, dataDir: string) => Promise<void>,
): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'ingot-bench-'));
  try {
    const server = await startServer({ dataDir, machines: 'none' });
    const client = new LeanClient({
      endpoint: server.endpoint,
      credentials: server.root,
      region: REGION,
      service: 'ebs',
      connections: LANES,
    });
    try {
      await work(server, new Account(server.endpoint, server.root, '', 'root', REGION), client, dataDir);
    } finally {
      client.close();
      await server.stop();
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

say(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}`);
await withServer(async (server, account, client, dataDir) => {
  if (PARTS.has('import')) await benchImport(server, account, client);
  if (PARTS.has('tools')) {
    await benchTools({
      endpoint: server.endpoint,
      credentialsFile: join(dataDir, 'credentials'),
      region: REGION,
      keyArn: await newKey(account),
      gib: GIB,
      rounds: ROUNDS,
      say,
    });
  }
  if (PARTS.has('kms')) await benchKms(server);
  if (PARTS.has('launch')) await benchLaunch(dataDir, account, client);
});
if (PARTS.has('memory')) await benchMemory();
