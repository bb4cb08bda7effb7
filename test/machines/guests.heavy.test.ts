/** What guests do by themselves, and what happens when everything is asked of one at once. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  EC2Client,
  GetConsoleOutputCommand,
  ModifyInstanceMetadataOptionsCommand,
  RebootInstancesCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { buildBootImage } from '../../demo/image/build.ts';
import { whyNoLinuxImage } from '../../demo/image/linux.ts';
import { Ingot } from '../house/ingot.ts';
import { importGolden } from './golden.ts';
import { killMachinesOf, noQemu, until } from './support.ts';

const skip = noQemu() || (await whyNoLinuxImage()) || false;
const BUSY = [
  'IncorrectInstanceState',
  'IncorrectState',
  'VolumeInUse',
  'InvalidParameterValue',
  'UnsupportedOperation',
];

describe('guests', { skip, concurrency: false }, () => {
  const imageDir = join(tmpdir(), `ingot-guests-${process.pid}`);
  let ingot: Ingot;
  let ec2: EC2Client;
  let imageId: string;

  const see = async (id: string) => {
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    return Reservations![0]!.Instances![0]!;
  };
  const untilState = (id: string, ...states: string[]) =>
    until(`${id} is ${states}`, async () => {
      const instance = await see(id);
      return states.includes(instance.State!.Name!) && instance;
    });
  const consoleOf = async (id: string) => {
    const { Output } = await ec2.send(new GetConsoleOutputCommand({ InstanceId: id }));
    return Buffer.from(Output ?? '', 'base64').toString('latin1');
  };
  const untilConsole = (id: string, pattern: RegExp) =>
    until(`the console of ${id} says ${pattern}`, async () => pattern.test(await consoleOf(id)));
  const run = async (input: Partial<RunInstancesCommandInput> = {}) => {
    const { Instances } = await ec2.send(
      new RunInstancesCommand({ ImageId: imageId, InstanceType: 't3.nano', MinCount: 1, MaxCount: 1, ...input }),
    );
    return Instances![0]!.InstanceId!;
  };

  before(async () => {
    ingot = await Ingot.start({ machines: 'qemu' });
    const config = await ingot.client();
    ec2 = new EC2Client(config);
    imageId = await importGolden(config, await buildBootImage({ dir: imageDir, marker: 'guests', kind: 'linux' }));
  });
  after(async () => {
    await killMachinesOf(ingot.dataDir);
    await ingot[Symbol.asyncDispose]();
    await rm(imageDir, { recursive: true, force: true });
  });

  for (const [behavior, state] of [
    ['stop', 'stopped'],
    ['terminate', 'terminated'],
  ] as const) {
    test(`a guest that powers off by itself is ${state}, as its shutdown behavior says`, async () => {
      const id = await run({
        InstanceInitiatedShutdownBehavior: behavior,
        UserData: Buffer.from('#!/bin/sh\necho "leaving now"\nsync\npoweroff -f\n').toString('base64'),
      });
      const ended = await untilState(id, state);
      assert.equal(ended.StateReason?.Code, 'Client.InstanceInitiatedShutdown');
      assert.match(await consoleOf(id), /leaving now/);
    });
  }

  test('metadata options that change hold for a guest that runs', async () => {
    const id = await run({ MetadataOptions: { HttpTokens: 'optional', HttpPutResponseHopLimit: 3 } });
    await untilConsole(id, /ingot-imds-done/);
    assert.match(await consoleOf(id), new RegExp(`ingot-imds-v1: ${id}`));
    await untilConsole(id, /reads token=56/);
    await ec2.send(new ModifyInstanceMetadataOptionsCommand({ InstanceId: id, HttpEndpoint: 'disabled' }));
    await untilConsole(id, /reads token=15/); // 403 - Forbidden
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await untilState(id, 'terminated');
  });

  test('everything at once, over and over: the instance stays one, and boots afterwards', async () => {
    const id = await run();
    const { Placement } = await untilState(id, 'running');
    const { VolumeId } = await ec2.send(
      new CreateVolumeCommand({ AvailabilityZone: Placement!.AvailabilityZone!, Size: 1 }),
    );
    await until('the volume is available', async () => {
      const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId!] }));
      return Volumes![0]!.State === 'available';
    });
    const InstanceIds = [id];
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.allSettled([
        ec2.send(new RebootInstancesCommand({ InstanceIds })),
        ec2.send(new AttachVolumeCommand({ VolumeId: VolumeId!, InstanceId: id, Device: '/dev/sdf' })),
        ec2.send(new StopInstancesCommand({ InstanceIds, Force: round === 1 })),
        ec2.send(new StartInstancesCommand({ InstanceIds })),
        ec2.send(new RebootInstancesCommand({ InstanceIds })),
        ec2.send(new DetachVolumeCommand({ VolumeId: VolumeId! })),
      ]);
      for (const answer of answers) {
        if (answer.status === 'rejected') assert.ok(BUSY.includes(answer.reason.name), String(answer.reason));
      }
      await untilState(id, 'running', 'stopped');
      await ec2.send(new StartInstancesCommand({ InstanceIds })).catch((error: Error) => {
        assert.ok(BUSY.includes(error.name), String(error));
      });
    }
    await untilState(id, 'stopped', 'running');
    await ec2.send(new StopInstancesCommand({ InstanceIds }));
    await untilState(id, 'stopped');
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId!] }));
    if (Volumes![0]!.State === 'in-use') await ec2.send(new DetachVolumeCommand({ VolumeId: VolumeId! }));
    const before = (await consoleOf(id)).length;
    await ec2.send(new StartInstancesCommand({ InstanceIds }));
    await until('it boots', async () => /ingot-alive: \d+ vda/.test((await consoleOf(id)).slice(before)));
    await ec2.send(new TerminateInstancesCommand({ InstanceIds }));
    await untilState(id, 'terminated');
  });
});
