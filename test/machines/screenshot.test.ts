/** GetConsoleScreenshot of a real guest, on the whole server. */
import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  DescribeInstancesCommand,
  EC2Client,
  GetConsoleOutputCommand,
  GetConsoleScreenshotCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import jpeg from 'jpeg-js';
import { Ingot } from '../house/ingot.ts';
import { importGolden } from './golden.ts';
import { paintingGuest } from './painting-guest.ts';
import { killMachinesOf, noQemu, until, workplace } from './support.ts';

test('GetConsoleScreenshot is the screen of the guest as a JPEG; WakeUp presses a key; nothing of it is on a disk', {
  skip: noQemu(),
}, async () => {
  await using place = await workplace();
  await using ingot = await Ingot.start({ machines: 'qemu' });
  try {
    const config = await ingot.client();
    const ec2 = new EC2Client(config);
    const path = join(place.dir, 'painting.img');
    const image = paintingGuest();
    await writeFile(path, image);
    const ImageId = await importGolden(config, { path, kind: 'boot-sector', sizeBytes: image.byteLength });
    const { Instances } = await ec2.send(
      new RunInstancesCommand({ ImageId, InstanceType: 't3.nano', MinCount: 1, MaxCount: 1 }),
    );
    const InstanceId = Instances![0]!.InstanceId!;
    const says = (what: string) =>
      until(`the guest says ${what}`, async () => {
        const { Output } = await ec2.send(new GetConsoleOutputCommand({ InstanceId }));
        return Buffer.from(Output ?? '', 'base64')
          .toString('latin1')
          .includes(what);
      });
    const screen = async (WakeUp?: boolean) => {
      const answer = await ec2.send(
        new GetConsoleScreenshotCommand({ InstanceId, ...(WakeUp === undefined ? {} : { WakeUp }) }),
      );
      assert.equal(answer.InstanceId, InstanceId);
      const { width, height, data } = jpeg.decode(Buffer.from(answer.ImageData!, 'base64'));
      assert.equal(width / height, 320 / 200);
      const colors = new Set<string>();
      for (let at = 0; at < data.length; at += 4) {
        colors.add([...data.subarray(at, at + 3)].map((part) => (part > 128 ? 1 : 0)).join(''));
      }
      return [...colors];
    };
    await says('R');
    assert.deepEqual(await screen(), ['100'], 'red');
    assert.deepEqual(await Promise.all([screen(), screen(false), screen()]), [['100'], ['100'], ['100']]);
    await screen(true);
    await says('G');
    assert.deepEqual(await screen(), ['010'], 'green');
    const crowd = await Promise.allSettled(Array.from({ length: 12 }, () => screen(true)));
    const refused = crowd.filter((each) => each.status === 'rejected').map(({ reason }) => reason.name);
    assert.ok(refused.length > 0 && refused.length < crowd.length, 'an account waits for a few at a time');
    assert.deepEqual([...new Set(refused)], ['RequestLimitExceeded']);
    const left = await readdir(join(ingot.dataDir, 'machines'));
    assert.deepEqual(
      left.filter((name) => name.endsWith('.screen')),
      [],
    );
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [InstanceId] }));
    await until('it is terminated', async () => {
      const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [InstanceId] }));
      return Reservations![0]!.Instances![0]!.State!.Name === 'terminated';
    });
    await assert.rejects(screen(), { name: 'IncorrectInstanceState' });
  } finally {
    await killMachinesOf(ingot.dataDir);
  }
});
