/**
 * A client of Ingot's own service: the EBS client's machinery (credentials, retries, endpoints, REST-JSON), with requests
 * signed for `ingot` and the three operations described here. AWS has nothing like it.
 */
import { EBSClient } from '@aws-sdk/client-ebs';
import { makeBuilder } from '@smithy/core/client';
import { getEndpointPlugin } from '@smithy/core/endpoints';

type EbsConfig = NonNullable<ConstructorParameters<typeof EBSClient>[0]>;

export class IngotClient extends EBSClient {
  constructor(config: EbsConfig) {
    super({
      ...config,
      httpAuthSchemeProvider: ({ region }) => [
        {
          schemeId: 'aws.auth#sigv4',
          signingProperties: { name: 'ingot', signingName: 'ingot', region },
          propertiesExtractor: (own, context) => ({ signingProperties: { config: own, context } }),
        },
      ],
    });
  }

  verifySnapshot(input: { readonly SnapshotId: string; readonly Marker?: string }): Promise<Verification> {
    return this.#call('VerifySnapshot', VERIFY_SNAPSHOT, input);
  }
  getVerification(input: { readonly VerificationId: string }): Promise<Verification> {
    return this.#call('GetVerification', GET_VERIFICATION, input);
  }
  getVerificationKey(): Promise<VerificationKey> {
    return this.#call('GetVerificationKey', GET_VERIFICATION_KEY, {});
  }

  async #call<Output>(name: string, schema: OperationSchema, input: object): Promise<Output> {
    const Command = command({}, () => [], name, schema as never);
    return (await this.send(new Command(input as never) as never)) as Output;
  }
}

export interface Verification {
  readonly VerificationId: string;
  readonly SnapshotId: string;
  readonly State: 'running' | 'completed' | 'failed';
  /** Per cent. */
  readonly Progress: number;
  readonly Envelope?: string;
}
export interface VerificationKey {
  readonly KeyId: string;
  /** PEM. */
  readonly PublicKey: string;
}

const builtIn = (name: string) => ({ type: 'builtInParams' as const, name });
const command = makeBuilder(
  {
    UseFIPS: builtIn('useFipsEndpoint'),
    Endpoint: builtIn('endpoint'),
    Region: builtIn('region'),
    UseDualStack: builtIn('useDualstackEndpoint'),
  },
  'Ingot',
  'IngotClient',
  getEndpointPlugin,
);

type OperationSchema = readonly unknown[];
type Members = Readonly<Record<string, unknown>>;

const SPACE = 'ingot';
const TEXT = 0;
const NUMBER = 1;
const TIME = 4;
/** A label of the path. */
const LABEL = [TEXT, 1] as const;
/** Shown in no log. */
const SECRET = [TEXT, 8] as const;

const struct = (name: string, required: Members, optional: Members = {}) => {
  const members = { ...required, ...optional };
  return [3, SPACE, name, 0, Object.keys(members), Object.values(members), Object.keys(required).length] as const;
};
const operation = (name: string, method: string, path: string, status: number, input: unknown, output: unknown) =>
  [9, SPACE, name, { http: [method, path, status] }, () => input, () => output] as const;

const verification = { VerificationId: TEXT, SnapshotId: TEXT, State: TEXT, Progress: NUMBER, StartTime: TIME };
const VERIFY_SNAPSHOT = operation(
  'VerifySnapshot',
  'POST',
  '/verifications',
  202,
  struct('VerifySnapshotRequest', { SnapshotId: TEXT }, { Marker: SECRET }),
  struct('VerifySnapshotResponse', verification),
);
const GET_VERIFICATION = operation(
  'GetVerification',
  'GET',
  '/verifications/{VerificationId}',
  200,
  struct('GetVerificationRequest', { VerificationId: LABEL }),
  struct('GetVerificationResponse', verification, { Envelope: TEXT }),
);
const GET_VERIFICATION_KEY = operation(
  'GetVerificationKey',
  'GET',
  '/verification-key',
  200,
  struct('GetVerificationKeyRequest', {}),
  struct('GetVerificationKeyResponse', { KeyId: TEXT, Algorithm: TEXT, PublicKey: TEXT }),
);
