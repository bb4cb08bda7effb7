import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PolicyMalformed } from '../../policy/document.ts';
import { Denied, type ResourceRef } from '../authz/authorizer.ts';
import type { Call, Caller } from '../authz/caller.ts';
import { systemPermit } from '../authz/permit.ts';
import { rootKeyFrom } from '../crypto/root-key.ts';
import { openTestDb } from '../db/test-db.ts';
import type { AccountId, Arn, InstanceId, Region } from '../ids.ts';
import { createIdentity, type Identity, identityMigrations } from './identity.ts';
import { linkedCaller } from './linked-roles.ts';
import { accountOfAccessKeyId, newAccessKeyId } from './unique-ids.ts';

const START = new Date('2026-03-01T12:00:00Z');
const ADMINISTRATOR = 'arn:aws:iam::aws:policy/AdministratorAccess' as Arn;
const WHY = 'test';

async function open() {
  const database = await openTestDb(identityMigrations);
  const clock = { now: START };
  const rootKey = () => rootKeyFrom(new Uint8Array(32).fill(7));
  const make = () => createIdentity({ db: database.db, rootKey: rootKey(), clock: () => clock.now });
  const identity = make();
  const { managementAccount, credentials } = await identity.bootstrap();
  return { database, clock, identity, make, managementAccount, credentials: credentials! };
}

function callOf(caller: Caller, more: Partial<Call> = {}): Call {
  const region = 'eu-central-1' as Region;
  const common = { requestId: 'r', now: START, sourceIp: '192.0.2.1', userAgent: 'test', secureTransport: false };
  return { caller, region, ...common, ...more };
}

async function callerOf(identity: Identity, accessKeyId: string): Promise<Caller> {
  const credential = await identity.credentials.find(accessKeyId);
  assert.ok(credential, `${accessKeyId} is unknown`);
  return credential.caller;
}

async function makeUser(identity: Identity, account: AccountId, name: string) {
  const arn = `arn:aws:iam::${account}:user/${name}`;
  const user = await identity.users.create(systemPermit('iam:CreateUser', arn, WHY), { tags: { team: 'images' } });
  const { key, secret } = await identity.accessKeys.create(systemPermit('iam:CreateAccessKey', arn, WHY));
  return { arn, user, key, secret };
}

async function makeRole(identity: Identity, account: AccountId, name: string, trusted: string) {
  const arn = `arn:aws:iam::${account}:role/${name}` as Arn;
  const role = await identity.roles.create(systemPermit('iam:CreateRole', arn, WHY), {
    trustPolicy: policy([{ Effect: 'Allow', Principal: { AWS: trusted }, Action: 'sts:AssumeRole' }]),
    description: '',
    maxSessionSeconds: 3600,
    tags: { team: 'role', tier: 'prod' },
  });
  return { arn, role };
}

function policy(statements: readonly object[]): string {
  return JSON.stringify({ Version: '2012-10-17', Statement: statements });
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Denied) return error.decision.because;
    throw error;
  }
  return 'allowed';
}

test('authz 14.9: access key ids tell their account', () => {
  assert.equal(accountOfAccessKeyId('ASIAY34FZKBOKMUTVV7A'), '609629065308');
  assert.equal(accountOfAccessKeyId('ASIAQNZGKIQY56JQ7WML'), '029608264753');
  assert.equal(accountOfAccessKeyId('AKIAIOSFODNN7EXAMPLE'), undefined);
  for (const account of ['000000000000', '029608264753', '999999999999'] as AccountId[]) {
    const id = newAccessKeyId('AKIA', account);
    assert.match(id, /^AKIA[Q-Z2-7][A-Z2-7]{15}$/);
    assert.equal(accountOfAccessKeyId(id), account);
  }
});

test('the first start founds the installation once, and its credentials survive a restart', async () => {
  const opened = await open();
  await using database = opened.database;
  assert.deepEqual(await opened.identity.bootstrap(), { managementAccount: opened.managementAccount });
  const before = await opened.identity.credentials.find(opened.credentials.accessKeyId);
  assert.equal(before?.secret.exposeSecretBytes().toString(), opened.credentials.secretAccessKey);
  await database.reopen();
  const again = opened.make();
  const after = await again.credentials.find(opened.credentials.accessKeyId);
  assert.equal(after?.caller.arn, `arn:aws:iam::${opened.managementAccount}:root`);
  assert.equal(after?.secret.exposeSecretBytes().toString(), opened.credentials.secretAccessKey);
});

test('secrets of access keys are not in the database', async () => {
  const { database, identity, managementAccount } = await open();
  await using disposable = database;
  const { secret } = await makeUser(identity, managementAccount, 'ana');
  const { readdir, readFile } = await import('node:fs/promises');
  for (const name of await readdir(disposable.folder)) {
    const bytes = await readFile(`${disposable.folder}/${name}`);
    assert.equal(bytes.includes(secret), false, name);
  }
});

test('a credential given by the operator is the root key', async () => {
  await using database = await openTestDb(identityMigrations);
  const rootKey = rootKeyFrom(new Uint8Array(32).fill(1));
  const identity = createIdentity({ db: database.db, rootKey, clock: () => START });
  const given = { rootAccessKeyId: 'INGOTROOTKEY0000', rootSecretAccessKey: 'a secret of the operator' };
  await assert.rejects(identity.bootstrap({ rootAccessKeyId: 'INGOTROOTKEY0000' }), /one of them is missing/);
  await identity.bootstrap(given);
  const found = await identity.credentials.find('INGOTROOTKEY0000');
  assert.equal(found?.secret.exposeSecretBytes().toString(), 'a secret of the operator');
});

test('authz 1.6, 1.7: a user may what its policies allow, and changes count at once', async () => {
  const { database, identity, managementAccount } = await open();
  await using _ = database;
  const { arn, key } = await makeUser(identity, managementAccount, 'ana');
  const call = callOf(await callerOf(identity, key.id));
  const ask = () => reasonOf(identity.authorizer.authorize(call, 'ec2:CreateVolume', { arn: '*' }));
  assert.equal(await ask(), 'because no identity-based policy allows the ec2:CreateVolume action');
  const put = systemPermit('iam:PutUserPolicy', arn, WHY);
  const images = { 'aws:PrincipalTag/Team': 'images', 'aws:username': 'ana' };
  await identity.policies.putInline(
    put,
    'volumes',
    policy([{ Effect: 'Allow', Action: 'ec2:*', Resource: '*', Condition: { StringEquals: images } }]),
  );
  assert.equal(await ask(), 'allowed');
  await identity.policies.deleteInline(systemPermit('iam:DeleteUserPolicy', arn, WHY), 'volumes');
  assert.match(await ask(), /no identity-based policy/);
  await identity.policies.attach(systemPermit('iam:AttachUserPolicy', arn, WHY), ADMINISTRATOR);
  assert.equal(await ask(), 'allowed');
  await identity.users.setBoundary(
    systemPermit('iam:PutUserPermissionsBoundary', arn, WHY),
    'arn:aws:iam::aws:policy/IAMReadOnlyAccess' as Arn,
  );
  assert.equal(await ask(), 'because no permissions boundary allows the ec2:CreateVolume action');
});

test('users get the policies of their groups', async () => {
  const { database, identity, managementAccount } = await open();
  await using _ = database;
  const { key } = await makeUser(identity, managementAccount, 'ana');
  const group = `arn:aws:iam::${managementAccount}:group/builders`;
  await identity.groups.create(systemPermit('iam:CreateGroup', group, WHY));
  await identity.policies.attach(systemPermit('iam:AttachGroupPolicy', group, WHY), ADMINISTRATOR);
  const call = callOf(await callerOf(identity, key.id));
  const ask = () => reasonOf(identity.authorizer.authorize(call, 'ec2:CreateVolume', { arn: '*' }));
  assert.match(await ask(), /no identity-based/);
  await identity.groups.add(systemPermit('iam:AddUserToGroup', group, WHY), 'ana');
  assert.equal(await ask(), 'allowed');
  await identity.groups.drop(systemPermit('iam:RemoveUserFromGroup', group, WHY), 'ana');
  assert.match(await ask(), /no identity-based/);
});

test('authz 10.13: keys can be switched off, and deleted ones are unknown', async () => {
  const { database, identity, managementAccount } = await open();
  await using _ = database;
  const { arn, key } = await makeUser(identity, managementAccount, 'ana');
  assert.equal((await identity.credentials.find(key.id))?.status, 'active');
  await identity.accessKeys.setStatus(systemPermit('iam:UpdateAccessKey', arn, WHY), key.id, 'Inactive');
  assert.equal((await identity.credentials.find(key.id))?.status, 'inactive');
  await identity.accessKeys.remove(systemPermit('iam:DeleteAccessKey', arn, WHY), key.id);
  assert.equal(await identity.credentials.find(key.id), undefined);
});

test('authz 14.3, 14.5: a role session carries its token, tags and session policy, and ends with its role', async () => {
  const { database, identity, managementAccount, clock } = await open();
  await using _ = database;
  const { arn: userArn } = await makeUser(identity, managementAccount, 'ana');
  const { arn, role } = await makeRole(identity, managementAccount, 'deploy', userArn);
  await identity.policies.attach(systemPermit('iam:AttachRolePolicy', arn, WHY), ADMINISTRATOR);
  const session = {
    name: 'ci',
    policies: [policy([{ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }])],
    policyArns: [],
    tags: { team: 'session' },
    transitiveTagKeys: [],
  };
  const credentials = await identity.sessions.assumeRole(systemPermit('sts:AssumeRole', arn, WHY), role, session, 900);
  const found = await identity.credentials.find(credentials.accessKeyId);
  assert.ok(found?.session);
  assert.equal(accountOfAccessKeyId(credentials.accessKeyId), managementAccount);
  assert.equal(found.session.expiresAt.getTime(), clock.now.getTime() + 900_000);
  assert.ok(found.session.tokenMatches(credentials.sessionToken));
  assert.equal(found.session.tokenMatches(`${credentials.sessionToken}A`), false);
  assert.equal(found.caller.arn, `arn:aws:sts::${managementAccount}:assumed-role/deploy/ci`);
  assert.equal(found.caller.userId, `${role.id}:ci`);
  assert.deepEqual(found.caller.tags, { team: 'session', tier: 'prod' });
  const call = callOf(found.caller);
  assert.equal(await reasonOf(identity.authorizer.authorize(call, 'ec2:CreateVolume', { arn: '*' })), 'allowed');
  assert.equal(
    await reasonOf(identity.authorizer.authorize(call, 'kms:CreateKey', { arn: '*' })),
    'because no session policy allows the kms:CreateKey action',
  );
  await identity.policies.detach(systemPermit('iam:DetachRolePolicy', arn, WHY), ADMINISTRATOR);
  await identity.roles.remove(systemPermit('iam:DeleteRole', arn, WHY));
  assert.equal(await identity.credentials.find(credentials.accessKeyId), undefined);
});

test('authz 2.3, kms 14.9: stored policies name unique ids, and a namesake does not inherit', async () => {
  const { database, identity, managementAccount } = await open();
  await using _ = database;
  const { arn, user, key } = await makeUser(identity, managementAccount, 'ana');
  const text = JSON.stringify(
    {
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Principal: { AWS: [arn, managementAccount] }, Action: 'kms:*', Resource: '*' },
        { Effect: 'Deny', Principal: '*', Action: 'kms:PutKeyPolicy', Resource: '*' },
      ],
    },
    null,
    2,
  );
  const stored = await identity.principals.canonicalizePolicy(text);
  assert.ok(stored.includes(user.id) && !stored.includes(arn));
  const shown = await identity.principals.displayPolicy(stored);
  assert.equal(shown, text.replace(`"${managementAccount}"`, `"arn:aws:iam::${managementAccount}:root"`));
  const plain = text.replace(`"${arn}"`, '"*"').replace(`"${managementAccount}"`, '"*"');
  assert.equal(await identity.principals.canonicalizePolicy(plain), plain, 'formatting stays');

  await identity.accessKeys.remove(systemPermit('iam:DeleteAccessKey', arn, WHY), key.id);
  await identity.users.remove(systemPermit('iam:DeleteUser', arn, WHY));
  assert.ok((await identity.principals.displayPolicy(stored)).includes(user.id));
  const namesake = await makeUser(identity, managementAccount, 'ana');
  const call = callOf(await callerOf(identity, namesake.key.id));
  const onlyAna = await identity.principals.canonicalizePolicy(
    policy([{ Effect: 'Allow', Principal: { AWS: arn }, Action: 'kms:*', Resource: '*' }]),
  );
  const keyArn = `arn:aws:kms:eu-central-1:${managementAccount}:key/k` as Arn;
  const ask = (document: string) =>
    reasonOf(identity.authorizer.authorize(call, 'kms:Decrypt', { arn: keyArn, kind: 'kms-key', policy: document }));
  assert.equal(await ask(onlyAna), 'allowed');
  assert.equal(
    await ask(stored.replace(`arn:aws:iam::${managementAccount}:root`, 'arn:aws:iam::999999999999:root')),
    'because no resource-based policy allows the kms:Decrypt action',
  );
  for (const principal of [user.id, `${arn}x`, '999999999998', 'arn:aws:iam::*:root', `${arn.slice(0, -1)}*`]) {
    const unknown = policy([{ Effect: 'Allow', Principal: { AWS: principal }, Action: 'kms:*', Resource: '*' }]);
    await assert.rejects(identity.principals.canonicalizePolicy(unknown), PolicyMalformed, principal);
  }
});

test('authz 1.3, S14: control policies bind member accounts at every level, root users included', async () => {
  const { database, identity, managementAccount } = await open();
  await using _ = database;
  const permit = systemPermit('organizations:CreateAccount', '*', WHY);
  const { accountId } = await identity.organizations.createAccount(permit, { name: 'prod', email: 'prod@example.com' });
  assert.ok(accountId);
  const role = await identity.roles.lookUp(accountId, 'OrganizationAccountAccessRole');
  assert.ok(role);
  assert.match(role.trustPolicy, new RegExp(`arn:aws:iam::${managementAccount}:root`));
  const { key } = await makeUser(identity, accountId, 'ops');
  const arn = `arn:aws:iam::${accountId}:user/ops`;
  await identity.policies.attach(systemPermit('iam:AttachUserPolicy', arn, WHY), ADMINISTRATOR);
  const member = callOf(await callerOf(identity, key.id));
  const root = callOf({ ...member.caller, type: 'Account', uniqueId: accountId });
  const ask = (call: Call, action: string) => reasonOf(identity.authorizer.authorize(call, action, { arn: '*' }));
  assert.equal(await ask(member, 'ec2:CreateVolume'), 'allowed');

  const organization = await identity.organizations.get();
  const unit = await identity.organizations.createUnit(
    systemPermit('organizations:CreateOrganizationalUnit', '*', WHY),
    { parentId: organization.rootId, name: 'workloads' },
  );
  await identity.organizations.moveAccount(systemPermit('organizations:MoveAccount', '*', WHY), {
    accountId,
    from: organization.rootId,
    to: unit.id,
  });
  const scp = await identity.organizations.createControlPolicy(systemPermit('organizations:CreatePolicy', '*', WHY), {
    type: 'SERVICE_CONTROL_POLICY',
    name: 'no-volumes',
    description: '',
    document: policy([{ Effect: 'Deny', Action: 'ec2:CreateVolume', Resource: '*' }]),
  });
  await identity.organizations.attachControlPolicy(
    systemPermit('organizations:AttachPolicy', '*', WHY),
    scp.id,
    unit.id,
  );
  assert.equal(await ask(member, 'ec2:CreateVolume'), 'with an explicit deny in a service control policy');
  assert.equal(await ask(root, 'ec2:CreateVolume'), 'with an explicit deny in a service control policy');
  await identity.organizations.detachControlPolicy(
    systemPermit('organizations:DetachPolicy', '*', WHY),
    'p-FullAWSAccess',
    unit.id,
  );
  assert.equal(
    await ask(member, 'ec2:CreateImage'),
    'because no service control policy allows the ec2:CreateImage action',
  );
  const management = callOf({ ...member.caller, accountId: managementAccount });
  assert.equal(await ask(management, 'ec2:CreateImage'), 'allowed');
});

test('authz 1.3, 1.4: control policies reach neither service-linked roles nor AWS managed keys, and no key is out of reach of a caller', async () => {
  const { database, identity, managementAccount } = await open();
  await using _ = database;
  const permit = systemPermit('organizations:CreateAccount', '*', WHY);
  const { accountId } = await identity.organizations.createAccount(permit, { name: 'prod', email: 'prod@example.com' });
  assert.ok(accountId);
  const { rootId } = await identity.organizations.get();
  const attach = systemPermit('organizations:AttachPolicy', '*', WHY);
  for (const [type, statement] of [
    ['SERVICE_CONTROL_POLICY', { Effect: 'Deny', Action: 'ec2:RunInstances', Resource: '*' }],
    ['RESOURCE_CONTROL_POLICY', { Effect: 'Deny', Principal: '*', Action: 'kms:Decrypt', Resource: '*' }],
  ] as const) {
    const made = await identity.organizations.createControlPolicy(
      systemPermit('organizations:CreatePolicy', '*', WHY),
      { type, name: type, description: '', document: policy([statement]) },
    );
    await identity.organizations.attachControlPolicy(attach, made.id, rootId);
  }
  const ask = (caller: Caller, action: string, resource: ResourceRef) =>
    reasonOf(identity.authorizer.authorize(callOf(caller), action, resource));

  const linkedArn = `arn:aws:iam::${accountId}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`;
  const linked = await identity.roles.createLinked(
    systemPermit('iam:CreateServiceLinkedRole', linkedArn, WHY),
    'autoscaling.amazonaws.com',
    '',
  );
  const { key } = await makeUser(identity, accountId, 'ops');
  await identity.policies.attach(
    systemPermit('iam:AttachUserPolicy', `arn:aws:iam::${accountId}:user/ops`, WHY),
    ADMINISTRATOR,
  );
  const user = await callerOf(identity, key.id);
  assert.equal(await ask(linkedCaller(linked, 'AutoScaling', START), 'ec2:RunInstances', { arn: '*' }), 'allowed');
  assert.equal(await ask(user, 'ec2:RunInstances', { arn: '*' }), 'with an explicit deny in a service control policy');

  const arn = `arn:aws:kms:eu-central-1:${accountId}:key/k` as Arn;
  const everyone = policy([{ Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*' }]);
  const ofCustomer = { arn, accountId, kind: 'kms-key', policy: everyone } as const;
  const denied = 'with an explicit deny in a resource control policy';
  const { key: foreignKey } = await makeUser(identity, managementAccount, 'foreign');
  await identity.policies.attach(
    systemPermit('iam:AttachUserPolicy', `arn:aws:iam::${managementAccount}:user/foreign`, WHY),
    ADMINISTRATOR,
  );
  const foreign = await callerOf(identity, foreignKey.id);
  for (const caller of [user, foreign]) assert.equal(await ask(caller, 'kms:Decrypt', ofCustomer), denied);
  assert.equal(await ask(user, 'kms:Decrypt', { ...ofCustomer, awsManaged: true }), 'allowed');
});

test('authz 5.5, 15.11: EC2 takes an instance’s role with aws:SourceAccount and aws:SourceArn, and only so where its trust says', async () => {
  const { database, identity, managementAccount: account } = await open();
  await using _ = database;
  const arn = (type: string) => `arn:aws:iam::${account}:${type}/server`;
  const trusting = (Condition: object) =>
    policy([{ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole', Condition }]);
  await identity.roles.create(systemPermit('iam:CreateRole', arn('role'), WHY), {
    trustPolicy: trusting({}),
    description: '',
    maxSessionSeconds: 3600,
    tags: {},
  });
  const profile = await identity.instanceProfiles.create(
    systemPermit('iam:CreateInstanceProfile', arn('instance-profile'), WHY),
    {},
  );
  await identity.instanceProfiles.addRole(
    systemPermit('iam:AddRoleToInstanceProfile', arn('instance-profile'), WHY),
    'server',
  );
  const rows: readonly (readonly [condition: object, taken: boolean])[] = [
    [{ StringEquals: { 'aws:SourceAccount': account } }, true],
    [{ StringEquals: { 'aws:SourceAccount': '999999999999' } }, false],
    [{ ArnLike: { 'aws:SourceArn': `arn:aws:ec2:eu-central-1:${account}:instance/*` } }, true],
    [{ ArnLike: { 'aws:SourceArn': `arn:aws:ec2:eu-west-1:${account}:instance/*` } }, false],
  ];
  for (const [at, [condition, taken]] of rows.entries()) {
    const permit = systemPermit('iam:UpdateAssumeRolePolicy', arn('role'), WHY);
    await identity.roles.setTrustPolicy(permit, trusting(condition));
    const instance = { id: `i-${at}` as InstanceId, region: 'eu-central-1' as Region };
    const credentials = await identity.instanceRoles.credentialsOf(profile, instance);
    assert.equal(credentials !== undefined, taken, JSON.stringify(condition));
  }
});
