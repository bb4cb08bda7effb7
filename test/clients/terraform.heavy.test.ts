/** Terraform with its AWS provider, unmodified: apply, change, plan, destroy of what a golden image needs. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeKeyPairsCommand,
  DescribeLaunchTemplatesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
  GetEbsDefaultKmsKeyIdCommand,
  GetEbsEncryptionByDefaultCommand,
} from '@aws-sdk/client-ec2';
import {
  IAMClient,
  ListGroupsCommand,
  ListInstanceProfilesCommand,
  ListPoliciesCommand,
  ListRolesCommand,
  ListUsersCommand,
} from '@aws-sdk/client-iam';
import { DescribeKeyCommand, KMSClient, ListAliasesCommand, ListKeysCommand } from '@aws-sdk/client-kms';
import { type Ingot, REPOSITORY, runIngot, startIngot } from '../house/ingot.ts';
import { missing, type Outcome, rootEnvironment, runProgram } from './programs.ts';

const REGIONS = ['us-east-1', 'eu-central-1'];
/** Exit codes of `plan -detailed-exitcode`. */
const NOTHING_TO_DO = 0;
const SOMETHING_TO_DO = 2;

/** Where an unpacked or packed copy of the provider may lie; Terraform itself looks in the first five. */
const MIRRORS = [
  join(homedir(), '.terraform.d/plugins'),
  join(homedir(), '.local/share/terraform/plugins'),
  '/usr/local/share/terraform/plugins',
  '/usr/share/terraform/plugins',
  join(REPOSITORY, 'terraform.d/plugins'),
  '/opt/terraform/plugins',
  '/opt/tf-plugins',
];
const PROVIDER = 'registry.terraform.io/hashicorp/aws';

const named = process.env.TF_CLI_CONFIG_FILE;
const given = named && existsSync(named) ? named : undefined;
const mirror = MIRRORS.find((directory) => existsSync(join(directory, PROVIDER)));
const skip =
  missing('terraform', ['version'], 'Terraform') ||
  (given || mirror ? false : 'no local copy of the AWS provider: set TF_CLI_CONFIG_FILE to a file that names a mirror');

describe('Terraform', { skip }, () => {
  let ingot: Ingot;
  let directory: string;
  let environment: Record<string, string>;

  const terraform = (command: string, ...args: string[]): Promise<Outcome> =>
    runProgram('terraform', [command, '-no-color', ...args], { cwd: directory, environment });
  const succeeds = async (command: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await terraform(command, ...args);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const change = (command: string, release: number) =>
    succeeds(command, '-auto-approve', '-parallelism=20', '-var', `release=${release}`);
  const plan = async (release: number): Promise<{ code: number | null; text: string }> => {
    const { code, stdout, stderr } = await terraform('plan', '-detailed-exitcode', '-var', `release=${release}`);
    return { code, text: stdout + stderr };
  };

  before(async () => {
    ingot = await startIngot();
    directory = await mkdtemp(join(tmpdir(), 'ingot-terraform-'));
    await cp(join(REPOSITORY, 'test/clients/terraform'), directory, { recursive: true });
    const config = join(directory, 'terraform.rc');
    await writeFile(config, `provider_installation {\n  filesystem_mirror {\n    path = "${mirror}"\n  }\n}\n`);
    const added = await runIngot(['account', 'add', 'consumer', '--data', ingot.dataDir]);
    assert.equal(added.code, 0, added.stderr);
    environment = {
      ...(await rootEnvironment(ingot)),
      ...(await administratorKeys(ingot)),
      CHECKPOINT_DISABLE: '1',
      TF_IN_AUTOMATION: '1',
      TF_INPUT: '0',
      TF_CLI_CONFIG_FILE: given ?? config,
      TF_VAR_consumer: /\d{12}/.exec(added.stdout)![0],
      TF_VAR_deprecation_year: String(new Date().getUTCFullYear() + 2),
    };
    await succeeds('init');
  });
  after(async () => {
    await ingot?.[Symbol.asyncDispose]();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  it('makes everything, under the keys that were asked for', async () => {
    await change('apply', 1);
    const outputs = JSON.parse(await succeeds('output', '-json'));
    const value = (name: string) => outputs[name].value;
    assert.match(value('account'), /^\d{12}$/);
    assert.equal(value('default_key'), value('key'));
    assert.deepEqual(value('found_image'), [true, 'golden']);
    assert.equal(value('copied_snapshot_key'), value('second_key'));
    assert.deepEqual(value('root_keys'), [value('key'), value('key')]);
    assert.deepEqual(value('consumer_root_key'), [true]);
    const second = new EC2Client(await ingot.client('eu-central-1'));
    const { Images } = await second.send(new DescribeImagesCommand({ ImageIds: [value('copied_image')] }));
    const { Snapshots } = await second.send(
      new DescribeSnapshotsCommand({ SnapshotIds: [Images![0]!.BlockDeviceMappings![0]!.Ebs!.SnapshotId!] }),
    );
    assert.equal(Snapshots![0]!.KmsKeyId, value('second_key'));
  });

  it('finds nothing to do afterwards', async () => {
    const { code, text } = await plan(1);
    assert.equal(code, NOTHING_TO_DO, text);
  });

  it('changes in place what can be, and finds nothing to do afterwards', async () => {
    const before = await plan(2);
    assert.equal(before.code, SOMETHING_TO_DO, before.text);
    assert.match(before.text, /^Plan: 0 to add, \d+ to change, 0 to destroy\.$/m);
    await change('apply', 2);
    const { code, text } = await plan(2);
    assert.equal(code, NOTHING_TO_DO, text);
  });

  it('destroys everything: nothing is left in either region', async () => {
    await change('destroy', 2);
    for (const region of REGIONS) assert.deepEqual(await leftInRegion(ingot, region), NOTHING, region);
    assert.deepEqual(await leftInIam(ingot), []);
  });
});

/** Keys of the IAM user that `ingot account add` makes: root may assume no role. */
async function administratorKeys(ingot: Ingot): Promise<Record<string, string>> {
  const { stdout } = await runIngot(['env', '--data', ingot.dataDir, '--account', 'ingot-admin']);
  const keys = [...stdout.matchAll(/^export (AWS_(?:SECRET_)?ACCESS_KEY(?:_ID)?)='?([^'\n]+)'?$/gm)];
  assert.equal(keys.length, 2, 'an access key and its secret');
  return Object.fromEntries(keys.map(([, name, value]) => [name, value]));
}

/** A primary key waits for its replicas. */
const DELETED = ['PendingDeletion', 'PendingReplicaDeletion'];

const NOTHING = {
  instances: [],
  volumes: [],
  snapshots: [],
  images: [],
  templates: [],
  keyPairs: [],
  groups: [],
  keys: [],
  aliases: [],
  encryptionByDefault: false,
  defaultKey: 'alias/aws/ebs',
};

async function leftInRegion(ingot: Ingot, region: string): Promise<typeof NOTHING | object> {
  const config = await ingot.client(region);
  const ec2 = new EC2Client(config);
  const kms = new KMSClient(config);
  const { Reservations } = await ec2.send(new DescribeInstancesCommand({}));
  const { Keys } = await kms.send(new ListKeysCommand({}));
  const keys = await Promise.all(
    Keys!.map(async ({ KeyId }) => (await kms.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata!),
  );
  const { Aliases } = await kms.send(new ListAliasesCommand({}));
  return {
    instances: Reservations!.flatMap(({ Instances }) => Instances!).filter(({ State }) => State!.Name !== 'terminated'),
    volumes: (await ec2.send(new DescribeVolumesCommand({}))).Volumes,
    snapshots: (await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }))).Snapshots,
    images: (await ec2.send(new DescribeImagesCommand({ Owners: ['self'], IncludeDisabled: true }))).Images,
    templates: (await ec2.send(new DescribeLaunchTemplatesCommand({}))).LaunchTemplates,
    keyPairs: (await ec2.send(new DescribeKeyPairsCommand({}))).KeyPairs,
    groups: (await ec2.send(new DescribeSecurityGroupsCommand({}))).SecurityGroups!.filter(
      ({ GroupName }) => GroupName !== 'default',
    ),
    keys: keys.filter(({ KeyManager, KeyState }) => KeyManager === 'CUSTOMER' && !DELETED.includes(KeyState!)),
    aliases: Aliases!.filter(({ AliasName }) => !AliasName!.startsWith('alias/aws/')),
    encryptionByDefault: (await ec2.send(new GetEbsEncryptionByDefaultCommand({}))).EbsEncryptionByDefault,
    defaultKey: (await ec2.send(new GetEbsDefaultKmsKeyIdCommand({}))).KmsKeyId,
  };
}

/** Names of everything in IAM that is not there from the start. */
async function leftInIam(ingot: Ingot): Promise<string[]> {
  const iam = new IAMClient(await ingot.client('us-east-1'));
  const names = [
    ...(await iam.send(new ListUsersCommand({}))).Users!.map(({ UserName }) => UserName!),
    ...(await iam.send(new ListGroupsCommand({}))).Groups!.map(({ GroupName }) => GroupName!),
    ...(await iam.send(new ListRolesCommand({}))).Roles!.map(({ RoleName }) => RoleName!),
    ...(await iam.send(new ListPoliciesCommand({ Scope: 'Local' }))).Policies!.map(({ PolicyName }) => PolicyName!),
    ...(await iam.send(new ListInstanceProfilesCommand({}))).InstanceProfiles!.map(
      ({ InstanceProfileName }) => InstanceProfileName!,
    ),
  ];
  // The first is made by `ingot account add`; service-linked roles stay, as in AWS.
  return names.filter((name) => name !== 'ingot-admin' && !name.startsWith('AWSServiceRoleFor'));
}
