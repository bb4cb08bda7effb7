/** `ingot publish` on a whole server: three accounts, two regions, both modes. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { DescribeSnapshotAttributeCommand, DisableImageBlockPublicAccessCommand } from '@aws-sdk/client-ec2';
import { PutKeyPolicyCommand, ReplicateKeyCommand } from '@aws-sdk/client-kms';
import {
  CreateOrganizationalUnitCommand,
  DescribeOrganizationCommand,
  ListRootsCommand,
  MoveAccountCommand,
  OrganizationsClient,
} from '@aws-sdk/client-organizations';
import { AWAY, HOME, PublishRig } from './publish-rig.ts';

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
    const told = await rig.applied(
      await rig.manifest(image(name, { tags: { team: 'images' }, description: 'hardened' })),
    );
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
    assert.equal(await rig.launched((await rig.versions(name))[0]!.ImageId!, accounts[0]!), 'running');
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
    const told = await rig.applied(file);
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
    const told = await rig.applied(file);
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
    assert.equal(
      await rig.launched((await rig.versions(name, HOME, accounts[0]))[0]!.ImageId!, accounts[0]!),
      'running',
    );
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
    const told = await rig.applied(file);
    assert.equal(told.proofs.length, 2 * accounts.length);
    const copies = told.steps.filter(({ action }) => action === 'copy-image');
    assert.deepEqual(copies.map(({ encryption }) => encryption?.key).sort(), [primary, replica!.Arn!].sort());
    const policy = JSON.stringify(await rig.policyOf(replica!.Arn!, AWAY));
    assert.ok(policy.includes(`"aws:PrincipalOrgID":"${Organization!.Id}"`));
    const [away] = await rig.versions('everywhere', AWAY);
    assert.equal(await rig.launched(away!.ImageId!, accounts[2]!, AWAY), 'running');
  });
});

describe('ingot publish: to units, to everyone', () => {
  it('accounts of units below the named one are in it, by aws:PrincipalOrgPaths (SH-17)', async () => {
    const organizations = new OrganizationsClient(await rig.config());
    const { Roots } = await organizations.send(new ListRootsCommand({}));
    const unitIn = async (ParentId: string, Name: string) => {
      const { OrganizationalUnit } = await organizations.send(new CreateOrganizationalUnitCommand({ ParentId, Name }));
      return OrganizationalUnit!;
    };
    const outer = await unitIn(Roots![0]!.Id!, 'teams');
    const inner = await unitIn(outer.Id!, 'web');
    const move = { AccountId: accounts[1]!, SourceParentId: Roots![0]!.Id!, DestinationParentId: inner.Id! };
    await organizations.send(new MoveAccountCommand(move));
    const told = await rig.applied(
      await rig.manifest(image('for-units', { regions: [HOME], for: { organizationalUnits: [outer.Arn] } })),
    );
    assert.deepEqual(
      told.proofs.map(({ account }) => account),
      [accounts[1]],
    );
    const [found] = await rig.versions('for-units');
    assert.deepEqual(await rig.readers(found!.ImageId!), [outer.Arn]);
    assert.equal(await rig.launched(found!.ImageId!, accounts[1]!), 'running');
  });

  it('a plain image for everyone is public, and asks nothing of keys', async () => {
    const plain = await rig.sourceImage('built-plain');
    await (await rig.ec2()).send(new DisableImageBlockPublicAccessCommand({}));
    const told = await rig.applied(
      await rig.manifest({
        name: 'for-all',
        version: '1.0.0',
        source: { image: plain },
        encrypted: false,
        regions: [HOME],
        for: { everyone: true },
      }),
    );
    assert.deepEqual(
      told.steps.map(({ action, encryption }) => [action, encryption?.encrypted]),
      [
        ['copy-image', false],
        ['share', undefined],
      ],
    );
    assert.equal((await rig.versions('for-all'))[0]?.Public, true);
  });
});
