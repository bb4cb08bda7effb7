/** What is not there, not known or not well formed is refused by name, in the dialect of its service. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { ApiError } from '../../src/errors.ts';
import { LIMITS } from '../../src/limits.ts';
import type { Service } from '../../src/services/operation.ts';
import type { WireRequest, WireResponse } from '../../src/wire/message.ts';
import { REGISTRY } from '../../src/wire/registry.ts';
import { Wire } from '../../src/wire/wire.ts';
import { ACCESS_KEY, openDoor } from './front-door-fixture.ts';
import { arbitraryStruct } from './generate.ts';

const wire = new Wire(REGISTRY);

const UNSUPPORTED: Readonly<Record<string, string>> = {
  ec2Query: 'UnsupportedOperation',
  awsQuery: 'UnsupportedOperation',
  awsJson1_1: 'UnsupportedOperationException',
  restJson1: 'ValidationException',
};

/** AWS serves these to callers without credentials; Ingot serves nobody without a signature. */
const UNSIGNED: readonly string[] = ['AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity'];

interface SdkClient {
  send(command: object): Promise<unknown>;
  destroy(): void;
}

test('every operation that AWS has and Ingot has not is refused by name, to the official clients', async () => {
  const empty: Service[] = REGISTRY.map(({ name }) => ({ name, operations: {}, translate: () => undefined }));
  await using door = await openDoor(empty);
  let operations = 0;
  for (const service of wire.services) {
    const { schemas, protocol } = service.entry;
    const [, Client] = Object.entries(schemas).find(([name]) => /^[A-Z]\w*Client$/.test(name)) ?? [];
    // Recycle Bin and Ingot's own service have no published client with schemas.
    if (service.name === 'rbin' || service.name === 'ingot') continue;
    const options = { endpoint: door.endpoint, region: 'us-east-1', credentials: ACCESS_KEY, maxAttempts: 1 };
    const client = new (Client as new (options: object) => SdkClient)(options);
    for (const name of service.operationNames) {
      const Command = schemas[`${name}Command`] as new (input: object) => object;
      const shape = service.operation(name)?.input;
      assert.ok(shape);
      const made = arbitraryStruct(shape, { text: fc.constant('x'), depthMax: 0, nothingEmpty: true });
      const [input] = fc.sample(made, { numRuns: 1, seed: operations });
      await assert.rejects(client.send(new Command(input ?? {})), (error: Error) => {
        if (UNSIGNED.includes(name)) return error.name === 'MissingAuthenticationToken';
        assert.equal(error.name, UNSUPPORTED[protocol], `${service.name} ${name}: ${error.message}`);
        assert.equal(error.message, `The operation ${name} is not supported by Ingot.`);
        return true;
      });
      if (!UNSIGNED.includes(name)) operations += 1;
    }
    client.destroy();
  }
  assert.equal(door.entries.length, operations);
  assert.ok(operations > 1100, `${operations} operations`);
});

function request(parts: Partial<Omit<WireRequest, 'body'>> & { readonly body?: string | Uint8Array }): WireRequest {
  const { body = '', ...rest } = parts;
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  return { method: 'POST', path: '/', query: '', headers: {}, ...rest, body: bytes };
}

function scope(service: string): Record<string, string> {
  const scoped = `AKID/20260301/us-east-1/${service}/aws4_request`;
  return { authorization: `AWS4-HMAC-SHA256 Credential=${scoped}, SignedHeaders=host, Signature=0` };
}

function ec2(body: string): WireRequest {
  return request({ headers: scope('ec2'), body: `Version=2016-11-15&${body}` });
}
function sts(body: string): WireRequest {
  return request({ headers: scope('sts'), body: `Version=2011-06-15&${body}` });
}
function kms(operation: string, body: string): WireRequest {
  return request({ headers: { ...scope('kms'), 'x-amz-target': `TrentService.${operation}` }, body });
}

/** The error that a request meets before its operation, as it would leave. */
function refused(from: WireRequest): readonly [error: ApiError, response: WireResponse] {
  const claim = wire.claim(from);
  assert.ok(claim, 'nobody claims the request');
  try {
    if (!claim.operation) throw claim.unknownOperation();
    const input = claim.decode(claim.operation);
    return assert.fail(`accepted as ${JSON.stringify(input)}`);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return [error, claim.encodeError(error, 'request-id')];
  }
}

const REFUSALS: readonly (readonly [title: string, from: WireRequest, code: string, message: string])[] = [
  [
    'EC2, no action (authz 11.10)',
    ec2(''),
    'MissingAction',
    'The request is missing an action or a required parameter.',
  ],
  [
    'EC2, unknown action (authz 11.10)',
    ec2('Action=MakeCoffee'),
    'InvalidAction',
    'The action MakeCoffee is not valid for this web service.',
  ],
  [
    'EC2, unknown parameter (authz 11.10)',
    ec2('Action=DescribeImages&Colour=red'),
    'UnknownParameter',
    'The parameter Colour is not recognized',
  ],
  [
    'EC2, unknown nested parameter',
    ec2('Action=CreateVolume&TagSpecification.1.Tag.1.Name=x'),
    'UnknownParameter',
    'The parameter TagSpecification.1.Tag.1.Name is not recognized',
  ],
  [
    'EC2, a list without an index',
    ec2('Action=DescribeImages&ImageId=ami-1'),
    'UnknownParameter',
    'The parameter ImageId is not recognized',
  ],
  [
    'EC2, a list counted from 0 (authz 11.1)',
    ec2('Action=DescribeImages&ImageId.0=ami-1'),
    'UnknownParameter',
    'The parameter ImageId.0 is not recognized',
  ],
  [
    'EC2, a scalar with an index',
    ec2('Action=DescribeImages&MaxResults.1=5'),
    'UnknownParameter',
    'The parameter MaxResults.1 is not recognized',
  ],
  [
    'EC2, missing parameter (authz 11.10)',
    ec2('Action=CopyImage&Name=n&SourceRegion=us-east-1'),
    'MissingParameter',
    'The request must contain the parameter SourceImageId',
  ],
  [
    'EC2, not a number',
    ec2('Action=DescribeImages&MaxResults=many'),
    'InvalidParameterValue',
    'Value (many) for parameter MaxResults is invalid. Expected an integer.',
  ],
  [
    'EC2, not a whole number',
    ec2('Action=CreateVolume&Size=1.5'),
    'InvalidParameterValue',
    'Value (1.5) for parameter Size is invalid. Expected an integer.',
  ],
  [
    'EC2, not a boolean',
    ec2('Action=DescribeImages&DryRun=yes'),
    'InvalidParameterValue',
    'Value (yes) for parameter DryRun is invalid. Expected a boolean.',
  ],
  [
    'EC2, the same parameter twice',
    ec2('Action=DescribeImages&MaxResults=5&MaxResults=6'),
    'InvalidParameterValue',
    'The parameter MaxResults may only be specified once',
  ],
  [
    'EC2, another version',
    request({ headers: scope('ec2'), body: 'Action=DescribeImages&Version=2014-02-01' }),
    'NoSuchVersion',
    'The requested version (2014-02-01) of service AmazonEC2 does not exist',
  ],
  [
    'EC2, broken percent-encoding',
    ec2('Action=DescribeImages&MaxResults=%zz'),
    'MalformedQueryString',
    'The query string contains a syntax error: a percent-encoding is broken',
  ],
  [
    'STS, required members (authz 14.2)',
    sts('Action=AssumeRole'),
    'ValidationError',
    "2 validation errors detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null; " +
      "Value null at 'roleSessionName' failed to satisfy constraint: Member must not be null",
  ],
  [
    'STS, not a number',
    sts('Action=AssumeRole&RoleArn=a&RoleSessionName=b&DurationSeconds=x'),
    'ValidationError',
    "1 validation error detected: Value 'x' at 'durationSeconds' failed to satisfy constraint: Member must be an integer",
  ],
  ['KMS, unknown operation', kms('Encrpyt', '{}'), 'UnknownOperationException', 'The operation Encrpyt is unknown.'],
  [
    'KMS, required member (kms 1.8)',
    kms('Encrypt', '{"Plaintext":"aGk="}'),
    'ValidationException',
    "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null",
  ],
  [
    'KMS, another type',
    kms('Encrypt', '{"KeyId":7,"Plaintext":"aGk="}'),
    'SerializationException',
    'NUMBER_VALUE can not be converted to a String',
  ],
  [
    'KMS, bytes that are no base64',
    kms('Encrypt', '{"KeyId":"k","Plaintext":"***"}'),
    'SerializationException',
    'STRING_VALUE can not be converted to a Blob',
  ],
  ['KMS, no JSON', kms('Encrypt', '{"KeyId":'), 'SerializationException', 'The request body is not valid JSON'],
  ['KMS, no object', kms('Encrypt', '[1]'), 'SerializationException', 'The request body is not a JSON object'],
  [
    'KMS, a key that assignments lose',
    kms('Encrypt', '{"KeyId":"k","Plaintext":"aGk=","EncryptionContext":{"__proto__":"x"}}'),
    'ValidationException',
    'The map key __proto__ is not supported',
  ],
  [
    'EBS, unknown path',
    request({ method: 'DELETE', path: '/snapshots/snap-1', headers: scope('ebs') }),
    'UnknownOperationException',
    'DELETE /snapshots/snap-1 is unknown.',
  ],
  [
    'EBS, a label that is no number (authz 12.4)',
    request({ method: 'GET', path: '/snapshots/snap-1/blocks/x', query: 'blockToken=t', headers: scope('ebs') }),
    'ValidationException',
    "1 validation error detected: Value 'x' at 'blockIndex' failed to satisfy constraint: Member must be an integer",
  ],
  [
    'EBS, required headers (authz 12.5)',
    request({ method: 'PUT', path: '/snapshots/snap-1/blocks/1', headers: scope('ebs'), body: 'x' }),
    'ValidationException',
    "3 validation errors detected: Value null at 'dataLength' failed to satisfy constraint: Member must not be null; " +
      "Value null at 'checksum' failed to satisfy constraint: Member must not be null; " +
      "Value null at 'checksumAlgorithm' failed to satisfy constraint: Member must not be null",
  ],
];

for (const [title, from, code, message] of REFUSALS) {
  test(`refused: ${title}`, () => {
    const [error] = refused(from);
    assert.deepEqual([error.code, error.message], [code, message]);
  });
}

test('both sharing forms of EC2 are read (authz 11.3)', () => {
  const claim = wire.claim(ec2('Action=ModifyImageAttribute&ImageId=ami-1&LaunchPermission.Add.1.UserId=1'));
  assert.ok(claim?.operation);
  assert.deepEqual(claim.decode(claim.operation), { ImageId: 'ami-1', LaunchPermission: { Add: [{ UserId: '1' }] } });
  const old = wire.claim(
    ec2(
      'Action=ModifyImageAttribute&ImageId=ami-1&Attribute=launchPermission&OperationType=add&UserId.1=1&UserGroup.1=all',
    ),
  );
  assert.ok(old?.operation);
  assert.deepEqual(old.decode(old.operation), {
    ImageId: 'ami-1',
    Attribute: 'launchPermission',
    OperationType: 'add',
    UserIds: ['1'],
    UserGroups: ['all'],
  });
});

test('a query comes by GET too, and + is a space (authz 9.3, 11.1)', () => {
  const query = 'Action=CopyImage&Version=2016-11-15&Name=a+b&SourceImageId=ami%2D1&SourceRegion=x&X-Amz-Date=d';
  const claim = wire.claim(request({ method: 'GET', query, headers: scope('ec2') }));
  assert.ok(claim?.operation);
  assert.deepEqual(claim.decode(claim.operation), { Name: 'a b', SourceImageId: 'ami-1', SourceRegion: 'x' });
});

test('answers and errors have the envelopes of AWS (authz 11.5 to 11.9, 12.6, kms 1.4, 1.6, 1.7)', () => {
  const answer = (from: WireRequest, output: unknown) => {
    const claim = wire.claim(from);
    assert.ok(claim?.operation);
    return claim.encode(claim.operation, output, 'rid');
  };
  const error = (from: WireRequest, given: ApiError) => {
    const { status, headers, body } = wire.claim(from)?.encodeError(given, 'rid') ?? assert.fail();
    return [status, String(body), headers['x-amzn-errortype']];
  };
  const xml = '<?xml version="1.0" encoding="UTF-8"?>\n';
  const images = answer(ec2('Action=DescribeImages'), { Images: [{ ImageId: 'ami-1', Tags: [], Public: true }] });
  assert.equal(
    images.body,
    `${xml}<DescribeImagesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>rid</requestId>` +
      '<imagesSet><item><tagSet/><imageId>ami-1</imageId><isPublic>true</isPublic></item></imagesSet></DescribeImagesResponse>',
  );
  assert.equal(images.headers['content-type'], 'text/xml;charset=UTF-8');
  assert.equal(
    answer(ec2('Action=ModifyImageAttribute'), undefined).body,
    `${xml}<ModifyImageAttributeResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>rid</requestId><return>true</return></ModifyImageAttributeResponse>`,
  );
  assert.equal(
    answer(sts('Action=GetCallerIdentity'), { Account: '1' }).body,
    `${xml}<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>rid</RequestId></ResponseMetadata></GetCallerIdentityResponse>`,
  );
  // ec2-encryption L-24; L-25 above.
  assert.deepEqual(error(ec2('Action=DescribeImages'), new ApiError('A.B', 'a < b', { status: 404 })), [
    404,
    `${xml}<Response><Errors><Error><Code>A.B</Code><Message>a &lt; b</Message></Error></Errors><RequestID>rid</RequestID></Response>`,
    undefined,
  ]);
  assert.deepEqual(error(sts('Action=AssumeRole'), new ApiError('AccessDenied', 'no', { status: 403 })), [
    403,
    `${xml}<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error><RequestId>rid</RequestId></ErrorResponse>`,
    undefined,
  ]);
  assert.deepEqual(error(kms('Encrypt', ''), new ApiError('NotFoundException', 'no key', { status: 404 })), [
    400,
    '{"__type":"NotFoundException","message":"no key"}',
    undefined,
  ]);
  assert.deepEqual(error(kms('Encrypt', ''), new ApiError('AccessDeniedException', 'no', { status: 403 })), [
    400,
    '{"__type":"AccessDeniedException","Message":"no"}',
    undefined,
  ]);
  assert.deepEqual(error(kms('Decrypt', ''), new ApiError('InvalidCiphertextException', '')), [
    400,
    '{"__type":"InvalidCiphertextException"}',
    undefined,
  ]);
  assert.deepEqual(error(kms('Decrypt', ''), new ApiError('KMSInternalException', 'x', { status: 500 }))[0], 500);
  const block = request({ method: 'GET', path: '/snapshots/s/blocks/1', headers: scope('ebs') });
  const notFound = new ApiError('ResourceNotFoundException', 'gone', { members: { Reason: 'SNAPSHOT_NOT_FOUND' } });
  assert.deepEqual(error(block, notFound), [
    404,
    '{"Message":"gone","Reason":"SNAPSHOT_NOT_FOUND"}',
    'ResourceNotFoundException',
  ]);
});

test('bounds hold: members, depth, length', () => {
  const many = Array.from({ length: LIMITS.inputMembersMax + 1 }, (_, n) => `ImageId.${n + 1}=a`).join('&');
  assert.equal(refused(ec2(`Action=DescribeImages&${many}`))[0].code, 'InvalidRequest');
  const deep = Array.from({ length: LIMITS.inputDepthMax * 3 }, () => 'A').join('.');
  assert.equal(refused(ec2(`Action=DescribeImages&${deep}=1`))[0].code, 'InvalidRequest');
  const long = 'x'.repeat(LIMITS.stringLengthMax + 1);
  assert.equal(refused(kms('Encrypt', JSON.stringify({ KeyId: long })))[0].code, 'ValidationException');
  const list = JSON.stringify({ KeyId: 'k', Plaintext: '', GrantTokens: Array(LIMITS.inputMembersMax + 1).fill('t') });
  assert.equal(refused(kms('Encrypt', list))[0].code, 'ValidationException');
});

test('no input pollutes a prototype', () => {
  const body = '{"KeyId":"k","Plaintext":"","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
  const claim = wire.claim(kms('Encrypt', body));
  assert.ok(claim?.operation);
  const input = claim.decode(claim.operation);
  assert.deepEqual(Object.keys(input), ['KeyId', 'Plaintext']);
  assert.equal(({} as { polluted?: number }).polluted, undefined);
  const form = ec2('Action=DescribeImages&__proto__.polluted=1');
  assert.equal(refused(form)[0].code, 'UnknownParameter');
});

test('malformed requests of every service meet a client error, never a crash', () => {
  const junk = fc.oneof(fc.string({ unit: 'binary' }), fc.json(), fc.webQueryParameters());
  const names = wire.services.map((service) => [service, service.operationNames] as const);
  const picked = fc.nat(names.length - 1).chain((at) => {
    const [service, operations] = names[at] ?? assert.fail();
    return fc.record({ service: fc.constant(service), operation: fc.constantFrom(...operations), junk });
  });
  const keyed = fc.tuple(fc.stringMatching(/^[A-Za-z]{1,8}(\.(\d|member|[A-Za-z]{1,6})){0,5}$/), fc.string());
  const property = fc.property(
    picked,
    fc.array(keyed, { maxLength: 6 }),
    ({ service, operation, junk: text }, pairs) => {
      const { name, protocol, version, targets = [] } = service.entry;
      const form = pairs.map(([key, value]) => `${key}=${encodeURIComponent(value.toWellFormed())}`).join('&');
      const made: Record<string, WireRequest> = {
        ec2Query: request({ headers: scope(name), body: `Action=${operation}&Version=${version}&${form}&${text}` }),
        awsQuery: request({ headers: scope(name), body: `Action=${operation}&Version=${version}&${form}&${text}` }),
        awsJson1_1: request({ headers: { ...scope(name), 'x-amz-target': `${targets[0]}.${operation}` }, body: text }),
        restJson1: request({ path: '/snapshots', headers: scope(name), body: text }),
      };
      const from = made[protocol] ?? assert.fail();
      const claim = wire.claim(from);
      assert.ok(claim?.operation, `${name} ${operation}`);
      try {
        claim.decode(claim.operation);
      } catch (error) {
        assert.ok(error instanceof ApiError, String((error as Error).stack));
        const { status } = claim.encodeError(error, 'request-id');
        assert.ok(status >= 400 && status < 500, `${status} ${error.code}`);
      }
    },
  );
  fc.assert(property, { numRuns: 2000 });
});

const cli = await promisify(execFile)('aws', ['--version']).then(
  () => false as const,
  () => 'the AWS CLI is not installed',
);

test('the AWS CLI speaks to the front door', { skip: cli }, async () => {
  const stsService: Service = {
    name: 'sts',
    operations: { GetCallerIdentity: async () => ({ Account: '111122223333', Arn: 'arn:x', UserId: 'U' }) },
    translate: () => undefined,
  };
  await using door = await openDoor([stsService, { name: 'ec2', operations: {}, translate: () => undefined }]);
  const environment = {
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '',
    AWS_ACCESS_KEY_ID: ACCESS_KEY.accessKeyId,
    AWS_SECRET_ACCESS_KEY: ACCESS_KEY.secretAccessKey,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  const aws = (...words: string[]) =>
    promisify(execFile)('aws', ['--endpoint-url', door.endpoint, ...words], { env: environment });
  const { stdout } = await aws('sts', 'get-caller-identity');
  assert.equal(JSON.parse(stdout).Account, '111122223333');
  await assert.rejects(aws('ec2', 'describe-vpcs'), (error: Error & { stderr: string }) => {
    assert.match(error.stderr, /\(UnsupportedOperation\).*The operation DescribeVpcs is not supported by Ingot\./);
    return true;
  });
});
