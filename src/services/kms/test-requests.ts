/** The smallest request of every operation on a key, and keys on which it succeeds: for tests that visit them all. */
import { constants, createPublicKey, publicEncrypt } from 'node:crypto';
import type { CreateKeyCommandInput, KeyMetadata } from '@aws-sdk/client-kms';
import type { Arn } from '../../ids.ts';
import type { KeysTables } from '../../keys/tables.ts';
import type { World } from './test-kms.ts';

const CREATE = {
  symmetric: {},
  imported: { Origin: 'EXTERNAL' },
  primary: { MultiRegion: true },
  rsa: { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' },
  signing: { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' },
  mac: { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' },
  agreement: { KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' },
  kem: { KeySpec: 'ML_KEM_512', KeyUsage: 'ENCAPSULATE_DECAPSULATE' },
} as const satisfies Record<string, CreateKeyCommandInput>;

export type Kind = keyof typeof CREATE;

export const MESSAGE = new Uint8Array([1, 2, 3]);
const MATERIAL = new Uint8Array(32).fill(5);
const SIGNING = { SigningAlgorithm: 'ECDSA_SHA_256', Message: MESSAGE } as const;
const MAC = { MacAlgorithm: 'HMAC_SHA_256', Message: MESSAGE } as const;
const WRAPPING = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' } as const;

/** A key with what requests on it need. */
export interface Prepared {
  readonly kind: Kind;
  readonly id: string;
  readonly arn: Arn;
  readonly metadata: KeyMetadata;
  readonly alias: string;
  readonly aliasArn: string;
  readonly grantId: string;
  /** Further members of requests, by operation. */
  readonly members: Readonly<Record<string, object>>;
}

/** An enabled key of the management account with an alias, a grant to root, and samples of its work. */
export async function prepare(world: World, kind: Kind): Promise<Prepared> {
  const as = world.as.bind(world);
  const { root } = world;
  const metadata = (await as(root, 'CreateKey', CREATE[kind])).KeyMetadata!;
  const KeyId = metadata.KeyId!;
  const members: Record<string, object> = {};
  if (kind === 'imported') members.ImportKeyMaterial = await importInto(world, KeyId);
  if (kind === 'symmetric' || kind === 'primary') {
    members.Decrypt = { CiphertextBlob: (await as(root, 'Encrypt', { KeyId, Plaintext: MESSAGE })).CiphertextBlob };
  }
  if (kind === 'signing') members.Verify = { Signature: (await as(root, 'Sign', { KeyId, ...SIGNING })).Signature };
  if (kind === 'mac') members.VerifyMac = { Mac: (await as(root, 'GenerateMac', { KeyId, ...MAC })).Mac };
  if (kind === 'agreement') {
    members.DeriveSharedSecret = { PublicKey: (await as(root, 'GetPublicKey', { KeyId })).PublicKey };
  }
  if (kind === 'kem') {
    const made = await as(root, 'Encapsulate', { KeyId, EncapsulationAlgorithm: 'ML_KEM' });
    members.Decapsulate = { SharedSecretCiphertextBlob: made.SharedSecretCiphertextBlob };
  }
  if (kind === 'primary') {
    await as(root, 'ReplicateKey', { KeyId, ReplicaRegion: 'us-east-1' });
    await world.jobs.idle();
  }
  const alias = `alias/${KeyId}`;
  await as(root, 'CreateAlias', { AliasName: alias, TargetKeyId: KeyId });
  const grant = { KeyId, GranteePrincipal: root.arn, Operations: ['DescribeKey' as const] };
  const { GrantId } = await as(root, 'CreateGrant', grant);
  const arn = metadata.Arn! as Arn;
  const aliasArn = arn.replace(/:key\/.*/, `:${alias}`);
  return { kind, id: KeyId, arn, metadata, alias, aliasArn, grantId: GrantId!, members };
}

async function importInto(world: World, KeyId: string): Promise<object> {
  const given = await world.as(world.root, 'GetParametersForImport', { KeyId, ...WRAPPING });
  const key = createPublicKey({ key: Buffer.from(given.PublicKey!), format: 'der', type: 'spki' });
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  const EncryptedKeyMaterial = new Uint8Array(publicEncrypt({ key, padding, oaepHash: 'sha256' }, MATERIAL));
  const ExpirationModel = 'KEY_MATERIAL_DOES_NOT_EXPIRE' as const;
  const request = { ImportToken: given.ImportToken, EncryptedKeyMaterial, ExpirationModel };
  await world.as(world.root, 'ImportKeyMaterial', { KeyId, ...request });
  return request;
}

const IMPORT = {
  ImportToken: MESSAGE,
  EncryptedKeyMaterial: MESSAGE,
  ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
} as const;

interface Row {
  readonly kind: Kind;
  /** Which forms of a key's name the operation takes (kms 2.3, 2.4). */
  readonly names: 'all' | 'keys' | 'arn' | 'none';
  /** The request; `name` is the key as the test names it. */
  readonly input: (name: string, key: Prepared) => object;
}

const on = (kind: Kind, names: Row['names'], more: object | ((key: Prepared) => object) = {}): Row => ({
  kind,
  names,
  input: (KeyId, key) => ({ KeyId, ...(typeof more === 'function' ? more(key) : more) }),
});
const sample =
  (operation: string, more: object = {}) =>
  (key: Prepared) => ({ ...more, ...key.members[operation] });
const Tags = [{ TagKey: 'a', TagValue: 'b' }];
const KEM = { EncapsulationAlgorithm: 'ML_KEM' } as const;

/** Every operation that names a key. */
export const REQUESTS = {
  CancelKeyDeletion: on('symmetric', 'keys'),
  CreateAlias: {
    kind: 'symmetric',
    names: 'keys',
    input: (TargetKeyId) => ({ TargetKeyId, AliasName: `alias/more${aliases++}` }),
  },
  CreateGrant: on('symmetric', 'keys', (key) => ({ GranteePrincipal: rootOf(key), Operations: ['Decrypt'] })),
  Decapsulate: on('kem', 'all', sample('Decapsulate', KEM)),
  Decrypt: on('symmetric', 'all', sample('Decrypt')),
  DeleteAlias: { kind: 'symmetric', names: 'none', input: (_, key) => ({ AliasName: key.alias }) },
  DeleteImportedKeyMaterial: on('imported', 'keys'),
  DeriveSharedSecret: on('agreement', 'all', sample('DeriveSharedSecret', { KeyAgreementAlgorithm: 'ECDH' })),
  DescribeKey: on('symmetric', 'all'),
  DisableKey: on('symmetric', 'keys'),
  DisableKeyRotation: on('symmetric', 'keys'),
  EnableKey: on('symmetric', 'keys'),
  EnableKeyRotation: on('symmetric', 'keys'),
  Encapsulate: on('kem', 'all', KEM),
  Encrypt: on('symmetric', 'all', { Plaintext: MESSAGE }),
  GenerateDataKey: on('symmetric', 'all', { NumberOfBytes: 8 }),
  GenerateDataKeyPair: on('symmetric', 'all', { KeyPairSpec: 'ECC_NIST_P256' }),
  GenerateDataKeyPairWithoutPlaintext: on('symmetric', 'all', { KeyPairSpec: 'ECC_NIST_P256' }),
  GenerateDataKeyWithoutPlaintext: on('symmetric', 'all', { NumberOfBytes: 8 }),
  GenerateMac: on('mac', 'all', MAC),
  GetKeyLastUsage: on('symmetric', 'keys'),
  GetKeyPolicy: on('symmetric', 'keys'),
  GetKeyRotationStatus: on('symmetric', 'keys'),
  GetParametersForImport: on('imported', 'keys', WRAPPING),
  GetPublicKey: on('signing', 'all'),
  ImportKeyMaterial: on('imported', 'keys', sample('ImportKeyMaterial', IMPORT)),
  ListAliases: on('symmetric', 'keys'),
  ListGrants: on('symmetric', 'keys'),
  ListKeyPolicies: on('symmetric', 'keys'),
  ListKeyRotations: on('symmetric', 'keys'),
  ListResourceTags: on('symmetric', 'keys'),
  PutKeyPolicy: on('symmetric', 'keys', (key) => ({ Policy: openPolicy(rootOf(key)) })),
  ReEncrypt: {
    kind: 'symmetric',
    names: 'all',
    input: (name, key) => ({ SourceKeyId: name, DestinationKeyId: name, ...key.members.Decrypt }),
  },
  ReplicateKey: on('primary', 'keys', { ReplicaRegion: 'eu-west-1' }),
  RetireGrant: on('symmetric', 'arn', (key) => ({ GrantId: key.grantId })),
  RevokeGrant: on('symmetric', 'keys', (key) => ({ GrantId: key.grantId })),
  RotateKeyOnDemand: on('symmetric', 'keys'),
  ScheduleKeyDeletion: on('symmetric', 'keys'),
  Sign: on('signing', 'all', SIGNING),
  TagResource: on('symmetric', 'keys', { Tags }),
  UntagResource: on('symmetric', 'keys', { TagKeys: ['a'] }),
  UpdateAlias: {
    kind: 'symmetric',
    names: 'keys',
    input: (TargetKeyId, key) => ({ TargetKeyId, AliasName: key.alias }),
  },
  UpdateKeyDescription: on('symmetric', 'keys', { Description: 'd' }),
  UpdatePrimaryRegion: on('primary', 'keys', { PrimaryRegion: 'us-east-1' }),
  Verify: on('signing', 'all', sample('Verify', SIGNING)),
  VerifyMac: on('mac', 'all', sample('VerifyMac', MAC)),
} as const satisfies Record<string, Row>;

export type KeyOperation = keyof typeof REQUESTS;
export const KEY_OPERATIONS = Object.keys(REQUESTS) as KeyOperation[];

/** Names of aliases differ within one process. */
let aliases = 0;

function rootOf(key: Prepared): string {
  return `arn:aws:iam::${key.metadata.AWSAccountId}:root`;
}

/** Everything for these principals. */
export function openPolicy(...principals: string[]): string {
  const Statement = [{ Effect: 'Allow', Principal: { AWS: principals }, Action: 'kms:*', Resource: '*' }];
  return JSON.stringify({ Version: '2012-10-17', Statement });
}

/** Puts a key into a state that takes hardware, time or luck to reach. */
export async function forceState(world: World, { arn, metadata }: Prepared, state: string): Promise<void> {
  await world.db.write(async (tx) => {
    const deletion = state === 'PendingDeletion' ? world.clock().getTime() + 1e9 : null;
    const change = { state, deletion_at: deletion } as never;
    await tx.as<KeysTables>().updateTable('keys_key').set(change).where('arn', '=', arn).execute();
  });
  // Allowed in every state (kms 14.11), and what is kept of the key in memory goes with it.
  const Policy = openPolicy(`arn:aws:iam::${metadata.AWSAccountId}:root`);
  await world.as(world.root, 'PutKeyPolicy', { KeyId: arn, Policy });
}
