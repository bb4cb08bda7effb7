/** What Terraform and the console ask besides: last uses, reports, tags of profiles and of the organization. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as iam from '@aws-sdk/client-iam';
import * as organizations from '@aws-sdk/client-organizations';
import * as sts from '@aws-sdk/client-sts';
import { type Credentials, type OpenIdentity, openIdentity } from './front-door.ts';

const ADMINISTRATOR = 'arn:aws:iam::aws:policy/AdministratorAccess';
const policy = (statement: object) => JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
const nothing = policy({ Effect: 'Deny', Action: '*', Resource: '*' });

async function administrator(open: OpenIdentity, UserName: string): Promise<Credentials> {
  const client = open.iam(open.root);
  await client.send(new iam.CreateUserCommand({ UserName }));
  await client.send(new iam.AttachUserPolicyCommand({ UserName, PolicyArn: ADMINISTRATOR }));
  const { AccessKey } = await client.send(new iam.CreateAccessKeyCommand({ UserName }));
  return { accessKeyId: AccessKey!.AccessKeyId!, secretAccessKey: AccessKey!.SecretAccessKey! };
}

test('GetAccessKeyLastUsed and RoleLastUsed tell real uses, durably', async () => {
  await using open = await openIdentity();
  const ana = await administrator(open, 'ana');
  const root = open.iam(open.root);
  const ask = () => root.send(new iam.GetAccessKeyLastUsedCommand({ AccessKeyId: ana.accessKeyId }));
  assert.deepEqual((await ask()).AccessKeyLastUsed, { ServiceName: 'N/A', Region: 'N/A' });

  const before = Date.now();
  const trust = policy({ Effect: 'Allow', Principal: { AWS: open.managementAccount }, Action: 'sts:AssumeRole' });
  const { Role } = await open
    .iam(ana)
    .send(new iam.CreateRoleCommand({ RoleName: 'r', AssumeRolePolicyDocument: trust }));
  const { Role: unused } = await root.send(new iam.GetRoleCommand({ RoleName: 'r' }));
  assert.deepEqual(unused?.RoleLastUsed, {});
  const given = await open
    .sts(ana)
    .send(new sts.AssumeRoleCommand({ RoleArn: Role!.Arn!, RoleSessionName: 'session' }));
  const session = {
    accessKeyId: given.Credentials!.AccessKeyId!,
    secretAccessKey: given.Credentials!.SecretAccessKey!,
    sessionToken: given.Credentials!.SessionToken!,
  };
  await open.sts(session).send(new sts.GetCallerIdentityCommand({}));
  await open.identity.lastUses.flush();

  const { UserName, AccessKeyLastUsed } = await ask();
  assert.equal(UserName, 'ana');
  assert.equal(AccessKeyLastUsed?.ServiceName, 'sts');
  assert.equal(AccessKeyLastUsed?.Region, 'us-east-1');
  assert.ok(AccessKeyLastUsed!.LastUsedDate!.getTime() >= Math.floor(before / 1000) * 1000);
  const { Role: used } = await root.send(new iam.GetRoleCommand({ RoleName: 'r' }));
  assert.equal(used?.RoleLastUsed?.Region, 'us-east-1');
  assert.ok(used?.RoleLastUsed?.LastUsedDate);

  const other = root.send(new iam.GetAccessKeyLastUsedCommand({ AccessKeyId: 'AKIAIOSFODNN7EXAMPLE' }));
  await assert.rejects(other, { name: 'AccessDenied' });
});

test('GetAccountSummary counts, and GetAccountAuthorizationDetails tells everything once, in pages', async () => {
  await using open = await openIdentity();
  const client = open.iam(open.root);
  await administrator(open, 'ana');
  await client.send(new iam.CreateGroupCommand({ GroupName: 'g' }));
  await client.send(new iam.AddUserToGroupCommand({ GroupName: 'g', UserName: 'ana' }));
  await client.send(new iam.PutGroupPolicyCommand({ GroupName: 'g', PolicyName: 'no', PolicyDocument: nothing }));
  const { Policy } = await client.send(new iam.CreatePolicyCommand({ PolicyName: 'p', PolicyDocument: nothing }));
  const trust = policy({ Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' });
  await client.send(new iam.CreateRoleCommand({ RoleName: 'r', AssumeRolePolicyDocument: trust }));
  await client.send(new iam.CreateInstanceProfileCommand({ InstanceProfileName: 'i' }));
  await client.send(new iam.AddRoleToInstanceProfileCommand({ InstanceProfileName: 'i', RoleName: 'r' }));

  const { SummaryMap = {} } = await client.send(new iam.GetAccountSummaryCommand({}));
  const { Users, Groups, Roles, Policies, InstanceProfiles, AccountAccessKeysPresent } = SummaryMap;
  assert.deepEqual(
    { Users, Groups, Roles, Policies, InstanceProfiles, AccountAccessKeysPresent },
    { Users: 1, Groups: 1, Roles: 1, Policies: 1, InstanceProfiles: 1, AccountAccessKeysPresent: 1 },
  );

  const seen: string[] = [];
  let pages = 0;
  for await (const page of iam.paginateGetAccountAuthorizationDetails({ client, pageSize: 2 }, {})) {
    pages += 1;
    for (const user of page.UserDetailList ?? []) {
      seen.push(`user ${user.UserName} in ${user.GroupList} with ${user.AttachedManagedPolicies?.[0]?.PolicyName}`);
    }
    for (const group of page.GroupDetailList ?? []) {
      const [inline] = group.GroupPolicyList ?? [];
      seen.push(`group ${group.GroupName} ${decodeURIComponent(inline?.PolicyDocument ?? '') === nothing}`);
    }
    for (const role of page.RoleDetailList ?? []) {
      seen.push(`role ${role.RoleName} in ${role.InstanceProfileList?.[0]?.InstanceProfileName}`);
    }
    for (const one of page.Policies ?? []) seen.push(`policy ${one.Arn} v${one.PolicyVersionList?.length}`);
  }
  assert.ok(pages > 1);
  assert.deepEqual(seen, [
    'user ana in g with AdministratorAccess',
    'group g true',
    'role r in i',
    `policy ${Policy!.Arn} v1`,
    `policy ${ADMINISTRATOR} v1`,
  ]);
  const { UserDetailList, RoleDetailList } = await client.send(
    new iam.GetAccountAuthorizationDetailsCommand({ Filter: ['Role'] }),
  );
  assert.deepEqual([UserDetailList, RoleDetailList?.length], [[], 1]);
});

test('instance profiles have tags, groups new names', async () => {
  await using open = await openIdentity();
  const client = open.iam(open.root);
  const InstanceProfileName = 'i';
  await client.send(new iam.CreateInstanceProfileCommand({ InstanceProfileName, Tags: [{ Key: 'a', Value: '1' }] }));
  const Tags = [{ Key: 'b', Value: '2' }];
  await client.send(new iam.TagInstanceProfileCommand({ InstanceProfileName, Tags }));
  await client.send(new iam.UntagInstanceProfileCommand({ InstanceProfileName, TagKeys: ['a'] }));
  const listed = await client.send(new iam.ListInstanceProfileTagsCommand({ InstanceProfileName }));
  assert.deepEqual(listed.Tags, Tags);

  await client.send(new iam.CreateGroupCommand({ GroupName: 'g' }));
  await client.send(new iam.CreateGroupCommand({ GroupName: 'h' }));
  await client.send(new iam.UpdateGroupCommand({ GroupName: 'g', NewGroupName: 'k', NewPath: '/ops/' }));
  const { Group } = await client.send(new iam.GetGroupCommand({ GroupName: 'k' }));
  assert.match(Group!.Arn!, /:group\/ops\/k$/);
  const taken = client.send(new iam.UpdateGroupCommand({ GroupName: 'k', NewGroupName: 'h' }));
  await assert.rejects(taken, { name: 'EntityAlreadyExistsException' });
});

test('organizational units, accounts and policies have tags; units new names; both policy types are on', async () => {
  await using open = await openIdentity();
  const client = open.organizations(open.root);
  const { Roots } = await client.send(new organizations.ListRootsCommand({}));
  const root = Roots![0]!.Id!;
  const Tags = [{ Key: 'team', Value: 'images' }];
  const tagsOf = async (ResourceId: string) =>
    (await client.send(new organizations.ListTagsForResourceCommand({ ResourceId }))).Tags;

  const { OrganizationalUnit } = await client.send(
    new organizations.CreateOrganizationalUnitCommand({ ParentId: root, Name: 'build', Tags }),
  );
  const unit = OrganizationalUnit!.Id!;
  const { CreateAccountStatus } = await client.send(
    new organizations.CreateAccountCommand({ AccountName: 'a', Email: 'a@example.com', Tags }),
  );
  const { Policy } = await client.send(
    new organizations.CreatePolicyCommand({
      Name: 'p',
      Description: '',
      Type: 'SERVICE_CONTROL_POLICY',
      Content: nothing,
      Tags,
    }),
  );
  const policyId = Policy!.PolicySummary!.Id!;
  for (const id of [unit, CreateAccountStatus!.AccountId!, policyId]) assert.deepEqual(await tagsOf(id), Tags);
  assert.deepEqual(await tagsOf(root), []);

  const more = [{ Key: 'cost', Value: '1' }];
  await client.send(new organizations.TagResourceCommand({ ResourceId: unit, Tags: more }));
  await client.send(new organizations.UntagResourceCommand({ ResourceId: unit, TagKeys: ['team'] }));
  assert.deepEqual(await tagsOf(unit), more);
  const twice = new organizations.TagResourceCommand({ ResourceId: unit, Tags: [...more, ...more] });
  await assert.rejects(client.send(twice), { name: 'InvalidInputException' });
  await assert.rejects(tagsOf('p-00000000'), { name: 'TargetNotFoundException' });
  await client.send(new organizations.DeletePolicyCommand({ PolicyId: policyId }));
  await assert.rejects(tagsOf(policyId), { name: 'TargetNotFoundException' });

  const rename = (Name: string) =>
    client.send(new organizations.UpdateOrganizationalUnitCommand({ OrganizationalUnitId: unit, Name }));
  assert.equal((await rename('images')).OrganizationalUnit?.Name, 'images');
  await client.send(new organizations.CreateOrganizationalUnitCommand({ ParentId: root, Name: 'other' }));
  await assert.rejects(rename('other'), { name: 'DuplicateOrganizationalUnitException' });

  const enable = (PolicyType: 'SERVICE_CONTROL_POLICY' | 'TAG_POLICY') =>
    client.send(new organizations.EnablePolicyTypeCommand({ RootId: root, PolicyType }));
  await assert.rejects(enable('SERVICE_CONTROL_POLICY'), { name: 'PolicyTypeAlreadyEnabledException' });
  await assert.rejects(enable('TAG_POLICY'), { name: 'PolicyTypeNotAvailableForOrganizationException' });
  const { DelegatedAdministrators } = await client.send(new organizations.ListDelegatedAdministratorsCommand({}));
  const services = await client.send(new organizations.ListAWSServiceAccessForOrganizationCommand({}));
  assert.deepEqual([DelegatedAdministrators, services.EnabledServicePrincipals], [[], []]);
});
