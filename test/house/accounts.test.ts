/** Accounts that are closed and accounts that leave the organization, in a whole server. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CreateVolumeCommand,
  DescribeImagesCommand,
  DescribeVolumesCommand,
  EC2Client,
  ModifyImageAttributeCommand,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { GetAccountSummaryCommand, IAMClient, ListGroupsCommand } from '@aws-sdk/client-iam';
import { EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import {
  AttachPolicyCommand,
  CloseAccountCommand,
  CreatePolicyCommand,
  DescribeAccountCommand,
  DescribeOrganizationCommand,
  InviteAccountToOrganizationCommand,
  LeaveOrganizationCommand,
  ListAccountsCommand,
  ListHandshakesForAccountCommand,
  MoveAccountCommand,
  OrganizationsClient,
  RemoveAccountFromOrganizationCommand,
} from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { type Account, allow, deny, documentOf, refused, roleArn, World } from '../spec/world.ts';

let world: World;
let organizations: OrganizationsClient;
let management: Account;

before(async () => {
  world = await World.open('eu-central-1');
  organizations = new OrganizationsClient(world.operator);
  management = await world.management();
});
after(() => world[Symbol.asyncDispose]());

async function statusOf(AccountId: string): Promise<string | undefined> {
  const { Accounts } = await organizations.send(new ListAccountsCommand({}));
  return Accounts?.find(({ Id }) => Id === AccountId)?.Status;
}

/** A control policy against ListGroups on the account alone. */
async function bind(account: Account): Promise<void> {
  const { Policy } = await organizations.send(
    new CreatePolicyCommand({
      Name: world.fresh('no-groups'),
      Description: '',
      Type: 'SERVICE_CONTROL_POLICY',
      Content: documentOf(deny('iam:ListGroups')),
    }),
  );
  await organizations.send(new AttachPolicyCommand({ PolicyId: Policy!.PolicySummary!.Id!, TargetId: account.id }));
}

async function isOutside(account: Account): Promise<void> {
  const theirs = new OrganizationsClient(account.admin);
  for (const ask of [
    new DescribeOrganizationCommand({}),
    new LeaveOrganizationCommand({}),
    new ListAccountsCommand({}),
  ]) {
    await refused(theirs.send(ask as DescribeOrganizationCommand), 'AWSOrganizationsNotInUseException');
  }
  assert.equal(await statusOf(account.id), undefined);
  const AccountId = account.id;
  await refused(organizations.send(new DescribeAccountCommand({ AccountId })), 'AccountNotFoundException');
  const move = { AccountId, SourceParentId: 'r-none', DestinationParentId: 'r-none' };
  await refused(organizations.send(new MoveAccountCommand(move)), 'AccountNotFoundException');
}

describe('an account that is closed', () => {
  it('has no principals any more; its resources stay, and serve those they were shared with', async () => {
    const account = await world.account();
    const other = await world.account();
    const user = await world.user(account, allow('*'));
    const key = await world.key(account, allow('kms:*', { Principal: { AWS: other.id } }));
    const image = await world.image(account.admin, await world.snapshot(account.admin, { key }));
    const ec2 = new EC2Client(account.admin);
    await ec2.send(
      new ModifyImageAttributeCommand({ ImageId: image, LaunchPermission: { Add: [{ UserId: other.id }] } }),
    );
    await new IAMClient(user.config).send(new GetAccountSummaryCommand({}));

    await organizations.send(new CloseAccountCommand({ AccountId: account.id }));
    assert.equal(await statusOf(account.id), 'SUSPENDED');
    for (const config of [user.config, account.admin]) {
      await refused(new STSClient(config).send(new GetCallerIdentityCommand({})), 'InvalidClientTokenId');
      await refused(new EC2Client(config).send(new DescribeVolumesCommand({})), 'AuthFailure');
      const encrypt = new EncryptCommand({ KeyId: key, Plaintext: Buffer.of(1) });
      await refused(new KMSClient(config).send(encrypt), 'UnrecognizedClientException');
    }
    const RoleArn = roleArn(account.id, 'OrganizationAccountAccessRole');
    const assume = new AssumeRoleCommand({ RoleArn, RoleSessionName: 'late' });
    await refused(new STSClient(world.operator).send(assume), 'AccessDenied');

    const theirs = new EC2Client(other.admin);
    const { Images } = await theirs.send(new DescribeImagesCommand({ ImageIds: [image] }));
    assert.equal(Images?.[0]?.State, 'available');
    const { Instances } = await theirs.send(
      new RunInstancesCommand({ ImageId: image, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 }),
    );
    await world.instance(other.admin, Instances![0]!.InstanceId!, 'running');

    // After a restart as before it.
    await world.ingot.restart();
    await refused(
      new STSClient(world.anew(user.config)).send(new GetCallerIdentityCommand({})),
      'InvalidClientTokenId',
    );
    organizations = new OrganizationsClient(world.operator);
    management = await world.management();
  });

  it('cannot be closed again, nor removed; the management account can be neither', async () => {
    const { id: AccountId } = await world.account();
    await organizations.send(new CloseAccountCommand({ AccountId }));
    await refused(organizations.send(new CloseAccountCommand({ AccountId })), 'AccountAlreadyClosedException');
    const remove = new RemoveAccountFromOrganizationCommand({ AccountId });
    await refused(organizations.send(remove), 'ConstraintViolationException', /suspended account/);
    const own = { AccountId: management.id };
    await refused(
      organizations.send(new CloseAccountCommand(own)),
      'ConstraintViolationException',
      /management account/,
    );
    const left = 'MasterCannotLeaveOrganizationException';
    await refused(organizations.send(new RemoveAccountFromOrganizationCommand(own)), left);
    await refused(organizations.send(new LeaveOrganizationCommand({})), left);
    const unknown = { AccountId: '999999999999' };
    await refused(organizations.send(new CloseAccountCommand(unknown)), 'AccountNotFoundException');
    const member = await world.account();
    const theirs = new OrganizationsClient(member.admin);
    await refused(theirs.send(new CloseAccountCommand({ AccountId: member.id })), 'AccessDeniedException');
  });
});

describe('an account that leaves the organization', () => {
  it('is bound by no control policy any more, and keeps what it owns and who may enter it', async () => {
    const account = await world.account();
    await bind(account);
    const iam = new IAMClient(account.admin);
    await refused(iam.send(new ListGroupsCommand({})), 'AccessDenied', /in a service control policy$/);
    const { VolumeId } = await new EC2Client(account.admin).send(
      new CreateVolumeCommand({ AvailabilityZone: 'eu-central-1a', Size: 1 }),
    );
    await organizations.send(new RemoveAccountFromOrganizationCommand({ AccountId: account.id }));
    await iam.send(new ListGroupsCommand({}));
    await isOutside(account);
    assert.equal((await world.volumeInTheEnd(account.admin, VolumeId!))?.VolumeId, VolumeId);
    await world.assume(world.operator, roleArn(account.id, 'OrganizationAccountAccessRole'));
  });

  it('is no part of what is shared with the organization, and has no aws:PrincipalOrgID', async () => {
    const account = await world.account();
    const { Organization } = await organizations.send(new DescribeOrganizationCommand({}));
    const key = await world.key(
      management,
      allow('kms:Encrypt', {
        Principal: '*',
        Condition: { StringEquals: { 'aws:PrincipalOrgID': Organization!.Id! } },
      }),
    );
    const image = await world.image(management.admin, await world.snapshot(management.admin));
    await new EC2Client(management.admin).send(
      new ModifyImageAttributeCommand({
        ImageId: image,
        LaunchPermission: { Add: [{ OrganizationArn: Organization!.Arn! }] },
      }),
    );
    const launch = () =>
      new EC2Client(account.admin).send(
        new RunInstancesCommand({ ImageId: image, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1, DryRun: true }),
      );
    const encrypt = () =>
      new KMSClient(account.admin).send(new EncryptCommand({ KeyId: key, Plaintext: Buffer.of(1) }));
    await refused(launch(), 'DryRunOperation');
    await encrypt();
    await new OrganizationsClient(account.admin).send(new LeaveOrganizationCommand({}));
    await refused(launch(), 'AuthFailure');
    await refused(encrypt(), 'AccessDeniedException');
    await isOutside(account);
  });

  it('needs the right to leave', async () => {
    const account = await world.account();
    const user = await world.user(account, allow('organizations:Describe*'));
    const leave = () => new OrganizationsClient(user.config).send(new LeaveOrganizationCommand({}));
    await refused(leave(), 'AccessDeniedException', /organizations:LeaveOrganization/);
    await user.may(allow('organizations:LeaveOrganization'));
    await leave();
  });
});

it('handshakes are refused by name', async () => {
  const invite = new InviteAccountToOrganizationCommand({ Target: { Id: '111122223333', Type: 'ACCOUNT' } });
  for (const command of [invite, new ListHandshakesForAccountCommand({})]) {
    const error = await organizations.send(command as ListHandshakesForAccountCommand).then(
      () => assert.fail('served'),
      (reason: Error) => reason,
    );
    assert.match(
      error.message,
      /The operation (InviteAccountToOrganization|ListHandshakesForAccount) is not supported/,
    );
  }
});
