/** The front door with the official SDK clients in front of it and a tiny table of operations behind. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Sha256 } from '@aws-crypto/sha256-js';
import { CloudTrailClient, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import { EBSClient, GetSnapshotBlockCommand, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  CopyImageCommand,
  DescribeImagesCommand,
  EC2Client,
  type EC2ServiceException,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { GetUserCommand, IAMClient, ListUsersCommand } from '@aws-sdk/client-iam';
import {
  DecryptCommand,
  EncryptCommand,
  type EncryptResponse,
  KMSClient,
  type KMSServiceException,
} from '@aws-sdk/client-kms';
import { ListAccountsCommand, OrganizationsClient } from '@aws-sdk/client-organizations';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { isTransientError } from '@smithy/core/retry';
import { SignatureV4 } from '@smithy/signature-v4';
import { noteForAudit } from '../../src/authz/caller.ts';
import { sha256 } from '../../src/crypto/hash.ts';
import { ApiError, IntegrityError, Refusal } from '../../src/errors.ts';
import type { OperationTable, Service } from '../../src/services/operation.ts';
import { ACCESS_KEY, openDoor, SESSION_KEY } from './front-door-fixture.ts';

type Handlers = Readonly<Record<string, (call: unknown, input: Record<string, unknown>) => Promise<unknown>>>;

function service(name: string, operations: Handlers): Service {
  return {
    name,
    ...(name === 'kms' ? { internalCode: 'KMSInternalException' } : {}),
    operations: operations as OperationTable,
    translate: (error) =>
      error instanceof Refusal ? new ApiError('Translated', `refused: ${error.reason}`, { status: 403 }) : undefined,
  };
}

const block = new Uint8Array(524_288).map((_, index) => index % 251);
const checksum = Buffer.from(sha256(block)).toString('base64');

function services(): Service[] {
  return [
    service('kms', {
      Encrypt: async (call, { Plaintext, KeyId }) => {
        noteForAudit(call as never, {
          resources: [{ arn: `arn:${KeyId}`, accountId: '444455556666' as never, type: 'AWS::KMS::Key' }],
          otherAccounts: ['444455556666' as never],
        });
        return { CiphertextBlob: Plaintext, KeyId } as EncryptResponse;
      },
      Decrypt: async (_call, { CiphertextBlob }) => {
        if ((CiphertextBlob as Uint8Array)[0] === 1) throw new IntegrityError('block 1 of data key 2');
        throw new ApiError('InvalidCiphertextException', '', { status: 400 });
      },
      DescribeKey: async () => {
        throw new Refusal('no-key');
      },
    }),
    service('ebs', {
      PutSnapshotBlock: async (_call, { BlockData, Checksum }) => {
        const actual = Buffer.from(sha256(BlockData as Uint8Array)).toString('base64');
        if (actual !== Checksum) throw new ApiError('InvalidSignatureException', 'checksum', { status: 403 });
        return { Checksum, ChecksumAlgorithm: 'SHA256' };
      },
      GetSnapshotBlock: async () => ({
        DataLength: block.byteLength,
        BlockData: block,
        Checksum: checksum,
        ChecksumAlgorithm: 'SHA256',
      }),
      StartSnapshot: async () => {
        throw new ApiError('ServiceQuotaExceededException', 'too many', {
          members: { Reason: 'DEPENDENCY_SERVICE_QUOTA_EXCEEDED' },
        });
      },
    }),
    service('ec2', {
      CopyImage: async (call, input) => ({ ImageId: `ami-${(call as { region: string }).region}-${input.Name}` }),
      DescribeImages: async () => ({ Images: [{ ImageId: 'ami-1', Tags: [], Public: false }] }),
      RunInstances: async () => {
        throw new Error('outer', { cause: new Error('the secret cause') });
      },
    }),
    service('sts', { GetCallerIdentity: async () => ({ Account: '111122223333', Arn: 'a', UserId: 'u' }) }),
    service('iam', {
      ListUsers: async () => ({ Users: [], IsTruncated: false }),
      GetUser: async () => {
        throw new ApiError('NoSuchEntity', 'The user with name X cannot be found.', { status: 404 });
      },
    }),
    service('organizations', { ListAccounts: async () => ({ Accounts: [{ Id: '111122223333' }] }) }),
    service('cloudtrail', { LookupEvents: async () => ({ Events: [{ EventName: 'x', EventTime: new Date(5000) }] }) }),
  ];
}

function config(endpoint: string, credentials: object = ACCESS_KEY) {
  return { endpoint, region: 'eu-central-1', credentials: credentials as typeof ACCESS_KEY, maxAttempts: 1 };
}

test('the seven official clients reach their operations through one endpoint (authorization-and-wire 9.1)', async () => {
  await using door = await openDoor(services());
  const options = config(door.endpoint);
  const kms = await new KMSClient(options).send(new EncryptCommand({ KeyId: 'k', Plaintext: Buffer.from('hello') }));
  assert.equal(Buffer.from(kms.CiphertextBlob ?? []).toString(), 'hello');
  const ec2 = new EC2Client(options);
  const copy = await ec2.send(new CopyImageCommand({ Name: 'n', SourceImageId: 'ami-0', SourceRegion: 'us-east-1' }));
  assert.equal(copy.ImageId, 'ami-eu-central-1-n');
  const described = await ec2.send(new DescribeImagesCommand({}));
  assert.deepEqual(described.Images, [{ ImageId: 'ami-1', Tags: [], Public: false }]);
  assert.match(described.$metadata.requestId ?? '', /^[0-9a-f-]{36}$/);
  const identity = await new STSClient(options).send(new GetCallerIdentityCommand({}));
  assert.equal(identity.Account, '111122223333');
  // IAM and Organizations sign for us-east-1 by themselves where they are told nothing else; here they are.
  const global = { ...options, region: 'us-east-1' };
  assert.deepEqual((await new IAMClient(global).send(new ListUsersCommand({}))).Users, []);
  const accounts = await new OrganizationsClient(global).send(new ListAccountsCommand({}));
  assert.deepEqual(accounts.Accounts, [{ Id: '111122223333' }]);
  const events = await new CloudTrailClient(options).send(new LookupEventsCommand({}));
  assert.equal(events.Events?.[0]?.EventTime?.getTime(), 5000);
  const { entries } = door;
  assert.equal(entries.length, 7);
  assert.deepEqual(
    entries.map(({ eventName, readOnly }) => [eventName, readOnly]),
    [
      ['Encrypt', true],
      ['CopyImage', false],
      ['DescribeImages', true],
      ['GetCallerIdentity', true],
      ['ListUsers', true],
      ['ListAccounts', true],
      ['LookupEvents', true],
    ],
  );
  const encrypted = entries[0];
  assert.deepEqual(encrypted?.requestParameters, { keyId: 'k' }, 'plaintext is not recorded (kms 26.2)');
  assert.equal(encrypted?.responseElements, undefined);
  assert.deepEqual(encrypted?.otherAccounts, ['444455556666']);
  assert.equal(encrypted?.resources?.[0]?.type, 'AWS::KMS::Key');
  const requestId = entries[1]?.call.requestId;
  assert.deepEqual(entries[1]?.responseElements, { requestId, imageId: 'ami-eu-central-1-n' });
});

test('blocks pass unchanged in both directions, signed and unsigned (authz 10.4, 12.5)', async () => {
  await using door = await openDoor(services());
  const ebs = new EBSClient(config(door.endpoint));
  const put = {
    SnapshotId: 'snap-1',
    BlockIndex: 3,
    DataLength: block.byteLength,
    ChecksumAlgorithm: 'SHA256',
  } as const;
  const ok = await ebs.send(new PutSnapshotBlockCommand({ ...put, BlockData: block, Checksum: checksum }));
  assert.equal(ok.Checksum, checksum);
  assert.equal(ok.$metadata.httpStatusCode, 201);
  const got = await ebs.send(
    new GetSnapshotBlockCommand({ SnapshotId: 'snap-1', BlockIndex: 3, BlockToken: 'a+b/c=' }),
  );
  assert.deepEqual(Buffer.from((await got.BlockData?.transformToByteArray()) ?? []), Buffer.from(block));
  assert.equal(got.DataLength, block.byteLength);
  assert.deepEqual(door.entries[0]?.requestParameters, {
    snapshotId: 'snap-1',
    blockIndex: 3,
    dataLength: 524_288,
    checksum,
    checksumAlgorithm: 'SHA256',
  });
  // A wrong checksum with a right signature is the operation's to refuse.
  const wrong = Buffer.from(sha256('other')).toString('base64');
  await assert.rejects(ebs.send(new PutSnapshotBlockCommand({ ...put, BlockData: block, Checksum: wrong })), {
    name: 'InvalidSignatureException',
    message: 'checksum',
  });
  await assert.rejects(ebs.send(new StartSnapshotCommand({ VolumeSize: 1 })), (error: Error) => {
    assert.equal(error.name, 'ServiceQuotaExceededException');
    assert.equal((error as { Reason?: string }).Reason, 'DEPENDENCY_SERVICE_QUOTA_EXCEEDED');
    assert.equal((error as unknown as { $metadata: { httpStatusCode: number } }).$metadata.httpStatusCode, 402);
    return true;
  });
});

test('errors speak the dialect of their service, and internal ones tell nothing but the request id', async () => {
  await using door = await openDoor(services());
  const options = config(door.endpoint);
  const kms = new KMSClient(options);
  await assert.rejects(kms.send(new DecryptCommand({ CiphertextBlob: new Uint8Array([0]) })), {
    name: 'InvalidCiphertextException',
  });
  await assert.rejects(
    new IAMClient({ ...options, region: 'us-east-1' }).send(new GetUserCommand({ UserName: 'X' })),
    (error: Error) => {
      assert.equal(error.name, 'NoSuchEntityException');
      assert.equal(error.message, 'The user with name X cannot be found.');
      assert.equal((error as unknown as { $metadata: { httpStatusCode: number } }).$metadata.httpStatusCode, 404);
      return true;
    },
  );
  const ec2 = new EC2Client(options);
  let requestId = '';
  await assert.rejects(
    ec2.send(new RunInstancesCommand({ MinCount: 1, MaxCount: 1 })),
    (error: EC2ServiceException) => {
      assert.equal(error.name, 'InternalFailure');
      assert.equal(error.$metadata.httpStatusCode, 500);
      assert.doesNotMatch(JSON.stringify(error) + error.message, /secret cause|outer/);
      requestId = error.$metadata.requestId ?? '';
      return true;
    },
  );
  const line = door.logged.find((text) => text.includes(requestId)) ?? '';
  assert.match(line, /outer/);
  assert.match(line, /the secret cause/);
  // kms 1.5: KMS has a code of its own, and clients call again.
  await assert.rejects(
    kms.send(new DecryptCommand({ CiphertextBlob: new Uint8Array([1]) })),
    (error: KMSServiceException & { readonly cause?: undefined }) => {
      assert.equal(error.name, 'KMSInternalException');
      assert.equal(error.$metadata.httpStatusCode, 500);
      assert.ok(isTransientError(error));
      return true;
    },
  );
  assert.ok(
    door.logged.some((text) => text.includes('not what was written') && text.includes('block 1 of data key 2')),
  );
});

test('a call is answered only when its audit record is durable, and refused calls are recorded too', async () => {
  let release = () => {};
  const recorded = new Promise<void>((resolve) => {
    release = resolve;
  });
  let reached = () => {};
  const recording = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const audit = {
    record: () => {
      reached();
      return recorded;
    },
  };
  await using door = await openDoor(services(), { audit });
  let answered = false;
  const answer = new STSClient(config(door.endpoint)).send(new GetCallerIdentityCommand({})).then(() => {
    answered = true;
  });
  await recording;
  await new Promise(setImmediate);
  assert.equal(answered, false);
  release();
  await answer;
  await using second = await openDoor(services());
  const forged = { ...ACCESS_KEY, secretAccessKey: 'wrong' };
  await assert.rejects(
    new KMSClient(config(second.endpoint, forged)).send(
      new EncryptCommand({ KeyId: 'k', Plaintext: new Uint8Array([1]) }),
    ),
    {
      name: 'InvalidSignatureException',
    },
  );
  assert.equal(second.entries[0]?.error?.code, 'InvalidSignatureException');
  assert.equal(second.entries[0]?.call.caller.accountId, '111122223333');
  const stranger = { accessKeyId: 'AKIANOBODY', secretAccessKey: 'x' };
  await assert.rejects(new EC2Client(config(second.endpoint, stranger)).send(new DescribeImagesCommand({})), {
    name: 'AuthFailure',
  });
  assert.equal(second.entries.length, 1, 'an unknown access key belongs to no trail');
});

test('temporary credentials work with their token only (authz 10.7)', async () => {
  await using door = await openDoor(services());
  const send = (credentials: object) =>
    new STSClient(config(door.endpoint, credentials)).send(new GetCallerIdentityCommand({}));
  assert.equal((await send(SESSION_KEY)).Account, '111122223333');
  for (const sessionToken of [undefined, 'another']) {
    await assert.rejects(send({ ...SESSION_KEY, sessionToken }), { name: 'InvalidClientTokenId' });
  }
  await assert.rejects(send({ ...ACCESS_KEY, sessionToken: 'any' }), { name: 'InvalidClientTokenId' });
});

test('a presigned GetCallerIdentity is served by GET, once it is signed (authz 9.3, 10.6)', async () => {
  await using door = await openDoor(services());
  const signer = new SignatureV4({ service: 'sts', region: 'us-east-1', credentials: SESSION_KEY, sha256: Sha256 });
  const presigned = await signer.presign({
    method: 'GET',
    protocol: 'http:',
    hostname: '127.0.0.1',
    port: door.port,
    path: '/',
    query: { Action: 'GetCallerIdentity', Version: '2011-06-15' },
    headers: { host: `127.0.0.1:${door.port}` },
  });
  const query = new URLSearchParams(presigned.query as Record<string, string>);
  const answer = await fetch(`${door.endpoint}/?${query}`);
  assert.equal(answer.status, 200);
  assert.match(await answer.text(), /<Account>111122223333<\/Account>/);
  query.set('Action', 'GetSessionToken');
  const changed = await fetch(`${door.endpoint}/?${query}`);
  assert.equal(changed.status, 403);
  assert.match(await changed.text(), /SignatureDoesNotMatch/);
});

test('who asks before sending a body is told to go on, or is refused without having sent it', async () => {
  await using door = await openDoor(services());
  const begin = async (accessKeyId: string, length: number) => {
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    const scope = `${accessKeyId}/${time.slice(0, 8)}/eu-central-1/kms/aws4_request`;
    const authorization = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host;x-amz-date, Signature=${'0'.repeat(64)}`;
    const socket = connect(door.port, '127.0.0.1');
    socket.write(
      `POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: TrentService.Encrypt\r\nX-Amz-Date: ${time}\r\n` +
        `Authorization: ${authorization}\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`,
    );
    let said = '';
    for await (const part of socket) {
      const first = said === '';
      said += part;
      if (first && said.includes('100 Continue')) socket.write(Buffer.alloc(length));
      if (/Exception/.test(said)) break;
    }
    return said;
  };
  assert.match(await begin('AKIANOBODY', 100_000), /^HTTP\/1\.1 400 .*Connection: close.*UnrecognizedClient/is);
  assert.match(await begin('AKIANOBODY', 1e12), /^HTTP\/1\.1 4.*Connection: close/is);
  assert.match(await begin(ACCESS_KEY.accessKeyId, 100_000), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 400 /);
});

test('where callers cannot be looked up, a request with a small body and one with a large one are answered', async () => {
  const credentials = { find: () => Promise.reject(new Error('the database is gone')) };
  await using door = await openDoor(services(), { credentials });
  const kms = new KMSClient(config(door.endpoint, ACCESS_KEY));
  for (const bytes of [1, 200_000]) {
    const sent = kms.send(new EncryptCommand({ KeyId: 'k', Plaintext: new Uint8Array(bytes) }), {
      abortSignal: AbortSignal.timeout(10_000),
    });
    await assert.rejects(sent, { name: /^(?:InternalFailure|KMSInternalException)$/ });
  }
});

test('a large body of somebody unknown is refused by its head alone, in the words of the service (authz 10.9)', async () => {
  let served = 0;
  await using door = await openDoor([
    service('ebs', {
      PutSnapshotBlock: async () => {
        served += 1;
        return { Checksum: checksum, ChecksumAlgorithm: 'SHA256' };
      },
    }),
  ]);
  const put = (credentials: object, region = 'eu-central-1') =>
    new EBSClient({ ...config(door.endpoint, credentials), region }).send(
      new PutSnapshotBlockCommand({
        SnapshotId: 'snap-1',
        BlockIndex: 0,
        BlockData: block,
        DataLength: block.byteLength,
        Checksum: checksum,
        ChecksumAlgorithm: 'SHA256',
      }),
    );
  const unknown = { accessKeyId: 'AKIANOBODY', secretAccessKey: 'x' };
  await assert.rejects(put(unknown), { name: 'UnrecognizedClientException' });
  await assert.rejects(put({ ...SESSION_KEY, sessionToken: 'another' }), { name: 'UnrecognizedClientException' });
  await assert.rejects(put(ACCESS_KEY, 'moon-north-1'), { name: 'InvalidSignatureException' });
  assert.equal(served, 0);
  // With a known key it is read, and then the signature decides.
  await assert.rejects(put({ ...ACCESS_KEY, secretAccessKey: 'wrong' }), { name: 'InvalidSignatureException' });
  await put(ACCESS_KEY);
  assert.equal(served, 1);
});

test('health, a body over the bound, and bytes that are no HTTP are answered', async () => {
  await using door = await openDoor(services());
  const health = await fetch(`${door.endpoint}/health`);
  assert.equal(health.status, 200);
  assert.deepEqual(await health.json(), { status: 'ok' });
  assert.ok(health.headers.get('date'));
  assert.ok(health.headers.get('x-amzn-requestid'));
  const kms = new KMSClient(config(door.endpoint));
  await assert.rejects(
    kms.send(new EncryptCommand({ KeyId: 'k', Plaintext: new Uint8Array(2_000_000) })),
    (error: KMSServiceException & { readonly cause?: undefined }) => {
      assert.equal(error.$metadata.httpStatusCode, 413);
      assert.equal(error.name, 'RequestEntityTooLargeException');
      return true;
    },
  );
  const chunked = new ReadableStream({
    start(controller) {
      for (let n = 0; n < 40; n += 1) controller.enqueue(new Uint8Array(100_000));
      controller.close();
    },
  });
  // Nobody knows who sends it: it is refused before it is read.
  const large = await fetch(door.endpoint, { method: 'POST', body: chunked, duplex: 'half' } as RequestInit);
  assert.equal(large.status, 403);
  assert.match(await large.text(), /MissingAuthenticationToken/);
  const unsigned = await fetch(door.endpoint, { method: 'POST', body: 'Action=DescribeImages&Version=2016-11-15' });
  assert.equal(unsigned.status, 400);
  assert.match(await unsigned.text(), /MissingParameter.*AWSAccessKeyId/);
  const nothing = await fetch(door.endpoint);
  assert.equal(nothing.status, 403);
  assert.match(await nothing.text(), /MissingAuthenticationToken/);
  const socket = connect(door.port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
  socket.write('this is not HTTP\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  assert.match(Buffer.concat(chunks).toString(), /^HTTP\/1\.1 400 Bad Request\r\nDate: /);
});

test('stopping finishes what is in flight and accepts nothing new', async () => {
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const slow = service('sts', {
    GetCallerIdentity: async () => {
      begin();
      await finished;
      return { Account: '111122223333' };
    },
  });
  const door = await openDoor([slow]);
  const answer = new STSClient(config(door.endpoint)).send(new GetCallerIdentityCommand({}));
  await begun;
  const stopped = door.door.stop();
  await assert.rejects(fetch(`${door.endpoint}/health`));
  finish();
  assert.equal((await answer).Account, '111122223333');
  await stopped;
});

test('a table with an operation that has no schema does not start', async () => {
  await assert.rejects(openDoor([service('kms', { Encrpyt: async () => ({}) })]), /kms has no schema for: Encrpyt/);
  await assert.rejects(openDoor([service('sqs', {})]), /sqs is not in the wire registry/);
});
