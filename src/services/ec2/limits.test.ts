/** Limits of counts and rates, at their edges: L-26, L-27, E-24, LT-16, G-15. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import { newEc2Id } from '../../ids.ts';
import type { LaunchTemplateTables } from '../../launch-templates/create-launch-templates.ts';
import { LIMITS } from '../../limits.ts';
import { OTHER_REGION, REGION, until } from '../../volumes/test-volumes.ts';

import { translateEbs } from '../ebs/errors.ts';
import { startSnapshot } from '../ebs/start-snapshot.ts';
import { openTestEc2, refused, type TestEc2 } from './test-ec2.ts';

let test: TestEc2;
let build: Call;
before(async () => {
  test = await openTestEc2();
  build = test.as(test.build);
});
after(() => test[Symbol.asyncDispose]());

describe('snapshots of one volume', () => {
  const snapshot = (VolumeId: string, of = test) =>
    of.call<{ SnapshotId: string }>(of.as(of.build), 'CreateSnapshot', { VolumeId });
  const windowPasses = () => test.advance(LIMITS.volumeSnapshotsWindowMs);

  it('L-26: so many in a time, then a refusal that passes with time, for this volume only', async () => {
    const [busy, calm] = [await test.volume(build), await test.volume(build)];
    for (let made = 0; made < LIMITS.volumeSnapshotsPerWindowMax; made += 1) {
      const { SnapshotId } = await snapshot(busy);
      await until('it is completed', async () => {
        return (await test.snapshots.find(REGION, SnapshotId))?.state === 'completed';
      });
    }
    await refused(
      snapshot(busy),
      'SnapshotCreationPerVolumeRateExceeded',
      'The maximum per volume CreateSnapshot request rate has been exceeded. Use an increasing or variable sleep interval between requests.',
    );
    await snapshot(calm);
    windowPasses();
    await snapshot(busy);
  });

  it('L-27: so many at work at a time', async () => {
    await using still = await openTestEc2();
    const busy = await still.volume(still.as(still.build));
    await still.jobs.stop();
    for (let made = 0; made < LIMITS.volumeSnapshotsPendingMax; made += 1) {
      await snapshot(busy, still);
      still.advance(LIMITS.volumeSnapshotsWindowMs);
    }
    await refused(snapshot(busy, still), 'ConcurrentSnapshotLimitExceeded');
  });
});

describe('E-24: snapshots that are open for blocks', () => {
  it('are at most so many of an account in a region', async () => {
    const start = (call: Call) =>
      startSnapshot(test)(call, { VolumeSize: 1 }).catch((error: unknown) => {
        throw translateEbs(error, 'StartSnapshot') ?? error;
      });
    for (let made = 0; made < LIMITS.directSnapshotsPendingMax; made += 1) await start(build);
    await assert.rejects(start(build), {
      code: 'ServiceQuotaExceededException',
      status: 402,
      members: { Reason: 'DEPENDENCY_SERVICE_QUOTA_EXCEEDED' },
    });
    await start(test.as(test.prod));
    await start(test.as(test.build, OTHER_REGION));
  });
});

describe('LT-16: launch templates', () => {
  const row = { created_at: 1, created_by: 'arn' };
  const LaunchTemplateData = { InstanceType: 't3.micro' };
  const create = (LaunchTemplateName: string) =>
    test.call<{ LaunchTemplate: { LaunchTemplateId: string } }>(build, 'CreateLaunchTemplate', {
      LaunchTemplateName,
      LaunchTemplateData,
    });
  /** Rows as the calls would leave them, without the calls. */
  async function fill<Table extends keyof LaunchTemplateTables>(
    table: Table,
    count: number,
    rowOf: (at: number) => LaunchTemplateTables[Table],
  ): Promise<void> {
    await test.db.write(async (tx) => {
      for (let at = 0; at < count; at += 1) {
        await tx
          .as<Record<Table, LaunchTemplateTables[Table]>>()
          .insertInto(table)
          .values(rowOf(at) as never)
          .execute();
      }
    });
  }

  it('5,000 in a region', async () => {
    await fill('launch_template', 4_999, (at) => ({
      ...row,
      id: newEc2Id('lt'),
      region: REGION,
      owner_id: test.build,
      name: `filling-${at}`,
      default_version: 1,
      highest_version: 1,
      deleted: 0,
    }));
    const { LaunchTemplate } = await create('the-last');
    await refused(create('one-more'), 'ResourceLimitExceeded');
    await test.call(build, 'DeleteLaunchTemplate', { LaunchTemplateId: LaunchTemplate.LaunchTemplateId });
    await create('one-more');
  });

  it('10,000 versions of one', async () => {
    const other = test.as(test.build, OTHER_REGION);
    const { LaunchTemplate } = await test.call<{ LaunchTemplate: { LaunchTemplateId: string } }>(
      other,
      'CreateLaunchTemplate',
      { LaunchTemplateName: 'often', LaunchTemplateData },
    );
    const { LaunchTemplateId } = LaunchTemplate;
    await fill('launch_template_version', 9_998, (at) => ({
      ...row,
      template_id: LaunchTemplateId,
      number: at + 3,
      description: null,
      data: '{}',
      user_data: null,
    }));
    const version = () => test.call(other, 'CreateLaunchTemplateVersion', { LaunchTemplateId, LaunchTemplateData });
    await version();
    await refused(version(), 'ResourceLimitExceeded');
  });
});
