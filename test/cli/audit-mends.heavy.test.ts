/** Every mend that is whole as it is printed: run in a shell, as it would be pasted, it ends the finding. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { it } from 'node:test';
import type { AuditReport } from '../../cli/audit/model.ts';
import { AuditWorld, AWAY, HOME } from './audit-world.ts';

const noAwsCli = spawnSync('aws', ['--version']).error ? 'the AWS CLI is not installed' : false;

/** These need a decision: another key, another policy, or another volume in the place of the one that is there. */
const TO_BE_DECIDED = /<[^>]+>/;
/** They show where to look. */
const SHOWS_ONLY = new Set(['ING-SHR-008', 'ING-KMS-004']);

const MENDED = [
  ...['ING-EBS-001', 'ING-AMI-003', 'ING-KMS-001', 'ING-KMS-002', 'ING-KMS-003', 'ING-KMS-005', 'ING-SHR-001'],
  ...['ING-SHR-002', 'ING-SHR-003', 'ING-SHR-004', 'ING-SHR-005', 'ING-SHR-006', 'ING-SHR-007', 'ING-SHR-010'],
];

it('ends its finding', { skip: noAwsCli }, async () => {
  await using world = await AuditWorld.make();
  await writeFile(world.path('policy.yaml'), 'approvedKeys: [alias/golden]\nunusedAfterDays: 0\n');
  const everything = ['--organization', '--regions', `${HOME},${AWAY}`, '--policy', world.path('policy.yaml')];
  const before = await world.report(everything);
  const mendable = before.findings.filter(
    ({ check, mend }) => !SHOWS_ONLY.has(check) && !mend.some((line) => TO_BE_DECIDED.test(line)),
  );
  const { credentials } = await world.config('build', HOME);
  const env = {
    ...{ PATH: process.env.PATH, HOME: world.dir, AWS_ENDPOINT_URL: world.ingot.endpoint, AWS_PAGER: '' },
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_SESSION_TOKEN: credentials.sessionToken ?? '',
  };
  for (const line of new Set(mendable.flatMap(({ mend }) => mend))) {
    const { status, stderr } = spawnSync('sh', ['-c', line], { env, encoding: 'utf8' });
    // Unsharing what an earlier mend unshared is no error; enabling a key that is enabled is none either.
    assert.equal(status, 0, `${line}\n${stderr}`);
  }
  const left = new Set((await world.report(everything)).findings.map(({ fingerprint }) => fingerprint));
  const names = ({ check, resource }: AuditReport['findings'][number]) => `${check} ${resource.id}`;
  assert.deepEqual(mendable.filter(({ fingerprint }) => left.has(fingerprint)).map(names), []);
  const mended = new Set(mendable.map(({ check }) => check));
  for (const check of MENDED) assert.ok(mended.has(check), `nothing mended ${check}`);
});
