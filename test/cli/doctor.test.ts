/** The doctor beyond the faults themselves: what it leaves alone, what it cannot see, what it learns from the trail. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { CloudTrailClient, paginateLookupEvents } from '@aws-sdk/client-cloudtrail';
import { CreateAliasCommand } from '@aws-sdk/client-kms';
import { missing as notInstalled } from '../clients/programs.ts';
import { type Diagnosis, Doctor } from '../faults/doctor.ts';
import type { BuiltFault } from '../faults/fault.ts';
import { FAULTS } from '../faults/faults.ts';
import { shareImage } from '../faults/sharing.ts';
import { allow, newImage, newKey, Party, run, runs, settled, World } from '../faults/world.ts';

let world: World;
let doctor: Doctor;
before(async () => {
  world = await World.start();
  doctor = await Doctor.at(world);
});
after(async () => {
  await doctor[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

function build(name: string): Promise<BuiltFault> {
  const fault = FAULTS.find((one) => one.name === name);
  assert.ok(fault, name);
  return fault.build(world);
}

async function ask(who: Party, ...args: string[]): Promise<Diagnosis & { code: number | null }> {
  const { code, stdout, stderr } = await doctor.run([...args, '--json'], who.credentials);
  assert.notEqual(stdout, '', stderr);
  return { ...(JSON.parse(stdout) as Diagnosis), code };
}

/** Calls of the account since then that changed something. */
async function writesSince(fault: BuiltFault, StartTime: Date): Promise<string[]> {
  const client = new CloudTrailClient({ ...world.management.config, credentials: fault.credentials });
  const found: string[] = [];
  for await (const page of paginateLookupEvents({ client }, { StartTime })) {
    for (const { EventName, ReadOnly } of page.Events ?? []) if (ReadOnly === 'false') found.push(EventName ?? '');
  }
  return found;
}

const LAUNCHER = [allow('ec2:*'), allow('kms:*')];

describe('ingot doctor', { concurrency: 3 }, () => {
  it('says that it can, check by check, and ends with 0', async () => {
    const image = await newImage(world.management, { KmsKeyArn: await newKey(world.management) });
    const { code, stdout, stderr } = await doctor.run([image], world.management.credentials);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^\\n${image}: arn:aws:iam::\\d{12}:user/administrator can launch it\\.\\n$`));
    const marks = stderr.trim().split('\n');
    assert.ok(marks.length >= 5 && marks.every((line) => line.startsWith('✔ ')), stderr);
    assert.match(stderr, /\/dev\/xvda will be encrypted under arn:aws:kms:\S+: the key of its snapshot/);
  });

  it('K-5: an alias of the key that the snapshot has is the same key, for which no new data key is asked', async () => {
    const admin = await world.account();
    const key = await newKey(admin);
    const image = await newImage(admin, { KmsKeyArn: key });
    const AliasName = `alias/golden-${admin.account}`;
    await admin.kms.send(new CreateAliasCommand({ AliasName, TargetKeyId: key }));
    const builder = await world.role(
      admin,
      'builder',
      allow('ec2:*'),
      allow(['kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:CreateGrant']),
    );
    const { findings } = await ask(admin, image, '--as', builder.arn, '--encrypted', '--kms-key', AliasName);
    assert.deepEqual(findings, []);
    const Ebs = { Encrypted: true, KmsKeyId: AliasName };
    await runs(builder, { ImageId: image, BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs }] });
  });

  for (const [args, complaint] of [
    [['ami-1', '--version', '3'], '--version is for a launch template.'],
    [['i-1', '--share-with', 'all'], '--copy-to and --share-with are for an AMI or a snapshot.'],
    [
      ['ami-1', '--share-with', 'all', '--copy-to', 'us-east-1'],
      '--copy-to and --share-with are two questions: ask one at a time.',
    ],
    [['ami-1', '--yes'], '--yes is for --fix.'],
  ] as const) {
    it(`refuses ${args.join(' ')}: an option that would do nothing`, async () => {
      const { code, stdout, stderr } = await doctor.run([...args], world.management.credentials);
      assert.deepEqual({ code, stdout, stderr }, { code: 2, stdout: '', stderr: `${complaint}\n` });
    });
  }

  it('changes nothing without --fix, whatever it is asked', async () => {
    const fault = await build('03-launcher-may-not-create-grants');
    // The trail knows times to the millisecond; the launch that failed is older.
    const since = new Date(Date.now() + 1);
    const more = [
      [],
      ['--copy-to', 'us-east-1'],
      ['--share-with', '111122223333'],
      ['--share-with', 'all'],
      ['--no-encrypted'],
    ];
    for (const args of more) {
      const { findings } = await doctor.ask(fault, fault.subject, ...args);
      assert.ok(findings.length > 0, args.join(' '));
    }
    assert.deepEqual(await writesSince(fault, since), []);
    await doctor.ask(fault, fault.subject, '--fix', '--yes');
    assert.deepEqual(await writesSince(fault, since), ['PutRolePolicy']);
  });

  it('asks before it mends: nobody to ask is an error in use, and changes nothing', async () => {
    const fault = await build('19-default-key-is-disabled');
    const since = new Date(Date.now() + 1);
    const { code, stderr } = await doctor.run([fault.subject, '--fix'], fault.credentials);
    assert.equal(code, 2);
    assert.match(
      stderr,
      /Enable the key arn:aws:kms:\S+ \(account \d{12}\)\?\naws kms enable-key --region \S+ --key-id \S+/,
    );
    assert.match(stderr, /Nobody can be asked here: give --yes/);
    assert.deepEqual(await writesSince(fault, since), []);
  });

  it('tells what it could not see, with the permission that is wanted, and ends with 4', async () => {
    const admin = await world.account();
    const image = await newImage(admin, { KmsKeyArn: await newKey(admin) });
    const looker = await world.role(admin, 'looker', allow(['ec2:Describe*', 'ec2:Get*']));
    const builder = await world.role(admin, 'builder', ...LAUNCHER);
    const seen = await ask(looker, image, '--as', builder.arn);
    assert.deepEqual([seen.verdict, seen.code, seen.findings], ['unknown', 4, []]);
    for (const wants of ['iam:GetRole', 'kms:DescribeKey', 'kms:GetKeyPolicy', 'kms:ListGrants']) {
      assert.ok(
        seen.unseen.some((text) => text.includes(`it wants ${wants} in account ${admin.account}`)),
        wants,
      );
    }
    const { stdout, stderr } = await doctor.run([image, '--as', builder.arn], looker.credentials);
    assert.match(stdout, /nothing that could be seen keeps \S+ from it, and not everything could be seen/);
    assert.match(stderr, /^\? the key policy of \S+ could not be seen: it wants kms:GetKeyPolicy/m);
    // Nobody's policies to simulate: a root user, and a role that does not exist.
    assert.equal((await ask(admin, image, '--as', admin.account)).verdict, 'unknown');
    const missing = await ask(admin, image, '--as', `arn:aws:iam::${admin.account}:role/no-such-role`);
    assert.equal(missing.findings[0]?.fault, 'principal-missing');
    // What is seen denies whatever the rest may say.
    const denied = await ask(looker, image, '--as', builder.arn, '--no-encrypted');
    assert.equal(denied.verdict, 'cannot');
  });

  it('P-12: makes the role that a service launches with, then opens the key to it', async () => {
    const admin = await world.account();
    const image = await newImage(admin, { KmsKeyArn: await newKey(admin) });
    const before = await ask(admin, image, '--as', 'spot');
    assert.equal(before.findings[0]?.fault, 'principal-missing');
    const created = await doctor.shell(before.findings[0]?.mends[0]?.commands ?? '', admin.credentials);
    assert.equal(created.code, 0, created.stderr);
    const fixed = await ask(admin, image, '--as', 'spot', '--fix', '--yes');
    const kinds = fixed.applied.map(({ finding, mend }) => `${finding.fault} ${mend.kind}`);
    assert.deepEqual([fixed.findings, kinds], [[], ['F01 key-policy-statement']]);
  });

  it('learns from the trail who made a launch that failed, and asks about the same devices', async () => {
    const admin = await world.account();
    const key = await newKey(admin);
    const ImageId = await newImage(admin);
    const builder = await world.role(admin, 'builder', allow('ec2:*'));
    const Ebs = { Encrypted: true, KmsKeyId: key };
    const id = await run(builder, { ImageId, BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs }] });
    await settled(admin, id, 'terminated');
    const seen = await ask(admin, id);
    assert.deepEqual([seen.principal, seen.findings[0]?.fault, seen.findings[0]?.key], [builder.arn, 'F03', key]);
    assert.ok(seen.checks.some(({ text }) => /^trail: kms:\w+ behind it at \S+ was refused/.test(text)));
  });

  it('learns from the trail of what a volume that vanished was to be made', async () => {
    const fault = await build('06-volume-vanishes-its-maker-may-not-use-the-key');
    const seen = await ask(
      new Party(fault.account, fault.as, { ...world.management.config, credentials: fault.credentials }),
      fault.volumeId!,
    );
    assert.deepEqual([seen.task, seen.principal, seen.findings[0]?.fault], ['create-volume', fault.as, 'F06']);
  });

  it('finds requests that were refused in the trail, until they succeed; they keep nothing from being used', async () => {
    const fault = await build('18-image-mapping-encrypts-a-snapshot');
    const seen = await doctor.ask(fault, fault.subject);
    assert.deepEqual([seen.verdict === 'cannot', seen.past.map((one) => one.fault)], [false, ['F18']]);
    await fault.retry(await fault.mend());
    assert.deepEqual((await doctor.ask(fault, fault.subject)).past, []);
  });

  const noTools =
    notInstalled('aws', ['--version'], 'the AWS CLI') ||
    (spawnSync('jq', ['--version']).error ? 'jq is not installed' : false);
  it('a consumer alone is told by its own trail what the owner has to do, as commands for the owner', {
    skip: noTools,
  }, async () => {
    const [owner, consumer] = await Promise.all([world.account(), world.account()]);
    const key = await newKey(owner);
    const ImageId = await newImage(owner, { KmsKeyArn: key });
    await shareImage(owner, ImageId, { UserId: consumer.account });
    const id = await run(consumer, { ImageId });
    await settled(consumer, id, 'terminated');
    const seen = await ask(consumer, id);
    const [found] = seen.findings;
    assert.deepEqual([seen.verdict, found?.fault, found?.key], ['cannot', 'F03', key], JSON.stringify(seen));
    assert.match(
      found?.title ?? '',
      /because no resource-based policy allows the kms:ReEncryptFrom action \(as KMS answered at /,
    );
    const [mend] = found?.mends ?? [];
    assert.equal(mend?.account, owner.account);
    const ran = await doctor.shell(mend!.commands, owner.credentials);
    assert.equal(ran.code, 0, ran.stderr);
    await runs(consumer, { ImageId });
  });

  it('P-13: with the eyes of both accounts, the owner’s part comes first and the grant second', async () => {
    const [owner, consumer] = await Promise.all([world.account(), world.account()]);
    const key = await newKey(owner);
    const image = await newImage(consumer);
    const eyes = ['--owner-profile', owner.account];
    const others = { [owner.account]: owner.credentials };
    const args = [image, '--as', 'autoscaling', '--encrypted', '--kms-key', key, ...eyes, '--json'];
    const { stdout } = await doctor.run(args, consumer.credentials, others);
    const found = (JSON.parse(stdout) as Diagnosis).findings.find(({ fault }) => fault === 'F02');
    assert.deepEqual(
      found?.mends.map(({ kind, account }) => [kind, account]),
      [
        ['key-policy-statement', owner.account],
        ['grant', consumer.account],
      ],
      stdout,
    );
  });

  it('sharing with an account that the key does not let in is a fault of its own, and mended', async () => {
    const [owner, consumer] = await Promise.all([world.account(), world.account()]);
    const image = await newImage(owner, { KmsKeyArn: await newKey(owner) });
    const question = [image, '--share-with', consumer.account];
    const seen = await ask(owner, ...question);
    assert.equal(seen.findings[0]?.fault, 'key-not-shared');
    const fixed = await ask(owner, ...question, '--fix', '--yes');
    assert.deepEqual([fixed.verdict, fixed.applied.length], ['can', 1], JSON.stringify(fixed.unseen));
    const launcher = await world.role(consumer, 'launcher', ...LAUNCHER);
    await shareImage(owner, image, { UserId: consumer.account });
    await runs(launcher, { ImageId: image });
  });

  it('the management account looks into a member by a role, sees every layer, and ends with 0 once it is mended', async () => {
    const fault = await build('03-launcher-may-not-create-grants');
    const role = `arn:aws:iam::${fault.account}:role/OrganizationAccountAccessRole`;
    const question = [fault.subject, '--as', fault.as, '--account-role', role];
    const seen = await ask(world.management, ...question);
    assert.deepEqual([seen.code, seen.findings[0]?.fault, seen.unseen], [3, 'F03', []]);
    const fixed = await ask(world.management, ...question, '--fix', '--yes');
    assert.deepEqual([fixed.code, fixed.verdict, fixed.unseen], [0, 'can', []]);
    await fault.retry();
  });

  it('wrong use ends with 2, and what is not there with 1', async () => {
    const { credentials } = world.management;
    const ends = async (...args: string[]) => (await doctor.run(args, credentials)).code;
    assert.equal(await ends(), 2);
    assert.equal(await ends('ami-00000000000000001', '--as', 'nobody'), 2);
    assert.equal(await ends('i-00000000000000001', '--copy-to', 'us-east-1'), 2);
    assert.equal(await ends('i-00000000000000001'), 1);
    assert.equal(await ends('no-such-template'), 1);
    assert.equal(await ends('ami-00000000000000001'), 3);
  });
});
