/** What the specification says of the wire beyond the decoding of each protocol, against a whole server. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Sha256 } from '@aws-crypto/sha256-js';
import { EBSClient, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import { CopyImageCommand, DescribeTagsCommand, EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { IAMClient, ListUsersCommand } from '@aws-sdk/client-iam';
import { DescribeKeyCommand, KMSClient, ListKeysCommand } from '@aws-sdk/client-kms';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { SignatureV4 } from '@smithy/signature-v4';
import { ApiError } from '../../src/errors.ts';
import type { OperationTable } from '../../src/services/operation.ts';
import type { ClientConfig } from '../house/ingot.ts';
import { ACCESS_KEY, openDoor } from '../wire/front-door-fixture.ts';
import { type Account, allow, refused, World } from './world.ts';

const REGION = 'eu-central-1';
let world: World;
let account: Account;

before(async () => {
  world = await World.open(REGION);
  account = await world.account();
});
after(() => world[Symbol.asyncDispose]());

interface Sent {
  readonly service: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** `undefined` sends no signature. */
  readonly as?: ClientConfig;
}

async function send({ service, path = '/', headers = {}, body = '', as }: Sent): Promise<Response> {
  const url = new URL(path, world.ingot.endpoint);
  const request = {
    method: 'POST',
    protocol: url.protocol,
    hostname: url.hostname,
    port: Number(url.port),
    path: url.pathname,
    query: {},
    headers: { host: url.host, ...headers },
    body,
  };
  const signer = as && new SignatureV4({ service, region: REGION, credentials: as.credentials, sha256: Sha256 });
  const signed = signer ? await signer.sign(request) : request;
  return fetch(url, { method: 'POST', headers: signed.headers, body });
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };
const JSON_1_1 = { 'content-type': 'application/x-amz-json-1.1' };
const identity: Sent = { service: 'sts', headers: FORM, body: 'Action=GetCallerIdentity&Version=2011-06-15' };
const listKeys: Sent = {
  service: 'kms',
  headers: { ...JSON_1_1, 'x-amz-target': 'TrentService.ListKeys' },
  body: '{}',
};

/** Table 9: what marks an unsigned request, and the words of its service for it (10.9, first row). */
const MARKERS: readonly (readonly [sent: Sent, status: number, answer: RegExp])[] = [
  [
    { service: 'ec2', headers: FORM, body: 'Action=DescribeTags&Version=2016-11-15' },
    400,
    /^<\?xml.*<Response><Errors><Error><Code>MissingParameter</s,
  ],
  [
    identity,
    403,
    /<ErrorResponse xmlns="https:\/\/sts.amazonaws.com\/doc\/2011-06-15\/">.*<Code>MissingAuthenticationToken</s,
  ],
  [
    { service: 'iam', headers: FORM, body: 'Action=ListUsers&Version=2010-05-08' },
    403,
    /<ErrorResponse xmlns="https:\/\/iam.amazonaws.com\/doc\/2010-05-08\/">.*<Code>MissingAuthenticationToken</s,
  ],
  [listKeys, 400, /^\{"__type":"MissingAuthenticationTokenException"/],
  [
    { service: 'ebs', path: '/snapshots', headers: { 'content-type': 'application/json' }, body: '{}' },
    403,
    /^\{"Message":/,
  ],
];

describe('one endpoint', () => {
  it('authz 9.1: without a scope, form version, target and path say which service is meant', async () => {
    for (const [sent, status, words] of MARKERS) {
      const answer = await send(sent);
      assert.equal(answer.status, status, sent.service);
      assert.match(await answer.text(), words);
    }
  });

  it('authz 9.2: clients find it by AWS_ENDPOINT_URL, and one service by its own variable', async () => {
    const { credentials } = account.admin;
    const { AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_STS } = process.env;
    try {
      process.env.AWS_ENDPOINT_URL = world.ingot.endpoint;
      delete process.env.AWS_ENDPOINT_URL_STS;
      const ask = () =>
        new STSClient({ region: REGION, credentials, maxAttempts: 1 }).send(new GetCallerIdentityCommand({}));
      assert.equal((await ask()).Account, account.id);
      process.env.AWS_ENDPOINT_URL = 'http://127.0.0.1:1';
      await assert.rejects(ask());
      process.env.AWS_ENDPOINT_URL_STS = world.ingot.endpoint;
      assert.equal((await ask()).Account, account.id);
    } finally {
      for (const [name, value] of Object.entries({ AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_STS })) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });

  it('authz 9.5: whoever accepts gzip may be answered without', async () => {
    const answer = await send({
      ...listKeys,
      as: account.admin,
      headers: { ...listKeys.headers, 'accept-encoding': 'gzip' },
    });
    assert.deepEqual([answer.status, answer.headers.get('content-encoding')], [200, null]);
    assert.ok('Keys' in ((await answer.json()) as object));
  });

  it('authz 12.7: a smithy-protocol header changes nothing', async () => {
    const headers = { ...listKeys.headers, 'smithy-protocol': 'rpc-v2-cbor' };
    const answer = await send({ ...listKeys, as: account.admin, headers });
    assert.equal(answer.headers.get('content-type'), 'application/x-amz-json-1.1');
    assert.ok('Keys' in ((await answer.json()) as object));
  });

  it('authz 12.3: answers carry request id, type, length and date, the id of XML in its body as well', async () => {
    const [json, xml] = [
      await send({ ...listKeys, as: account.admin }),
      await send({ ...identity, as: account.admin }),
    ];
    for (const answer of [json, xml]) {
      const body = await answer.text();
      assert.match(answer.headers.get('x-amzn-requestid') ?? '', /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
      assert.equal(Number(answer.headers.get('content-length')), Buffer.byteLength(body));
      assert.ok(Math.abs(Date.parse(answer.headers.get('date') ?? '') - Date.now()) < 60_000);
      if (answer === xml) assert.ok(body.includes(`<RequestId>${answer.headers.get('x-amzn-requestid')}</RequestId>`));
    }
    assert.equal(json.headers.get('content-type'), 'application/x-amz-json-1.1');
    assert.equal(xml.headers.get('content-type'), 'text/xml;charset=UTF-8');
  });
});

describe('signatures', () => {
  it('authz 10.10: a wrong signature has AWS’s text, and nothing that helps to make a right one', async () => {
    const { credentials } = account.admin;
    const forged = { ...account.admin, credentials: { ...credentials, secretAccessKey: 'x'.repeat(40) } };
    const text =
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';
    const kms = await refused(new KMSClient(forged).send(new ListKeysCommand({})), 'InvalidSignatureException');
    const sts = await refused(new STSClient(forged).send(new GetCallerIdentityCommand({})), 'SignatureDoesNotMatch');
    assert.deepEqual([kms.message, sts.message], [text, text]);
    const answer = await send({ ...identity, as: forged });
    const body = await answer.text();
    assert.ok(!body.includes(credentials.secretAccessKey));
    assert.doesNotMatch(body, /[0-9a-f]{64}/);
  });

  it('authz 10.12, 13.2: a client whose clock is wrong corrects it by our Date, and succeeds', async (context) => {
    const now = Date.now.bind(Date);
    for (const minutes of [-30, 30]) {
      const clock = context.mock.method(Date, 'now', () => now() + minutes * 60_000);
      const config = { ...account.admin, maxAttempts: 2 };
      const clients = [
        [new STSClient(config), new GetCallerIdentityCommand({})],
        [new EC2Client(config), new DescribeTagsCommand({})],
        [new KMSClient(config), new ListKeysCommand({})],
        [new IAMClient(config), new ListUsersCommand({})],
      ] as const;
      for (const [client, command] of clients) {
        const { $metadata } = await (client as STSClient).send(command as GetCallerIdentityCommand);
        assert.equal($metadata.attempts, 2, `${command.constructor.name}, ${minutes} minutes off`);
      }
      clock.mock.restore();
    }
  });
});

describe('what clients repeat', () => {
  it('authz 11.11: the same token gives the same result, and other parameters a mismatch', async () => {
    const ec2 = new EC2Client(account.admin);
    const image = await world.image(account.admin, await world.snapshot(account.admin));
    const copy = (Name: string) =>
      ec2.send(new CopyImageCommand({ Name, SourceImageId: image, SourceRegion: REGION, ClientToken: 'copy' }));
    assert.equal((await copy('a-copy')).ImageId, (await copy('a-copy')).ImageId);
    await refused(copy('another'), 'IdempotentParameterMismatch');

    const launch = (InstanceType: 't3.micro' | 't3.small') =>
      ec2.send(
        new RunInstancesCommand({ ImageId: image, InstanceType, MinCount: 1, MaxCount: 1, ClientToken: 'launch' }),
      );
    const idOf = async () => (await launch('t3.micro')).Instances?.[0]?.InstanceId;
    assert.equal(await idOf(), await idOf());
    await refused(launch('t3.small'), 'IdempotentParameterMismatch');

    const ebs = new EBSClient(account.admin);
    const start = (VolumeSize: number) => ebs.send(new StartSnapshotCommand({ VolumeSize, ClientToken: 'start' }));
    assert.equal((await start(1)).SnapshotId, (await start(1)).SnapshotId);
    await refused(start(2), 'ConflictException');
  });

  it('authz 13.2, 13.3: throttling, quotas coded as limits and server errors are tried three times, refusals once', async () => {
    const rows = [
      [new ApiError('ThrottlingException', 'slow down'), 3],
      [new ApiError('LimitExceededException', 'too many'), 3],
      [new ApiError('DependencyTimeoutException', 'late', { status: 500 }), 3],
      [new ApiError('KMSInternalException', 'broken', { status: 500 }), 3],
      [new ApiError('KeyUnavailableException', 'away', { status: 500 }), 3],
      [new ApiError('NotFoundException', 'no such key'), 1],
      [new ApiError('DisabledException', 'disabled'), 1],
    ] as const;
    const attempts = new Map<string, number>();
    const DescribeKey = async (_call: unknown, { KeyId }: { KeyId: string }) => {
      attempts.set(KeyId, (attempts.get(KeyId) ?? 0) + 1);
      throw rows.find(([{ code }]) => code === KeyId)?.[0];
    };
    const operations = { DescribeKey } as OperationTable;
    await using door = await openDoor([{ name: 'kms', operations, translate: () => undefined }]);
    await Promise.all(
      rows.map(async ([{ code }, expected]) => {
        const kms = new KMSClient({ endpoint: door.endpoint, region: REGION, credentials: ACCESS_KEY });
        await assert.rejects(kms.send(new DescribeKeyCommand({ KeyId: code })), { name: code });
        assert.equal(attempts.get(code), expected, code);
        kms.destroy();
      }),
    );
  });
});

describe('denials of KMS', () => {
  it('authz 8.5: AccessDeniedException, 400, with the text under Message', async () => {
    const user = await world.user(account, allow('sts:GetCallerIdentity'));
    const answer = await send({ ...listKeys, as: user.config });
    assert.equal(answer.status, 400);
    assert.deepEqual(await answer.json(), {
      __type: 'AccessDeniedException',
      Message: `User: ${user.arn} is not authorized to perform: kms:ListKeys on resource: * because no identity-based policy allows the kms:ListKeys action`,
    });
  });
});
