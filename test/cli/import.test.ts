/** `ingot import` against a real server: every format, every kind of source, interruption, damage, refusals. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, truncate, utimes } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { DescribeImagesCommand, DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { CreateAliasCommand, CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { runIngot } from '../house/ingot.ts';
import { EFI_SYSTEM, oddDisk, putGpt } from './disk-fixtures.ts';
import { isPut } from './relay.ts';
import { BLOCK, blocksIn, ended, noQemu, noXz, Rig, settled, writeDisk } from './rig.ts';

interface Imported {
  readonly snapshotId: string;
  readonly imageId?: string;
  readonly format: string;
  readonly encrypted: boolean;
  readonly kmsKeyArn?: string;
  readonly blocks: { readonly written: number; readonly resumed: number; readonly unchanged: number };
}

let rig: Rig;
const disk = oddDisk();

before(async () => {
  rig = await Rig.start();
  await writeDisk(rig.path('disk.raw'), disk);
  await writeDisk(rig.path('disk.raw.gz'), gzipSync(disk));
  await writeDisk(rig.path('disk.raw.zst'), zstdCompressSync(disk));
});
after(() => rig[Symbol.asyncDispose]());

function convert(format: string, name: string): string {
  const made = spawnSync('qemu-img', ['convert', '-f', 'raw', '-O', format, rig.path('disk.raw'), rig.path(name)]);
  assert.equal(made.status, 0, String(made.stderr));
  return rig.path(name);
}
const snapshotIn = (text: string) => /snap-[0-9a-f]{17}/.exec(text)?.[0] ?? '';
const stateFiles = () => readdir(rig.path('state/ingot/imports'));

describe('ingot import: formats', () => {
  const foreign = [
    ['qcow2', 'qcow2'],
    ['vmdk', 'vmdk'],
    ['vpc', 'vhd'],
    ['vhdx', 'vhdx'],
  ] as const;
  for (const [qemuName, format] of foreign) {
    it(`${format}, without a copy in clear`, { skip: noQemu }, async () => {
      const done = await rig.json<Imported>(['import', convert(qemuName, `disk.${format}`), '--encrypt']);
      assert.deepEqual([done.format, done.encrypted], [format, true]);
      assert.deepEqual(await rig.blocksOf(done.snapshotId), blocksIn(disk));
    });
  }

  for (const [name, format] of [
    ['disk.raw', 'raw'],
    ['disk.raw.gz', 'gzip'],
    ['disk.raw.zst', 'zstd'],
  ] as const) {
    it(format, async () => {
      const size = format === 'raw' ? [] : ['--volume-size', '1'];
      const done = await rig.json<Imported>(['import', rig.path(name), '--encrypt', ...size]);
      assert.equal(done.format, format);
      assert.deepEqual(await rig.blocksOf(done.snapshotId), blocksIn(disk));
    });
  }

  it('xz, by the program', { skip: noXz }, async () => {
    const packed = spawnSync('xz', ['-0', '--stdout'], { input: disk, maxBuffer: 1 << 26 }).stdout;
    const done = await rig.json<Imported>(['import', '-', '--encrypt', '--volume-size', '1'], packed);
    assert.equal(done.format, 'xz');
    assert.deepEqual(await rig.blocksOf(done.snapshotId), blocksIn(disk));
  });

  it('a partition table tells a stream its size; the AMI boots by UEFI', async () => {
    const bytes = putGpt(Buffer.from(disk), [EFI_SYSTEM]);
    const done = await rig.json<Imported>(['import', '-', '--encrypt', '--name', 'by-uefi', '--tag', 'a=b=c'], bytes);
    assert.deepEqual(await rig.blocksOf(done.snapshotId), blocksIn(bytes));
    const { Images } = await rig.ec2.send(new DescribeImagesCommand({ ImageIds: [done.imageId!] }));
    const { Name, BootMode, Architecture, RootDeviceName, Tags, BlockDeviceMappings } = Images![0]!;
    assert.deepEqual(
      { Name, BootMode, Architecture, RootDeviceName, Tags },
      {
        Name: 'by-uefi',
        BootMode: 'uefi',
        Architecture: 'x86_64',
        RootDeviceName: '/dev/xvda',
        Tags: [{ Key: 'a', Value: 'b=c' }],
      },
    );
    assert.deepEqual([BlockDeviceMappings![0]!.Ebs!.SnapshotId], [done.snapshotId]);
    const { Snapshots } = await rig.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [done.snapshotId] }));
    assert.deepEqual(Snapshots![0]!.Tags, [{ Key: 'a', Value: 'b=c' }]);

    const again = await rig.run(['import', rig.path('disk.raw'), '--name', 'by-uefi']);
    assert.deepEqual([again.code, settled(again.stderr)], [1, 'There is an AMI named by-uefi already: ami-ID.\n']);
  });

  it('from a URL; a foreign format only by way of a folder that is named', { skip: noQemu }, async () => {
    const qcow2 = spawnSync('cat', [convert('qcow2', 'served.qcow2')], { maxBuffer: 1 << 26 }).stdout;
    const server = createServer((request, response) => {
      response.end(request.url?.startsWith('/disk.raw?') ? disk : qcow2);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const raw = await rig.json<Imported>(['import', `${url}/disk.raw?Signature=secret`, '--encrypt']);
      assert.deepEqual(await rig.blocksOf(raw.snapshotId), blocksIn(disk));
      const refused = await rig.run(['import', `${url}/disk.qcow2`, '--encrypt']);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /^The disk is qcow2, which cannot be read as a stream: .*--spool DIR/);
      const spooled = await rig.json<Imported>(['import', `${url}/disk.qcow2`, '--encrypt', '--spool', rig.dir]);
      assert.deepEqual(await rig.blocksOf(spooled.snapshotId), blocksIn(disk));
      assert.deepEqual(
        (await readdir(rig.dir)).filter((name) => name.startsWith('ingot-spool')),
        [],
      );
    } finally {
      server.close();
    }
  });
});

describe('ingot import: keys and connections', () => {
  it('takes a key by its alias, and a profile that assumes a role', async () => {
    const kms = new KMSClient(await rig.ingot.client());
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
    await kms.send(new CreateAliasCommand({ AliasName: 'alias/golden', TargetKeyId: KeyMetadata!.KeyId }));
    const done = await rig.json<Imported>(['import', rig.path('disk.raw'), '--kms-key', 'alias/golden']);
    assert.equal(done.kmsKeyArn, KeyMetadata!.Arn);

    const added = await runIngot(['account', 'add', 'build', '--data', rig.ingot.dataDir]);
    assert.equal(added.code, 0, added.stderr);
    const other = await rig.json<Imported>(['import', rig.path('disk.raw'), '--profile', 'build', '--encrypt']);
    const { Snapshots } = await rig.ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
    assert.ok(!Snapshots!.some(({ SnapshotId }) => SnapshotId === other.snapshotId), 'made in the account of the role');
  });

  it('signs blocks unhashed, with their checksum in a signed header (E-2)', async () => {
    rig.relay.seen.length = 0;
    await rig.json<Imported>(['import', rig.path('disk.raw'), '--encrypt']);
    assert.equal(rig.relay.puts.length, blocksIn(disk).size);
    for (const { headers } of rig.relay.puts) {
      assert.equal(headers['x-amz-content-sha256'], 'UNSIGNED-PAYLOAD');
      assert.match(headers.authorization ?? '', /SignedHeaders=[^,]*x-amz-checksum/);
    }
  });
});

describe('ingot import --parent', () => {
  it('sends only what changed, zeroes included, and keeps the key (table 6.3)', async () => {
    const first = await rig.json<Imported>(['import', rig.path('disk.raw'), '--encrypt']);
    const changed = Buffer.from(disk);
    changed.write('new', 30 * BLOCK + 9);
    changed.fill(0, 17 * BLOCK, 18 * BLOCK);
    await writeDisk(rig.path('changed.raw'), changed);
    rig.relay.seen.length = 0;
    const second = await rig.json<Imported>(['import', rig.path('changed.raw'), '--parent', first.snapshotId]);
    assert.deepEqual(rig.relay.puts.map(({ path }) => path.split('/').at(-1)).sort(), ['17', '30']);
    assert.deepEqual(second.blocks, { written: 2, resumed: 0, unchanged: blocksIn(disk).size - 1 });
    assert.equal(second.kmsKeyArn, first.kmsKeyArn);
    const blocks = await rig.blocksOf(second.snapshotId);
    assert.ok(blocks.get(17)!.equals(Buffer.alloc(BLOCK)));
    blocks.delete(17);
    assert.deepEqual(blocks, blocksIn(changed));
  });
});

describe('ingot import, stopped', () => {
  /** Lets `count` blocks through, then none; `full` resolves when a further one waits. */
  function holdAfter(count: number): Promise<void> {
    const full = Promise.withResolvers<void>();
    let puts = 0;
    rig.relay.seen.length = 0;
    rig.relay.rules = {
      hold: (passing) => {
        if (!isPut(passing)) return false;
        puts += 1;
        if (puts <= count) return false;
        full.resolve();
        return true;
      },
    };
    return full.promise;
  }

  it('by Ctrl-C: says what is left and how to go on, and goes on with what is missing', async () => {
    const full = holdAfter(2);
    const child = rig.spawn(['import', rig.path('disk.raw'), '--encrypt', '--parallel', '1', '--name', 'stopped-1']);
    const end = ended(child);
    await full;
    child.kill('SIGINT');
    const { code, stdout, stderr } = await end;
    const id = snapshotIn(stderr);
    assert.deepEqual([code, stdout], [130, '']);
    assert.equal(
      settled(stderr),
      [
        '✔ raw disk into snap-ID, 1 GiB, encrypted under KEY-ARN',
        'Stopped.',
        'The snapshot snap-ID is begun and stays until it is finished or given up:',
        '  ingot import --resume snap-ID',
        '  ingot import --discard snap-ID',
        '',
      ].join('\n'),
    );
    rig.relay.rules = {};
    rig.relay.seen.length = 0;
    const done = await rig.json<Imported>(['import', '--resume', id]);
    assert.deepEqual(done.blocks, { written: blocksIn(disk).size - 2, resumed: 2, unchanged: 0 });
    assert.equal(rig.relay.puts.length, blocksIn(disk).size - 2);
    assert.ok(done.imageId);
    assert.deepEqual(await rig.blocksOf(id), blocksIn(disk));
    assert.ok(!(await stateFiles()).some((name) => name.startsWith(id)));
  });

  it('by kill -9, from standard input: another stream leaves nothing of the first in the snapshot', async () => {
    const full = holdAfter(3);
    const child = rig.spawn(['import', '-', '--encrypt', '--parallel', '1', '--volume-size', '1'], disk);
    const end = ended(child);
    await full;
    child.kill('SIGKILL');
    const id = snapshotIn((await end).stderr);
    rig.relay.rules = {};
    const other = oddDisk();
    other.fill(0, 0, 6 * BLOCK);
    const done = await rig.json<Imported>(['import', '--resume', id], other);
    const blocks = await rig.blocksOf(done.snapshotId);
    for (const [index, block] of blocks) if (block.equals(Buffer.alloc(BLOCK))) blocks.delete(index);
    assert.deepEqual(blocks, blocksIn(other));
  });

  it('goes on only with the same disk, and can be given up', async () => {
    await writeDisk(rig.path('moving.raw'), disk);
    const full = holdAfter(1);
    const child = rig.spawn(['import', rig.path('moving.raw'), '--encrypt', '--parallel', '1']);
    const end = ended(child);
    await full;
    child.kill('SIGTERM');
    const { stderr, code } = await end;
    const id = snapshotIn(stderr);
    rig.relay.rules = {};
    assert.equal(code, 130);
    await utimes(rig.path('moving.raw'), new Date(0), new Date(0));
    const other = await rig.run(['import', '--resume', id]);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /moving\.raw is not the disk that snap-\w+ was begun with, or has changed since/);
    const gone = await rig.run(['import', '--discard', id]);
    assert.deepEqual([gone.code, gone.stdout], [0, `${id} is deleted.\n`]);
    await assert.rejects(rig.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] })), {
      name: 'InvalidSnapshot.NotFound',
    });
    assert.ok(!(await stateFiles()).some((name) => name.startsWith(id)));
  });
});

describe('ingot import: damage', () => {
  const spoil = (body: Buffer) => {
    const spoilt = Buffer.from(body);
    spoilt[1000]! ^= 1;
    return spoilt;
  };

  it('a block damaged on its way is found by the server and sent again (E-19)', async () => {
    let damaged = 0;
    rig.relay.rules = {
      damageRequest: (passing, body) => {
        if (!isPut(passing) || damaged === 2) return body;
        damaged += 1;
        return spoil(body);
      },
    };
    const done = await rig.json<Imported>(['import', rig.path('disk.raw'), '--encrypt', '--parallel', '1']);
    rig.relay.rules = {};
    assert.equal(damaged, 2);
    assert.deepEqual(await rig.blocksOf(done.snapshotId), blocksIn(disk));
  });

  it('a way that always damages fails, and the snapshot is not completed', async () => {
    rig.relay.rules = { damageRequest: (passing, body) => (isPut(passing) ? spoil(body) : body) };
    const { code, stderr } = await rig.run(['import', rig.path('disk.raw'), '--encrypt']);
    rig.relay.rules = {};
    assert.equal(code, 1);
    assert.match(stderr, /InvalidSignatureException: The value passed in as x-amz-Checksum does not match/);
    const id = snapshotIn(stderr);
    const { Snapshots } = await rig.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }));
    assert.equal(Snapshots![0]!.State, 'pending');
  });

  for (const [format, packed] of [
    ['gzip', gzipSync(disk)],
    ['zstd', zstdCompressSync(disk)],
  ] as const) {
    it(`${format} that is cut short does not become a snapshot`, async () => {
      const cut = packed.subarray(0, packed.length - 700);
      const { code, stderr } = await rig.run(['import', '-', '--encrypt', '--volume-size', '1'], cut);
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`The ${format} data is damaged or cut short: `));
      const { Snapshots } = await rig.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [snapshotIn(stderr)] }));
      assert.equal(Snapshots![0]!.State, 'pending');
    });
  }

  it('a disk that is shorter than its partition table is refused', async () => {
    const whole = putGpt(Buffer.from(disk), []);
    await writeDisk(rig.path('cut.raw'), whole);
    await truncate(rig.path('cut.raw'), whole.length - BLOCK);
    const file = await rig.run(['import', rig.path('cut.raw'), '--encrypt']);
    assert.match(
      file.stderr,
      /^The disk is cut short: its partition table is for 20\.0 MiB, and there are 19\.5 MiB\./,
    );
    const stream = await rig.run(['import', '-', '--encrypt'], whole.subarray(0, whole.length - BLOCK));
    assert.match(stream.stderr, /The disk is cut short: it should have 20\.0 MiB, and ended after 19\.5 MiB\./);
    assert.deepEqual([file.code, stream.code], [1, 1]);
  });
});

describe('ingot import: refusals', () => {
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [[], 2, /^Name the disk: a file, a URL, or - for standard input\.\n$/],
    [['absent.raw'], 1, /^There is no absent\.raw\.\n$/],
    [['DISK', '--parent', 'snap-0', '--encrypt'], 2, /^A snapshot with a parent is under the key of its parent/],
    [['DISK', '--boot-mode', 'uefi'], 2, /^--boot-mode is for an AMI: it needs --name\.\n$/],
    [['DISK', '--name', 'x'], 2, /^The name of an AMI has 3 to 128 letters/],
    [['DISK', '--tag', 'x'], 2, /^--tag must be NAME=VALUE, not "x"\.\n$/],
    [['DISK', '--volume-size', '0'], 2, /^--volume-size must be a whole number from 1 to 65536, not "0"\.\n$/],
    [['DISK.gz'], 2, /^How large the disk is cannot be seen from its beginning: say it with --volume-size GIB\.\n$/],
    [['DISK', '--kms-key', 'alias/none'], 1, /^NotFoundException: Alias arn:\S+ is not found\. \(request \S+\)\n$/],
    [['DISK', '--profile', 'nobody'], 1, /^No credentials by profile nobody: /],
    [['--resume', 'snap-0'], 1, /^No import into snap-0 was begun here/],
    [['DISK', '--encrypted'], 2, /^error: unknown option '--encrypted'/],
  ];
  it('each in one sentence, before a snapshot is begun', async () => {
    const args = (one: readonly string[]) => one.map((word) => word.replace(/^DISK/, rig.path('disk.raw')));
    const seen = rig.relay.seen.length;
    const ran = await Promise.all(cases.map(([words]) => rig.run(['import', ...args(words)])));
    cases.forEach(([words, code, sentence], index) => {
      assert.match(ran[index]!.stderr, sentence, words.join(' '));
      assert.equal(ran[index]!.code, code, words.join(' '));
    });
    const begun = rig.relay.seen.slice(seen).filter(({ method, path }) => method === 'POST' && path === '/snapshots');
    assert.deepEqual(begun, []);
  });

  it('an image that takes data from another file', { skip: noQemu }, async () => {
    const base = convert('qcow2', 'base.qcow2');
    const overlay = rig.path('overlay.qcow2');
    spawnSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', overlay]);
    assert.ok(existsSync(overlay));
    const { code, stderr } = await rig.run(['import', overlay, '--encrypt']);
    assert.equal(code, 1);
    assert.match(stderr, /overlay\.qcow2 takes data from another file, \S+base\.qcow2: flatten it first/);
  });
});
