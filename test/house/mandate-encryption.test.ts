/** The documents of docs/mandate-encryption.md, as they are printed there, on a real organization. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { EBSClient, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  AttachVolumeCommand,
  CopyImageCommand,
  CopySnapshotCommand,
  CopyVolumesCommand,
  CreateLaunchTemplateCommand,
  CreateReplaceRootVolumeTaskCommand,
  CreateSnapshotCommand,
  CreateSnapshotsCommand,
  CreateVolumeCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  DisableEbsEncryptionByDefaultCommand,
  DisableImageBlockPublicAccessCommand,
  DisableSnapshotBlockPublicAccessCommand,
  EC2Client,
  EnableEbsEncryptionByDefaultCommand,
  ModifyEbsDefaultKmsKeyIdCommand,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
  ResetEbsDefaultKmsKeyIdCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
} from '@aws-sdk/client-ec2';
import { AttachRolePolicyCommand, CreateRoleCommand, IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  DescribeOrganizationCommand,
  ListRootsCommand,
  OrganizationsClient,
} from '@aws-sdk/client-organizations';
import { until } from '../machines/support.ts';
import { rootAccessKeyOf } from '../spec/member-root.ts';
import { type Account, documentOf, ROOT_DEVICE, refused, roleArn, World } from '../spec/world.ts';
import { type ClientConfig, REPOSITORY } from './ingot.ts';

const REGION = 'eu-central-1';
const ZONE = `${REGION}a`;
const BY_SCP = /with an explicit deny in a service control policy/;
const BY_KEY = {
  Code: 'Client.InvalidKMSKey.InvalidState',
  Message: 'Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state',
};

let page: string;
let world: World;
let keys: Account;
let member: Account;
let partner: Account;
let organizationId: string;
/** Who is bound: an administrator of the member account, and its root user. */
let bound: Readonly<Record<string, ClientConfig>>;
let ours: string;
let ownKey: string;
/** Made before the policies were there. */
const plain = { snapshot: '', image: '', volume: '', instance: '' };
const sealed = { snapshot: '', image: '' };

/** The document below its comment on the page, with this organization's ids in place of the page's. */
function printed(name: string): string {
  const [, below] = page.split(`<!-- ${name} -->\n`);
  const document = /^```json\n(.+?)\n```/s.exec(below ?? '')?.[1];
  assert.ok(document, `docs/mandate-encryption.md has no ${name}`);
  const text = document
    .replaceAll('111122223333', keys.id)
    .replaceAll('444455556666', partner.id)
    .replaceAll('o-exampleorgid', organizationId);
  return JSON.stringify(JSON.parse(text));
}

const launchOf = (ImageId: string, more: Partial<RunInstancesCommandInput> = {}) =>
  new RunInstancesCommand({ ImageId, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1, ...more });
const rootDevice = (Ebs: object) => ({ BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs }] });

async function role(account: Account, RoleName: string): Promise<ClientConfig> {
  const iam = new IAMClient(account.admin);
  const trust = { Effect: 'Allow', Principal: { AWS: account.id }, Action: 'sts:AssumeRole' };
  await iam.send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: documentOf(trust) }));
  const PolicyArn = 'arn:aws:iam::aws:policy/AdministratorAccess';
  await iam.send(new AttachRolePolicyCommand({ RoleName, PolicyArn }));
  return world.assume(account.admin, roleArn(account.id, RoleName));
}

/** Launches, and sees the root volume under the key of the organization. */
async function runs(config: ClientConfig, launch: RunInstancesCommand): Promise<string> {
  const ec2 = new EC2Client(config);
  const { Instances } = await ec2.send(launch);
  const id = Instances![0]!.InstanceId!;
  const { State, StateReason, BlockDeviceMappings } = await world.instance(config, id, 'running', 'terminated');
  assert.equal(State?.Name, 'running', `${StateReason?.Message}`);
  const VolumeIds = [BlockDeviceMappings![0]!.Ebs!.VolumeId!];
  const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds }));
  assert.equal(Volumes?.[0]?.KmsKeyId, ours);
  return id;
}

async function mandate(name: string): Promise<void> {
  const organizations = new OrganizationsClient(world.operator);
  const { Roots } = await organizations.send(new ListRootsCommand({}));
  const { Policy } = await organizations.send(
    new CreatePolicyCommand({
      Name: name.replaceAll(/\W+/g, '-'),
      Description: name,
      Type: 'SERVICE_CONTROL_POLICY',
      Content: printed(name),
    }),
  );
  await organizations.send(new AttachPolicyCommand({ PolicyId: Policy!.PolicySummary!.Id!, TargetId: Roots![0]!.Id! }));
}

before(async () => {
  page = await readFile(join(REPOSITORY, 'docs/mandate-encryption.md'), 'utf8');
  world = await World.open(REGION, { machines: 'none' });
  member = await world.account('member');
  const root = await rootAccessKeyOf(world, member);
  member = { ...member, admin: world.anew(member.admin) };
  [keys, partner] = [await world.account('keys'), await world.account('partner')];
  bound = { 'an administrator': member.admin, 'the root user': await world.as(root) };
  const { Organization } = await new OrganizationsClient(world.operator).send(new DescribeOrganizationCommand({}));
  organizationId = Organization!.Id!;

  const { KeyMetadata } = await new KMSClient(keys.admin).send(new CreateKeyCommand({ Policy: printed('key policy') }));
  ours = KeyMetadata!.Arn!;
  ownKey = await world.key(member);
  const { admin } = member;
  const ec2 = new EC2Client(admin);
  plain.snapshot = await world.snapshot(admin);
  plain.image = await world.image(admin, plain.snapshot);
  const { VolumeId } = await ec2.send(new CreateVolumeCommand({ AvailabilityZone: ZONE, Size: 1 }));
  await world.volumeInTheEnd(admin, VolumeId!);
  plain.volume = VolumeId!;
  const launched = await ec2.send(launchOf(plain.image, { Placement: { AvailabilityZone: ZONE } }));
  plain.instance = launched.Instances![0]!.InstanceId!;
  await world.instance(admin, plain.instance, 'running');
  sealed.snapshot = await world.snapshot(admin, { key: ours });
  sealed.image = await world.image(admin, sealed.snapshot);

  await mandate('service control policy: encryption');
  await mandate('service control policy: sharing');
});
after(() => world[Symbol.asyncDispose]());

describe('what the control policies refuse', () => {
  const volume = { AvailabilityZone: ZONE, Size: 1 };
  const copy = () => ({ SourceRegion: REGION, SourceSnapshotId: plain.snapshot });
  const calls: Readonly<Record<string, (ec2: EC2Client) => Promise<unknown>>> = {
    'an unencrypted launch': (ec2) => ec2.send(launchOf(plain.image)),
    'a launch that opts out': (ec2) => ec2.send(launchOf(plain.image, rootDevice({ Encrypted: false }))),
    'an unencrypted volume beside an encrypted one': (ec2) =>
      ec2.send(launchOf(sealed.image, { BlockDeviceMappings: [{ DeviceName: '/dev/sdf', Ebs: { VolumeSize: 1 } }] })),
    'an unencrypted launch by template': async (ec2) => {
      const LaunchTemplateName = world.fresh('plain');
      const LaunchTemplateData = { ImageId: plain.image, InstanceType: 't3.micro' as const };
      await ec2.send(new CreateLaunchTemplateCommand({ LaunchTemplateName, LaunchTemplateData }));
      await ec2.send(new RunInstancesCommand({ LaunchTemplate: { LaunchTemplateName }, MinCount: 1, MaxCount: 1 }));
    },
    'a dry run of one': (ec2) => ec2.send(launchOf(plain.image, { DryRun: true })),
    'an unencrypted volume': (ec2) => ec2.send(new CreateVolumeCommand(volume)),
    'an unencrypted copy of a volume': (ec2) => ec2.send(new CopyVolumesCommand({ SourceVolumeId: plain.volume })),
    'an unencrypted copy of a snapshot': (ec2) => ec2.send(new CopySnapshotCommand(copy())),
    'an unencrypted copy of an image': (ec2) =>
      ec2.send(new CopyImageCommand({ Name: 'copy', SourceRegion: REGION, SourceImageId: plain.image })),
    'attaching an unencrypted volume': (ec2) =>
      ec2.send(new AttachVolumeCommand({ VolumeId: plain.volume, InstanceId: plain.instance, Device: '/dev/sdg' })),
    'an unencrypted root volume in the place of another': (ec2) =>
      ec2.send(new CreateReplaceRootVolumeTaskCommand({ InstanceId: plain.instance })),
    'a snapshot of an unencrypted volume': (ec2) => ec2.send(new CreateSnapshotCommand({ VolumeId: plain.volume })),
    'snapshots of an instance with one': (ec2) =>
      ec2.send(new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: plain.instance } })),
    'switching encryption by default off': (ec2) => ec2.send(new DisableEbsEncryptionByDefaultCommand({})),
    'another default key': (ec2) => ec2.send(new ModifyEbsDefaultKmsKeyIdCommand({ KmsKeyId: ownKey })),
    'the managed key as default key': (ec2) => ec2.send(new ResetEbsDefaultKmsKeyIdCommand({})),
    'a volume under another key': (ec2) =>
      ec2.send(new CreateVolumeCommand({ ...volume, Encrypted: true, KmsKeyId: ownKey })),
    'a volume under the managed key': (ec2) => ec2.send(new CreateVolumeCommand({ ...volume, Encrypted: true })),
    'sharing a snapshot beyond the accounts named': (ec2) =>
      ec2.send(
        new ModifySnapshotAttributeCommand({
          SnapshotId: sealed.snapshot,
          CreateVolumePermission: { Add: [{ UserId: partner.id }, { UserId: '999988887777' }] },
        }),
      ),
    'a public snapshot': (ec2) =>
      ec2.send(
        new ModifySnapshotAttributeCommand({
          SnapshotId: plain.snapshot,
          CreateVolumePermission: { Add: [{ Group: 'all' }] },
        }),
      ),
    'sharing an image': (ec2) =>
      ec2.send(
        new ModifyImageAttributeCommand({ ImageId: sealed.image, LaunchPermission: { Add: [{ UserId: partner.id }] } }),
      ),
    'public images': (ec2) => ec2.send(new DisableImageBlockPublicAccessCommand({})),
    'public snapshots': (ec2) => ec2.send(new DisableSnapshotBlockPublicAccessCommand({})),
  };
  for (const who of ['an administrator', 'the root user']) {
    for (const [what, call] of Object.entries(calls)) {
      it(`to ${who}: ${what}`, async () => {
        await refused(call(new EC2Client(bound[who]!)), 'UnauthorizedOperation', BY_SCP);
      });
    }
    it(`to ${who}: blocks written over the direct APIs, encrypted or not`, async () => {
      const start = (more: object) =>
        new EBSClient(bound[who]!).send(new StartSnapshotCommand({ VolumeSize: 1, ...more }));
      await refused(start({}), 'AccessDeniedException', BY_SCP);
      await refused(start({ Encrypted: true, KmsKeyArn: ours }), 'AccessDeniedException', BY_SCP);
    });
  }

  it('P-7: a denial of kms: actions is met as the caller’s own, when EBS asks KMS for a data key', async () => {
    const ec2 = new EC2Client(member.admin);
    const launched = await ec2.send(launchOf(plain.image, rootDevice({ Encrypted: true, KmsKeyId: ownKey })));
    const instance = await world.instance(member.admin, launched.Instances![0]!.InstanceId!, 'terminated');
    assert.deepEqual(instance.StateReason, BY_KEY);
    const { SnapshotId } = await ec2.send(new CopySnapshotCommand({ ...copy(), Encrypted: true, KmsKeyId: ownKey }));
    const ended = await until('the copy has failed', async () => {
      const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [SnapshotId!] }));
      return Snapshots?.[0]?.State === 'error' && Snapshots[0];
    });
    assert.equal(ended.StateMessage, 'Given key ID is not accessible');
  });

  it('G-14: in the words of an explicit denial, with the resource and the encoded message', async () => {
    const error = await refused(calls['an unencrypted volume']!(new EC2Client(member.admin)), 'UnauthorizedOperation');
    const session = `arn:aws:sts::${member.id}:assumed-role/OrganizationAccountAccessRole/session`;
    const words = [
      'You are not authorized to perform this operation.',
      `User: ${session} is not authorized to perform: ec2:CreateVolume`,
      `on resource: arn:aws:ec2:${REGION}:${member.id}:volume/*`,
      'with an explicit deny in a service control policy',
    ];
    assert.ok(error.message.startsWith(words.join(' ')), error.message);
    assert.match(error.message, /\. Encoded authorization failure message: [\w+/=.-]+$/);
  });

  it('1.3: nothing to the management account', async () => {
    const ec2 = new EC2Client(world.operator);
    const { VolumeId } = await ec2.send(new CreateVolumeCommand(volume));
    assert.equal((await world.volumeInTheEnd(world.operator, VolumeId!))?.Encrypted, false);
  });
});

describe('what the control policies let through', () => {
  const under = { Encrypted: true, KmsKeyId: '' };
  before(() => {
    under.KmsKeyId = ours;
  });

  for (const who of ['an administrator', 'the root user']) {
    it(`SH-17: ${who} launches, makes and copies under the key of the organization`, async () => {
      const config = bound[who]!;
      const ec2 = new EC2Client(config);
      const InstanceId = await runs(config, launchOf(plain.image, rootDevice(under)));
      const made = await ec2.send(new CreateVolumeCommand({ AvailabilityZone: ZONE, Size: 1, ...under }));
      assert.equal((await world.volumeInTheEnd(config, made.VolumeId!))?.KmsKeyId, ours);
      await ec2.send(new AttachVolumeCommand({ VolumeId: made.VolumeId!, InstanceId, Device: '/dev/sdf' }));
      await ec2.send(new CreateSnapshotCommand({ VolumeId: made.VolumeId! }));
      await ec2.send(new CopySnapshotCommand({ SourceRegion: REGION, SourceSnapshotId: plain.snapshot, ...under }));
      const image = { Name: world.fresh('copy'), SourceRegion: REGION, SourceImageId: plain.image };
      await ec2.send(new CopyImageCommand({ ...image, ...under }));
    });
  }

  it('sharing with the accounts named, and images by the publisher', async () => {
    await new EC2Client(member.admin).send(
      new ModifySnapshotAttributeCommand({
        SnapshotId: sealed.snapshot,
        CreateVolumePermission: { Add: [{ UserId: partner.id }] },
      }),
    );
    const publisher = new EC2Client(await role(member, 'image-publisher'));
    await publisher.send(
      new ModifyImageAttributeCommand({ ImageId: sealed.image, LaunchPermission: { Add: [{ UserId: partner.id }] } }),
    );
  });

  it('the import role writes snapshots, and the security administrator sets the default key', async () => {
    const importer = new EBSClient(await role(member, 'image-import'));
    await importer.send(new StartSnapshotCommand({ VolumeSize: 1, Encrypted: true, KmsKeyArn: ours }));
    const security = new EC2Client(await role(member, 'security-administrator'));
    await security.send(new ModifyEbsDefaultKmsKeyIdCommand({ KmsKeyId: ours }));
  });

  it('D-4: with encryption by default on, a launch that asks for nothing, or against it', async () => {
    const ec2 = new EC2Client(member.admin);
    await ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
    for (const more of [{}, rootDevice({ Encrypted: false })]) {
      await runs(member.admin, launchOf(plain.image, more));
    }
    await ec2.send(new CopyImageCommand({ Name: 'by-default', SourceRegion: REGION, SourceImageId: plain.image }));
    await refused(ec2.send(new DisableEbsEncryptionByDefaultCommand({})), 'UnauthorizedOperation', BY_SCP);
  });
});

describe('the IAM policy', () => {
  it('allows what is encrypted and nothing else, where no control policy helps', async () => {
    const management = await world.management();
    const snapshot = await world.snapshot(management.admin);
    const image = await world.image(management.admin, snapshot);
    const { name, config } = await world.user(management);
    await new IAMClient(management.admin).send(
      new PutUserPolicyCommand({ UserName: name, PolicyName: 'own', PolicyDocument: printed('IAM policy') }),
    );
    const ec2 = new EC2Client(config);
    const volume = { AvailabilityZone: ZONE, Size: 1 };
    const copy = { SourceRegion: REGION, SourceSnapshotId: snapshot };
    const made = await ec2.send(new CreateVolumeCommand({ ...volume, Encrypted: true, KmsKeyId: ours }));
    assert.equal((await world.volumeInTheEnd(config, made.VolumeId!))?.KmsKeyId, ours);
    await runs(config, launchOf(image, rootDevice({ Encrypted: true, KmsKeyId: ours })));
    await ec2.send(new CopySnapshotCommand({ ...copy, Encrypted: true, KmsKeyId: ours }));

    const CreateVolumePermission = { Add: [{ UserId: member.id }] };
    const refusals = [
      () => ec2.send(new CreateVolumeCommand(volume)),
      () => ec2.send(launchOf(image)),
      () => ec2.send(new CopySnapshotCommand(copy)),
      () => ec2.send(new CopyImageCommand({ Name: 'copy', SourceRegion: REGION, SourceImageId: image })),
      () => ec2.send(new EnableEbsEncryptionByDefaultCommand({})),
      () => ec2.send(new ModifySnapshotAttributeCommand({ SnapshotId: snapshot, CreateVolumePermission })),
    ];
    for (const refusal of refusals) {
      await refused(refusal(), 'UnauthorizedOperation', /because no identity-based policy allows/);
    }
    const other = await ec2.send(new CreateVolumeCommand({ ...volume, Encrypted: true }));
    assert.equal(await world.volumeInTheEnd(config, other.VolumeId!), undefined, 'under the managed key');
  });
});
