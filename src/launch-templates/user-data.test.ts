/** User data of launch templates: sealed as it comes, and sealed where an earlier Ingot left it in clear. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';
import { systemPermit } from '../authz/permit.ts';
import { rootKeyFrom } from '../crypto/root-key.ts';
import { openDb } from '../db/sqlite.ts';
import { openTestDb } from '../db/test-db.ts';
import type { AccountId, LaunchTemplateId, Region } from '../ids.ts';
import {
  createLaunchTemplates,
  type LaunchTemplateTables,
  launchTemplateMigrations,
} from './create-launch-templates.ts';

const rootKey = rootKeyFrom(new Uint8Array(32).fill(9));
const clock = () => new Date();
/** Of several pages, so that SQLite keeps it outside the row's own page. */
const SECRET = Buffer.from(`#!/bin/sh\nexport PASSWORD=${'hunter2-'.repeat(1500)}\n`).toString('base64');
const TEMPLATE = {
  ownerId: '111122223333' as AccountId,
  region: 'eu-central-1' as Region,
  name: 'web',
  createdBy: 'arn:aws:iam::111122223333:root',
};

it('seals user data of each version for that version alone, and gives it back as it came', async () => {
  await using test = await openTestDb(launchTemplateMigrations(rootKey));
  const templates = createLaunchTemplates({ db: test.db, rootKey, clock });
  const permit = systemPermit('ec2:CreateLaunchTemplate', '*', 'test');
  const data = { InstanceType: 't3.micro', UserData: SECRET };
  const { template, version } = await test.db.write((tx) => templates.create(tx, permit, TEMPLATE, { data }));
  assert.deepEqual(version.data, data);
  await test.db.write((tx) =>
    templates.addVersion(tx, systemPermit('ec2:CreateLaunchTemplateVersion', '*', 'test'), template.id, 'arn', {
      data: { UserData: '' },
    }),
  );
  assert.deepEqual(
    (await templates.versions(template.id)).map((each) => each.data),
    [data, { UserData: '' }],
  );

  // Bytes of one version under another do not open.
  await test.db.write(async (tx) => {
    const rows = tx.as<LaunchTemplateTables>();
    const first = await rows
      .selectFrom('launch_template_version')
      .select('user_data')
      .where('number', '=', 1)
      .executeTakeFirstOrThrow();
    await rows.updateTable('launch_template_version').set(first).where('number', '=', 2).execute();
  });
  await assert.rejects(templates.version(template.id, 2), { name: 'IntegrityError' });
});

it('seals what stands in clear, and leaves nothing of it in the file', async () => {
  const [made, sealing] = launchTemplateMigrations(rootKey);
  assert.ok(made && sealing);
  await using test = await openTestDb([made]);
  const row = { created_at: 1, created_by: 'arn' };
  await test.db.write(async (tx) => {
    const tables = tx.as<LaunchTemplateTables>();
    const { ownerId: owner_id, region, name } = TEMPLATE;
    const template = { ...row, id: 'lt-1', owner_id, region, name, default_version: 1, highest_version: 3, deleted: 0 };
    await tables.insertInto('launch_template').values(template).execute();
    for (const number of [1, 2, 3]) {
      const data = JSON.stringify({ ImageId: 'ami-1', ...(number === 2 ? {} : { UserData: SECRET }) });
      const version: Omit<LaunchTemplateTables['launch_template_version'], 'user_data'> = {
        ...row,
        template_id: 'lt-1',
        number,
        description: null,
        data,
      };
      await tx
        .as<{ launch_template_version: typeof version }>()
        .insertInto('launch_template_version')
        .values(version)
        .execute();
    }
  });
  const inClear = async () => (await readFile(test.file)).includes(SECRET.slice(100, 400));
  await test.db.close();
  assert.ok(await inClear(), 'the search finds what is in clear');

  const db = await openDb(test.file, [made, sealing], { durable: false });
  assert.ok(!(await inClear()));
  const templates = createLaunchTemplates({ db, rootKey, clock });
  const [first, second, third] = await templates.versions('lt-1' as LaunchTemplateId);
  assert.deepEqual(first?.data, { ImageId: 'ami-1', UserData: SECRET });
  assert.deepEqual([second?.data, third?.data.UserData], [{ ImageId: 'ami-1' }, SECRET]);
  await db.close();
});
