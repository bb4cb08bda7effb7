/** What the specification says of principals, STS and IAM beyond test/identity, over the front door of both. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import * as iam from '@aws-sdk/client-iam';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DeleteAliasCommand,
  DescribeKeyCommand,
  EncryptCommand,
  KMSClient,
  PutKeyPolicyCommand,
  UpdateAliasCommand,
} from '@aws-sdk/client-kms';
import {
  AttachPolicyCommand,
  CreatePolicyCommand,
  EnablePolicyTypeCommand,
  ListRootsCommand,
  OrganizationsClient,
} from '@aws-sdk/client-organizations';
import * as sts from '@aws-sdk/client-sts';
import type { ClientConfig } from '../house/ingot.ts';
import { type Account, allow, credentialsOf, deny, documentOf, keyPolicy, refused, roleArn, World } from './world.ts';

const REGION = 'eu-central-1';
const trusting = (Principal: object) => documentOf({ Effect: 'Allow', Principal, Action: 'sts:AssumeRole' });
const EC2_TRUST = trusting({ Service: 'ec2.amazonaws.com' });

let world: World;
let account: Account;
let admin: iam.IAMClient;

before(async () => {
  world = await World.open(REGION);
  account = await world.account();
  admin = new iam.IAMClient(account.admin);
});
after(() => world[Symbol.asyncDispose]());

async function role(
  RoleName: string,
  AssumeRolePolicyDocument: string,
  more: Partial<iam.CreateRoleCommandInput> = {},
) {
  const { Role } = await admin.send(new iam.CreateRoleCommand({ RoleName, AssumeRolePolicyDocument, ...more }));
  return Role!;
}

describe('principals', () => {
  it('authz 2.8: unique ids and access keys tell by their prefix what they are', async () => {
    const { User } = await admin.send(new iam.CreateUserCommand({ UserName: 'prefix' }));
    const { Group } = await admin.send(new iam.CreateGroupCommand({ GroupName: 'prefix' }));
    const Role = await role('prefix', trusting({ AWS: account.id }));
    const { InstanceProfile } = await admin.send(
      new iam.CreateInstanceProfileCommand({ InstanceProfileName: 'prefix' }),
    );
    const { Policy } = await admin.send(
      new iam.CreatePolicyCommand({ PolicyName: 'prefix', PolicyDocument: documentOf(allow('ec2:*')) }),
    );
    const { AccessKey } = await admin.send(new iam.CreateAccessKeyCommand({ UserName: 'prefix' }));
    const ids = {
      AIDA: User?.UserId,
      AGPA: Group?.GroupId,
      AROA: Role.RoleId,
      AIPA: InstanceProfile?.InstanceProfileId,
      ANPA: Policy?.PolicyId,
      AKIA: AccessKey?.AccessKeyId,
      ASIA: account.admin.credentials.accessKeyId,
    };
    for (const [prefix, id] of Object.entries(ids)) assert.match(id ?? '', new RegExp(`^${prefix}[A-Z2-7]{16,17}$`));
  });

  /** Table 2.9, by policies that allow one call only where the value is as the table has it. */
  it('authz 2.9: aws:PrincipalArn, aws:userid, aws:username and aws:PrincipalType of users and roles', async () => {
    const user = await world.user(account);
    const { User } = await admin.send(new iam.GetUserCommand({ UserName: user.name }));
    const kept = await role('table', trusting({ AWS: account.id }), { Path: '/ops/' });
    const caller = await world.user(account, allow('sts:AssumeRole'));
    const session = await world.assume(caller.config, kept.Arn!);
    const rows: readonly {
      readonly as: ClientConfig;
      readonly grant: (condition: object) => Promise<unknown>;
      readonly values: Readonly<Record<string, string | undefined>>;
    }[] = [
      {
        as: user.config,
        grant: (condition) =>
          admin.send(
            new iam.PutUserPolicyCommand({
              UserName: user.name,
              PolicyName: 'table',
              PolicyDocument: documentOf({ ...allow('iam:GetAccountSummary'), Condition: condition }),
            }),
          ),
        values: {
          'aws:PrincipalArn': user.arn,
          'aws:userid': User!.UserId!,
          'aws:username': user.name,
          'aws:PrincipalType': 'User',
        },
      },
      {
        as: session,
        grant: (condition) =>
          admin.send(
            new iam.PutRolePolicyCommand({
              RoleName: 'table',
              PolicyName: 'table',
              PolicyDocument: documentOf({ ...allow('iam:GetAccountSummary'), Condition: condition }),
            }),
          ),
        values: {
          'aws:PrincipalArn': roleArn(account.id, 'ops/table'),
          'aws:userid': `${kept.RoleId}:session`,
          'aws:username': undefined,
          'aws:PrincipalType': 'AssumedRole',
        },
      },
    ];
    for (const { as, grant, values } of rows) {
      const ask = () => new iam.IAMClient(as).send(new iam.GetAccountSummaryCommand({}));
      for (const [name, value] of Object.entries(values)) {
        await grant(value === undefined ? { Null: { [name]: 'true' } } : { StringEquals: { [name]: value } });
        await ask();
        await grant(value === undefined ? { Null: { [name]: 'false' } } : { StringNotEquals: { [name]: value } });
        await refused(ask(), 'AccessDenied');
      }
    }
  });
});

describe('organizations', () => {
  it('authz 1.3: service control policies bind members, and not the management account', async () => {
    const organizations = new OrganizationsClient(world.operator);
    const management = await world.management();
    const { Policy } = await organizations.send(
      new CreatePolicyCommand({
        Name: 'no-groups',
        Description: '',
        Type: 'SERVICE_CONTROL_POLICY',
        Content: documentOf(deny('iam:ListGroups')),
      }),
    );
    const { Roots } = await organizations.send(new ListRootsCommand({}));
    await organizations.send(
      new AttachPolicyCommand({ PolicyId: Policy!.PolicySummary!.Id!, TargetId: Roots![0]!.Id! }),
    );
    await refused(admin.send(new iam.ListGroupsCommand({})), 'AccessDenied', /in a service control policy$/);
    await new iam.IAMClient(management.admin).send(new iam.ListGroupsCommand({}));
  });

  it('authz 1.4: resource control policies bind whoever calls, also from another account', async () => {
    const organizations = new OrganizationsClient(world.operator);
    const { Roots } = await organizations.send(new ListRootsCommand({}));
    const RootId = Roots![0]!.Id!;
    if (!Roots![0]!.PolicyTypes?.some(({ Type }) => Type === 'RESOURCE_CONTROL_POLICY')) {
      await organizations.send(new EnablePolicyTypeCommand({ RootId, PolicyType: 'RESOURCE_CONTROL_POLICY' }));
    }
    const key = await world.key(account, allow('kms:DescribeKey', { Principal: '*' }));
    const { Policy } = await organizations.send(
      new CreatePolicyCommand({
        Name: 'keep-keys-in',
        Description: '',
        Type: 'RESOURCE_CONTROL_POLICY',
        Content: documentOf({ ...deny('kms:Encrypt'), Principal: '*' }),
      }),
    );
    await organizations.send(new AttachPolicyCommand({ PolicyId: Policy!.PolicySummary!.Id!, TargetId: account.id }));
    const encrypt = () => new EncryptCommand({ KeyId: key, Plaintext: Buffer.of(1) });
    const reason = /with an explicit deny in a resource control policy/;
    await refused(new KMSClient(account.admin).send(encrypt()), 'AccessDeniedException', reason);
    const foreign = new KMSClient(world.operator);
    await refused(foreign.send(encrypt()), 'AccessDeniedException', reason);
    await foreign.send(new DescribeKeyCommand({ KeyId: key }));
  });
});

describe('KMS', () => {
  it('authz 6.10: names below alias/aws/ are nobody’s to make, move or delete', async () => {
    const kms = new KMSClient(account.admin);
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
    const TargetKeyId = KeyMetadata!.KeyId!;
    const AliasName = 'alias/aws/ebs';
    await refused(
      kms.send(new CreateAliasCommand({ AliasName: 'alias/aws/mine', TargetKeyId })),
      'NotAuthorizedException',
    );
    for (const command of [new UpdateAliasCommand({ AliasName, TargetKeyId }), new DeleteAliasCommand({ AliasName })]) {
      await assert.rejects(kms.send(command as DeleteAliasCommand));
    }
  });

  it('authz 3.5: an alias needs the right on the alias and on the key', async () => {
    const key = await world.key(account);
    const alias = `arn:aws:kms:${REGION}:${account.id}:alias/both`;
    const user = await world.user(account);
    const create = () =>
      new KMSClient(user.config).send(new CreateAliasCommand({ AliasName: 'alias/both', TargetKeyId: key }));
    for (const Resource of [key, alias]) {
      await user.may(allow('kms:CreateAlias', { Resource }));
      await refused(create(), 'AccessDeniedException');
    }
    await user.may(allow('kms:CreateAlias', { Resource: [key, alias] }));
    await create();
  });

  it('authz 6.1: a key whose policy names nobody but one user is closed to the root of its account', async () => {
    const keeper = await world.user(account, allow('iam:GetUser'));
    const kms = new KMSClient(account.admin);
    const Policy = documentOf({ ...allow('kms:*'), Principal: { AWS: keeper.arn } });
    const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Policy, BypassPolicyLockoutSafetyCheck: true }));
    const KeyId = KeyMetadata!.KeyId!;
    await refused(kms.send(new DescribeKeyCommand({ KeyId })), 'AccessDeniedException', /no resource-based policy/);
    const theirs = new KMSClient(keeper.config);
    await theirs.send(new DescribeKeyCommand({ KeyId }));
    await theirs.send(
      new PutKeyPolicyCommand({
        KeyId,
        PolicyName: 'default',
        Policy: keyPolicy(account.id),
        BypassPolicyLockoutSafetyCheck: true,
      }),
    );
    await kms.send(new DescribeKeyCommand({ KeyId }));
  });
});

describe('STS', () => {
  it('authz 14.8, 14.9: GetAccessKeyInfo tells the account of keys that are inactive, deleted or were never made here', async () => {
    const client = new sts.STSClient(account.admin);
    const ask = async (AccessKeyId: string) =>
      (await client.send(new sts.GetAccessKeyInfoCommand({ AccessKeyId }))).Account;
    await admin.send(new iam.CreateUserCommand({ UserName: 'keys' }));
    const made = await admin.send(new iam.CreateAccessKeyCommand({ UserName: 'keys' }));
    const AccessKeyId = made.AccessKey!.AccessKeyId!;
    assert.equal(await ask(AccessKeyId), account.id);
    await admin.send(new iam.UpdateAccessKeyCommand({ UserName: 'keys', AccessKeyId, Status: 'Inactive' }));
    assert.equal(await ask(AccessKeyId), account.id);
    await admin.send(new iam.DeleteAccessKeyCommand({ UserName: 'keys', AccessKeyId }));
    assert.equal(await ask(AccessKeyId), account.id);
    assert.equal(await ask('ASIAY34FZKBOKMUTVV7A'), '609629065308');
    assert.equal(await ask('ASIAQNZGKIQY56JQ7WML'), '029608264753');
  });

  it('authz 14.10: secrets have 40 characters, session tokens hundreds', async () => {
    const { secretAccessKey, sessionToken = '' } = account.admin.credentials;
    assert.equal(secretAccessKey.length, 40);
    assert.equal(world.operator.credentials.secretAccessKey.length, 40);
    assert.ok(sessionToken.length >= 100 && sessionToken.length < 2048, `${sessionToken.length}`);
  });

  it('authz 14.11: session policies that are none, or too large, are refused', async () => {
    const assume = (Policy: string) =>
      world.assume(world.operator, roleArn(account.id, 'OrganizationAccountAccessRole'), Policy);
    await refused(assume('{"Version":'), 'MalformedPolicyDocumentException');
    const { message } = await refused(assume(documentOf(allow('x'.repeat(3000)))), 'PackedPolicyTooLargeException');
    assert.ok(message.length > 0);
  });
});

describe('IAM', () => {
  it('authz 8.10: a denial is AccessDenied, 403, in the general words', async () => {
    const user = await world.user(account, allow('ec2:*'));
    const denial = await refused(new iam.IAMClient(user.config).send(new iam.ListRolesCommand({})), 'AccessDenied');
    assert.equal((denial as iam.IAMServiceException).$metadata.httpStatusCode, 403);
    assert.equal(
      denial.message,
      `User: ${user.arn} is not authorized to perform: iam:ListRoles on resource: ${roleArn(account.id, '*')} because no identity-based policy allows the iam:ListRoles action`,
    );
  });

  it('authz 15.2: Terraform starts up with rights, without them, and as a role', async () => {
    const start = async (config: ClientConfig): Promise<string> => {
      const { Account } = await new sts.STSClient(config).send(new sts.GetCallerIdentityCommand({}));
      const client = new iam.IAMClient(config);
      const got = await client.send(new iam.GetUserCommand({})).then(
        ({ User }) => User!.Arn!.split(':')[4]!,
        (error: Error) => error.name,
      );
      const listed = await client.send(new iam.ListRolesCommand({ MaxItems: 1 })).then(
        ({ Roles }) => Roles![0]!.Arn!.split(':')[4]!,
        (error: Error) => error.name,
      );
      return [Account, got, listed].join(' ');
    };
    const user = await world.user(account, allow(['iam:GetUser', 'iam:ListRoles']));
    assert.equal(await start(user.config), `${account.id} ${account.id} ${account.id}`);
    await user.may(allow('ec2:*'));
    assert.equal(await start(user.config), `${account.id} AccessDenied AccessDenied`);
    assert.equal(await start(account.admin), `${account.id} ValidationError ${account.id}`);
  });

  it('authz 15.4: Packer makes a temporary instance profile and takes it away in reverse', async () => {
    const InstanceProfileName = 'packer-5f1d';
    const RoleName = InstanceProfileName;
    await refused(admin.send(new iam.GetInstanceProfileCommand({ InstanceProfileName })), 'NoSuchEntityException');
    await admin.send(new iam.CreateInstanceProfileCommand({ InstanceProfileName }));
    await role(RoleName, EC2_TRUST);
    await admin.send(new iam.GetRoleCommand({ RoleName }));
    const PolicyDocument = documentOf(allow('ec2:DescribeTags'));
    await admin.send(new iam.PutRolePolicyCommand({ RoleName, PolicyName: 'p', PolicyDocument }));
    await admin.send(new iam.AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName }));
    await refused(admin.send(new iam.DeleteRoleCommand({ RoleName })), 'DeleteConflictException');
    await admin.send(new iam.RemoveRoleFromInstanceProfileCommand({ InstanceProfileName, RoleName }));
    await admin.send(new iam.DeleteRolePolicyCommand({ RoleName, PolicyName: 'p' }));
    await admin.send(new iam.DeleteRoleCommand({ RoleName }));
    await admin.send(new iam.DeleteInstanceProfileCommand({ InstanceProfileName }));
    await refused(admin.send(new iam.GetInstanceProfileCommand({ InstanceProfileName })), 'NoSuchEntityException');
  });

  it('authz 15.9: the fields of a role, its bounds, its path, and names that are one ignoring case', async () => {
    const { Policy } = await admin.send(
      new iam.CreatePolicyCommand({ PolicyName: 'bound', PolicyDocument: documentOf(allow('ec2:*')) }),
    );
    const PermissionsBoundary = Policy!.Arn!;
    await role('Whole', EC2_TRUST, {
      Path: '/ops/images/',
      Description: 'all of it',
      MaxSessionDuration: 43_200,
      Tags: [{ Key: 'team', Value: 'images' }],
      PermissionsBoundary,
    });
    const { Role } = await admin.send(new iam.GetRoleCommand({ RoleName: 'whole' }));
    assert.match(Role?.RoleId ?? '', /^AROA/);
    assert.ok(Role?.CreateDate instanceof Date);
    const { Path, RoleName, Arn, Description, MaxSessionDuration, Tags } = Role;
    assert.deepEqual(
      { Path, RoleName, Arn, Description, MaxSessionDuration, Tags },
      {
        Path: '/ops/images/',
        RoleName: 'Whole',
        Arn: roleArn(account.id, 'ops/images/Whole'),
        Description: 'all of it',
        MaxSessionDuration: 43_200,
        Tags: [{ Key: 'team', Value: 'images' }],
      },
    );
    assert.equal(Role.PermissionsBoundary?.PermissionsBoundaryArn, PermissionsBoundary);
    assert.equal(decodeURIComponent(Role.AssumeRolePolicyDocument ?? ''), EC2_TRUST);
    await refused(role('WHOLE', EC2_TRUST), 'EntityAlreadyExistsException', /^Role with name WHOLE already exists\.$/);
    for (const Path of ['ops/', '/ops', '//']) await refused(role('other', EC2_TRUST, { Path }), 'ValidationError');
    for (const MaxSessionDuration of [3599, 43_201]) {
      await refused(role('other', EC2_TRUST, { MaxSessionDuration }), 'ValidationError');
    }
  });

  it('authz 15.11: a profile holds one role, and an instance is launched with it by name or ARN', async () => {
    const InstanceProfileName = 'server';
    for (const RoleName of ['server', 'second']) await role(RoleName, EC2_TRUST);
    const { InstanceProfile } = await admin.send(new iam.CreateInstanceProfileCommand({ InstanceProfileName }));
    await admin.send(new iam.AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName: 'server' }));
    await refused(
      admin.send(new iam.AddRoleToInstanceProfileCommand({ InstanceProfileName, RoleName: 'second' })),
      'LimitExceededException',
    );
    const ImageId = await world.image(account.admin, await world.snapshot(account.admin));
    for (const IamInstanceProfile of [{ Name: InstanceProfileName }, { Arn: InstanceProfile!.Arn! }]) {
      const { Instances } = await new EC2Client(account.admin).send(
        new RunInstancesCommand({ ImageId, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1, IamInstanceProfile }),
      );
      assert.equal(Instances?.[0]?.IamInstanceProfile?.Arn, InstanceProfile!.Arn);
    }
  });

  it('authz 15.7: the secret is told once, by CreateAccessKey', async () => {
    await admin.send(new iam.CreateUserCommand({ UserName: 'once' }));
    const made = await admin.send(new iam.CreateAccessKeyCommand({ UserName: 'once' }));
    const { Status, UserName, CreateDate } = made.AccessKey!;
    assert.deepEqual([Status, UserName, CreateDate instanceof Date], ['Active', 'once', true]);
    const listed = await admin.send(new iam.ListAccessKeysCommand({ UserName: 'once' }));
    assert.ok(!JSON.stringify(listed).includes(credentialsOf(made).secretAccessKey));
  });
});
