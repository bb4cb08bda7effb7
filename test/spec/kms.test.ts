/** KMS on the wire and in the trail, by requests that are signed and sent by hand to a whole server (kms §1, §25, §26). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Sha256 } from '@aws-crypto/sha256-js';
import { CloudTrailClient, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { SignatureV4 } from '@smithy/signature-v4';
import { type ClientConfig, Ingot } from '../house/ingot.ts';
import { type Account, allow, World } from './world.ts';

const REGION = 'eu-central-1';
const JSON_1_1 = 'application/x-amz-json-1.1';
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const PLAINTEXT = Buffer.from('x').toString('base64');
const MISSING = '00000000-0000-4000-8000-000000000000';

type Json = Readonly<Record<string, unknown>>;

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly requestId: string | null;
  readonly body: string;
  readonly json: Json;
}

async function post(config: ClientConfig, target: string, body: string): Promise<Answer> {
  const { endpoint, region, credentials } = config;
  const url = new URL(endpoint);
  const signer = new SignatureV4({ service: 'kms', region, credentials, sha256: Sha256 });
  const { headers } = await signer.sign({
    method: 'POST',
    protocol: url.protocol,
    hostname: url.hostname,
    port: Number(url.port),
    path: '/',
    query: {},
    headers: { host: url.host, 'content-type': JSON_1_1, 'x-amz-target': target },
    body,
  });
  const answer = await fetch(url, { method: 'POST', headers, body });
  const said = await answer.text();
  return {
    status: answer.status,
    type: answer.headers.get('content-type'),
    requestId: answer.headers.get('x-amzn-requestid'),
    body: said,
    json: said === '' ? {} : JSON.parse(said),
  };
}

describe('KMS on the wire', () => {
  let world: World;
  let owner: Account;
  let root: ClientConfig;
  const ask = (operation: string, input: object = {}, config = root) =>
    post(config, `TrentService.${operation}`, JSON.stringify(input));
  const keyOf = async (input: object = {}) => {
    const { json } = await ask('CreateKey', input);
    return json.KeyMetadata as { KeyId: string; Arn: string; CreationDate: number };
  };

  before(async () => {
    world = await World.open(REGION);
    owner = await world.management();
    root = owner.admin;
  });
  after(() => world[Symbol.asyncDispose]());

  it('kms 1.1, 1.2: JSON 1.1 with its target and content type; bytes are base64, times are epoch seconds', async () => {
    const began = Date.now() / 1000;
    const key = await keyOf();
    assert.equal(typeof key.CreationDate, 'number');
    assert.ok(Math.abs(key.CreationDate - began) < 600);
    const sealed = await ask('Encrypt', { KeyId: key.KeyId, Plaintext: PLAINTEXT });
    assert.deepEqual([sealed.status, sealed.type], [200, JSON_1_1]);
    assert.match(String(sealed.json.CiphertextBlob), BASE64);
    const opened = await ask('Decrypt', { CiphertextBlob: sealed.json.CiphertextBlob });
    assert.equal(opened.json.Plaintext, PLAINTEXT);
    assert.equal((await post(root, 'TrentService.DescribeKey', '{"KeyId": 5}')).json.__type, 'SerializationException');
    assert.equal((await post(root, 'Trent.DescribeKey', '{}')).json.__type, 'UnknownOperationException');
  });

  it('kms 1.3: operations without output answer 200 and an empty object', async () => {
    const { KeyId, Arn } = await keyOf({ MultiRegion: true });
    const grants: Json[] = [];
    for (let turn = 0; turn < 2; turn++) {
      const grant = { KeyId, GranteePrincipal: `arn:aws:iam::${owner.id}:root`, Operations: ['Decrypt'] };
      grants.push((await ask('CreateGrant', grant)).json);
    }
    const { Policy } = (await ask('GetKeyPolicy', { KeyId })).json;
    await ask('ReplicateKey', { KeyId, ReplicaRegion: 'us-east-1' });
    const AliasName = 'alias/without-output';
    for (const [operation, input] of [
      ['CreateAlias', { AliasName, TargetKeyId: KeyId }],
      ['UpdateAlias', { AliasName, TargetKeyId: KeyId }],
      ['DeleteAlias', { AliasName }],
      ['DisableKey', { KeyId }],
      ['EnableKey', { KeyId }],
      ['EnableKeyRotation', { KeyId }],
      ['DisableKeyRotation', { KeyId }],
      ['PutKeyPolicy', { KeyId, Policy }],
      ['TagResource', { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] }],
      ['UntagResource', { KeyId, TagKeys: ['a'] }],
      ['UpdateKeyDescription', { KeyId, Description: 'd' }],
      ['RetireGrant', { KeyId: Arn, GrantId: grants[0]?.GrantId }],
      ['RevokeGrant', { KeyId, GrantId: grants[1]?.GrantId }],
      ['UpdatePrimaryRegion', { KeyId, PrimaryRegion: 'us-east-1' }],
    ] as const) {
      const answer = await ask(operation, input);
      assert.deepEqual([answer.status, answer.body], [200, '{}'], operation);
    }
  });

  it('kms 1.4, 1.6, 1.7, 8.10, 30.1: every code of the catalogue (§25), each with HTTP 400 and its body', async () => {
    const { KeyId, Arn } = await keyOf();
    const disabled = await keyOf();
    await ask('DisableKey', { KeyId: disabled.KeyId });
    const waiting = await keyOf({ Origin: 'EXTERNAL' });
    const hmac = await keyOf({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' });
    const signing = await keyOf({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
    const { CiphertextBlob } = (await ask('Encrypt', { KeyId, Plaintext: PLAINTEXT })).json;
    await ask('CreateAlias', { AliasName: 'alias/there', TargetKeyId: KeyId });
    const nobody = (await world.user(owner)).config;
    const mac = { KeyId: hmac.KeyId, Message: PLAINTEXT, MacAlgorithm: 'HMAC_SHA_256', Mac: PLAINTEXT };
    const signed = {
      KeyId: signing.KeyId,
      Message: PLAINTEXT,
      SigningAlgorithm: 'ECDSA_SHA_256',
      Signature: PLAINTEXT,
    };
    const wrap = { KeyId: waiting.KeyId, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' };
    const { ImportToken } = (await ask('GetParametersForImport', wrap)).json;
    const material = {
      KeyId: waiting.KeyId,
      ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
      EncryptedKeyMaterial: PLAINTEXT,
    };
    const huge = JSON.stringify({ Version: '2012-10-17', Statement: [], Id: 'x'.repeat(33_000) });
    const peer = { KeyAgreementAlgorithm: 'ECDH', PublicKey: PLAINTEXT };
    const agreement = await keyOf({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' });
    const noText = [
      'InvalidCiphertextException',
      'KMSInvalidSignatureException',
      'KMSInvalidMacException',
      'UnsupportedOperationException RotateKeyOnDemand',
      'ValidationException DeriveSharedSecret',
    ];
    const catalogue: [code: string, operation: string, input: object, config?: ClientConfig][] = [
      ['AccessDeniedException', 'Encrypt', { KeyId, Plaintext: PLAINTEXT }, nobody],
      ['NotFoundException', 'DescribeKey', { KeyId: MISSING }],
      ['InvalidArnException', 'DescribeKey', { KeyId: 'arn:aws:s3:::bucket' }],
      ['DisabledException', 'Encrypt', { KeyId: disabled.KeyId, Plaintext: PLAINTEXT }],
      ['KMSInvalidStateException', 'CancelKeyDeletion', { KeyId }],
      ['KMSInvalidStateException', 'Encrypt', { KeyId: waiting.KeyId, Plaintext: PLAINTEXT }],
      ['InvalidKeyUsageException', 'Encrypt', { KeyId: hmac.KeyId, Plaintext: PLAINTEXT }],
      ['IncorrectKeyException', 'Decrypt', { KeyId: hmac.KeyId, CiphertextBlob }],
      ['InvalidCiphertextException', 'Decrypt', { CiphertextBlob: PLAINTEXT }],
      ['UnsupportedOperationException', 'RotateKeyOnDemand', { KeyId: hmac.KeyId }],
      ['UnsupportedOperationException', 'CreateCustomKeyStore', { CustomKeyStoreName: 'a' }],
      ['AlreadyExistsException', 'CreateAlias', { AliasName: 'alias/there', TargetKeyId: KeyId }],
      ['InvalidAliasNameException', 'CreateAlias', { AliasName: 'alias/a b', TargetKeyId: KeyId }],
      ['NotAuthorizedException', 'CreateAlias', { AliasName: 'alias/aws/mine', TargetKeyId: KeyId }],
      ['LimitExceededException', 'PutKeyPolicy', { KeyId, Policy: huge }],
      ['MalformedPolicyDocumentException', 'PutKeyPolicy', { KeyId, Policy: '{' }],
      ['TagException', 'TagResource', { KeyId, Tags: [{ TagKey: 'aws:a', TagValue: '' }] }],
      ['InvalidGrantIdException', 'RevokeGrant', { KeyId, GrantId: 'nonsense' }],
      ['InvalidGrantTokenException', 'RetireGrant', { GrantToken: PLAINTEXT }],
      ['InvalidMarkerException', 'ListKeys', { Marker: 'nonsense' }],
      ['DryRunOperationException', 'Encrypt', { KeyId, Plaintext: PLAINTEXT, DryRun: true }],
      ['InvalidImportTokenException', 'ImportKeyMaterial', { ...material, ImportToken: PLAINTEXT }],
      ['InvalidCiphertextException', 'ImportKeyMaterial', { ...material, ImportToken }],
      ['KMSInvalidSignatureException', 'Verify', signed],
      ['KMSInvalidMacException', 'VerifyMac', mac],
      ['CustomKeyStoreNotFoundException', 'ConnectCustomKeyStore', { CustomKeyStoreId: 'cks-1' }],
      ['ValidationException', 'CreateKey', { KeyUsage: 'SIGN_VERIFY' }],
      ['ValidationException', 'DeriveSharedSecret', { ...peer, KeyId: agreement.KeyId }],
      ['ValidationException', 'ReEncrypt', { CiphertextBlob }],
      ['UnknownOperationException', 'MakeCoffee', {}],
    ];
    for (const [code, operation, input, config] of catalogue) {
      const answer = await ask(operation, input, config);
      assert.deepEqual([answer.json.__type, answer.status, answer.type], [code, 400, JSON_1_1], operation);
      const members = Object.keys(answer.json).filter((name) => name !== '__type');
      const text = code === 'AccessDeniedException' ? 'Message' : 'message';
      const isBare = noText.includes(code) || noText.includes(`${code} ${operation}`);
      assert.deepEqual(members, isBare ? [] : [text], `${operation}: ${answer.body}`);
    }
    assert.equal((await post(root, 'TrentService.Encrypt', '{')).json.__type, 'SerializationException');
    assert.match(Arn, /:key\//);
  });

  it('kms 28.6: above its rate a call is refused, and official clients try again until it is let through', async () => {
    await using throttled = await Ingot.start({ environment: { INGOT_KMS_THROTTLE: 'aws' } });
    const config = await throttled.client(REGION);
    const keys = (count: number, client: KMSClient) =>
      Promise.allSettled(Array.from({ length: count }, () => client.send(new CreateKeyCommand({}))));
    const burst = await keys(40, new KMSClient({ ...config, maxAttempts: 1 }));
    const refused = burst.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    assert.ok(refused.length > 0 && refused.length < 40, `${refused.length} of 40 were refused`);
    for (const error of refused) {
      assert.equal(error.name, 'ThrottlingException');
      assert.equal(error.$metadata.httpStatusCode, 400);
    }
    const patient = await keys(6, new KMSClient({ ...config, maxAttempts: 30 }));
    assert.deepEqual(
      patient.filter((one) => one.status === 'rejected'),
      [],
    );
  });

  describe('in the trail', () => {
    /** The record of one answer, as LookupEvents gives it; from whose trail, if not the owner's. */
    async function recordOf(operation: string, answer: Answer, config = root): Promise<Json> {
      const trail = new CloudTrailClient(config);
      const LookupAttributes = [{ AttributeKey: 'EventName' as const, AttributeValue: operation }];
      const { Events = [] } = await trail.send(new LookupEventsCommand({ LookupAttributes }));
      const documents = Events.map(({ CloudTrailEvent }) => JSON.parse(CloudTrailEvent ?? '{}') as Json);
      const found = documents.filter(({ requestID }) => requestID === answer.requestId);
      assert.equal(found.length, 1, operation);
      return found[0]!;
    }
    const recorded = async (operation: string, input: object, config = root) =>
      recordOf(operation, await ask(operation, input, config), config);

    it('kms 26.1: every record has the members of all', async () => {
      const { KeyId, Arn } = await keyOf();
      const { eventID, requestID, eventTime, userIdentity, ...rest } = await recorded('DescribeKey', { KeyId });
      assert.match(`${eventID} ${requestID}`, /^[0-9a-f-]{36} [0-9a-f-]{36}$/);
      assert.match(String(eventTime), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.equal((userIdentity as Json).type, 'IAMUser');
      const { userAgent, sourceIPAddress, ...more } = rest;
      assert.deepEqual([typeof userAgent, sourceIPAddress], ['string', '127.0.0.1']);
      assert.deepEqual(more, {
        eventVersion: '1.11',
        eventSource: 'kms.amazonaws.com',
        eventName: 'DescribeKey',
        awsRegion: REGION,
        requestParameters: { keyId: KeyId },
        responseElements: null,
        readOnly: true,
        resources: [{ accountId: owner.id, type: 'AWS::KMS::Key', ARN: Arn }],
        eventType: 'AwsApiCall',
        managementEvent: true,
        recipientAccountId: owner.id,
        eventCategory: 'Management',
      });
      const failed = await recorded('DescribeKey', { KeyId: MISSING });
      assert.equal(failed.errorCode, 'NotFoundException');
      assert.match(String(failed.errorMessage), /does not exist$/);
    });

    it('kms 26.2, 26.5: parameters in lowerCamel, nothing secret, and which material was used', async () => {
      const { KeyId } = await keyOf();
      const EncryptionContext = { team: 'images' };
      const context = { encryptionContext: EncryptionContext };
      const encryptionAlgorithm = 'SYMMETRIC_DEFAULT';
      const sealed = await ask('Encrypt', { KeyId, Plaintext: PLAINTEXT, EncryptionContext });
      const first = await recordOf('Encrypt', sealed);
      assert.deepEqual(first.requestParameters, { keyId: KeyId, encryptionAlgorithm, ...context });
      const { CiphertextBlob } = sealed.json;
      const opened = await recorded('Decrypt', { CiphertextBlob, EncryptionContext });
      assert.deepEqual(opened.requestParameters, { encryptionAlgorithm, ...context });
      const named = await recorded('Decrypt', { CiphertextBlob, EncryptionContext, KeyId });
      assert.deepEqual(named.requestParameters, { keyId: KeyId, encryptionAlgorithm, ...context });
      const made = await recorded('GenerateDataKey', { KeyId, KeySpec: 'AES_256' });
      assert.deepEqual(made.requestParameters, { keyId: KeyId, keySpec: 'AES_256' });
      const sized = await recorded('GenerateDataKeyWithoutPlaintext', { KeyId, NumberOfBytes: 64 });
      assert.deepEqual(sized.requestParameters, { keyId: KeyId, numberOfBytes: 64 });
      for (const record of [first, opened, named, made, sized]) {
        assert.match(String((record.additionalEventData as Json).keyMaterialId), /^[0-9a-f]{64}$/);
        const told = JSON.stringify(record);
        for (const secret of [PLAINTEXT, String(CiphertextBlob)]) assert.ok(!told.includes(`"${secret}"`));
      }
    });

    it('kms 26.3, 26.4: what answers leave behind, and which calls are reads', async () => {
      const { KeyId, Arn } = await keyOf();
      const made = await recorded('CreateKey', { Description: 'd' });
      const { keyMetadata } = made.responseElements as { keyMetadata: Json };
      assert.equal(keyMetadata.description, 'd');
      assert.match(String(keyMetadata.creationDate), /^[A-Z][a-z]{2} \d{1,2}, \d{4}, \d{1,2}:\d\d:\d\d [AP]M$/);
      const granted = await recorded('CreateGrant', {
        KeyId,
        GranteePrincipal: `arn:aws:iam::${owner.id}:root`,
        Operations: ['Decrypt'],
      });
      const { grantId, keyId } = granted.responseElements as Json;
      assert.equal(keyId, Arn);
      const retired = await recorded('RetireGrant', { KeyId: Arn, GrantId: grantId });
      assert.equal(retired.requestParameters, null);
      assert.deepEqual(retired.additionalEventData, { grantId });
      const scheduled = await recorded('ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
      const { deletionDate, ...rest } = scheduled.responseElements as Json;
      assert.deepEqual(rest, { keyId: Arn, keyState: 'PendingDeletion', pendingWindowInDays: 7 });
      assert.match(String(deletionDate), /, \d{4}, /);
      const cancelled = await recorded('CancelKeyDeletion', { KeyId });
      assert.deepEqual(cancelled.responseElements, { keyId: Arn });
      await ask('EnableKey', { KeyId });
      const { CiphertextBlob } = (await ask('Encrypt', { KeyId, Plaintext: PLAINTEXT })).json;
      const { Policy } = (await ask('GetKeyPolicy', { KeyId })).json;
      const other = await keyOf();
      const AliasName = 'alias/in-the-trail';
      const aliasArn = Arn.replace(/key\/.*/, AliasName);
      const reads: [string, object, string[]][] = [
        ['GenerateDataKey', { KeyId, NumberOfBytes: 8 }, [Arn]],
        ['Decrypt', { CiphertextBlob }, [Arn]],
        ['ReEncrypt', { CiphertextBlob, DestinationKeyId: other.KeyId }, [Arn, other.Arn]],
        ['ListGrants', { KeyId }, [Arn]],
        ['GetKeyPolicy', { KeyId }, [Arn]],
      ];
      const writes: [string, object, string[]][] = [
        ['DisableKey', { KeyId }, [Arn]],
        ['PutKeyPolicy', { KeyId, Policy }, [Arn]],
        ['TagResource', { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] }, [Arn]],
        ['CreateAlias', { AliasName, TargetKeyId: KeyId }, [aliasArn, Arn]],
        ['UpdateAlias', { AliasName, TargetKeyId: other.KeyId }, [aliasArn, Arn, other.Arn]],
        ['DeleteAlias', { AliasName }, [aliasArn, other.Arn]],
      ];
      for (const [readOnly, calls] of [
        [true, reads],
        [false, writes],
      ] as const) {
        for (const [operation, input, arns] of calls) {
          const record = await recorded(operation, input);
          assert.equal(record.errorCode, undefined, operation);
          assert.equal(record.readOnly, readOnly, operation);
          assert.equal(record.responseElements, null, operation);
          const expected = arns.map((ARN) => ({ accountId: owner.id, type: 'AWS::KMS::Key', ARN }));
          assert.deepEqual(record.resources, expected, operation);
        }
      }
      for (const record of [made, granted, retired, scheduled, cancelled]) assert.equal(record.readOnly, false);
    });

    it('kms 26.6: a call across accounts stands in both trails, a denied one in the caller’s only', async () => {
      const stranger = await world.account();
      const statement = { ...allow('kms:*'), Principal: { AWS: [owner.id, stranger.id] } };
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
      const open = await keyOf({ Policy });
      const closed = await keyOf();
      const input = (KeyId: string) => ({ KeyId, Plaintext: PLAINTEXT });
      const answer = await ask('Encrypt', input(open.Arn), stranger.admin);
      const [theirs, ours] = [await recordOf('Encrypt', answer, stranger.admin), await recordOf('Encrypt', answer)];
      assert.equal(theirs.sharedEventID, ours.sharedEventID);
      assert.match(String(ours.sharedEventID), /^[0-9a-f-]{36}$/);
      assert.deepEqual([theirs.recipientAccountId, ours.recipientAccountId], [stranger.id, owner.id]);
      const refused = await ask('Encrypt', input(closed.Arn), stranger.admin);
      assert.equal((await recordOf('Encrypt', refused, stranger.admin)).errorCode, 'AccessDenied');
      await assert.rejects(recordOf('Encrypt', refused), assert.AssertionError);
    });
  });
});
