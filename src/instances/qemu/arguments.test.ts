import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InstanceId } from '../../ids.ts';
import type { MachineSpec } from '../machine.ts';
import { diskNodeName, type QemuSetup, qemuArguments } from './arguments.ts';

const SPEC: MachineSpec = {
  instanceId: 'i-0123456789abcdef0' as InstanceId,
  memoryMiB: 1024,
  vcpus: 2,
  bootMode: 'legacy-bios',
  volumes: [{ device: '/dev/xvda', socketPath: '/run/ingot/vol-1.sock', serial: 'vol00000000000000001' }],
};
const QMP = '/run/ingot/i-0123456789abcdef0.qmp';
const SOCKETS = { qmp: QMP, network: '/run/ingot/i-0123456789abcdef0.net' };

const DISK =
  '{"driver":"nbd","node-name":"disk-dev-xvda","server":{"type":"unix","path":"/run/ingot/vol-1.sock"},"reconnect-delay":3600,"discard":"unmap"}';
const FRONT =
  '{"driver":"virtio-blk-pci","id":"disk-dev-xvda-front","drive":"disk-dev-xvda","serial":"vol00000000000000001","bootindex":0}';
const UUID = 'ec201234-5678-9abc-def0-000000000000';
const HEAD = [
  ['-name', 'guest=i-0123456789abcdef0,debug-threads=on'],
  ['-nodefaults', '-no-user-config', '-display', 'none'],
  ['-machine', 'pc,dump-guest-core=off'],
];
const MIDDLE = [
  ['-smp', '2', '-m', '1024M'],
  ['-smbios', `type=1,manufacturer=Ingot,product=Ingot,uuid=${UUID},serial=${UUID}`],
  ['-smbios', 'type=2,manufacturer=Ingot,product=Ingot,asset=i-0123456789abcdef0'],
  ['-rtc', 'base=utc'],
];
const CONSOLE = [
  ['-no-shutdown'],
  ['-chardev', 'ringbuf,id=console,size=65536', '-serial', 'chardev:console'],
  ['-chardev', `socket,id=monitor,path=${QMP},server=on,wait=off`, '-mon', 'monitor,mode=control'],
  ['-device', 'virtio-rng-pci'],
];
const SCREEN = ['-device', 'VGA,vgamem_mb=4'];
const SANDBOX = ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'];

const VECTORS: readonly { name: string; spec: MachineSpec; setup: QemuSetup; args: string[] }[] = [
  {
    name: 'emulated, BIOS, one disk, sandboxed',
    spec: SPEC,
    setup: { accelerator: 'tcg', sandbox: true },
    args: [
      ...HEAD,
      ['-accel', 'tcg,thread=multi', '-cpu', 'max'],
      ...MIDDLE,
      ...CONSOLE,
      ['-blockdev', DISK, '-device', FRONT],
      SCREEN,
      SANDBOX,
    ].flat(),
  },
  {
    name: 'KVM, UEFI, a network cut off from everything, no sandbox',
    spec: {
      ...SPEC,
      bootMode: 'uefi',
      network: { mac: '0e:00:00:00:00:01' },
    },
    setup: { accelerator: 'kvm', sandbox: false, uefiFirmware: '/firmware/OVMF.fd' },
    args: [
      ...HEAD,
      ['-accel', 'kvm', '-cpu', 'host'],
      ...MIDDLE,
      ['-bios', '/firmware/OVMF.fd'],
      ...CONSOLE,
      [
        '-netdev',
        'stream,id=net0,server=on,addr.type=unix,addr.path=/run/ingot/i-0123456789abcdef0.net',
        '-device',
        'virtio-net-pci,netdev=net0,mac=0e:00:00:00:00:01,romfile=',
      ],
      ['-blockdev', DISK, '-device', FRONT],
      SCREEN,
    ].flat(),
  },
];

for (const { name, spec, setup, args } of VECTORS) {
  test(`QEMU arguments: ${name}`, () => assert.deepEqual(qemuArguments(spec, setup, SOCKETS), args));
}

test('the first disk boots, the others follow in their order', () => {
  const second = { device: '/dev/sdb', socketPath: '/run/ingot/vol-2.sock', serial: 'vol00000000000000002' };
  const volumes = [...SPEC.volumes, second];
  const args = qemuArguments({ ...SPEC, volumes }, { accelerator: 'tcg', sandbox: true }, SOCKETS);
  const fronts = args.filter((word) => word.startsWith('{"driver":"virtio-blk-pci"')).map((word) => JSON.parse(word));
  assert.deepEqual(
    fronts.map(({ serial, bootindex }) => [serial, bootindex]),
    [
      ['vol00000000000000001', 0],
      ['vol00000000000000002', 1],
    ],
  );
});

test('what a socket path holds stays one value', () => {
  const args = qemuArguments(
    SPEC,
    { accelerator: 'tcg', sandbox: true },
    {
      ...SOCKETS,
      qmp: '/run/a,b/x.qmp',
    },
  );
  assert.ok(args.includes('socket,id=monitor,path=/run/a,,b/x.qmp,server=on,wait=off'));
});

test('UEFI without firmware cannot be asked for', () => {
  assert.throws(
    () => qemuArguments({ ...SPEC, bootMode: 'uefi' }, { accelerator: 'tcg', sandbox: true }, SOCKETS),
    RangeError,
  );
});

test('no argument names a file that guest data could be written to', () => {
  for (const { spec, setup } of VECTORS) {
    const line = qemuArguments(spec, setup, SOCKETS).join(' ');
    for (const word of ['-snapshot', ' file=', ',file=', 'logfile', '-D ', '-trace', 'mem-path', 'pflash']) {
      assert.ok(!line.includes(word), word);
    }
  }
});

test('device names become node names', () => {
  const names = [
    ['/dev/sda1', 'disk-dev-sda1'],
    ['xvdf', 'disk-xvdf'],
    ['/dev/nvme0n1', 'disk-dev-nvme0n1'],
  ] as const;
  for (const [device, node] of names) assert.equal(diskNodeName(device), node);
});
