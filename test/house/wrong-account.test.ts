/** An administrator of another account, with the real ids of ours: sees nothing, changes nothing. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CloudTrailClient, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { AttachUserPolicyCommand, CreateAccessKeyCommand, CreateUserCommand, IAMClient } from '@aws-sdk/client-iam';
import { DescribeKeyCommand, GetKeyPolicyCommand, KMSClient, ListGrantsCommand } from '@aws-sdk/client-kms';
import { CreateAccountCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { type ClientConfig, type Credentials, type Ingot, startIngot } from './ingot.ts';
import { call, implementedOperations, KEY_ID, SAMPLE_ROOT, sampleInput } from './operations.ts';
import { makeResources } from './resources.ts';

const ADMINISTRATOR = 'arn:aws:iam::aws:policy/AdministratorAccess';

/**
 * AWS answers these with 200 and lets them come to nothing: a copy in `error` (CS-9), a default key that fails at use
 * (D-6), fast restores that are listed as unsuccessful. Nobody else's resources are among the references of an image.
 */
const COMES_TO_NOTHING = new Set([
  'ec2 CopySnapshot',
  'ec2 DescribeImageReferences',
  'ec2 DisableFastSnapshotRestores',
  'ec2 EnableFastSnapshotRestores',
  'ec2 ModifyEbsDefaultKmsKeyId',
]);

let ingot: Ingot;
let owner: ClientConfig;
let stranger: ClientConfig;
let real: Map<string, string>;
let ciphertext: Uint8Array;

before(async () => {
  ingot = await startIngot();
  owner = await ingot.client();
  stranger = await ingot.client('eu-central-1', await administratorOf('stranger'));
  ({ ids: real, ciphertext } = await makeResources(owner));
});
after(() => ingot[Symbol.asyncDispose]());

async function administratorOf(name: string): Promise<Credentials> {
  const iam = new IAMClient(owner);
  await iam.send(new CreateUserCommand({ UserName: 'admin' }));
  await iam.send(new AttachUserPolicyCommand({ UserName: 'admin', PolicyArn: ADMINISTRATOR }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName: 'admin' }));
  const credentials = { accessKeyId: AccessKey?.AccessKeyId ?? '', secretAccessKey: AccessKey?.SecretAccessKey ?? '' };
  const organizations = new OrganizationsClient(owner);
  const { CreateAccountStatus } = await organizations.send(
    new CreateAccountCommand({ AccountName: name, Email: `${name}@example.com` }),
  );
  const sts = new STSClient({ ...owner, credentials });
  const RoleArn = `arn:aws:iam::${CreateAccountStatus?.AccountId}:role/OrganizationAccountAccessRole`;
  const { Credentials } = await sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'admin' }));
  return {
    accessKeyId: Credentials?.AccessKeyId ?? '',
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    sessionToken: Credentials?.SessionToken ?? '',
  };
}

/** All that the owner can see of it. */
async function state(): Promise<unknown> {
  const kms = new KMSClient(owner);
  const ec2 = new EC2Client(owner);
  const KeyId = real.get(KEY_ID)!;
  const { Images } = await ec2.send(new DescribeImagesCommand({ Owners: ['self'] }));
  const { Snapshots } = await ec2.send(new DescribeSnapshotsCommand({ OwnerIds: ['self'] }));
  const { Volumes } = await ec2.send(new DescribeVolumesCommand({}));
  const { Reservations } = await ec2.send(new DescribeInstancesCommand({}));
  return {
    key: (await kms.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata,
    policy: (await kms.send(new GetKeyPolicyCommand({ KeyId }))).Policy,
    grants: (await kms.send(new ListGrantsCommand({ KeyId }))).Grants,
    Images: Images?.map(({ LastLaunchedTime: _, ...image }) => image),
    Snapshots,
    Volumes,
    Reservations,
  };
}

describe("an administrator of another account, with our resources' ids", () => {
  it('is refused by every operation that names one, and changes nothing', async (context) => {
    const before = await state();
    const served: string[] = [];
    const codes = new Set<string>();
    let asked = 0;
    for (const { service, operation } of await implementedOperations()) {
      const input = sampleInput(service, operation, real);
      const opens = ['Decrypt', 'ReEncrypt'].includes(operation) ? { CiphertextBlob: ciphertext } : {};
      const text = JSON.stringify(input);
      const names = [...real.values()].some((id) => text.includes(id)) || 'CiphertextBlob' in opens;
      if (!names) continue;
      asked += 1;
      const failure = await call(stranger, service, operation, { ...input, ...opens });
      if (COMES_TO_NOTHING.has(`${service} ${operation}`)) continue;
      if (!failure) served.push(`${service} ${operation}`);
      else if (failure.status >= 500) served.push(`${service} ${operation}: ${JSON.stringify(failure)}`);
      else codes.add(failure.code);
    }
    context.diagnostic(`${asked} operations refused with ${[...codes].sort().join(', ')}`);
    assert.deepEqual(served, []);
    assert.ok(asked > 50, `only ${asked} operations name a resource`);
    assert.deepEqual(await state(), before);
  });

  it('is told the same of what is ours as of what is not there', async () => {
    // Of the same form as the real ones, in our account and Region.
    const account = /\d{12}/.exec(real.get(SAMPLE_ROOT)!)![0];
    const madeUp = new Map([...real].map(([sample]) => [sample, sample.replace(/\d{12}/, account)]));
    madeUp.set(KEY_ID, `arn:aws:kms:eu-central-1:${account}:key/${KEY_ID}`);
    const told: string[] = [];
    for (const { service, operation } of await implementedOperations()) {
      const text = JSON.stringify(sampleInput(service, operation, real));
      if (![...real.values()].some((id) => text.includes(id))) continue;
      const ofOurs = await call(stranger, service, operation, sampleInput(service, operation, real));
      const ofNothing = await call(stranger, service, operation, sampleInput(service, operation, madeUp));
      const without = (failure: typeof ofOurs) => {
        let plain = failure ? `${failure.code} ${failure.status} ${failure.message}` : 'served';
        plain = plain.replace(/Encoded authorization failure message: .*/, '');
        for (const [sample, id] of real) plain = plain.replaceAll(id, 'ID').replaceAll(madeUp.get(sample)!, 'ID');
        return plain.replaceAll(/[0-9a-f]{17}|[0-9a-f-]{36}/g, 'ID');
      };
      // Of images AWS tells that they exist (SH-20).
      if (ofOurs?.code === 'AuthFailure' && /^Not authorized for images?:/.test(ofOurs.message)) continue;
      if (without(ofOurs) !== without(ofNothing)) {
        told.push(`${service} ${operation}: ${without(ofOurs)} | ${without(ofNothing)}`);
      }
    }
    assert.deepEqual(told, []);
  });

  it('sees none of it in lists, and nothing of it in the trail', async () => {
    const ec2 = new EC2Client(stranger);
    assert.deepEqual((await ec2.send(new DescribeImagesCommand({ Owners: ['self'] }))).Images, []);
    assert.deepEqual((await ec2.send(new DescribeImagesCommand({}))).Images, []);
    const { Snapshots = [] } = await ec2.send(new DescribeSnapshotsCommand({}));
    assert.deepEqual(
      [...new Set(Snapshots.map(({ State, StateMessage }) => `${State}: ${StateMessage}`))],
      ['error: Source snapshot is not found'],
    );
    assert.deepEqual((await ec2.send(new DescribeVolumesCommand({}))).Volumes, []);
    assert.deepEqual((await ec2.send(new DescribeInstancesCommand({}))).Reservations, []);
    const { Events = [] } = await new CloudTrailClient(stranger).send(
      new LookupEventsCommand({ LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue: 'RunInstances' }] }),
    );
    assert.ok(Events.every((event) => event.CloudTrailEvent?.includes('"errorCode"')));
  });
});
