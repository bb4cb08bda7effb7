import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as iam from '@aws-sdk/client-iam';
import * as organizations from '@aws-sdk/client-organizations';
import * as sts from '@aws-sdk/client-sts';
import { type Credentials, type OpenIdentity, openIdentity } from './front-door.ts';

const ADMINISTRATOR = 'arn:aws:iam::aws:policy/AdministratorAccess';
const policy = (statements: readonly object[]) => JSON.stringify({ Version: '2012-10-17', Statement: statements });
const allow = (Action: string | string[], Resource = '*') => policy([{ Effect: 'Allow', Action, Resource }]);
const trusting = (Principal: object) => policy([{ Effect: 'Allow', Principal, Action: 'sts:AssumeRole' }]);

async function user(open: OpenIdentity, name: string, policyArn?: string): Promise<Credentials> {
  const client = open.iam(open.root);
  await client.send(new iam.CreateUserCommand({ UserName: name }));
  if (policyArn) await client.send(new iam.AttachUserPolicyCommand({ UserName: name, PolicyArn: policyArn }));
  const { AccessKey } = await client.send(new iam.CreateAccessKeyCommand({ UserName: name }));
  return { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
}

function credentialsOf(given: sts.Credentials | undefined): Credentials {
  return {
    accessKeyId: given!.AccessKeyId!,
    secretAccessKey: given!.SecretAccessKey!,
    sessionToken: given!.SessionToken!,
  };
}

interface Expected {
  readonly name: string;
  readonly message?: string | RegExp;
  readonly status?: number;
}
async function fails(work: Promise<unknown>, expected: Expected): Promise<void> {
  await assert.rejects(work, (error: Error & { $metadata?: { httpStatusCode?: number } }) => {
    // The SDK names the modelled errors of query services after their shapes, not their codes.
    assert.ok([expected.name, `${expected.name}Exception`].includes(error.name), `${error.name}: ${error.message}`);
    if (typeof expected.message === 'string') assert.equal(error.message, expected.message);
    else if (expected.message) assert.match(error.message, expected.message);
    if (expected.status) assert.equal(error.$metadata?.httpStatusCode, expected.status);
    return true;
  });
}

test('authz 14.1, 15.3: who is calling, as root, user and role', async () => {
  await using open = await openIdentity();
  const account = open.managementAccount;
  const me = async (who: Credentials) => {
    const { Account, Arn, UserId } = await open.sts(who).send(new sts.GetCallerIdentityCommand({}));
    return { Account, Arn, UserId };
  };
  assert.deepEqual(await me(open.root), { Account: account, Arn: `arn:aws:iam::${account}:root`, UserId: account });
  const ana = await user(open, 'ana', ADMINISTRATOR);
  const identity = await me(ana);
  assert.equal(identity.Arn, `arn:aws:iam::${account}:user/ana`);
  assert.match(identity.UserId!, /^AIDA/);
  const { User } = await open.iam(ana).send(new iam.GetUserCommand({}));
  assert.equal(User?.UserName, 'ana');
  assert.equal((await open.iam(open.root).send(new iam.GetUserCommand({}))).User?.Arn, `arn:aws:iam::${account}:root`);

  const { Role } = await open.iam(ana).send(
    new iam.CreateRoleCommand({
      RoleName: 'deploy',
      Path: '/ops/',
      AssumeRolePolicyDocument: trusting({ AWS: `arn:aws:iam::${account}:user/ana` }),
    }),
  );
  assert.equal(decodeURIComponent(Role!.AssumeRolePolicyDocument!).includes('user/ana'), true);
  const assumed = await open.sts(ana).send(new sts.AssumeRoleCommand({ RoleArn: Role!.Arn!, RoleSessionName: 'ci' }));
  assert.equal(assumed.AssumedRoleUser?.Arn, `arn:aws:sts::${account}:assumed-role/deploy/ci`);
  const session = credentialsOf(assumed.Credentials);
  assert.deepEqual(await me(session), {
    Account: account,
    Arn: `arn:aws:sts::${account}:assumed-role/deploy/ci`,
    UserId: `${Role!.RoleId}:ci`,
  });
  await fails(open.iam(session).send(new iam.GetUserCommand({})), {
    name: 'ValidationError',
    message: 'Must specify userName when calling with non-User credentials',
  });
  const { sessionToken: _, ...withoutToken } = session;
  await fails(open.sts(withoutToken).send(new sts.GetCallerIdentityCommand({})), { name: 'InvalidClientTokenId' });
  const info = await open.sts(ana).send(new sts.GetAccessKeyInfoCommand({ AccessKeyId: session.accessKeyId }));
  assert.equal(info.Account, account);
});

test('authz 8.9, 14.2, 14.4, 14.6: assuming roles', async () => {
  await using open = await openIdentity();
  const account = open.managementAccount;
  const admin = open.iam(open.root);
  const ana = await user(open, 'ana');
  const arn = `arn:aws:iam::${account}:role/target`;
  const assume = (who: Credentials, more: Partial<sts.AssumeRoleCommandInput> = {}) =>
    open.sts(who).send(new sts.AssumeRoleCommand({ RoleArn: arn, RoleSessionName: 'job', ...more }));
  const denied = {
    name: 'AccessDenied',
    status: 403,
    message: `User: arn:aws:iam::${account}:user/ana is not authorized to perform: sts:AssumeRole on resource: ${arn}`,
  };
  await fails(assume(ana), denied);
  await admin.send(
    new iam.CreateRoleCommand({ RoleName: 'target', AssumeRolePolicyDocument: trusting({ AWS: account }) }),
  );
  await fails(assume(ana), denied);
  await admin.send(
    new iam.PutUserPolicyCommand({ UserName: 'ana', PolicyName: 'p', PolicyDocument: allow('sts:AssumeRole', arn) }),
  );
  await assume(ana);
  await fails(assume(open.root), { name: 'AccessDenied', message: 'Roles may not be assumed by root accounts.' });
  await fails(assume(ana, { RoleSessionName: 'a b' }), {
    name: 'ValidationError',
    message: /roleSessionName.*\[\\w\+=,\.@-\]\*/,
  });
  await fails(assume(ana, { RoleArn: 'arn:aws:iam::1:role/x-y-z' }), {
    name: 'ValidationError',
    message: /is invalid$/,
  });
  await fails(assume(ana, { DurationSeconds: 7200 }), {
    name: 'ValidationError',
    message: 'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
  });
  await fails(assume(ana, { Policy: '{' }), { name: 'MalformedPolicyDocument' });
  await fails(assume(ana, { Policy: allow('a'.repeat(3000)) }), { name: 'PackedPolicyTooLarge' });
  // Tags need sts:TagSession in the trust policy too.
  await fails(assume(ana, { Tags: [{ Key: 'team', Value: 'x' }] }), {
    name: 'AccessDenied',
    message: /sts:TagSession/,
  });

  await admin.send(new iam.AttachRolePolicyCommand({ RoleName: 'target', PolicyArn: ADMINISTRATOR }));
  const narrow = await assume(ana, { Policy: allow('iam:GetRole') });
  assert.ok(narrow.PackedPolicySize! > 0);
  const session = credentialsOf(narrow.Credentials);
  await open.iam(session).send(new iam.GetRoleCommand({ RoleName: 'target' }));
  await fails(open.iam(session).send(new iam.ListRolesCommand({})), {
    name: 'AccessDenied',
    status: 403,
    message: `User: arn:aws:sts::${account}:assumed-role/target/job is not authorized to perform: iam:ListRoles on resource: arn:aws:iam::${account}:role/* because no session policy allows the iam:ListRoles action`,
  });
  // A session ends with its role.
  await admin.send(new iam.DetachRolePolicyCommand({ RoleName: 'target', PolicyArn: ADMINISTRATOR }));
  await admin.send(new iam.DeleteRoleCommand({ RoleName: 'target' }));
  await fails(open.sts(session).send(new sts.GetCallerIdentityCommand({})), { name: 'InvalidClientTokenId' });
});

test('authz 14.7: session tokens of users', async () => {
  await using open = await openIdentity();
  const ana = await user(open, 'ana', ADMINISTRATOR);
  const made = await open.sts(ana).send(new sts.GetSessionTokenCommand({ DurationSeconds: 900 }));
  const session = credentialsOf(made.Credentials);
  const { Arn } = await open.sts(session).send(new sts.GetCallerIdentityCommand({}));
  assert.equal(Arn, `arn:aws:iam::${open.managementAccount}:user/ana`);
  await fails(open.iam(session).send(new iam.ListUsersCommand({})), { name: 'InvalidClientTokenId' });
  await fails(open.sts(session).send(new sts.GetSessionTokenCommand({})), { name: 'AccessDenied' });
  await open.organizations(session).send(new organizations.DescribeOrganizationCommand({}));
});

test('authz 15.1, 15.5, 15.6: what Terraform and Packer do with roles, policies and profiles', async () => {
  await using open = await openIdentity();
  const client = open.iam(open.root);
  const role = { RoleName: 'builder' };
  const ec2 = trusting({ Service: 'ec2.amazonaws.com' });
  await client.send(
    new iam.CreateRoleCommand({ ...role, AssumeRolePolicyDocument: ec2, Tags: [{ Key: 'a', Value: 'b' }] }),
  );
  await fails(client.send(new iam.CreateRoleCommand({ RoleName: 'BUILDER', AssumeRolePolicyDocument: ec2 })), {
    name: 'EntityAlreadyExists',
    status: 409,
    message: 'Role with name BUILDER already exists.',
  });
  const got = (await client.send(new iam.GetRoleCommand(role))).Role!;
  assert.equal(decodeURIComponent(got.AssumeRolePolicyDocument!), ec2);
  assert.equal(got.AssumeRolePolicyDocument, encodeURIComponent(ec2).replace(/\*/g, '%2A'));
  assert.deepEqual(got.Tags, [{ Key: 'a', Value: 'b' }]);
  assert.equal(got.MaxSessionDuration, 3600);

  const document = allow(['ec2:*', 'kms:*']);
  await client.send(new iam.PutRolePolicyCommand({ ...role, PolicyName: 'inline', PolicyDocument: document }));
  const inline = await client.send(new iam.GetRolePolicyCommand({ ...role, PolicyName: 'inline' }));
  assert.equal(decodeURIComponent(inline.PolicyDocument!), document);
  assert.deepEqual((await client.send(new iam.ListRolePoliciesCommand(role))).PolicyNames, ['inline']);
  await fails(client.send(new iam.PutRolePolicyCommand({ ...role, PolicyName: 'x', PolicyDocument: '{"a":' })), {
    name: 'MalformedPolicyDocument',
    message: 'This policy contains invalid Json',
  });

  const { Policy } = await client.send(new iam.CreatePolicyCommand({ PolicyName: 'images', PolicyDocument: document }));
  const PolicyArn = Policy!.Arn!;
  await client.send(new iam.AttachRolePolicyCommand({ ...role, PolicyArn }));
  await client.send(new iam.AttachRolePolicyCommand({ ...role, PolicyArn }));
  const attached = await client.send(new iam.ListAttachedRolePoliciesCommand(role));
  assert.deepEqual(attached.AttachedPolicies, [{ PolicyName: 'images', PolicyArn }]);
  assert.equal((await client.send(new iam.GetPolicyCommand({ PolicyArn }))).Policy?.AttachmentCount, 1);
  const entities = await client.send(new iam.ListEntitiesForPolicyCommand({ PolicyArn }));
  assert.deepEqual(
    entities.PolicyRoles?.map((one) => one.RoleName),
    ['builder'],
  );
  await fails(client.send(new iam.DeletePolicyCommand({ PolicyArn })), { name: 'DeleteConflict', status: 409 });
  const missing = `${PolicyArn}x`;
  await fails(client.send(new iam.AttachRolePolicyCommand({ ...role, PolicyArn: missing })), {
    name: 'NoSuchEntity',
    status: 404,
    message: `Policy ${missing} does not exist or is not attachable.`,
  });
  await fails(client.send(new iam.AttachRolePolicyCommand({ ...role, PolicyArn: 'AdministratorAccessXXXX' })), {
    name: 'ValidationError',
    message: 'Invalid ARN:  Could not be parsed!',
  });

  const second = allow('ec2:Describe*');
  await client.send(new iam.CreatePolicyVersionCommand({ PolicyArn, PolicyDocument: second, SetAsDefault: true }));
  const version = await client.send(new iam.GetPolicyVersionCommand({ PolicyArn, VersionId: 'v2' }));
  assert.equal(version.PolicyVersion?.IsDefaultVersion, true);
  assert.equal(decodeURIComponent(version.PolicyVersion!.Document!), second);
  const versions = await client.send(new iam.ListPolicyVersionsCommand({ PolicyArn }));
  assert.deepEqual(
    versions.Versions?.map((one) => one.VersionId),
    ['v2', 'v1'],
  );
  await fails(client.send(new iam.DeletePolicyVersionCommand({ PolicyArn, VersionId: 'v2' })), {
    name: 'DeleteConflict',
  });
  await client.send(new iam.DeletePolicyVersionCommand({ PolicyArn, VersionId: 'v1' }));

  const profile = { InstanceProfileName: 'builder' };
  await client.send(new iam.CreateInstanceProfileCommand(profile));
  await client.send(new iam.AddRoleToInstanceProfileCommand({ ...profile, ...role }));
  await fails(client.send(new iam.AddRoleToInstanceProfileCommand({ ...profile, ...role })), {
    name: 'LimitExceeded',
    status: 409,
  });
  const shown = (await client.send(new iam.GetInstanceProfileCommand(profile))).InstanceProfile!;
  assert.equal(shown.Roles?.[0]?.RoleName, 'builder');
  const profiles = await client.send(new iam.ListInstanceProfilesForRoleCommand(role));
  assert.equal(profiles.InstanceProfiles?.length, 1);
  await fails(client.send(new iam.DeleteRoleCommand(role)), { name: 'DeleteConflict', status: 409 });

  await client.send(new iam.RemoveRoleFromInstanceProfileCommand({ ...profile, ...role }));
  await client.send(new iam.DeleteInstanceProfileCommand(profile));
  await client.send(new iam.DetachRolePolicyCommand({ ...role, PolicyArn }));
  await client.send(new iam.DeletePolicyCommand({ PolicyArn }));
  await client.send(new iam.DeleteRolePolicyCommand({ ...role, PolicyName: 'inline' }));
  await client.send(new iam.DeleteRoleCommand(role));
  await fails(client.send(new iam.GetRoleCommand(role)), {
    name: 'NoSuchEntity',
    status: 404,
    message: 'The role with name builder cannot be found.',
  });
});

test('authz 15.7, 15.8, 15.10: keys, service-linked roles, principals of trust policies', async () => {
  await using open = await openIdentity();
  const client = open.iam(open.root);
  const ana = await user(open, 'ana');
  await client.send(new iam.CreateAccessKeyCommand({ UserName: 'ana' }));
  await fails(client.send(new iam.CreateAccessKeyCommand({ UserName: 'ana' })), { name: 'LimitExceeded', status: 409 });
  const { AccessKeyMetadata } = await client.send(new iam.ListAccessKeysCommand({ UserName: 'ana' }));
  assert.equal(AccessKeyMetadata?.length, 2);
  assert.equal(JSON.stringify(AccessKeyMetadata).includes('Secret'), false);
  const key = { UserName: 'ana', AccessKeyId: ana.accessKeyId };
  await client.send(new iam.UpdateAccessKeyCommand({ ...key, Status: 'Inactive' }));
  await fails(open.sts(ana).send(new sts.GetCallerIdentityCommand({})), { name: 'InvalidClientTokenId', status: 403 });
  await fails(client.send(new iam.DeleteUserCommand({ UserName: 'ana' })), { name: 'DeleteConflict' });

  const service = { AWSServiceName: 'autoscaling.amazonaws.com' };
  const { Role } = await client.send(new iam.CreateServiceLinkedRoleCommand(service));
  assert.equal(Role?.Path, '/aws-service-role/autoscaling.amazonaws.com/');
  assert.equal(Role?.RoleName, 'AWSServiceRoleForAutoScaling');
  await fails(client.send(new iam.CreateServiceLinkedRoleCommand(service)), {
    name: 'InvalidInput',
    message:
      'Service role name AWSServiceRoleForAutoScaling has been taken in this account, please try a different suffix.',
  });
  await client.send(new iam.CreateServiceLinkedRoleCommand({ ...service, CustomSuffix: 'cmk' }));
  await fails(
    client.send(new iam.CreateServiceLinkedRoleCommand({ AWSServiceName: 'spot.amazonaws.com', CustomSuffix: 'x' })),
    {
      name: 'InvalidInput',
      message: 'Custom suffix is not allowed for spot.amazonaws.com',
    },
  );
  const linked = { RoleName: 'AWSServiceRoleForAutoScaling', PolicyArn: ADMINISTRATOR };
  await fails(client.send(new iam.AttachRolePolicyCommand(linked)), { name: 'UnmodifiableEntity' });
  const PolicyArn = 'arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy';
  await fails(client.send(new iam.AttachUserPolicyCommand({ UserName: 'ana', PolicyArn })), {
    name: 'PolicyNotAttachable',
    message: 'Cannot attach a Service Role Policy to a Customer Role.',
    status: 400,
  });
  const task = await client.send(new iam.DeleteServiceLinkedRoleCommand({ RoleName: linked.RoleName }));
  const status = await client.send(
    new iam.GetServiceLinkedRoleDeletionStatusCommand({ DeletionTaskId: task.DeletionTaskId! }),
  );
  assert.equal(status.Status, 'SUCCEEDED');

  const nobody = `arn:aws:iam::${open.managementAccount}:role/nobody`;
  const create = (document: string) =>
    client.send(new iam.CreateRoleCommand({ RoleName: 'r', AssumeRolePolicyDocument: document }));
  await fails(create(trusting({ AWS: nobody })), {
    name: 'MalformedPolicyDocument',
    message: `Invalid principal in policy: "AWS":"${nobody}"`,
  });
  await fails(create(policy([{ Effect: 'Allow', Principal: '*', Action: 'ec2:*' }])), {
    name: 'MalformedPolicyDocument',
    message: 'AssumeRole policy may only specify STS AssumeRole actions.',
  });
});

test('authz 15.12: lists come in pages', async () => {
  await using open = await openIdentity();
  const client = open.iam(open.root);
  const names = ['Delta', 'alpha', 'bravo', 'charlie', 'echo'];
  for (const UserName of names) await client.send(new iam.CreateUserCommand({ UserName }));
  const seen: (string | undefined)[] = [];
  for await (const page of iam.paginateListUsers({ client, pageSize: 2 }, {})) {
    assert.ok(page.Users!.length <= 2);
    seen.push(...page.Users!.map((one) => one.UserName));
  }
  assert.deepEqual(seen, ['alpha', 'bravo', 'charlie', 'Delta', 'echo']);
});

test('every IAM and Organizations operation is refused to a user without policies, and changes nothing', async () => {
  await using open = await openIdentity();
  const ana = await user(open, 'ana');
  const client = open.iam(ana);
  const before = (await open.iam(open.root).send(new iam.ListUsersCommand({}))).Users?.length;
  const name = { UserName: 'ana' };
  const arn = `arn:aws:iam::${open.managementAccount}:policy/p`;
  const commands = [
    new iam.CreateUserCommand({ UserName: 'eve' }),
    new iam.GetUserCommand({}),
    new iam.DeleteUserCommand(name),
    new iam.CreateAccessKeyCommand({}),
    new iam.AttachUserPolicyCommand({ ...name, PolicyArn: ADMINISTRATOR }),
    new iam.PutUserPolicyCommand({ ...name, PolicyName: 'p', PolicyDocument: allow('*') }),
    new iam.CreatePolicyCommand({ PolicyName: 'p', PolicyDocument: allow('*') }),
    new iam.CreatePolicyVersionCommand({ PolicyArn: arn, PolicyDocument: allow('*') }),
    new iam.CreateRoleCommand({ RoleName: 'r', AssumeRolePolicyDocument: trusting({ AWS: open.managementAccount }) }),
    new iam.UpdateAssumeRolePolicyCommand({ RoleName: 'r', PolicyDocument: trusting({ AWS: open.managementAccount }) }),
    new iam.AddUserToGroupCommand({ ...name, GroupName: 'g' }),
    new iam.CreateInstanceProfileCommand({ InstanceProfileName: 'p' }),
    new iam.CreateServiceLinkedRoleCommand({ AWSServiceName: 'spot.amazonaws.com' }),
    new iam.DeleteUserPermissionsBoundaryCommand(name),
  ];
  for (const command of commands) {
    const action = command.constructor.name.replace('Command', '');
    const work = client.send(command as iam.GetUserCommand);
    await fails(work, {
      name: 'AccessDenied',
      status: 403,
      message: new RegExp(`iam:${action} .*no identity-based policy`),
    });
  }
  assert.equal((await open.iam(open.root).send(new iam.ListUsersCommand({}))).Users?.length, before);
  for (const command of [
    new organizations.CreateAccountCommand({ AccountName: 'x', Email: 'x@example.com' }),
    new organizations.ListAccountsCommand({}),
    new organizations.CreatePolicyCommand({
      Name: 'x',
      Description: '',
      Type: 'SERVICE_CONTROL_POLICY',
      Content: allow('*'),
    }),
  ]) {
    const work = open.organizations(ana).send(command as organizations.ListAccountsCommand);
    await fails(work, { name: 'AccessDeniedException', status: 400 });
  }
});

test('accounts: made, entered, placed and bound by control policies', async () => {
  await using open = await openIdentity();
  const admin = await user(open, 'admin', ADMINISTRATOR);
  const client = open.organizations(open.root);
  const made = await client.send(
    new organizations.CreateAccountCommand({ AccountName: 'prod', Email: 'prod@example.com' }),
  );
  assert.equal(made.CreateAccountStatus?.State, 'SUCCEEDED');
  const account = made.CreateAccountStatus!.AccountId!;
  const again = await client.send(
    new organizations.CreateAccountCommand({ AccountName: 'prod2', Email: 'prod@example.com' }),
  );
  assert.equal(again.CreateAccountStatus?.FailureReason, 'EMAIL_ALREADY_EXISTS');
  const CreateAccountRequestId = again.CreateAccountStatus!.Id!;
  const status = await client.send(new organizations.DescribeCreateAccountStatusCommand({ CreateAccountRequestId }));
  assert.equal(status.CreateAccountStatus?.State, 'FAILED');
  assert.deepEqual(
    (await client.send(new organizations.ListAccountsCommand({}))).Accounts?.map((one) => one.Id).sort(),
    [account, open.managementAccount].sort(),
  );

  const RoleArn = `arn:aws:iam::${account}:role/OrganizationAccountAccessRole`;
  const entered = await open.sts(admin).send(new sts.AssumeRoleCommand({ RoleArn, RoleSessionName: 'admin' }));
  const member = credentialsOf(entered.Credentials);
  await open.iam(member).send(new iam.CreateUserCommand({ UserName: 'ops' }));
  assert.equal((await open.iam(open.root).send(new iam.ListUsersCommand({}))).Users?.length, 1, 'accounts are apart');
  await fails(open.organizations(member).send(new organizations.ListAccountsCommand({})), {
    name: 'AccessDeniedException',
  });
  const { Organization } = await open.organizations(member).send(new organizations.DescribeOrganizationCommand({}));
  assert.equal(Organization?.MasterAccountId, open.managementAccount);

  const root = (await client.send(new organizations.ListRootsCommand({}))).Roots![0]!.Id!;
  const unit = await client.send(new organizations.CreateOrganizationalUnitCommand({ ParentId: root, Name: 'work' }));
  const unitId = unit.OrganizationalUnit!.Id!;
  await client.send(
    new organizations.MoveAccountCommand({ AccountId: account, SourceParentId: root, DestinationParentId: unitId }),
  );
  const parents = await client.send(new organizations.ListParentsCommand({ ChildId: account }));
  assert.deepEqual(parents.Parents, [{ Id: unitId, Type: 'ORGANIZATIONAL_UNIT' }]);
  const scp = await client.send(
    new organizations.CreatePolicyCommand({
      Name: 'no-users',
      Description: '',
      Type: 'SERVICE_CONTROL_POLICY',
      Content: policy([{ Effect: 'Deny', Action: 'iam:CreateUser', Resource: '*' }]),
    }),
  );
  const PolicyId = scp.Policy!.PolicySummary!.Id!;
  await client.send(new organizations.AttachPolicyCommand({ PolicyId, TargetId: unitId }));
  await fails(open.iam(member).send(new iam.CreateUserCommand({ UserName: 'ops2' })), {
    name: 'AccessDenied',
    message: /with an explicit deny in a service control policy$/,
  });
  const targets = await client.send(new organizations.ListTargetsForPolicyCommand({ PolicyId }));
  assert.deepEqual(
    targets.Targets?.map((one) => [one.TargetId, one.Type]),
    [[unitId, 'ORGANIZATIONAL_UNIT']],
  );
  await fails(client.send(new organizations.DeletePolicyCommand({ PolicyId })), { name: 'PolicyInUseException' });
  await client.send(new organizations.DetachPolicyCommand({ PolicyId, TargetId: unitId }));
  await fails(client.send(new organizations.DetachPolicyCommand({ PolicyId: 'p-FullAWSAccess', TargetId: unitId })), {
    name: 'ConstraintViolationException',
  });
  await open.iam(member).send(new iam.CreateUserCommand({ UserName: 'ops2' }));
});
