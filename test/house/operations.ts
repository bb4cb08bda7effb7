/** Every implemented operation as a call of the official SDK, with the smallest input that its schema accepts. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Sha256 } from '@aws-crypto/sha256-js';
import * as autoscaling from '@aws-sdk/client-auto-scaling';
import * as cloudtrail from '@aws-sdk/client-cloudtrail';
import * as ebs from '@aws-sdk/client-ebs';
import * as ec2 from '@aws-sdk/client-ec2';
import * as iam from '@aws-sdk/client-iam';
import * as kms from '@aws-sdk/client-kms';
import * as organizations from '@aws-sdk/client-organizations';
import * as sts from '@aws-sdk/client-sts';
import { SignatureV4 } from '@smithy/signature-v4';
import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { createLog } from '../../src/log.ts';
import { REGISTRY } from '../../src/wire/registry.ts';
import type { Member, Shape, StructShape, Use } from '../../src/wire/shapes.ts';
import { Wire } from '../../src/wire/wire.ts';
import type { ClientConfig } from './ingot.ts';

const SDK: Readonly<Record<string, { readonly client: string; readonly exports: object }>> = {
  autoscaling: { client: 'AutoScalingClient', exports: autoscaling },
  cloudtrail: { client: 'CloudTrailClient', exports: cloudtrail },
  ebs: { client: 'EBSClient', exports: ebs },
  ec2: { client: 'EC2Client', exports: ec2 },
  iam: { client: 'IAMClient', exports: iam },
  kms: { client: 'KMSClient', exports: kms },
  organizations: { client: 'OrganizationsClient', exports: organizations },
  sts: { client: 'STSClient', exports: sts },
};

interface AnyClient {
  send(command: object): Promise<object>;
  destroy(): void;
}

export interface ApiFailure {
  readonly code: string;
  readonly status: number;
  readonly message: string;
}

const wire = new Wire(REGISTRY);
/** No published client carries their schemas. */
const BY_HAND = new Set(['ingot', 'rbin']);

/** Calls one operation and gives its failure, or `undefined` where it succeeded. */
export async function call(
  config: ClientConfig & { signer?: unknown },
  service: string,
  operation: string,
  input: object = sampleInput(service, operation),
): Promise<ApiFailure | undefined> {
  if (BY_HAND.has(service)) return callByHand(config, service, operation, input);
  const sdk = SDK[service];
  if (!sdk) throw new Error(`no SDK client for ${service}`);
  const exports = sdk.exports as Record<string, new (argument: object) => object>;
  const client = new exports[sdk.client]!(config) as AnyClient;
  try {
    await client.send(new exports[`${operation}Command`]!(input));
    return undefined;
  } catch (error) {
    const failure = error as { name: string; message: string; $metadata?: { httpStatusCode?: number } };
    if (failure.$metadata?.httpStatusCode === undefined) throw error;
    return { code: failure.name, status: failure.$metadata.httpStatusCode, message: failure.message };
  } finally {
    client.destroy();
  }
}

/** Recycle Bin has no published client with schemas: its requests are written here, and signed as clients do. */
async function callByHand(
  { endpoint, region, credentials, signer: unsignedSigner }: ClientConfig & { signer?: unknown },
  service: string,
  operation: string,
  input: object,
): Promise<ApiFailure | undefined> {
  const { http } = wire.service(service)!.operation(operation)!;
  const members = { ...input } as Record<string, unknown>;
  const path = http!.path.map((part) => {
    if ('literal' in part) return part.literal;
    const value = String(members[part.label]);
    delete members[part.label];
    return encodeURIComponent(value);
  });
  const url = new URL(`/${path.join('/')}`, endpoint);
  const body = http!.method === 'GET' || http!.method === 'DELETE' ? undefined : JSON.stringify(members);
  const request = {
    method: http!.method,
    protocol: url.protocol,
    hostname: url.hostname,
    port: Number(url.port),
    path: url.pathname,
    query: {},
    headers: { host: url.host, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body }),
  };
  const real = new SignatureV4({ service, region, credentials, sha256: Sha256 });
  const { headers } = unsignedSigner ? request : await real.sign(request);
  const answer = await fetch(url, { method: request.method, headers, ...(body === undefined ? {} : { body }) });
  const text = await answer.text();
  if (answer.ok) return undefined;
  const { message, Message } = (text ? JSON.parse(text) : {}) as { message?: string; Message?: string };
  const code = (answer.headers.get('x-amzn-errortype') ?? '').split(':')[0] ?? '';
  return { code, status: answer.status, message: message ?? Message ?? '' };
}

/** Every operation in the server's tables. */
export async function implementedOperations(): Promise<{ service: string; operation: string }[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'ingot-operations-'));
  const config = readConfig({ data: dataDir, listen: '127.0.0.1:0', machines: 'none' }, {});
  const app = await createApp(config, createLog('silent'));
  const found = app.services.flatMap(({ name, operations }) =>
    Object.keys(operations).map((operation) => ({ service: name, operation })),
  );
  await app.close();
  await rm(dataDir, { recursive: true, force: true });
  return found;
}

/** For clients that sign nothing. */
export const unsigned = { signer: { sign: async (request: unknown) => request } };

/**
 * Required members only, with values that look like what their names say. `real` replaces made-up values by those of
 * resources that exist.
 */
export function sampleInput(
  service: string,
  operation: string,
  real: ReadonlyMap<string, string> = new Map(),
  instead: object = {},
): object {
  const model = wire.service(service)?.operation(operation);
  if (!model) throw new Error(`no schema for ${service} ${operation}`);
  const input = {
    ...sampleStruct(model.input.members),
    ...EXTRA[operation],
    ...EXTRA[`${service} ${operation}`],
    ...instead,
  };
  return replaced(input, real) as object;
}

function replaced(value: unknown, real: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string') return real.get(value) ?? value;
  if (Array.isArray(value)) return value.map((item) => replaced(item, real));
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, replaced(member, real)]));
}

const sampleStruct = (members: readonly Member[]): object =>
  Object.fromEntries(
    members.filter((member) => member.required).map((member) => [member.name, sample(member, member.name)]),
  );

function sample(use: Use, name: string): unknown {
  const { shape }: { shape: Shape } = use;
  switch (shape.kind) {
    case 'string':
      return sampleText(name);
    case 'number':
      return /Index/.test(name) ? 0 : /Days/.test(name) ? 7 : 1;
    case 'boolean':
      return true;
    case 'blob':
      return new Uint8Array(16);
    case 'timestamp':
      return new Date(Date.UTC(2030, 0, 1));
    case 'list':
      return [sample(shape.item, name.replace(/s$/, ''))];
    case 'map':
      return { key: sample(shape.value, name) };
    case 'struct':
      return sampleStruct(shape.members);
  }
}

const DIGITS = '0123456789abcdef0';
/** Ids in sample inputs, by what they name. */
export const SAMPLE_IDS = {
  volume: `vol-${DIGITS}`,
  snapshot: `snap-${DIGITS}`,
  image: `ami-${DIGITS}`,
  instance: `i-${DIGITS}`,
} as const;
export const SAMPLE_ROOT = 'arn:aws:iam::111122223333:root';
export const KEY_ID = '12345678-1234-1234-1234-123456789012';
const POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'ec2:DescribeImages', Resource: '*' }],
});
const TRUST = JSON.stringify({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'ec2.amazonaws.com' } }],
});

const SSH = [{ IpProtocol: 'tcp', FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: '192.0.2.0/24' }] }];

/** First match of the member's name decides. */
const TEXTS: readonly (readonly [RegExp, string])[] = [
  [/^(Source)?Snapshot(Id)?$|^(First|Second)SnapshotId$/, `snap-${DIGITS}`],
  [/^(Source)?ImageId$/, `ami-${DIGITS}`],
  [/^(Source)?VolumeId$/, `vol-${DIGITS}`],
  [/^InstanceId$/, `i-${DIGITS}`],
  [/^Resource(Id)?$/, `i-${DIGITS}`],
  [/Region$/, 'eu-central-1'],
  [/^AvailabilityZone$/, 'eu-central-1a'],
  [/^Device$/, '/dev/xvdf'],
  [/^(Target)?KeyId$|^(Destination|Kms)KeyId$/, KEY_ID],
  [/^AliasName$/, 'alias/sample'],
  [/^VersionId$/, 'v1'],
  [/^GranteePrincipal$/, SAMPLE_ROOT],
  [/^GrantId$/, 'a'.repeat(64)],
  [/^Operation$/, 'Decrypt'],
  [/AssumeRolePolicyDocument/, TRUST],
  [/PolicyDocument$|^Policy$/, POLICY],
  [/PolicyArn/, 'arn:aws:iam::aws:policy/ReadOnlyAccess'],
  [/RoleArn/, 'arn:aws:iam::111122223333:role/sample'],
  [/^AccountId$/, '111122223333'],
  [/^Email$/, 'sample@example.com'],
  [/ChecksumAlgorithm/, 'SHA256'],
  [/^Checksum$/, `${'A'.repeat(43)}=`],
  [/^Status$/, 'Inactive'],
  [/AccessKeyId/, 'AKIAIOSFODNN7EXAMPLE'],
  [/CreateAccountRequestId/, 'car-0123456789abcdef'],
  [/^BlockToken$/, 'QUJD'],
  [/^AssociationId$/, `iip-assoc-${DIGITS}`],
  [/^PolicySourceArn$/, 'arn:aws:iam::111122223333:user/sample'],
  [/^WrappingAlgorithm$/, 'RSAES_OAEP_SHA_256'],
  [/^WrappingKeySpec$/, 'RSA_2048'],
  [/^KeyPairSpec$/, 'ECC_NIST_P256'],
  [/^EncapsulationAlgorithm$/, 'ML_KEM'],
  [/^KeyAgreementAlgorithm$/, 'ECDH'],
  [/^MacAlgorithm$/, 'HMAC_SHA_256'],
  [/^SigningAlgorithm$/, 'ECDSA_SHA_256'],
  [/^AttributeType|^Attribute$/, 'launchPermission'],
];

/** A value for the member at `path`. */
export function sampleAt(input: StructShape, path: readonly string[]): unknown {
  let members = input.members;
  let found: Member | undefined;
  for (const name of path) {
    found = members.find((member) => member.name === name);
    let shape: Shape | undefined = found?.shape;
    while (shape?.kind === 'list') shape = shape.item.shape;
    members = shape?.kind === 'struct' ? shape.members : [];
  }
  if (!found) throw new Error(`no member ${path.join('.')}`);
  return sample(found, found.name);
}

function sampleText(name: string): string {
  return TEXTS.find(([pattern]) => pattern.test(name))?.[1] ?? 'sample';
}

const RULE_ID = 'abcdefghijk';
const RETENTION = { RetentionPeriodValue: 7, RetentionPeriodUnit: 'DAYS' };

/** What operations want beyond the required members, and values that the member's name does not tell. */
const EXTRA: Readonly<Record<string, object>> = {
  CreateLaunchTemplate: { LaunchTemplateName: 'sample', LaunchTemplateData: { InstanceType: 't3.micro' } },
  CreateLaunchTemplateVersion: { LaunchTemplateName: 'sample', LaunchTemplateData: { InstanceType: 't3.micro' } },
  DeleteLaunchTemplate: { LaunchTemplateName: 'sample' },
  DeleteLaunchTemplateVersions: { LaunchTemplateName: 'sample', Versions: ['1'] },
  ModifyLaunchTemplate: { LaunchTemplateName: 'sample', DefaultVersion: '1' },
  DescribeLaunchTemplateVersions: { LaunchTemplateName: 'sample' },
  CreateVolume: { AvailabilityZone: 'eu-central-1a', Size: 1 },
  DeleteTags: { Resources: [`vol-${DIGITS}`], Tags: [{ Key: 'a' }] },
  CreateTags: { Resources: [`vol-${DIGITS}`], Tags: [{ Key: 'a', Value: 'b' }] },
  RegisterImage: {
    Name: 'sample',
    RootDeviceName: '/dev/xvda',
    BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: `snap-${DIGITS}` } }],
  },
  RunInstances: { ImageId: `ami-${DIGITS}`, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 },
  ModifySnapshotAttribute: { Attribute: 'createVolumePermission', OperationType: 'add', UserIds: ['111122223333'] },
  DescribeSnapshotAttribute: { Attribute: 'createVolumePermission' },
  ResetSnapshotAttribute: { Attribute: 'createVolumePermission' },
  ModifyImageAttribute: { Attribute: 'launchPermission', OperationType: 'add', UserIds: ['111122223333'] },
  ModifyInstanceAttribute: { DisableApiTermination: { Value: false } },
  DescribeInstanceAttribute: { Attribute: 'instanceType' },
  ModifyEbsDefaultKmsKeyId: { KmsKeyId: KEY_ID },
  GenerateDataKey: { KeySpec: 'AES_256' },
  GenerateDataKeyWithoutPlaintext: { KeySpec: 'AES_256' },
  CreateGrant: { GranteePrincipal: SAMPLE_ROOT, Operations: ['Decrypt'] },
  EnableFastSnapshotRestores: { SourceSnapshotIds: [`snap-${DIGITS}`], AvailabilityZones: ['eu-central-1a'] },
  DisableFastSnapshotRestores: { SourceSnapshotIds: [`snap-${DIGITS}`], AvailabilityZones: ['eu-central-1a'] },
  CreateImageUsageReport: { ResourceTypes: [{ ResourceType: 'ec2:Instance' }] },
  DeleteImageUsageReport: { ReportId: `amiur-${DIGITS}` },
  DescribeImageReferences: { IncludeAllResourceTypes: true },
  ModifySubnetAttribute: { EnableDns64: { Value: false } },
  ModifyVpcAttribute: { EnableDnsSupport: { Value: false } },
  EnableAllowedImagesSettings: { AllowedImagesSettingsState: 'audit-mode' },
  LockSnapshot: { LockMode: 'governance', LockDuration: 1 },
  ModifySnapshotTier: { StorageTier: 'archive' },
  RestoreSnapshotTier: { PermanentRestore: true },
  'autoscaling CreateAutoScalingGroup': {
    MinSize: 0,
    MaxSize: 1,
    LaunchTemplate: { LaunchTemplateName: 'sample' },
    AvailabilityZones: ['eu-central-1a'],
  },
  CancelSpotInstanceRequests: { SpotInstanceRequestIds: ['sir-01234567'] },
  'autoscaling SetDesiredCapacity': { DesiredCapacity: 0 },
  'autoscaling CreateOrUpdateTags': { Tags: [{ ResourceId: 'sample', Key: 'a', Value: 'b' }] },
  'autoscaling DeleteTags': { Tags: [{ ResourceId: 'sample', Key: 'a' }] },
  'ingot VerifySnapshot': { SnapshotId: SAMPLE_IDS.snapshot },
  'ingot GetVerification': { VerificationId: '11111111-2222-4333-8444-555555555555' },
  'ingot GetVerificationKey': {},
  'rbin CreateRule': { ResourceType: 'EBS_SNAPSHOT', RetentionPeriod: RETENTION },
  'rbin DeleteRule': { Identifier: RULE_ID },
  'rbin GetRule': { Identifier: RULE_ID },
  'rbin ListRules': { ResourceType: 'EBS_SNAPSHOT' },
  'rbin LockRule': {
    Identifier: RULE_ID,
    LockConfiguration: { UnlockDelay: { UnlockDelayValue: 7, UnlockDelayUnit: 'DAYS' } },
  },
  'rbin UnlockRule': { Identifier: RULE_ID },
  'rbin UpdateRule': { Identifier: RULE_ID, RetentionPeriod: RETENTION },
  ListRetirableGrants: { RetiringPrincipal: SAMPLE_ROOT },
  ListChangedBlocks: { FirstSnapshotId: `snap-${DIGITS}`, SecondSnapshotId: `snap-${DIGITS}` },
  GetServiceLinkedRoleDeletionStatus: {
    DeletionTaskId: 'task/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot/AROAEXAMPLEEXAMPLEEX',
  },
  'organizations CreatePolicy': {
    Type: 'SERVICE_CONTROL_POLICY',
    Description: 'sample',
    Name: 'sample',
    Content: POLICY,
  },
  'organizations ListPolicies': { Filter: 'SERVICE_CONTROL_POLICY' },
  ListPoliciesForTarget: { Filter: 'SERVICE_CONTROL_POLICY' },
  AuthorizeSecurityGroupIngress: { GroupId: `sg-${DIGITS}`, IpPermissions: SSH },
  AuthorizeSecurityGroupEgress: { GroupId: `sg-${DIGITS}`, IpPermissions: SSH },
  RevokeSecurityGroupIngress: { GroupId: `sg-${DIGITS}`, IpPermissions: SSH },
  RevokeSecurityGroupEgress: { GroupId: `sg-${DIGITS}`, IpPermissions: SSH },
  DeleteSecurityGroup: { GroupId: `sg-${DIGITS}` },
  DeleteKeyPair: { KeyName: 'sample' },
  GenerateRandom: { NumberOfBytes: 32 },
  PutSnapshotBlock: { DataLength: 524_288, BlockData: new Uint8Array(524_288) },
  StartSnapshot: { VolumeSize: 1 },
  AssociateIamInstanceProfile: { IamInstanceProfile: { Name: 'sample' } },
  ReplaceIamInstanceProfileAssociation: { IamInstanceProfile: { Name: 'sample' } },
  ImportKeyMaterial: { ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' },
  SimulatePrincipalPolicy: { ActionNames: ['kms:Decrypt'] },
  SimulateCustomPolicy: { ActionNames: ['kms:Decrypt'], PolicyInputList: [POLICY] },
  GetContextKeysForCustomPolicy: { PolicyInputList: [POLICY] },
  RetireGrant: { KeyId: `arn:aws:kms:eu-central-1:111122223333:key/${KEY_ID}`, GrantId: 'a'.repeat(64) },
};
