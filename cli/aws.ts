/**
 * The door to AWS, or to a server that speaks its API: the official SDK with its own chain of credentials, profiles,
 * regions and endpoints. Nothing here knows which of the two answers.
 */
import { EBSClient } from '@aws-sdk/client-ebs';
import { EC2Client, type EC2ClientConfig } from '@aws-sdk/client-ec2';
import { DescribeKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { loadSharedConfigFiles } from '@smithy/core/config';
import type { ConnectionOptions } from './connection-options.ts';
import { CliError, UsageError } from './error.ts';

type Config = Pick<
  EC2ClientConfig,
  'maxAttempts' | 'profile' | 'region' | 'endpoint' | 'credentials' | 'requestHandler'
>;
type ClientClass<Client> = new (config: Config) => Client;

/** Clients of one principal in one region, made when they are first asked for; others are derived from it. */
export class Aws {
  readonly region: string;
  readonly #config: Config;
  readonly #clients = new Map<ClientClass<unknown>, unknown>();
  readonly #derived: Map<string, Aws>;

  constructor(region: string, config: Config, siblings = new Map<string, Aws>()) {
    this.region = region;
    this.#config = { ...config, region };
    this.#derived = siblings;
    siblings.set(region, this);
  }

  /** The client of any service of the SDK: `aws.use(IAMClient)`. */
  use<Client>(type: ClientClass<Client>): Client {
    let client = this.#clients.get(type) as Client | undefined;
    if (!client) {
      client = new type(this.#config);
      if (client instanceof EBSClient) signBlocksUnhashed(client);
      this.#clients.set(type, client);
    }
    return client;
  }

  get ebs(): EBSClient {
    return this.use(EBSClient);
  }

  get ec2(): EC2Client {
    return this.use(EC2Client);
  }

  get kms(): KMSClient {
    return this.use(KMSClient);
  }

  /** The same principal in another region. */
  inRegion(region: string): Aws {
    return this.#derived.get(region) ?? new Aws(region, this.#config, this.#derived);
  }

  /** A session of the role, in this region; assumed at the first call for all its clients, and again before it ends. */
  assuming(roleArn: string, sessionName: string): Aws {
    const sts = this.use(STSClient);
    const assume = async () => {
      const { Credentials: session } = await sts.send(
        new AssumeRoleCommand({ RoleArn: roleArn, RoleSessionName: sessionName }),
      );
      if (!session?.AccessKeyId || !session.SecretAccessKey) throw new CliError(`STS gives no session of ${roleArn}.`);
      return {
        accessKeyId: session.AccessKeyId,
        secretAccessKey: session.SecretAccessKey,
        ...(session.SessionToken ? { sessionToken: session.SessionToken } : {}),
        ...(session.Expiration ? { expiration: session.Expiration } : {}),
      };
    };
    const { profile: _, ...config } = this.#config;
    return new Aws(this.region, { ...config, credentials: renewed(assume) });
  }

  /** Who this is: 12 digits, and the ARN of the user, session or root. */
  async identity(abortSignal?: AbortSignal): Promise<{ readonly account: string; readonly arn: string }> {
    const options = abortSignal ? { abortSignal } : {};
    const { Account: account, Arn: arn } = await this.use(STSClient).send(new GetCallerIdentityCommand({}), options);
    if (!account || !arn) throw new CliError('STS does not say whose credentials these are.');
    return { account, arn };
  }
}

/** How long before their end credentials are made anew. */
const RENEWAL_MS = 5 * 60_000;

/** One session for all who ask, until it is about to end; a failure is asked about again. */
function renewed<Credentials extends { readonly expiration?: Date }>(read: () => Promise<Credentials>) {
  let held: Promise<Credentials> | undefined;
  return async (): Promise<Credentials> => {
    held ??= read();
    const mine = held;
    const known = await mine.catch((error: unknown) => {
      if (held === mine) held = undefined;
      throw error;
    });
    if ((known.expiration?.getTime() ?? Number.POSITIVE_INFINITY) - Date.now() > RENEWAL_MS) return known;
    // Whoever sees first that it ends asks; the others wait for that one.
    if (held === mine) held = read();
    return held ?? read();
  };
}

/** Open to one host. More than any of the tools asks at a time, who would wait for each other otherwise. */
const CONNECTIONS = { maxSockets: 128 };

/** Throttles of the EBS direct APIs are ridden out, not reported. */
const ATTEMPTS_MAX = 10;

export async function connect({ profile, region, endpointUrl }: ConnectionOptions): Promise<Aws> {
  if (endpointUrl !== undefined && !URL.canParse(endpointUrl)) {
    throw new UsageError(`--endpoint-url must be a URL, not ${JSON.stringify(endpointUrl)}.`);
  }
  const endpoint = endpointUrl ?? (await endpointOfProfile(profile));
  // The client within the SDK that assumes a profile's role, too, has to ask the server that is meant.
  if (endpoint !== undefined) process.env.AWS_ENDPOINT_URL = endpoint;
  const config = {
    maxAttempts: ATTEMPTS_MAX,
    ...(profile === undefined ? {} : { profile }),
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
  };
  const requestHandler = { httpAgent: CONNECTIONS, httpsAgent: CONNECTIONS };
  const sts = new STSClient({ ...config, requestHandler });
  let found: string;
  try {
    found = await sts.config.region();
  } catch (cause) {
    throw new CliError('No region is given: use --region, AWS_REGION, or a profile that has one.', { cause });
  }
  try {
    await sts.config.credentials();
  } catch (cause) {
    if (!(cause instanceof Error && /^(CredentialsProvider|TokenProvider)Error$/.test(cause.name))) throw cause;
    throw new CliError(
      `No credentials${profile === undefined ? '' : ` by profile ${profile}`}: ${cause.message}. ` +
        'They come from the environment, AWS profiles, SSO or a role, as for every AWS tool.',
      { cause },
    );
  }
  // One pool of connections for the clients of all accounts and regions: an organization has thousands of them.
  return new Aws(found, { ...config, requestHandler: sts.config.requestHandler });
}

/** `endpoint_url` of the profile in use, from either file: the SDK by itself looks for it in the configuration only. */
async function endpointOfProfile(profile: string | undefined): Promise<string | undefined> {
  if (process.env.AWS_ENDPOINT_URL || process.env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS === 'true') return undefined;
  const name = profile ?? process.env.AWS_PROFILE ?? 'default';
  const { configFile, credentialsFile } = await loadSharedConfigFiles();
  return configFile[name]?.endpoint_url ?? credentialsFile[name]?.endpoint_url;
}

/**
 * Signs PutSnapshotBlock with UNSIGNED-PAYLOAD, as the model of the API allows: the block's own SHA-256 is a signed
 * header and the server compares it with the body, so hashing the body once more for the signature would add nothing.
 */
function signBlocksUnhashed(ebs: EBSClient): void {
  ebs.middlewareStack.add(
    (next, context) => async (args) => {
      const request = args.request as { headers?: Record<string, string> };
      if (context.commandName === 'PutSnapshotBlockCommand' && request.headers) {
        request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      }
      return next(args);
    },
    { step: 'build', name: 'signBlocksUnhashed' },
  );
}

/** The ARN of a KMS key given as id, ARN, alias name or alias ARN; StartSnapshot takes nothing else (E-12). */
export async function resolveKey({ kms, region }: Aws, given: string): Promise<string> {
  const { KeyMetadata: key } = await kms.send(new DescribeKeyCommand({ KeyId: given }));
  if (!key?.Arn) throw new CliError(`KMS does not say which key ${given} is.`);
  if (key.KeyState !== 'Enabled') throw new CliError(`The key ${key.Arn} cannot be used: it is ${key.KeyState}.`);
  if (key.KeyUsage !== 'ENCRYPT_DECRYPT' || key.KeySpec !== 'SYMMETRIC_DEFAULT') {
    throw new CliError(
      `The key ${key.Arn} is ${key.KeySpec} for ${key.KeyUsage}: EBS takes symmetric encryption keys.`,
    );
  }
  const keyRegion = key.Arn.split(':')[3];
  if (keyRegion !== region) {
    throw new CliError(`The key ${key.Arn} is in ${keyRegion}, and the snapshot would be in ${region}.`);
  }
  return key.Arn;
}
