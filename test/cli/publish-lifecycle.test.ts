/** `ingot publish` over the life of an image: templates, versions, the proof, and where images come from. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  CreateLaunchTemplateCommand,
  DescribeInstancesCommand,
  DescribeLaunchTemplateVersionsCommand,
  ModifyEbsDefaultKmsKeyIdCommand,
  ResetEbsDefaultKmsKeyIdCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { DisableKeyCommand, EnableKeyCommand, ListGrantsCommand } from '@aws-sdk/client-kms';
import { type ApplyShown, AWAY, HOME, PublishRig } from './publish-rig.ts';

let rig: PublishRig;
let accounts: string[];
let keys: { home: string; away: string };
let source: string;

before(async () => {
  rig = await PublishRig.start();
  accounts = [];
  for (const name of ['team-a', 'team-b', 'team-c']) accounts.push(await rig.addAccount(name));
  accounts.sort();
  keys = { home: await rig.key('alias/golden'), away: await rig.key('alias/golden', AWAY) };
  source = await rig.sourceImage('built-1', keys.home);
});
after(() => rig[Symbol.asyncDispose]());

const image = (name: string, more: object = {}) => ({
  name,
  version: '1.0.0',
  source: { image: source },
  key: 'alias/golden',
  regions: [HOME, AWAY],
  for: { accounts },
  ...more,
});

describe('ingot publish: launch templates, deprecation, retention', () => {
  const name = 'fleet';
  let templates: { own: string; theirs: string };
  const document = (version: string, more: object = {}) =>
    image(name, {
      version,
      for: { accounts: [accounts[0]] },
      regions: [HOME],
      launchTemplates: [
        { template: 'fleet', region: HOME },
        { template: 'fleet', region: HOME, account: accounts[0] },
      ],
      deprecate: { afterDays: 30 },
      keep: 2,
      ...more,
    });
  const versionsOf = async (LaunchTemplateId: string, account = rig.account) => {
    const ec2 = await rig.ec2(HOME, account);
    const { LaunchTemplateVersions } = await ec2.send(new DescribeLaunchTemplateVersionsCommand({ LaunchTemplateId }));
    return LaunchTemplateVersions!;
  };

  before(async () => {
    const make = async (account: string) => {
      const command = new CreateLaunchTemplateCommand({
        LaunchTemplateName: 'fleet',
        LaunchTemplateData: {
          ImageId: source,
          InstanceType: 't3.micro',
          BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { Encrypted: true, KmsKeyId: 'alias/fleet' } }],
        },
      });
      return (await (await rig.ec2(HOME, account)).send(command)).LaunchTemplate!.LaunchTemplateId!;
    };
    for (const account of [rig.account, accounts[0]!]) await rig.key('alias/fleet', HOME, account);
    templates = { own: await make(rig.account), theirs: await make(accounts[0]!) };
  });

  it('moves templates, the key of their devices kept (LT-3)', async () => {
    const told = await rig.applied(await rig.manifest(document('1')));
    const [mine] = await rig.versions(name);
    for (const [id, account] of [
      [templates.own, rig.account],
      [templates.theirs, accounts[0]!],
    ] as const) {
      const versions = await versionsOf(id, account);
      assert.equal(versions.length, 2);
      const now = versions.find(({ DefaultVersion }) => DefaultVersion)!;
      assert.equal(now.LaunchTemplateData?.ImageId, mine!.ImageId);
      assert.equal(now.LaunchTemplateData?.BlockDeviceMappings?.[0]?.Ebs?.KmsKeyId, 'alias/fleet');
    }
    const moved = told.steps.find(({ action }) => action === 'template-version');
    assert.deepEqual(moved?.encryption, { encrypted: true, key: 'alias/fleet', why: 'the key given for it' });
  });

  it('deprecates the version before, keeps two, retires the third with its snapshots', async () => {
    await rig.applied(await rig.manifest(document('2')));
    const told = await rig.applied(await rig.manifest(document('3')));
    assert.ok(told.steps.some(({ action }) => action === 'retire'));
    const left = (await rig.versions(name)).map(({ Name }) => Name).sort();
    assert.deepEqual(left, ['fleet-2', 'fleet-3']);
    assert.equal((await rig.snapshotsOf(name)).length, 2);
    const second = (await rig.versions(name)).find(({ Name }) => Name === 'fleet-2');
    assert.ok(Date.parse(second!.DeprecationTime!) > Date.now() + 29 * 86_400_000);
  });

  it('keeps a surplus version that a template uses, and says so; --force retires it', async () => {
    const second = (await rig.versions(name)).find(({ Name }) => Name === 'fleet-2')!.ImageId;
    const command = new CreateLaunchTemplateCommand({
      LaunchTemplateName: 'still-on-2',
      LaunchTemplateData: { ImageId: second },
    });
    await (await rig.ec2(HOME, accounts[0])).send(command);
    const file = await rig.manifest(document('4'));
    const told = await rig.applied(file);
    assert.ok(told.notes.some((note) => note.includes(`launch template still-on-2 of ${accounts[0]} uses it`)));
    assert.equal((await rig.versions(name)).length, 3);
    await rig.applied(file, ['--force']);
    assert.deepEqual((await rig.versions(name)).map(({ Name }) => Name).sort(), ['fleet-3', 'fleet-4']);
  });

  it('destroy refuses while templates launch it; --force moves them back', async () => {
    const file = await rig.manifest(document('4'));
    const refused = await rig.run(['destroy', file, '--version', '4', '--yes']);
    assert.equal(refused.code, 1);
    assert.match(refused.stdout, /launch template fleet of \d+ in eu-central-1 launches it by version/);
    assert.match(refused.stderr, /Refused\. Nothing was changed\./);
    const done = await rig.run(['destroy', file, '--version', '4', '--yes', '--force']);
    assert.equal(done.code, 0, done.stderr);
    assert.deepEqual(
      (await rig.versions(name)).map(({ Name }) => Name),
      ['fleet-3'],
    );
    assert.equal((await rig.snapshotsOf(name)).length, 1);
    const third = (await rig.versions(name))[0]!;
    for (const [id, account] of [
      [templates.own, rig.account],
      [templates.theirs, accounts[0]!],
    ] as const) {
      const versions = await versionsOf(id, account);
      const now = versions.find(({ DefaultVersion }) => DefaultVersion)!;
      assert.equal(now.LaunchTemplateData?.ImageId, third.ImageId);
      const latest = versions.sort((one, other) => other.VersionNumber! - one.VersionNumber!)[0]!;
      assert.equal(latest.LaunchTemplateData?.ImageId, third.ImageId, 'and $Latest as well');
    }
    const ours = (await rig.policyOf(keys.home)).Statement.filter(({ Sid }) => Sid?.startsWith('IngotPublishFleet'));
    assert.equal(ours.length, 2, 'version 3 still needs them');
    const again = await rig.told<{ nothingToDo: boolean }>(['destroy', file, '--version', '4', '--yes']);
    assert.equal(again.nothingToDo, true);
  });

  it('destroy of the last version removes the statements', async () => {
    const file = await rig.manifest(document('3', { launchTemplates: [] }));
    const done = await rig.run(['destroy', file, '--version', '3', '--yes', '--force']);
    assert.equal(done.code, 0, done.stderr + done.stdout);
    assert.equal((await rig.versions(name)).length, 0);
    const policy = await rig.policyOf(keys.home);
    assert.ok(!policy.Statement.some(({ Sid }) => Sid?.startsWith('IngotPublishFleet')));
  });
});

describe('ingot publish: the proof', () => {
  it('autoScaling: its role in each account has a grant, and is proven (P-13)', async () => {
    const told = await rig.applied(
      await rig.manifest(image('scaled', { regions: [HOME], for: { accounts: [accounts[1]], autoScaling: true } })),
    );
    assert.deepEqual(
      told.proofs.map(({ principal }) => principal.split('/').at(-1)),
      ['OrganizationAccountAccessRole', 'AWSServiceRoleForAutoScaling'],
    );
    const grants = async () => (await (await rig.kms()).send(new ListGrantsCommand({ KeyId: keys.home }))).Grants!;
    assert.equal((await grants()).filter(({ Name }) => Name === 'ingot-publish-scaled').length, 1);
    await rig.applied(await rig.manifest(image('scaled', { regions: [HOME], for: { accounts: [accounts[1]] } })));
    assert.equal((await grants()).filter(({ Name }) => Name === 'ingot-publish-scaled').length, 0);
  });

  it('a consumer whose default key is disabled cannot launch: told, and no template moves (D-10)', async () => {
    const account = accounts[2]!;
    const kms = await rig.kms(HOME, account);
    const ec2 = await rig.ec2(HOME, account);
    const key = await rig.key('alias/default', HOME, account);
    await ec2.send(new ModifyEbsDefaultKmsKeyIdCommand({ KmsKeyId: key }));
    await kms.send(new DisableKeyCommand({ KeyId: key }));
    const command = new CreateLaunchTemplateCommand({
      LaunchTemplateName: 'unmoved',
      LaunchTemplateData: { ImageId: source },
    });
    const { LaunchTemplate } = await ec2.send(command);
    const file = await rig.manifest(
      image('unproven', {
        regions: [HOME],
        for: { accounts: [account] },
        launchTemplates: [{ template: 'unmoved', region: HOME, account }],
      }),
    );
    const plan = await rig.told(['plan', file]);
    const launch = { account, region: HOME, problem: `${key} is disabled` };
    assert.deepEqual(
      plan.launches.map(({ encryption: _, ...one }) => one),
      [launch],
    );
    assert.deepEqual(plan.notes, [`Launches in ${account} ${HOME} would fail: ${key} is disabled.`]);
    const told = await rig.told<ApplyShown>(['apply', file]);
    assert.equal(told.code, 1);
    assert.match(
      told.stderr,
      /no launch template was moved:\n.* in eu-central-1: the key of the volumes .* is disabled/,
    );
    assert.deepEqual(
      told.proofs.map(({ verdict }) => verdict),
      ['cannot launch'],
    );
    const by = { LaunchTemplateId: LaunchTemplate!.LaunchTemplateId };
    const versions = async () =>
      (await ec2.send(new DescribeLaunchTemplateVersionsCommand(by))).LaunchTemplateVersions!;
    assert.equal((await versions()).length, 1);
    assert.equal(await rig.launched((await rig.versions('unproven'))[0]!.ImageId!, account), 'terminated');
    await kms.send(new EnableKeyCommand({ KeyId: key }));
    await rig.applied(file);
    assert.equal((await versions()).length, 2);
    await ec2.send(new ResetEbsDefaultKmsKeyIdCommand({}));
  });
});

describe('ingot publish: from a disk, from an instance', () => {
  it('a disk is uploaded once, under the key of its region, and copied', async () => {
    const disk = Buffer.alloc(4 * 524_288);
    disk.fill('golden', 524_288, 3 * 524_288);
    await writeFile(join(rig.dir, 'disk.raw'), disk);
    const document = image('from-disk', { source: { disk: 'disk.raw' } });
    const told = await rig.applied(await rig.manifest(document));
    assert.deepEqual(
      told.steps.filter(({ encryption }) => encryption).map(({ action, encryption }) => [action, encryption?.key]),
      [
        ['import', keys.home],
        ['copy-image', keys.away],
      ],
    );
    for (const region of [HOME, AWAY]) assert.equal((await rig.versions('from-disk', region)).length, 1);
    await writeFile(join(rig.dir, 'disk.raw'), Buffer.alloc(524_288, 1));
    const plan = await rig.told(['plan', await rig.manifest(document)]);
    assert.deepEqual([...new Set(plan.refusals.map(({ code }) => code))], ['version-differs']);
  });

  it('an instance becomes an AMI that goes again when the regions have theirs (BI-4)', async () => {
    const ec2 = await rig.ec2();
    const { Instances } = await ec2.send(
      new RunInstancesCommand({ ImageId: source, MinCount: 1, MaxCount: 1, InstanceType: 't3.micro' }),
    );
    const InstanceIds = [Instances![0]!.InstanceId!];
    for (;;) {
      const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds }));
      if (Reservations![0]!.Instances![0]!.State?.Name === 'running') break;
    }
    const told = await rig.applied(
      await rig.manifest(
        image('from-instance', { source: { instance: InstanceIds[0], reboot: false, region: HOME }, regions: [AWAY] }),
      ),
    );
    assert.deepEqual(
      told.steps.map(({ action }) => action),
      ['create-image', 'copy-image', 'key-policy', 'share', 'retire'],
    );
    assert.equal((await rig.versions('from-instance', HOME)).length, 0, 'the staging AMI is gone');
    assert.equal((await rig.snapshotsOf('from-instance', HOME)).length, 0);
    assert.equal((await rig.versions('from-instance', AWAY)).length, 1);
    await ec2.send(new TerminateInstancesCommand({ InstanceIds }));
  });
});
