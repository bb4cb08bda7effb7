/**
 * No member of an input is accepted and passed over: every operation looks at each of its members, or refuses it by
 * name. What is not looked at is listed here with the reason why it asks for what is so anyway.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CreateSecurityGroupCommand, DescribeVolumesCommand, EC2Client } from '@aws-sdk/client-ec2';
import * as iam from '@aws-sdk/client-iam';
import { CreateGrantCommand, type GrantOperation, KMSClient, ListGrantsCommand } from '@aws-sdk/client-kms';
import { CreateOrganizationalUnitCommand, ListRootsCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
import { type App, createApp } from '../../src/app.ts';
import { AuditNotes, type Call } from '../../src/authz/caller.ts';
import { readConfig } from '../../src/config.ts';
import type { AccountId, Arn, Region } from '../../src/ids.ts';
import { createLog } from '../../src/log.ts';
import type { Operation } from '../../src/services/operation.ts';
import { REGISTRY } from '../../src/wire/registry.ts';
import { Wire } from '../../src/wire/wire.ts';
import type { ClientConfig } from './ingot.ts';
import { isLookedAt, memberPaths, watched, withMember } from './members.ts';
import { KEY_ID, SAMPLE_IDS, sampleAt, sampleInput } from './operations.ts';
import { makeResources } from './resources.ts';

/** Operation and member, as in `ec2 DescribeRegions AllRegions`, with what makes looking needless. */
const SO_ANYWAY: Readonly<Record<string, string>> = {
  'ec2 DescribeRegions AllRegions': 'every region is enabled',
  'ec2 DescribeAvailabilityZones AllAvailabilityZones': 'every zone is enabled',
  'ec2 DescribeInstanceTypes IncludeUnsupportedInRegion': 'every type is there in every region',
  'ec2 DescribeLaunchTemplates IncludeManagedResources': 'nothing is managed by a service provider',
  'ec2 DescribeLaunchTemplateVersions IncludeManagedResources': 'nothing is managed by a service provider',
  'ec2 DescribeNetworkInterfaces IncludeManagedResources': 'nothing is managed by a service provider',
  'ec2 GetConsoleOutput Latest': 'the output is always the latest',
  'ec2 DescribeImages IncludeDeprecated': 'read where another account owns an image',
  'ec2 TerminateInstances Force': 'a guest that does not power off in time is always ended',
  'sts AssumeRole ExternalId': 'refused to the root user before; the trust policy looks at it',
  'ec2 DescribeKeyPairs IncludePublicKey': 'read where there is a key pair',
};
/** Works on a copy of its input; its list of honoured members refuses all others. */
const COPIES_ITS_INPUT = new Set(['ec2 ModifyInstanceMetadataOptions', 'ec2 RunInstances']);
/** Names what can never exist, so that every call is refused whatever else it says, or finds nothing. */
const FINDS_NOTHING = new Set(['kms DescribeCustomKeyStores', 'kms UpdateCustomKeyStore']);

/** Inputs with which an operation comes as far as looking at its members. */
const INSTEAD: Readonly<Record<string, object>> = {
  'organizations ListAccountsForParent': { ParentId: 'root' },
  'organizations ListOrganizationalUnitsForParent': { ParentId: 'root' },
  'organizations ListChildren': { ParentId: 'root', ChildType: 'ACCOUNT' },
  'organizations ListParents': { ChildId: 'account' },
  'organizations ListTargetsForPolicy': { PolicyId: 'p-FullAWSAccess' },
  'organizations ListPoliciesForTarget': { TargetId: 'root', Filter: 'SERVICE_CONTROL_POLICY' },
  'ec2 AuthorizeSecurityGroupIngress': { IpPermissions: undefined, IpProtocol: '-1', CidrIp: '192.0.2.0/24' },
  'iam CreateServiceLinkedRole': { AWSServiceName: 'spot.amazonaws.com' },
  'iam CreatePolicyVersion': { PolicyArn: 'own-policy' },
  'ec2 DetachVolume': { VolumeId: 'attached-volume' },
  'kms RetireGrant': { KeyId: KEY_ID, GrantId: 'own-grant' },
  'iam ListInstanceProfileTags': { InstanceProfileName: 'profile' },
  'iam GetContextKeysForPrincipalPolicy': { PolicySourceArn: 'sample-user' },
  'iam SimulatePrincipalPolicy': { PolicySourceArn: 'sample-user', ActionNames: ['kms:Decrypt'] },
  'iam SimulateCustomPolicy': {
    PolicyInputList: ['{"Version":"2012-10-17","Statement":[]}'],
    ActionNames: ['kms:Decrypt'],
  },
  'organizations ListTagsForResource': { ResourceId: 'root' },
  'organizations DescribeOrganizationalUnit': { OrganizationalUnitId: 'unit' },
};

const wire = new Wire(REGISTRY);
const DEPTH = 1;
const region = 'eu-central-1' as Region;

let app: App;
let dataDir: string;
let ids: Map<string, string>;
let opens: Record<string, object>;
let caller: Call['caller'];

before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'ingot-members-'));
  app = await createApp(
    readConfig({ data: dataDir, listen: '127.0.0.1:0', machines: 'none' }, {}),
    createLog('silent'),
  );
  const { endpoint } = await app.listen();
  const text = await readFile(join(dataDir, 'credentials'), 'utf8');
  const value = (name: string) => new RegExp(`^${name} = (.+)$`, 'm').exec(text)?.[1] ?? '';
  const credentials = { accessKeyId: value('aws_access_key_id'), secretAccessKey: value('aws_secret_access_key') };
  const config = { endpoint, region, credentials, maxAttempts: 1 };
  const { ids: made, ciphertext } = await makeResources(config);
  opens = { Decrypt: { CiphertextBlob: ciphertext }, ReEncrypt: { CiphertextBlob: ciphertext } };
  const account = /:(\d{12}):/.exec([...made.values()].find((id) => id.startsWith('arn:aws:iam')) ?? '')?.[1];
  assert.ok(account);
  const arn = `arn:aws:iam::${account}:root` as Arn;
  caller = {
    accountId: account as AccountId,
    type: 'Account',
    arn,
    principalArn: arn,
    userId: account,
    uniqueId: account,
    tags: {},
  };
  ids = new Map([...made, ...(await makeEntities(config, made))]);
});
after(async () => {
  await app.close();
  await rm(dataDir, { recursive: true, force: true });
});

/** What samples name besides images and keys; gives replacements for ids that cannot be chosen. */
async function makeEntities(config: ClientConfig, made: ReadonlyMap<string, string>) {
  const client = new iam.IAMClient(config);
  await client.send(new iam.CreateUserCommand({ UserName: 'sample' }));
  await client.send(new iam.CreateGroupCommand({ GroupName: 'sample' }));
  await client.send(new iam.CreateInstanceProfileCommand({ InstanceProfileName: 'profile' }));
  const trust = { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'ec2.amazonaws.com' } };
  await client.send(
    new iam.CreateRoleCommand({
      RoleName: 'sample',
      AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [trust] }),
    }),
  );
  const PolicyArn = 'arn:aws:iam::aws:policy/ReadOnlyAccess';
  await client.send(new iam.AttachUserPolicyCommand({ UserName: 'sample', PolicyArn }));
  const { GroupId } = await new EC2Client(config).send(
    new CreateSecurityGroupCommand({ GroupName: 'sample', Description: 'sample' }),
  );
  const policy = { Effect: 'Allow', Action: 'ec2:DescribeImages', Resource: '*' };
  const { Policy } = await client.send(
    new iam.CreatePolicyCommand({
      PolicyName: 'own',
      PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [policy] }),
    }),
  );
  const { Grants } = await granted(config, made.get(KEY_ID)!);
  const { Volumes } = await new EC2Client(config).send(
    new DescribeVolumesCommand({ Filters: [{ Name: 'status', Values: ['in-use'] }] }),
  );
  const organizations = new OrganizationsClient(config);
  const { Roots } = await organizations.send(new ListRootsCommand({}));
  const ParentId = Roots?.[0]?.Id;
  const { OrganizationalUnit } = await organizations.send(
    new CreateOrganizationalUnitCommand({ ParentId, Name: 'sample' }),
  );
  return [
    ['own-policy', Policy?.Arn ?? ''],
    ['own-grant', Grants?.[0]?.GrantId ?? ''],
    ['attached-volume', Volumes?.[0]?.VolumeId ?? ''],
    ['account', caller.accountId],
    ['sample-user', `arn:aws:iam::${caller.accountId}:user/sample`],
    ['unit', OrganizationalUnit?.Id ?? ''],
    [SAMPLE_IDS.image.replace('ami-', 'sg-'), GroupId!],
    ['root', ParentId ?? ''],
  ] as const;
}

/** A grant that its maker may retire. */
async function granted(config: ClientConfig, KeyId: string) {
  const kms = new KMSClient(config);
  const Operations: GrantOperation[] = ['Decrypt'];
  await kms.send(
    new CreateGrantCommand({ KeyId, GranteePrincipal: caller.arn, RetiringPrincipal: caller.arn, Operations }),
  );
  return kms.send(new ListGrantsCommand({ KeyId }));
}

function newCall(): Call {
  return {
    caller,
    region,
    requestId: 'r',
    now: new Date(),
    userAgent: '',
    secureTransport: false,
    audit: new AuditNotes(),
  };
}

interface Asked {
  readonly service: string;
  readonly operation: string;
  readonly handler: Operation<never, unknown>;
}

/** What only reads comes first, what ends things last. */
function rank({ operation }: Asked): number {
  if (/^(?:Describe|Get|List|Lookup)/.test(operation)) return 0;
  return /^(?:Delete|Deregister|Disable|Leave|Remove|Retire|Revoke|Schedule|Terminate)/.test(operation) ? 2 : 1;
}

describe('every member of every operation', () => {
  it('is looked at, or refused by name', async (context) => {
    const asked = app.services
      .flatMap(({ name, operations }) =>
        Object.entries(operations).map(([operation, handler]): Asked => ({ service: name, operation, handler })),
      )
      .filter(({ service, operation }) => !COPIES_ITS_INPUT.has(`${service} ${operation}`))
      .filter(({ service, operation }) => !FINDS_NOTHING.has(`${service} ${operation}`))
      .sort((a, b) => rank(a) - rank(b));
    const ignored: string[] = [];
    let count = 0;
    for (const { service, operation, handler } of asked) {
      const model = wire.service(service)!.operation(operation)!;
      const sample = {
        ...sampleInput(service, operation, ids, INSTEAD[`${service} ${operation}`]),
        ...opens[operation],
      };
      for (const path of memberPaths(model.input, DEPTH)) {
        count += 1;
        const input = withMember(model.input, sample, path, sampleAt(model.input, path));
        const work = () => handler(newCall(), watched(input, path) as never);
        if (!(await isLookedAt(work, path, operation))) ignored.push(`${service} ${operation} ${path.join('.')}`);
      }
    }
    context.diagnostic(`${count} members`);
    assert.deepEqual(
      ignored.filter((member) => SO_ANYWAY[member] === undefined),
      [],
    );
    assert.deepEqual(
      Object.keys(SO_ANYWAY).filter((member) => !ignored.includes(member)),
      [],
      'listed, although looked at',
    );
  });
});
