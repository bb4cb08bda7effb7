/** `ingot export` and `ingot diff` against a real server. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { oddDisk } from './disk-fixtures.ts';
import { isGet } from './relay.ts';
import { BLOCK, blocksIn, ended, noQemu, Rig, settled, writeDisk } from './rig.ts';

const GIB = 2 ** 30;
let rig: Rig;
let snapshotId: string;
let imageId: string;
let childId: string;
let strangerId: string;
const disk = oddDisk();
const changed = Buffer.from(disk);
changed.write('new', 30 * BLOCK);
changed.write('other', 4 * BLOCK);

interface Imported {
  readonly snapshotId: string;
  readonly imageId: string;
}

before(async () => {
  rig = await Rig.start();
  await writeDisk(rig.path('disk.raw'), disk);
  await writeDisk(rig.path('changed.raw'), changed);
  ({ snapshotId, imageId } = await rig.json<Imported>([
    'import',
    rig.path('disk.raw'),
    ...['--encrypt', '--name', 'golden'],
  ]));
  childId = (await rig.json<Imported>(['import', rig.path('changed.raw'), '--parent', snapshotId])).snapshotId;
  strangerId = (await rig.json<Imported>(['import', rig.path('disk.raw'), '--encrypt'])).snapshotId;
});
after(() => rig[Symbol.asyncDispose]());

/** The disk at its place, and next to nothing taken beyond it; `all` reads the holes too. */
async function assertHolds(path: string, bytes: Buffer, all = false): Promise<void> {
  const { size, blocks } = await stat(path);
  assert.equal(size, GIB);
  assert.ok(blocks * 512 <= (blocksIn(bytes).size + 1) * BLOCK, `${blocks * 512} bytes are taken: not sparse`);
  await using file = await open(path);
  const end = all ? GIB : bytes.length + BLOCK;
  const block = Buffer.alloc(BLOCK);
  for (let at = 0; at < end; at += BLOCK) {
    await file.read(block, 0, BLOCK, at);
    const expected = Buffer.alloc(BLOCK);
    if (at < bytes.length) bytes.copy(expected, 0, at);
    assert.ok(block.equals(expected), `block ${at / BLOCK}`);
  }
}
const leftOvers = async () => (await readdir(rig.dir)).filter((name) => name.endsWith('.part'));

describe('ingot export', () => {
  it('an AMI into a raw file: sparse, verified, told in a transcript', async () => {
    const { code, stdout, stderr } = await rig.run(['export', imageId, rig.path('out.raw'), '--verify']);
    assert.equal(settled(stderr).replaceAll(rig.dir, 'DIR'), '✔ 3 MiB downloaded in TIME\n✔ 1 GiB verified in TIME\n');
    assert.equal(
      settled(stdout).replaceAll(rig.dir, 'DIR'),
      [
        'File        DIR/out.raw (raw, 1 GiB)',
        'Snapshot    snap-ID',
        'Downloaded  3 MiB in 6 blocks',
        'Checked     each block on arrival, and the finished file',
        '',
      ].join('\n'),
    );
    assert.equal(code, 0);
    await assertHolds(rig.path('out.raw'), disk, true);
    assert.equal((await stat(rig.path('out.raw'))).mode & 0o777, 0o600);
  });

  it('a snapshot into qcow2, without a raw file in between', { skip: noQemu }, async () => {
    const path = rig.path('out.qcow2');
    const done = await rig.json<{ format: string; verified: boolean }>(['export', snapshotId, path, '--verify']);
    assert.deepEqual([done.format, done.verified], ['qcow2', true]);
    const compared = spawnSync('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', path, rig.path('disk.raw')]);
    assert.equal(compared.status, 0, String(compared.stdout));
  });

  it('replaces nothing unasked', async () => {
    await writeFile(rig.path('there.raw'), 'precious');
    const { code, stderr } = await rig.run(['export', snapshotId, rig.path('there.raw')]);
    assert.equal(code, 1);
    assert.match(stderr, /^There is a \S+there\.raw already: give --force to replace it\.\n$/);
    assert.equal(await readFile(rig.path('there.raw'), 'utf8'), 'precious');
    await rig.json(['export', snapshotId, rig.path('there.raw'), '--force']);
    await assertHolds(rig.path('there.raw'), disk);
  });

  it('asks again for a block that arrives damaged, and gives up a way that always damages (E-3)', async () => {
    const spoil = (body: Buffer) => Buffer.concat([body.subarray(0, 100), Buffer.from('x'), body.subarray(101)]);
    let damaged = 0;
    rig.relay.rules = {
      damageAnswer: (passing, body) => {
        if (!isGet(passing) || damaged === 2) return body;
        damaged += 1;
        return spoil(body);
      },
    };
    await rig.json(['export', snapshotId, rig.path('mended.raw'), '--parallel', '1']);
    assert.equal(damaged, 2);
    await assertHolds(rig.path('mended.raw'), disk);

    rig.relay.rules = { damageAnswer: (passing, body) => (isGet(passing) ? spoil(body) : body) };
    const { code, stderr } = await rig.run(['export', snapshotId, rig.path('damaged.raw')]);
    rig.relay.rules = {};
    assert.equal(code, 1);
    assert.match(stderr, /^Block \d+ of snap-\w+ arrived 3 times with another checksum than it has\.\n$/);
    await assert.rejects(stat(rig.path('damaged.raw')), { code: 'ENOENT' });
    assert.deepEqual(await leftOvers(), []);
  });

  it('leaves nothing when it is stopped', async () => {
    const held = Promise.withResolvers<void>();
    rig.relay.rules = {
      hold: (passing) => {
        if (isGet(passing)) held.resolve();
        return isGet(passing);
      },
    };
    const child = rig.spawn(['export', snapshotId, rig.path('stopped.raw')]);
    const end = ended(child);
    await held.promise;
    child.kill('SIGINT');
    const { code, stderr } = await end;
    rig.relay.rules = {};
    assert.deepEqual([code, stderr], [130, 'Stopped. Nothing is left; start again to export.\n']);
    await assert.rejects(stat(rig.path('stopped.raw')), { code: 'ENOENT' });
    assert.deepEqual(await leftOvers(), []);
  });

  it('says what is not there', async () => {
    const [unknown, noDevice] = await Promise.all([
      rig.run(['export', 'snap-00000000000000000', rig.path('none.raw')]),
      rig.run(['export', imageId, rig.path('none.raw'), '--device', '/dev/sdz']),
    ]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /^ResourceNotFoundException: The snapshot 'snap-0{17}' does not exist\./);
    assert.deepEqual(
      [noDevice.code, settled(noDevice.stderr)],
      [1, 'ami-ID has no snapshot at /dev/sdz; it has them at /dev/xvda.\n'],
    );
  });
});

describe('ingot diff', () => {
  it('tells ranges and counts (E-9)', async () => {
    const { code, stdout } = await rig.run(['diff', imageId, childId]);
    assert.equal(code, 0);
    assert.equal(
      stdout,
      [
        'Blocks  From    Size     Kind',
        '4       2 MiB   512 KiB  changed',
        '30      15 MiB  512 KiB  added',
        '2 blocks differ, 1 MiB: 1 changed, 1 added.',
        '',
      ].join('\n'),
    );
  });

  it('--json for programs, --exit-code for scripts', async () => {
    const { code, stdout } = await rig.run(['diff', snapshotId, childId, '--json', '--exit-code']);
    assert.equal(code, 3);
    assert.deepEqual(JSON.parse(stdout), {
      first: snapshotId,
      second: childId,
      comparedBy: 'writes',
      blockBytes: BLOCK,
      blocks: { changed: 1, added: 1, removed: 0 },
      bytes: 2 * BLOCK,
      ranges: [
        { firstBlock: 4, lastBlock: 4, kind: 'changed' },
        { firstBlock: 30, lastBlock: 30, kind: 'added' },
      ],
    });
    const same = await rig.run(['diff', snapshotId, snapshotId, '--exit-code']);
    assert.deepEqual([same.code, settled(same.stdout)], [0, 'snap-ID and snap-ID do not differ.\n']);
  });

  it('compares snapshots without a common origin by their bytes, when asked to (E-10)', async () => {
    const refused = await rig.run(['diff', snapshotId, strangerId]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /have no common origin, so EBS cannot tell what changed: give --contents/);
    const equal = await rig.run(['diff', snapshotId, strangerId, '--contents', '--exit-code']);
    assert.equal(equal.code, 0, equal.stdout);
    const other = await rig.json<{ blocks: object }>(['diff', strangerId, childId, '--contents']);
    assert.deepEqual(other.blocks, { changed: 1, added: 1, removed: 0 });
  });
});

describe('shell completion', () => {
  it('knows the commands and their options', async () => {
    const [script, verbs, options] = await Promise.all([
      rig.run(['complete', 'bash']),
      rig.run(['complete', '--', 'im']),
      rig.run(['complete', '--', 'import', '--boot']),
    ]);
    assert.match(script.stdout, /^# bash completion for ingot/);
    assert.match(verbs.stdout, /^import\t/m);
    assert.match(options.stdout, /^--boot-mode\t/m);
  });
});
