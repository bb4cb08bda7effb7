import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { buildBootImage } from '../../demo/image/build.ts';
import { whyNoLinuxImage } from '../../demo/image/linux.ts';
import { Refusal } from '../../src/errors.ts';
import { type InstanceId, newEc2Id } from '../../src/ids.ts';
import type { MachineDriver, MachineExit, MachineSpec, MachineVolume } from '../../src/instances/machine.ts';
import { createQemuDriver } from '../../src/instances/qemu/driver.ts';
import { probeQemu } from '../../src/instances/qemu/probe.ts';
import { Qmp } from '../../src/instances/qemu/qmp.ts';
import { createLog } from '../../src/log.ts';
import { stubbornGuest } from './stubborn-guest.ts';
import { noQemu, until, workplace } from './support.ts';

const skip = noQemu();
const setup = skip ? undefined : await probeQemu();

async function driverIn(dir: string): Promise<{ driver: MachineDriver; exits: MachineExit[] }> {
  const driver = await createQemuDriver({ runtimeDir: join(dir, 'run'), setup: setup!, log: createLog('silent') });
  const exits: MachineExit[] = [];
  driver.onExit((exit) => exits.push(exit));
  return { driver, exits };
}

function machine(...volumes: MachineVolume[]): MachineSpec {
  return { instanceId: newEc2Id<InstanceId>('i'), memoryMiB: 256, vcpus: 1, bootMode: 'legacy-bios', volumes };
}

/** Collects the console until `text` appears. */
async function consoleUntil(driver: MachineDriver, id: InstanceId, text: string, seen = ''): Promise<string> {
  let all = seen;
  return until(`the console says ${text} (so far: ${JSON.stringify(all.slice(-200))})`, async () => {
    all += Buffer.from(await driver.takeConsole(id)).toString('latin1');
    return all.includes(text) && all;
  });
}

async function filesHolding(dir: string, text: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true, withFileTypes: true });
  const held = [];
  for (const entry of names) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && (await readFile(path)).includes(text)) held.push(path);
  }
  return held;
}

describe('QEMU machines', { skip, concurrency: false }, () => {
  test('a boot sector prints the marker it reads from its disk; the console is in memory only', async () => {
    await using place = await workplace();
    const marker = `marker-${newEc2Id('x')}`;
    const image = await buildBootImage({ dir: place.dir, marker, kind: 'boot-sector' });
    const spec = machine(await place.serve(image.path, '/dev/xvda', 'vol00000000000000001'));
    const { driver, exits } = await driverIn(place.dir);
    await driver.start(spec);
    await driver.start(spec);
    await consoleUntil(driver, spec.instanceId, marker);
    assert.deepEqual(await filesHolding(place.dir, marker), [image.path]);
    await driver.kill(spec.instanceId);
    assert.equal(driver.isRunning(spec.instanceId), false);
    assert.deepEqual(
      exits.map(({ how }) => how),
      ['killed'],
    );
    assert.deepEqual(await readdir(join(place.dir, 'run')), []);
  });

  test('a machine outlives the process that started it and is adopted; one that died meanwhile is not', async () => {
    await using place = await workplace();
    const image = await buildBootImage({ dir: place.dir, marker: 'left-behind', kind: 'boot-sector' });
    const spec = machine(await place.serve(image.path, '/dev/xvda', 'vol00000000000000001'));
    const dead = newEc2Id<InstanceId>('i');
    // A process of its own starts the machine and is killed without warning.
    const script = `
      const { createQemuDriver } = await import(${JSON.stringify(new URL('../../src/instances/qemu/driver.ts', import.meta.url).href)});
      const { runtimeDir, setup, spec } = JSON.parse(process.argv[1]);
      const driver = await createQemuDriver({ runtimeDir, setup, log: { warn() {} } });
      await driver.start(spec);
      process.stdout.write('started');
      setInterval(() => {}, 1000);`;
    const runtimeDir = join(place.dir, 'run');
    const args = ['--input-type=module', '-e', script, JSON.stringify({ runtimeDir, setup, spec })];
    const owner = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(owner.stdout, 'data');
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    await writeFile(join(runtimeDir, `${dead}.json`), JSON.stringify({ version: 1, id: dead, pid: owner.pid }));

    const { driver, exits } = await driverIn(place.dir);
    assert.deepEqual(await driver.adopt(), [spec.instanceId]);
    await consoleUntil(driver, spec.instanceId, 'left-behind');
    await driver.kill(spec.instanceId);
    assert.equal(exits.length, 1);
    assert.deepEqual(await readdir(runtimeDir), []);
  });

  test('QEMU killed from outside is an exit of its own kind', async () => {
    await using place = await workplace();
    const image = await buildBootImage({ dir: place.dir, marker: 'x', kind: 'boot-sector' });
    const spec = machine(await place.serve(image.path, '/dev/xvda', 'vol00000000000000001'));
    const { driver, exits } = await driverIn(place.dir);
    await driver.start(spec);
    const recorded = await readFile(join(place.dir, 'run', `${spec.instanceId}.json`), 'utf8');
    process.kill(JSON.parse(recorded).pid, 'SIGKILL');
    await until('the exit is noticed', () => exits.length > 0);
    assert.deepEqual([exits[0]?.how, exits[0]?.instanceId], ['died', spec.instanceId]);
  });

  test('no core file may hold guest memory', async () => {
    await using place = await workplace();
    const image = await buildBootImage({ dir: place.dir, marker: 'x', kind: 'boot-sector' });
    const spec = machine(await place.serve(image.path, '/dev/xvda', 'vol00000000000000001'));
    const { driver } = await driverIn(place.dir);
    await driver.start(spec);
    const { pid } = JSON.parse(await readFile(join(place.dir, 'run', `${spec.instanceId}.json`), 'utf8'));
    assert.match(await readFile(`/proc/${pid}/limits`, 'utf8'), /Max core file size\s+0\s+0/);
    await driver.kill(spec.instanceId);
  });

  test('a disk that is not served: the machine fails and says why, and nothing of it remains', async () => {
    await using place = await workplace();
    const nowhere = { device: '/dev/xvda', socketPath: join(place.dir, 'none.nbd'), serial: 'v' };
    const { driver } = await driverIn(place.dir);
    await assert.rejects(driver.start(machine(nowhere)), (error: unknown) => {
      assert.ok(error instanceof Refusal);
      assert.equal(error.reason, 'machine-failed');
      assert.match(String(error.facts.why), /QEMU ended with 1: .*none\.nbd/s);
      return true;
    });
    assert.deepEqual(await readdir(join(place.dir, 'run')), []);
  });

  const noFirmware = setup?.uefiFirmware === undefined ? 'no UEFI firmware is installed' : false;
  test('L-15: UEFI firmware starts and finds the disk', { skip: noFirmware }, async () => {
    await using place = await workplace();
    const image = await buildBootImage({ dir: place.dir, marker: 'x', kind: 'boot-sector' });
    const disk = await place.serve(image.path, '/dev/xvda', 'vol00000000000000001');
    const spec: MachineSpec = { ...machine(disk), bootMode: 'uefi' };
    const { driver } = await driverIn(place.dir);
    await driver.start(spec);
    await consoleUntil(driver, spec.instanceId, 'BdsDxe: ');
    await driver.kill(spec.instanceId);
  });

  test('without firmware a UEFI machine is refused and says so', async () => {
    await using place = await workplace();
    const { uefiFirmware: _, ...bare } = setup!;
    const options = { runtimeDir: join(place.dir, 'run'), setup: bare, log: createLog('silent') };
    const driver = await createQemuDriver(options);
    assert.deepEqual(driver.bootModes, ['legacy-bios']);
    await assert.rejects(driver.start({ ...machine(), bootMode: 'uefi' }), { reason: 'firmware-missing' });
  });

  test('a disk is taken by force from a guest that does not let go: what it wrote is kept, what it writes fails', async () => {
    await using place = await workplace();
    const root = join(place.dir, 'root.img');
    const data = join(place.dir, 'data.img');
    await writeFile(root, stubbornGuest());
    await writeFile(data, '');
    await truncate(data, 1024 * 1024);
    const held = await place.serve(data, '/dev/sdf', 'vol00000000000000002');
    const spec = machine(await place.serve(root, '/dev/xvda', 'vol00000000000000001'), held);
    const id = spec.instanceId;
    const { driver } = await driverIn(place.dir);
    await driver.start(spec);
    const before = await consoleUntil(driver, id, '...');
    await driver.detachDisk(id, '/dev/sdf', { force: true });
    await place.stopServing('/dev/sdf');
    const said = await consoleUntil(driver, id, 'EEE', before);
    const kept = (await readFile(data)).readUInt32LE(0);
    assert.equal(said.match(/\./g)?.length, kept, 'every write that succeeded is on the disk, and no other');
    assert.match(said, /^\.+E+$/m);
    assert.ok(driver.isRunning(id));

    await driver.detachDisk(id, '/dev/sdf', { force: true });
    const again = await place.serve(data, '/dev/sdf', 'vol00000000000000002');
    await assert.rejects(driver.attachDisk(id, again), { reason: 'disk-not-released' });
    await driver.attachDisk(id, { ...again, device: '/dev/sdg' });
    await driver.kill(id);
  });

  test('a machine that waits to hand out a picture that nobody takes any more goes on once it is adopted', async () => {
    await using place = await workplace();
    const image = await buildBootImage({ dir: place.dir, marker: 'seen', kind: 'boot-sector' });
    const spec = machine(await place.serve(image.path, '/dev/xvda', 'vol00000000000000001'));
    const id = spec.instanceId;
    const before = (await driverIn(place.dir)).driver;
    await before.start(spec);
    await before.close();
    const fifo = join(place.dir, 'run', `${id}.screen`);
    spawnSync('mkfifo', [fifo]);
    const qmp = await Qmp.connect(join(place.dir, 'run', `${id}.qmp`), 10_000);
    void qmp.execute('screendump', { filename: fifo, format: 'ppm' }).catch(() => {});
    const { pid } = JSON.parse(await readFile(join(place.dir, 'run', `${id}.json`), 'utf8'));
    await until('QEMU waits for a reader', async () =>
      /fifo|partner/.test(await readFile(`/proc/${pid}/wchan`, 'latin1')),
    );
    qmp.close();

    const { driver } = await driverIn(place.dir);
    assert.deepEqual(await driver.adopt(), [id]);
    const screen = await driver.takeScreen(id, { wakeUp: false });
    assert.ok(
      screen!.pixels.some((part) => part > 0),
      'the firmware has written something',
    );
    await driver.kill(id);
    assert.deepEqual(await readdir(join(place.dir, 'run')), []);
  });

  test('a machine that does not answer keeps nobody from the picture of another, and leaves no picture behind', async () => {
    await using place = await workplace();
    const [muted, seen] = [machine(), machine()];
    const [mute, other] = [muted.instanceId, seen.instanceId];
    const runtimeDir = join(place.dir, 'run');
    const driver = await createQemuDriver({ runtimeDir, setup: setup!, log: createLog('silent'), screenMs: 500 });
    await driver.start(muted);
    await driver.start(seen);
    const { pid } = JSON.parse(await readFile(join(runtimeDir, `${mute}.json`), 'utf8'));
    process.kill(pid, 'SIGSTOP');
    const shot = (id: InstanceId) => driver.takeScreen(id, { wakeUp: false });
    const failing = assert.rejects(shot(mute), { reason: 'machine-failed' });
    const screen = await until('the other is seen', () => shot(other).catch(() => false as const));
    assert.ok(screen);
    await failing;
    await assert.rejects(shot(mute), { reason: 'machine-failed' });
    assert.ok((await stat(join(runtimeDir, `${mute}.screen`))).isFIFO(), 'where QEMU will write once it goes on');
    process.kill(pid, 'SIGCONT');
    await until('it is seen again', () => shot(mute).catch(() => false as const));
    await driver.kill(mute);
    await driver.kill(other);
    assert.deepEqual(await readdir(runtimeDir), []);
  });

  test('a runtime folder too long for sockets is refused at once', async () => {
    await using place = await workplace();
    await assert.rejects(driverIn(join(place.dir, 'x'.repeat(100))), RangeError);
  });
});

const noLinux = skip || (await whyNoLinuxImage()) || false;

describe('QEMU with a real Linux', { skip: noLinux, concurrency: false }, () => {
  test('boots, takes a disk while it runs, gives it back, survives its disk server, powers off, remembers', async () => {
    await using place = await workplace();
    const marker = `golden ${newEc2Id('x')}`;
    const image = await buildBootImage({ dir: place.dir, marker, kind: 'linux' });
    const root = await place.serve(image.path, '/dev/sda1', 'vol00000000000000001');
    const data = join(place.dir, 'data.img');
    await writeFile(data, '');
    await truncate(data, 1024 * 1024);
    const { driver, exits } = await driverIn(place.dir);
    const spec: MachineSpec = {
      ...machine(root),
      vcpus: 2,
      network: { mac: '0e:00:00:00:00:01' },
    };
    const id = spec.instanceId;
    await driver.start(spec);
    const first = await consoleUntil(driver, id, 'vda=vol00000000000000001 reads');
    assert.ok(first.includes(`ingot-marker: ${marker}`));
    assert.ok(first.includes('ingot-boots: 1'));

    const extra = await place.serve(data, '/dev/sdf', 'vol00000000000000002');
    await driver.attachDisk(id, extra);
    await driver.attachDisk(id, extra);
    await consoleUntil(driver, id, 'vdb=vol00000000000000002 reads');
    await driver.detachDisk(id, '/dev/sdf');
    await driver.detachDisk(id, '/dev/sdf');
    await consoleUntil(driver, id, 'vda=vol00000000000000001 reads');

    // The disk server dies and comes back on the same socket, as Ingot does when it is restarted.
    await place.stopServing('/dev/sda1');
    await place.serve(image.path, '/dev/sda1', 'vol00000000000000001');
    await driver.takeConsole(id);
    await consoleUntil(driver, id, 'reads');

    await driver.powerDown(id);
    await until('the guest is down', () => !driver.isRunning(id));
    assert.equal(exits.at(-1)?.how, 'shutdown');
    assert.match(Buffer.from(exits.at(-1)!.console).toString('latin1'), /ingot-powering-off/);

    await driver.start(spec);
    await consoleUntil(driver, id, 'ingot-boots: 2');
    await driver.kill(id);
  });
});
