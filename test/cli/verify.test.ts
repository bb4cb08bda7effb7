/** `ingot verify`: proof from stored bytes, and every damage found and named. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFile, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CompleteSnapshotCommand, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import { RegisterImageCommand, waitUntilSnapshotCompleted } from '@aws-sdk/client-ec2';
import { CreateKeyCommand, DisableKeyCommand, EnableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { runIngot } from '../house/ingot.ts';
import { BLOCK, type Ran, Rig } from './rig.ts';

const MARKER = 'the recipe of the house, which nobody may read';
const HEADER = 4096;
const BLOCKS = 3;

interface Shown {
  readonly verdict: string;
  readonly faultCount: number;
  readonly faults: readonly {
    readonly problem: string;
    readonly index?: number;
    readonly slot?: number;
    readonly foundInSlot?: number;
  }[];
  readonly chain: {
    readonly dataKey: string;
    readonly wrappedBy: { readonly kmsKey?: string; readonly rootKey?: string };
    readonly examples: readonly { readonly block: number; readonly segment: string; readonly slot: number }[];
  };
  readonly blocks: { readonly listed: number; readonly zero: number; readonly authenticated: number };
  readonly segments: { readonly named: number; readonly orphaned: readonly string[] };
  readonly randomness: { readonly blocks: number; readonly outside: readonly number[]; readonly least: number };
  readonly marker?: { readonly files: number; readonly found: readonly { path: string; places: number[] }[] };
}

let rig: Rig;
let kms: KMSClient;
let key: string;
let sealed: string;
let plain: string;

before(async () => {
  rig = await Rig.start();
  kms = new KMSClient(await rig.ingot.client());
  key = (await kms.send(new CreateKeyCommand({}))).KeyMetadata!.Arn!;
  sealed = await upload({ Encrypted: true, KmsKeyArn: key });
  plain = await upload({});
});
after(() => rig?.[Symbol.asyncDispose]());

/** Three blocks of the marker again and again, and one of zeros. */
async function upload(encryption: { Encrypted?: boolean; KmsKeyArn?: string }): Promise<string> {
  const { SnapshotId } = await rig.ebs.send(new StartSnapshotCommand({ VolumeSize: 1, ...encryption }));
  for (let BlockIndex = 0; BlockIndex <= BLOCKS; BlockIndex++) {
    const BlockData = Buffer.alloc(BLOCK, BlockIndex < BLOCKS ? `${MARKER} ${BlockIndex} ` : '\0');
    const { createHash } = await import('node:crypto');
    const Checksum = createHash('sha256').update(BlockData).digest('base64');
    await rig.ebs.send(
      new PutSnapshotBlockCommand({
        ...{ SnapshotId, BlockIndex, BlockData, DataLength: BLOCK, Checksum, ChecksumAlgorithm: 'SHA256' },
      }),
    );
  }
  await rig.ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: BLOCKS + 1 }));
  await waitUntilSnapshotCompleted(
    { client: rig.ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 },
    { SnapshotIds: [SnapshotId!] },
  );
  return SnapshotId!;
}

async function verified(subject: string, ...args: string[]): Promise<{ ran: Ran; report: Shown }> {
  const ran = await rig.run(['verify', subject, '--json', ...args]);
  assert.ok(ran.code === 0 || ran.code === 3, ran.stderr);
  return { ran, report: (JSON.parse(ran.stdout) as { reports: Shown[] }).reports[0]! };
}

const segmentFile = (segment: string) => join(rig.ingot.dataDir, 'segments', `${segment}.seg`);

/** The place of each stored block, and its file as it is put back in the end. */
async function tampering(snapshot: string, damage: (path: string, slots: readonly number[]) => Promise<void>) {
  const { report } = await verified(snapshot);
  const { segment } = report.chain.examples[0]!;
  const path = segmentFile(segment);
  const before = await readFile(path);
  const slots = report.chain.examples.map(({ slot }) => slot);
  try {
    await damage(path, slots);
    return await verified(snapshot);
  } finally {
    await writeFile(path, before);
  }
}

async function exchange(path: string, work: (file: Awaited<ReturnType<typeof open>>) => Promise<void>) {
  const file = await open(path, 'r+');
  try {
    await work(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

describe('ingot verify', () => {
  it('proves a snapshot whole, authentic and encrypted, with the chain to its KMS key (K-1, K-2)', async () => {
    const { ran, report } = await verified(sealed, '--marker', MARKER);
    assert.equal(ran.code, 0, ran.stdout);
    assert.equal(report.verdict, 'intact');
    assert.deepEqual(report.blocks, { listed: BLOCKS + 1, zero: 1, authenticated: BLOCKS });
    assert.equal(report.chain.wrappedBy.kmsKey, key);
    assert.match(report.chain.dataKey, /^[0-9a-f-]{36}$/);
    assert.deepEqual(
      report.chain.examples.map(({ block }) => block),
      [0, 1, 2],
    );
    assert.equal(report.segments.named, 1);
    assert.deepEqual(report.segments.orphaned, []);
    assert.equal(report.randomness.blocks, BLOCKS);
    assert.deepEqual(report.randomness.outside, []);
    assert.deepEqual(report.marker?.found, []);
    assert.ok(report.marker.files > 3);
  });

  it('proves a plain snapshot to be sealed as well, under the root key of the installation', async () => {
    const { report } = await verified(plain, '--marker', MARKER);
    assert.equal(report.verdict, 'intact');
    assert.deepEqual(report.chain.wrappedBy, { rootKey: 'of the installation' });
  });

  it('takes every snapshot of an AMI, and says it in words', async () => {
    const mapping = (DeviceName: string, SnapshotId: string) => ({ DeviceName, Ebs: { SnapshotId } });
    const { ImageId } = await rig.ec2.send(
      new RegisterImageCommand({
        ...{ Name: 'golden', Architecture: 'x86_64', VirtualizationType: 'hvm', RootDeviceName: '/dev/xvda' },
        BlockDeviceMappings: [mapping('/dev/xvda', sealed), mapping('/dev/sdf', plain)],
      }),
    );
    const { code, stdout, stderr } = await rig.run(['verify', ImageId!]);
    assert.equal(code, 0, stderr);
    for (const snapshot of [sealed, plain]) assert.match(stdout, new RegExp(`^${snapshot} is intact\\.$`, 'm'));
    assert.match(stdout, /^Blocks +3 of 3 stored blocks authenticate; 1 are zeros and not stored$/m);
    assert.ok(stdout.includes(`→ ${key}`));
  });

  const damages: readonly (readonly [
    name: string,
    damage: (path: string, slots: readonly number[]) => Promise<void>,
    faults: (slots: readonly number[]) => readonly object[],
  ])[] = [
    [
      'one bit of one block',
      (path, [, second]) =>
        exchange(path, async (file) => {
          const at = HEADER + second! * BLOCK + 4711;
          const byte = Buffer.alloc(1);
          await file.read(byte, 0, 1, at);
          byte[0]! ^= 1;
          await file.write(byte, 0, 1, at);
        }),
      ([, second]) => [{ problem: 'block-damaged', index: 1, slot: second }],
    ],
    [
      'two blocks in each other’s place',
      (path, [first, , third]) =>
        exchange(path, async (file) => {
          const [one, other] = [Buffer.alloc(BLOCK), Buffer.alloc(BLOCK)];
          await file.read(one, 0, BLOCK, HEADER + first! * BLOCK);
          await file.read(other, 0, BLOCK, HEADER + third! * BLOCK);
          await file.write(other, 0, BLOCK, HEADER + first! * BLOCK);
          await file.write(one, 0, BLOCK, HEADER + third! * BLOCK);
        }),
      ([first, , third]) => [
        { problem: 'block-displaced', index: 0, slot: first, foundInSlot: third },
        { problem: 'block-displaced', index: 2, slot: third, foundInSlot: first },
      ],
    ],
    [
      'a segment that is gone',
      (path) => rm(path),
      (slots) => slots.map((slot, index) => ({ problem: 'segment-missing', index, slot })),
    ],
    [
      'a segment that ends early',
      (path, [, , third]) => exchange(path, (file) => file.truncate(HEADER + third! * BLOCK + 100)),
      ([, , third]) => [{ problem: 'block-missing', index: 2, slot: third }],
    ],
    [
      'the header of a segment',
      (path) => exchange(path, async (file) => void (await file.write(Buffer.from('x'), 0, 1, 40))),
      (slots) => slots.map((slot, index) => ({ problem: 'segment-header', index, slot })),
    ],
  ];
  for (const [name, damage, expected] of damages) {
    it(`finds ${name}, and names it`, async () => {
      let places: readonly number[] = [];
      const { ran, report } = await tampering(sealed, async (path, slots) => {
        places = slots;
        await damage(path, slots);
      });
      assert.equal(ran.code, 3);
      assert.equal(report.verdict, 'damaged');
      const { segment } = report.chain.examples[0]!;
      const faults = expected(places).map((fault) => ({ ...fault, segment }));
      assert.deepEqual(
        report.faults,
        faults.map((fault) => assertSame(fault, report.faults)),
      );
      assert.equal(report.faultCount, faults.length);
      assert.equal(report.blocks.authenticated, BLOCKS - faults.length);
    });
  }

  it('finds bytes that are not random where a block should be', async () => {
    const { report } = await tampering(sealed, (path, [first]) =>
      exchange(path, async (file) => {
        await file.write(Buffer.alloc(BLOCK, 'plaintext'), 0, BLOCK, HEADER + first! * BLOCK);
      }),
    );
    assert.deepEqual(report.randomness.outside, [0]);
    assert.equal(report.faults[0]?.problem, 'block-damaged');
  });

  it('names a segment of the same data key that belongs to nothing, which is no damage', async () => {
    const { report } = await verified(sealed);
    const stray = randomBytes(16).toString('hex');
    await copyFile(segmentFile(report.chain.examples[0]!.segment), segmentFile(stray));
    try {
      const { report: again } = await verified(sealed);
      assert.deepEqual(again.segments.orphaned, [stray]);
      assert.equal(again.verdict, 'intact');
      assert.deepEqual((await verified(plain)).report.segments.orphaned, []);
    } finally {
      await rm(segmentFile(stray));
    }
  });

  it('finds a marker wherever it stands, across pieces too', async () => {
    const path = join(rig.ingot.dataDir, 'left-behind.tmp');
    const at = 1024 * 1024 - 10;
    await writeFile(path, Buffer.concat([Buffer.alloc(at, 'x'), Buffer.from(MARKER), Buffer.alloc(50)]));
    try {
      const { ran, report } = await verified(sealed, '--marker', MARKER);
      assert.equal(ran.code, 3);
      assert.deepEqual(report.marker?.found, [{ path: 'left-behind.tmp', places: [at] }]);
      assert.equal(report.faultCount, 0);
    } finally {
      await rm(path);
    }
  });
});

/** The expected fault in the order of members that the report has. */
function assertSame(fault: object, faults: readonly object[]): object {
  const found = faults.find((one) => Object.entries(fault).every(([name, value]) => Reflect.get(one, name) === value));
  assert.ok(found, `${JSON.stringify(fault)} is not among ${JSON.stringify(faults)}`);
  return found;
}

describe('a signed report', () => {
  it('holds offline under the public key, and not once it is changed or under another key', async () => {
    const [file, pem] = [rig.path('proof.jsonl'), rig.path('ingot.pem')];
    assert.equal((await rig.run(['verify', sealed, '--output', file, '--save-public-key', pem])).code, 0);
    const offline = (...args: string[]) => runIngot(['verify', '--check', ...args]);
    const held = await offline(file, '--public-key', pem);
    assert.equal(held.code, 0, held.stderr);
    assert.match(held.stdout, new RegExp(`^${sealed} is intact\\.\n`));

    const envelope = JSON.parse(await readFile(file, 'utf8')) as { payload: string };
    const payload = Buffer.from(envelope.payload, 'base64').toString().replace('"listed":4', '"listed":5');
    await writeFile(file, JSON.stringify({ ...envelope, payload: Buffer.from(payload).toString('base64') }));
    const changed = await offline(file, '--public-key', pem);
    assert.equal(changed.code, 3);
    assert.match(changed.stderr, /does not hold under the key .+: The report was changed since it was signed\./);

    const { generateKeyPairSync } = await import('node:crypto');
    const other = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' });
    await writeFile(rig.path('other.pem'), other);
    const foreign = await offline(file, '--public-key', rig.path('other.pem'));
    assert.match(foreign.stderr, /Another key signed it\./);
  });

  it('is of a key that a restart does not change', async () => {
    const key = async () => {
      const path = rig.path('key.pem');
      assert.equal((await rig.run(['verify', '--save-public-key', path])).code, 0);
      return readFile(path, 'utf8');
    };
    const before = await key();
    await rig.ingot.restart();
    await rig.relay[Symbol.asyncDispose]();
    const { Relay } = await import('./relay.ts');
    Object.assign(rig, { relay: await Relay.to(rig.ingot.endpoint) });
    assert.equal(await key(), before);
  });
});

describe('who may have a proof', () => {
  it('nobody without the use of the key, nobody else’s snapshot, and no marker but the operator’s', async () => {
    const config = await rig.ingot.client();
    const client = new KMSClient(config);
    await client.send(new DisableKeyCommand({ KeyId: key }));
    const disabled = await rig.run(['verify', sealed]);
    assert.equal(disabled.code, 1);
    assert.match(disabled.stderr, /is disabled/);
    await client.send(new EnableKeyCommand({ KeyId: key }));

    const missing = await rig.run(['verify', 'snap-00000000000000000']);
    assert.match(missing.stderr, /ResourceNotFoundException: The snapshot 'snap-00000000000000000' does not exist\./);

    const added = await runIngot(['account', 'add', 'other', '--data', rig.ingot.dataDir]);
    assert.equal(added.code, 0, added.stderr);
    const asOther = ['--profile', 'other'];
    const foreign = await rig.run(['verify', sealed, ...asOther]);
    assert.match(foreign.stderr, /ResourceNotFoundException/);
    // The profile's own account has a snapshot, and still may not look into the files of all.
    const own = await rig.run(['import', '-', '--volume-size', '1', '--json', ...asOther], Buffer.alloc(BLOCK, 'x'));
    assert.equal(own.code, 0, own.stderr);
    const { snapshotId } = JSON.parse(own.stdout) as { snapshotId: string };
    assert.equal((await rig.run(['verify', snapshotId, ...asOther])).code, 0);
    const marked = await rig.run(['verify', snapshotId, '--marker', MARKER, ...asOther]);
    assert.match(marked.stderr, /AccessDeniedException: .+only the management account may ask/);
  });

  it('says how it is used', async () => {
    for (const [args, code, message] of [
      [[], 2, /Give a snapshot or an AMI/],
      [['--check', 'x'], 2, /takes a file and --public-key/],
      [['snap-1', '--public-key', 'x'], 2, /is for --check/],
      [[sealed, '--marker', 'short'], 1, /A marker has 8 to 1024 bytes/],
    ] as const) {
      const ran = await rig.run(['verify', ...args]);
      assert.equal(ran.code, code, ran.stderr);
      assert.match(ran.stderr, message);
    }
  });
});
