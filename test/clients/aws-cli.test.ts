/** The AWS CLI, unmodified, as its users type it: profiles, waiters, paging, filters, files, exit codes. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Ingot, REPOSITORY, runIngot, startIngot } from '../house/ingot.ts';
import { missing, type Outcome, profileEnvironment, rootEnvironment, runProgram } from './programs.ts';

const skip = missing('aws', ['--version'], 'the AWS CLI');
const BLOCK = 524_288;
/** What the service refused: 254 of version 2, 255 of version 1. */
const REFUSED = [254, 255];

let ingot: Ingot;
let files: string;
let prod: string;

/** One line as it is typed after `aws`, words parted by white space; further arguments may hold any. */
function aws(line: string, more: readonly string[] = [], profile = 'ingot'): Promise<Outcome> {
  const environment = profileEnvironment(ingot, profile);
  return runProgram('aws', [...line.trim().split(/\s+/), ...more], { environment, cwd: files });
}
async function says(line: string, more: readonly string[] = [], profile = 'ingot'): Promise<string> {
  const { code, stdout, stderr } = await aws(line, more, profile);
  assert.equal(code, 0, `aws ${line}: ${stderr}`);
  return stdout.trimEnd();
}
/** The words of `--output text`. */
const words = async (line: string, more: readonly string[] = [], profile = 'ingot'): Promise<string[]> =>
  (await says(`${line} --output text`, more, profile)).split(/\s+/).filter(Boolean);
const word = async (...typed: Parameters<typeof words>): Promise<string> => (await words(...typed))[0]!;

async function refused(expected: string | RegExp, line: string, more: readonly string[] = []): Promise<void> {
  const { code, stdout, stderr } = await aws(line, more);
  assert.ok(code !== null && REFUSED.includes(code), `aws ${line} ended with ${code}: ${stdout}${stderr}`);
  assert.equal(stdout, '');
  if (typeof expected === 'string') assert.equal(stderr.trim(), expected);
  else assert.match(stderr.trim(), expected);
}

const createVolume = (more: string) =>
  word(`ec2 create-volume --size 1 --availability-zone us-east-1a --query VolumeId ${more}`);

async function registerImage(name: string, snapshot: string): Promise<string> {
  const mapping = `DeviceName=/dev/xvda,Ebs={SnapshotId=${snapshot}}`;
  return word(`ec2 register-image --name ${name} --architecture x86_64 --virtualization-type hvm --query ImageId`, [
    '--root-device-name',
    '/dev/xvda',
    '--block-device-mappings',
    mapping,
  ]);
}

/** A completed snapshot of one block under this key, written by `aws ebs`. */
async function snapshotUnder(key: string): Promise<string> {
  const id = await word(`ebs start-snapshot --volume-size 1 --encrypted --kms-key-arn ${key} --query SnapshotId`);
  const checksum = Buffer.from(await crypto.subtle.digest('SHA-256', new Uint8Array(BLOCK).fill(7))).toString('base64');
  await writeFile(join(files, 'block'), new Uint8Array(BLOCK).fill(7));
  await says(
    `ebs put-snapshot-block --snapshot-id ${id} --block-index 1 --data-length ${BLOCK} --block-data block --checksum-algorithm SHA256`,
    ['--checksum', checksum],
  );
  await says(`ebs complete-snapshot --snapshot-id ${id} --changed-blocks-count 1`);
  await says(`ec2 wait snapshot-completed --snapshot-ids ${id}`);
  return id;
}

const createKey = (more = '') => word(`kms create-key --query KeyMetadata.Arn ${more}`);

describe('the AWS CLI', { skip, concurrency: 3 }, () => {
  before(async () => {
    ingot = await startIngot();
    files = await mkdtemp(join(tmpdir(), 'ingot-aws-cli-'));
    const added = await runIngot(['account', 'add', 'prod', '--data', ingot.dataDir]);
    assert.equal(added.code, 0, added.stderr);
    prod = /\d{12}/.exec(added.stdout)![0];
  });
  after(async () => {
    await ingot?.[Symbol.asyncDispose]();
    if (files) await rm(files, { recursive: true, force: true });
  });

  it('is the root user by the profile, a role by the other, and either by what `ingot env` prints', async () => {
    assert.match(await word('sts get-caller-identity --query Arn'), /^arn:aws:iam::\d{12}:root$/);
    const role = await word('sts get-caller-identity --query Arn', [], 'prod');
    assert.match(role, new RegExp(`^arn:aws:sts::${prod}:assumed-role/OrganizationAccountAccessRole/`));
    for (const [account, arn] of [
      ['ingot', /:root$/],
      ['prod', new RegExp(`::${prod}:assumed-role/`)],
    ] as const) {
      const env = `"${process.execPath}" ${REPOSITORY}bin/ingot.js env --data ${ingot.dataDir} --account ${account}`;
      const script = `eval "$(${env})"; aws sts get-caller-identity --query Arn --output text`;
      const { stdout, stderr } = await runProgram('bash', ['-euc', script], { cwd: files });
      assert.match(stdout.trim(), arn, stderr);
    }
  });

  it('pages, filters and queries', async () => {
    const made = await Promise.all(
      ['a1', 'a2', 'b1'].map((part) =>
        createVolume(`--tag-specifications ResourceType=volume,Tags=[{Key=Part,Value=${part}}]`),
      ),
    );
    const ours = '--filters Name=tag-key,Values=Part --query Volumes[].VolumeId';
    assert.deepEqual((await words(`ec2 describe-volumes --page-size 5 ${ours}`)).sort(), made.toSorted());
    const first = JSON.parse(await says('ec2 describe-volumes --max-items 1 --filters Name=tag-key,Values=Part'));
    const rest = JSON.parse(
      await says('ec2 describe-volumes --filters Name=tag-key,Values=Part --starting-token', [first.NextToken]),
    );
    const paged: { VolumeId: string }[] = [...first.Volumes, ...rest.Volumes];
    assert.equal(first.Volumes.length, 1);
    assert.deepEqual(paged.map(({ VolumeId }) => VolumeId).sort(), made.toSorted());
    const both = await words('ec2 describe-volumes --filters Name=tag:Part,Values=a* Name=size,Values=1', [
      '--query',
      'sort_by(Volumes, &VolumeId)[].VolumeId',
    ]);
    assert.deepEqual(both, made.slice(0, 2).sort());
    assert.equal(await word('ec2 describe-tags --filters Name=value,Values=b? --query Tags[].ResourceId'), made[2]);
    await says(`ec2 delete-volume --volume-id ${made[2]}`);
    await says(`ec2 wait volume-deleted --volume-ids ${made[2]}`);
  });

  it('shows refusals in AWS’s words and ends with its code', async () => {
    await refused(
      "An error occurred (InvalidVolume.NotFound) when calling the DescribeVolumes operation: The volume 'vol-00000000000000000' does not exist.",
      'ec2 describe-volumes --volume-ids vol-00000000000000000',
    );
    await refused(
      'An error occurred (DryRunOperation) when calling the DescribeImages operation: Request would have succeeded, but DryRun flag is set.',
      'ec2 describe-images --dry-run',
    );
    await refused(
      /^An error occurred \(UnsupportedOperation\) when calling the DescribeVpnGateways operation: .*DescribeVpnGateways/,
      'ec2 describe-vpn-gateways',
    );
    await refused(
      /^An error occurred \(NotFoundException\) when calling the DescribeKey operation: Alias arn:aws:kms:us-east-1:\d{12}:alias\/none is not found\.$/,
      'kms describe-key --key-id alias/none',
    );
    await refused(
      /^An error occurred \(NoSuchEntity\) when calling the GetRole operation:/,
      'iam get-role --role-name none',
    );
    await refused(
      /^An error occurred \(ResourceNotFoundException\) when calling the ListSnapshotBlocks operation:/,
      'ebs list-snapshot-blocks --snapshot-id snap-00000000000000000',
    );
    const { stderr } = await runProgram('aws', ['ec2', 'describe-regions'], {
      environment: { ...(await rootEnvironment(ingot)), AWS_SECRET_ACCESS_KEY: 'x' },
    });
    assert.match(
      stderr,
      /^\s*An error occurred \(AuthFailure\) when calling the DescribeRegions operation: AWS was not able to validate/,
    );
  });

  it('encrypts and decrypts files with KMS', async () => {
    const key = await createKey('--description files');
    const plaintext = Uint8Array.from({ length: 256 }, (_, index) => index);
    await writeFile(join(files, 'plain'), plaintext);
    const context = '--encryption-context purpose=test';
    const sealed = await word(
      `kms encrypt --key-id ${key} --plaintext fileb://plain ${context} --query CiphertextBlob`,
    );
    await writeFile(join(files, 'sealed'), Buffer.from(sealed, 'base64'));
    const opened = await word(`kms decrypt --ciphertext-blob fileb://sealed ${context} --query Plaintext`);
    assert.deepEqual(new Uint8Array(Buffer.from(opened, 'base64')), plaintext);
    await refused(/\(InvalidCiphertextException\)/, 'kms decrypt --ciphertext-blob fileb://sealed');
    await writeFile(
      join(files, 'policy.json'),
      await says(`kms get-key-policy --key-id ${key} --policy-name default --query Policy --output text`),
    );
    await says(`kms put-key-policy --key-id ${key} --policy-name default --policy file://policy.json`);
    await says(`kms enable-key-rotation --key-id ${key} --rotation-period-in-days 120`);
    assert.equal(await word(`kms get-key-rotation-status --key-id ${key} --query RotationPeriodInDays`), '120');
    assert.ok((await words('kms list-keys --page-size 1 --query Keys[].KeyArn')).includes(key));
  });

  it('writes and reads snapshots with `aws ebs`, and copies them with a presigned URL', async () => {
    const key = await createKey();
    const id = await snapshotUnder(key);
    const [index, token] = await words(
      `ebs list-snapshot-blocks --snapshot-id ${id} --query Blocks[].[BlockIndex,BlockToken]`,
    );
    assert.equal(index, '1');
    await says(`ebs get-snapshot-block --snapshot-id ${id} --block-index 1 --block-token ${token} read`);
    assert.deepEqual(await readFile(join(files, 'read')), await readFile(join(files, 'block')));
    // The CLI signs the call that the destination makes at the source, and sends it along.
    const copy = await word(
      `ec2 copy-snapshot --region eu-central-1 --source-region us-east-1 --source-snapshot-id ${id} --encrypted --query SnapshotId`,
    );
    await says(`ec2 wait snapshot-completed --region eu-central-1 --snapshot-ids ${copy}`);
    const under = await word(
      `ec2 describe-snapshots --region eu-central-1 --snapshot-ids ${copy} --query Snapshots[].KmsKeyId`,
    );
    assert.equal(
      under.split('/').at(-1),
      await word('kms describe-key --region eu-central-1 --key-id alias/aws/ebs --query KeyMetadata.KeyId'),
    );
  });

  it('copies an image under another key, shares it, and the account launches it once the key policy lets it', async () => {
    const snapshot = await snapshotUnder(await createKey());
    const image = await registerImage('golden', snapshot);
    const key = await createKey();
    await says(`kms create-alias --alias-name alias/shared --target-key-id ${key}`);
    const copy = await word(
      `ec2 copy-image --name golden-copy --source-image-id ${image} --source-region us-east-1 --encrypted --kms-key-id alias/shared --query ImageId`,
    );
    await says(`ec2 wait image-available --image-ids ${copy}`);
    const [sealed] = await words(
      `ec2 describe-images --owners self --filters Name=name,Values=golden-c* --query Images[].BlockDeviceMappings[].Ebs.SnapshotId`,
    );
    assert.equal(await word(`ec2 describe-snapshots --snapshot-ids ${sealed} --query Snapshots[].KmsKeyId`), key);

    const seen = () => words('ec2 describe-images --executable-users self --query Images[].ImageId', [], 'prod');
    assert.deepEqual(await seen(), []);
    await says(`ec2 modify-image-attribute --image-id ${copy} --launch-permission Add=[{UserId=${prod}}]`);
    assert.deepEqual(await seen(), [copy]);

    const launch = () =>
      word(`ec2 run-instances --image-id ${copy} --instance-type t3.micro --query Instances[].InstanceId`, [], 'prod');
    const denied = await launch();
    await says(`ec2 wait instance-terminated --instance-ids ${denied}`, [], 'prod');
    assert.match(
      await says(
        `ec2 describe-instances --instance-ids ${denied} --query Reservations[].Instances[].StateReason.Code --output text`,
        [],
        'prod',
      ),
      /^Client\.InvalidKMSKey\.InvalidState$/,
    );

    const policy = JSON.parse(
      await says(`kms get-key-policy --key-id ${key} --policy-name default --query Policy --output text`),
    );
    policy.Statement.push({
      Effect: 'Allow',
      Principal: { AWS: `arn:aws:iam::${prod}:root` },
      Action: 'kms:*',
      Resource: '*',
    });
    await says(`kms put-key-policy --key-id ${key} --policy-name default --policy`, [JSON.stringify(policy)]);
    const allowed = await launch();
    await says(`ec2 wait instance-running --instance-ids ${allowed}`, [], 'prod');
    await says(`ec2 terminate-instances --instance-ids ${allowed}`, [], 'prod');

    const events = await words(
      'cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=RunInstances --max-items 10 --query Events[].EventName',
      [],
      'prod',
    );
    assert.deepEqual(new Set(events.filter((name) => name !== 'None')), new Set(['RunInstances']));
  });
});
