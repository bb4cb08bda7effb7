/** `ingot env`: shell exports for one profile. */
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { CliError } from './error.ts';
import { type Profile, Profiles } from './profiles.ts';

export async function printEnvironment(options: { data: string; account: string }): Promise<void> {
  const profiles = await Profiles.read(options.data);
  const profile = profiles.get(options.account);
  const endpoint = endpointOf(profile, options.account);
  const credentials = await credentialsOf(profiles, options.account);
  const region = profile.region ?? 'us-east-1';
  const exports = {
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_SESSION_TOKEN: credentials.sessionToken,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
  };
  const lines = Object.entries(exports).map(([name, value]) =>
    value === undefined ? `unset ${name}` : `export ${name}=${quoted(value)}`,
  );
  // A profile in the environment would win over these keys in some tools.
  process.stdout.write(`${['unset AWS_PROFILE', ...lines].join('\n')}\n`);
}

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** The profile's own keys, or a session of the role it names. */
export async function credentialsOf(profiles: Profiles, name: string): Promise<Credentials> {
  const profile = profiles.get(name);
  const { aws_access_key_id: accessKeyId, aws_secret_access_key: secretAccessKey } = profile;
  if (accessKeyId && secretAccessKey) return { accessKeyId, secretAccessKey };
  const { role_arn: RoleArn, source_profile: source } = profile;
  if (!RoleArn || !source || source === name)
    throw new CliError(`Profile ${name} has neither keys nor a role to assume.`);
  const sts = new STSClient({
    endpoint: endpointOf(profile, name),
    region: profile.region ?? 'us-east-1',
    credentials: await credentialsOf(profiles, source),
  });
  const { Credentials: session } = await sts.send(new AssumeRoleCommand({ RoleArn, RoleSessionName: 'ingot-env' }));
  if (!session?.AccessKeyId || !session.SecretAccessKey || !session.SessionToken) {
    throw new CliError(`The server gave no credentials for ${RoleArn}.`);
  }
  return {
    accessKeyId: session.AccessKeyId,
    secretAccessKey: session.SecretAccessKey,
    sessionToken: session.SessionToken,
  };
}

export function endpointOf(profile: Profile, name: string): string {
  if (profile.endpoint_url) return profile.endpoint_url;
  throw new CliError(`Profile ${name} does not say where the server is: start it once with \`ingot serve\`.`);
}

/** For POSIX shells. */
function quoted(value: string): string {
  return /^[\w./:@%+=,-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
