/** `ingot publish` on a whole server: three accounts, two regions, both modes. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  CreateLaunchTemplateCommand,
  DescribeInstancesCommand,
  DescribeLaunchTemplateVersionsCommand,
  DescribeSnapshotAttributeCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { PutKeyPolicyCommand, ReplicateKeyCommand } from '@aws-sdk/client-kms';
import { DescribeOrganizationCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
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

async function applied(file: string, args: readonly string[] = []): Promise<ApplyShown> {
  const told = await rig.told<ApplyShown>(['apply', file, ...args]);
  assert.equal(told.code, 0, told.stderr);
  for (const proof of told.proofs) assert.equal(proof.verdict, 'can launch', JSON.stringify(proof));
  const again = await rig.told<ApplyShown>(['apply', file, ...args]);
  assert.equal(again.code, 0, again.stderr);
  assert.deepEqual(again.steps, [], 'a second apply finds nothing to do');
  return told;
}

async function launched(imageId: string, account: string, region = HOME) {
  const ec2 = await rig.ec2(region, account);
  const { Instances } = await ec2.send(
    new RunInstancesCommand({ ImageId: imageId, MinCount: 1, MaxCount: 1, InstanceType: 't3.micro' }),
  );
  const InstanceIds = [Instances![0]!.InstanceId!];
  for (;;) {
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds }));
    const instance = Reservations![0]!.Instances![0]!;
    if (instance.State?.Name === 'pending') continue;
    if (instance.State?.Name === 'running') await ec2.send(new TerminateInstancesCommand({ InstanceIds }));
    return instance.State?.Name;
  }
}

describe('ingot publish: one image shared with three accounts in two regions (SH-13, SH-14, P-16)', () => {
  const name = 'hardened-web';

  it('plans every step with its key, and changes nothing', async () => {
    const plan = await rig.told(['plan', await rig.manifest(image(name))]);
    assert.deepEqual(plan.refusals, []);
    assert.deepEqual(
      plan.steps.map(({ action, region, encryption }) => [action, region, encryption?.key ?? '']).sort(),
      [
        ['copy-image', HOME, keys.home],
        ['copy-image', AWAY, keys.away],
        ['key-policy', HOME, ''],
        ['key-policy', AWAY, ''],
        ['share', HOME, ''],
        ['share', AWAY, ''],
      ].sort(),
    );
    assert.equal((await rig.versions(name)).length, 0);
  });

  it('applies, and the consumers can launch, which they could not before', async () => {
    const told = await applied(await rig.manifest(image(name, { tags: { team: 'images' }, description: 'hardened' })));
    assert.equal(told.proofs.length, 6);
    for (const { encryption } of told.proofs) assert.equal(encryption?.encrypted, true);
    for (const region of [HOME, AWAY]) {
      const [found, ...more] = await rig.versions(name, region);
      assert.equal(more.length, 0);
      assert.equal(found?.Name, 'hardened-web-1.0.0');
      assert.equal(found?.Description, 'hardened');
      assert.ok(found?.Tags?.some(({ Key, Value }) => Key === 'team' && Value === 'images'));
      assert.deepEqual(await rig.readers(found!.ImageId!, region), accounts);
      const [snapshot] = await rig.snapshotsOf(name, region);
      assert.equal(snapshot?.KmsKeyId, region === HOME ? keys.home : keys.away);
    }
    assert.equal(await launched((await rig.versions(name))[0]!.ImageId!, accounts[0]!), 'running');
  });

  it('writes least-privilege statements beside the others, and writes none again (P-2, P-3)', async () => {
    const policy = await rig.policyOf(keys.home);
    const ours = policy.Statement.filter(({ Sid }) => Sid?.startsWith('IngotPublishHardenedWeb'));
    assert.deepEqual(
      ours.map(({ Action, Condition }) => ({ Action, Condition })),
      [
        {
          Action: ['kms:Decrypt', 'kms:DescribeKey', 'kms:ReEncryptFrom'],
          Condition: {
            StringEquals: { 'kms:ViaService': `ec2.${HOME}.amazonaws.com`, 'kms:CallerAccount': accounts },
          },
        },
        {
          Action: 'kms:CreateGrant',
          Condition: {
            StringEquals: { 'kms:ViaService': `ec2.${HOME}.amazonaws.com`, 'kms:CallerAccount': accounts },
            Bool: { 'kms:GrantIsForAWSResource': 'true' },
          },
        },
      ],
    );
    assert.ok(policy.Statement.some(({ Sid }) => Sid === 'Enable IAM User Permissions'));
    // The same said otherwise is the same: nothing is written for the order of a list.
    const turned = policy.Statement.map((one) => ({ ...one, Action: [one.Action].flat().reverse() }));
    const Policy = JSON.stringify({ ...policy, Statement: turned });
    await (await rig.kms()).send(new PutKeyPolicyCommand({ KeyId: keys.home, Policy }));
    const plan = await rig.told(['plan', await rig.manifest(image(name, { tags: { team: 'images' } }))]);
    assert.deepEqual(plan.steps, []);
  });

  it('takes it back from an account that the manifest no longer names, and mends a policy that was changed', async () => {
    const file = await rig.manifest(image(name, { for: { accounts: accounts.slice(0, 2) } }));
    const told = await applied(file);
    assert.deepEqual([...new Set(told.steps.map(({ action }) => action))].sort(), ['key-policy', 'share']);
    const [found] = await rig.versions(name);
    assert.deepEqual(await rig.readers(found!.ImageId!), accounts.slice(0, 2));
    const ours = (await rig.policyOf(keys.home)).Statement.filter(({ Sid }) => Sid?.startsWith('IngotPublish'));
    assert.ok(!JSON.stringify(ours).includes(accounts[2]!));
  });

  it('says what it does in words for people', async () => {
    const file = await rig.manifest(image('words'));
    const plan = await rig.run(['plan', file]);
    assert.equal(plan.code, 0);
    assert.match(plan.stdout, /^6 steps to words 1\.0\.0:/);
    assert.match(plan.stdout, /→ encrypted under\s+\d{12}:key\/[\w-]+: the key\s+given for it/);
    const unasked = await rig.run([file]);
    assert.equal(unasked.code, 2);
    assert.match(unasked.stderr, /Do 6 steps\? Nobody can be asked here: give --yes to go ahead\./);
    const asked = await rig.run([file, '--yes']);
    assert.equal(asked.code, 0, asked.stderr);
    assert.match(asked.stdout, /words 1\.0\.0 is published\./);
    assert.match((await rig.run(['apply', file])).stdout, /^Nothing to do\./);
  });
});

describe('ingot publish: a copy under a key of its own in each account (CI-4, CI-5, SH-16)', () => {
  const name = 'hardened-db';

  it('copies, and leaves nothing of the publisher shared', async () => {
    const own = await rig.key('alias/own', HOME, accounts[0]);
    const awayKey = await rig.key('alias/own', AWAY, accounts[0]);
    const file = await rig.manifest(
      image(name, {
        mode: 'reencrypt',
        for: { accounts: accounts.slice(0, 2), keys: { [accounts[0]!]: 'alias/own' } },
      }),
    );
    const told = await applied(file);
    const sealed = told.proofs.map(({ account, region, encryption }) => [account, region, encryption?.key]);
    assert.ok(sealed.some(([account, region, key]) => account === accounts[0] && region === HOME && key === own));
    assert.ok(sealed.some(([account, region, key]) => account === accounts[0] && region === AWAY && key === awayKey));
    for (const account of accounts.slice(0, 2)) {
      const [copy, ...more] = await rig.versions(name, HOME, account);
      assert.equal(more.length, 0);
      assert.equal(copy?.Name, 'hardened-db-1.0.0');
      assert.equal(copy?.OwnerId, account);
    }
    const [mine] = await rig.versions(name);
    assert.deepEqual(await rig.readers(mine!.ImageId!), []);
    const SnapshotId = mine!.BlockDeviceMappings![0]!.Ebs!.SnapshotId!;
    const { CreateVolumePermissions } = await (await rig.ec2()).send(
      new DescribeSnapshotAttributeCommand({ SnapshotId, Attribute: 'createVolumePermission' }),
    );
    assert.deepEqual(CreateVolumePermissions ?? [], []);
    const policy = await rig.policyOf(keys.home);
    assert.ok(!policy.Statement.some(({ Sid }) => Sid?.startsWith('IngotPublishHardenedDb')));
    assert.equal(await launched((await rig.versions(name, HOME, accounts[0]))[0]!.ImageId!, accounts[0]!), 'running');
  });
});

describe('ingot publish: to an organization, under one multi-Region key (SH-17)', () => {
  it('finds the replica of each region, and opens the key by aws:PrincipalOrgID', async () => {
    const kms = await rig.kms();
    const primary = await rig.key('alias/everywhere', HOME, rig.account, { MultiRegion: true });
    const { ReplicaKeyMetadata: replica } = await kms.send(
      new ReplicateKeyCommand({ KeyId: primary, ReplicaRegion: AWAY }),
    );
    const { Organization } = await new OrganizationsClient(await rig.config()).send(
      new DescribeOrganizationCommand({}),
    );
    const file = await rig.manifest(image('everywhere', { key: primary, for: { organization: Organization!.Arn } }));
    const told = await applied(file);
    assert.equal(told.proofs.length, 2 * accounts.length);
    const copies = told.steps.filter(({ action }) => action === 'copy-image');
    assert.deepEqual(copies.map(({ encryption }) => encryption?.key).sort(), [primary, replica!.Arn!].sort());
    const policy = JSON.stringify(await rig.policyOf(replica!.Arn!, AWAY));
    assert.ok(policy.includes(`"aws:PrincipalOrgID":"${Organization!.Id}"`));
    const [away] = await rig.versions('everywhere', AWAY);
    assert.equal(await launched(away!.ImageId!, accounts[2]!, AWAY), 'running');
  });
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
    const told = await applied(await rig.manifest(document('1')));
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
    await applied(await rig.manifest(document('2')));
    const told = await applied(await rig.manifest(document('3')));
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
    const told = await applied(file);
    assert.ok(told.notes.some((note) => note.includes(`launch template still-on-2 of ${accounts[0]} uses it`)));
    assert.equal((await rig.versions(name)).length, 3);
    await applied(file, ['--force']);
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

describe('ingot publish: from a disk, from an instance', () => {
  it('a disk is uploaded once, under the key of its region, and copied', async () => {
    const disk = Buffer.alloc(4 * 524_288);
    disk.fill('golden', 524_288, 3 * 524_288);
    await writeFile(join(rig.dir, 'disk.raw'), disk);
    const document = image('from-disk', { source: { disk: 'disk.raw' } });
    const told = await applied(await rig.manifest(document));
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
    const told = await applied(
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
