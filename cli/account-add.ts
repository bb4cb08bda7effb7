/**
 * `ingot account add NAME`: an account of the organization, and a profile that administers it.
 *
 * A root user can assume no role, as in AWS; so the first account that is added also gets the management account an
 * IAM user, `ingot-admin`, whose keys stand in a profile of that name and are the source of every account's profile.
 */

import { setTimeout as pause } from 'node:timers/promises';
import {
  AttachUserPolicyCommand,
  CreateAccessKeyCommand,
  CreateUserCommand,
  EntityAlreadyExistsException,
  IAMClient,
} from '@aws-sdk/client-iam';
import {
  CreateAccountCommand,
  type CreateAccountStatus,
  DescribeCreateAccountStatusCommand,
  OrganizationsClient,
} from '@aws-sdk/client-organizations';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { credentialsOf, endpointOf } from './env.ts';
import { CliError } from './error.ts';
import { Profiles } from './profiles.ts';

const ROOT_PROFILE = 'ingot';
const ADMIN = 'ingot-admin';
const ROLE = 'OrganizationAccountAccessRole';
const POLL_MS = 100;

export async function addAccount(name: string, options: { data: string; email?: string }): Promise<void> {
  if (!/^[\w.-]{1,50}$/.test(name)) {
    throw new CliError('The name may have letters, digits, dots, hyphens and underscores, at most 50.');
  }
  let profiles = await Profiles.read(options.data);
  if (profiles.find(name)) throw new CliError(`There is a profile ${name} in ${profiles.path} already.`);
  const root = profiles.get(ROOT_PROFILE);
  const config = { endpoint: endpointOf(root, ROOT_PROFILE), region: root.region ?? 'us-east-1' };

  const asRoot = { ...config, credentials: await credentialsOf(profiles, ROOT_PROFILE) };
  const email = options.email ?? `${name}@ingot.invalid`;
  const accountId = await createAccount(new OrganizationsClient(asRoot), name, email);
  if (!profiles.find(ADMIN)) profiles = await addAdministrator(new IAMClient(asRoot), profiles, config);

  const roleArn = `arn:aws:iam::${accountId}:role/${ROLE}`;
  const sts = new STSClient({ ...config, credentials: await credentialsOf(profiles, ADMIN) });
  await sts.send(new AssumeRoleCommand({ RoleArn: roleArn, RoleSessionName: 'ingot-account-add' }));
  await profiles.add(name, {
    endpoint_url: config.endpoint,
    role_arn: roleArn,
    source_profile: ADMIN,
    region: config.region,
  });
  process.stdout.write(
    [
      `Account ${name} is ${accountId}. Profile ${name} in ${profiles.path} administers it:`,
      '',
      `  export AWS_SHARED_CREDENTIALS_FILE=${profiles.path}`,
      `  aws --profile ${name} --endpoint-url ${config.endpoint} sts get-caller-identity`,
      '',
    ].join('\n'),
  );
}

async function createAccount(organizations: OrganizationsClient, name: string, email: string): Promise<string> {
  const created = await organizations.send(new CreateAccountCommand({ AccountName: name, Email: email }));
  let status: CreateAccountStatus | undefined = created.CreateAccountStatus;
  while (status?.State === 'IN_PROGRESS') {
    await pause(POLL_MS);
    const request = new DescribeCreateAccountStatusCommand({ CreateAccountRequestId: status.Id });
    status = (await organizations.send(request)).CreateAccountStatus;
  }
  if (status?.State === 'SUCCEEDED' && status.AccountId) return status.AccountId;
  const reason = status?.FailureReason ?? 'the server does not say why';
  throw new CliError(`Account ${name} could not be made: ${reason}.`);
}

async function addAdministrator(
  iam: IAMClient,
  profiles: Profiles,
  config: { endpoint: string; region: string },
): Promise<Profiles> {
  try {
    await iam.send(new CreateUserCommand({ UserName: ADMIN }));
  } catch (error) {
    // A run that broke off between user and profile left the user behind.
    if (!(error instanceof EntityAlreadyExistsException)) throw error;
  }
  const PolicyArn = 'arn:aws:iam::aws:policy/AdministratorAccess';
  await iam.send(new AttachUserPolicyCommand({ UserName: ADMIN, PolicyArn }));
  const { AccessKey: key } = await iam.send(new CreateAccessKeyCommand({ UserName: ADMIN }));
  if (!key?.AccessKeyId || !key.SecretAccessKey) throw new CliError(`The server gave no access key for ${ADMIN}.`);
  return profiles.add(ADMIN, {
    endpoint_url: config.endpoint,
    aws_access_key_id: key.AccessKeyId,
    aws_secret_access_key: key.SecretAccessKey,
    region: config.region,
  });
}
