/**
 * Table 1.1 for the devices of launches: an account that launches, images of every kind of source, and the keys they
 * may end under. Which key a volume is under is asked of KMS, with the wrapped data key that the server stores.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import {
  DisableEbsEncryptionByDefaultCommand,
  EC2Client,
  EnableEbsEncryptionByDefaultCommand,
  ModifyEbsDefaultKmsKeyIdCommand,
  ModifyImageAttributeCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
} from '@aws-sdk/client-ec2';
import { DecryptCommand, KMSClient } from '@aws-sdk/client-kms';
import type { KeyChoice } from '../../policy/encryption-outcomes.ts';
import { type Expected, type Row, VOLUME_TABLE } from '../../policy/test-encryption-outcomes.ts';
import { type Account, ROOT_DEVICE, World } from './world.ts';

const REGION = 'eu-central-1';
const DATA_DEVICE = '/dev/xvdb';

const REFUSALS: Readonly<Record<string, readonly [code: string, text: string]>> = {
  'kms-key-without-encrypted': [
    'InvalidParameterDependency',
    'The parameter KmsKeyId requires the parameter Encrypted to be set.',
  ],
  'encrypted-false-of-encrypted': [
    'InvalidParameterCombination',
    'EncryptedVolume parameter [false] is inconsistent with snapshot encryption state [true]',
  ],
};

export class LaunchTable implements AsyncDisposable {
  readonly world: World;
  /** Who launches. */
  readonly user: Account;
  readonly ec2: EC2Client;
  readonly images: Readonly<Record<Row['source'], string>>;
  /** What a row's outcome is called, and the key it means; `plain` is no key. */
  readonly keys: Readonly<Record<KeyChoice, string>>;

  private constructor(parts: Pick<LaunchTable, 'world' | 'user' | 'images' | 'keys'>) {
    this.world = parts.world;
    this.user = parts.user;
    this.images = parts.images;
    this.keys = parts.keys;
    this.ec2 = new EC2Client(parts.user.admin);
  }

  static async open(): Promise<LaunchTable> {
    const world = await World.open(REGION, { machines: 'none' });
    const [owner, user] = [await world.account('owner'), await world.account('user')];
    const open = { Effect: 'Allow', Principal: '*', Action: 'kms:*', Resource: '*' } as const;
    const foreign = await world.key(owner, open);
    const [own, given, byDefault] = [await world.key(user), await world.key(user), await world.key(user)];
    const imageOf = async (by: Account, key?: string) =>
      world.image(by.admin, await world.snapshot(by.admin, key ? { key } : {}));
    // SH-14: launch permission is enough; the snapshots stay private.
    const shared = async (ImageId: string) => {
      const LaunchPermission = { Add: [{ UserId: user.id }] };
      await new EC2Client(owner.admin).send(new ModifyImageAttributeCommand({ ImageId, LaunchPermission }));
      return ImageId;
    };
    const plain = await imageOf(user);
    const images = {
      // Empty volumes come beside a root volume.
      none: plain,
      'own-plain': plain,
      'own-encrypted': await imageOf(user, own),
      'shared-plain': await shared(await imageOf(owner)),
      'shared-encrypted': await shared(await imageOf(owner, foreign)),
    };
    await new EC2Client(user.admin).send(new ModifyEbsDefaultKmsKeyIdCommand({ KmsKeyId: byDefault }));
    const keys = { plain: 'plain', 'default-key': byDefault, 'given-key': given, 'snapshot-key': own };
    return new LaunchTable({ world, user, images, keys });
  }

  async encryptByDefault(on: boolean): Promise<void> {
    if (on) await this.ec2.send(new EnableEbsEncryptionByDefaultCommand({}));
    else await this.ec2.send(new DisableEbsEncryptionByDefaultCommand({}));
  }

  /** The launch that a row asks for. */
  inputOf(row: Row): RunInstancesCommandInput & { readonly BlockDeviceMappings: readonly object[] } {
    const Ebs = {
      ...(row.encrypted === undefined ? {} : { Encrypted: row.encrypted }),
      ...(row.keyGiven ? { KmsKeyId: this.keys['given-key'] } : {}),
      ...(row.source === 'none' ? { VolumeSize: 1 } : {}),
    };
    return {
      ImageId: this.images[row.source],
      InstanceType: 't3.micro',
      MinCount: 1,
      MaxCount: 1,
      BlockDeviceMappings: [{ DeviceName: deviceOf(row), Ebs }],
    };
  }

  async launch(input: RunInstancesCommandInput, client = this.ec2): Promise<string> {
    const { Instances } = await client.send(new RunInstancesCommand(input));
    return Instances![0]!.InstanceId!;
  }

  /** The key that really wraps the data key of the instance's volume; `plain` where KMS knows none. */
  async keyOfDevice(id: string, device: string = ROOT_DEVICE): Promise<string> {
    const { State, StateReason, BlockDeviceMappings } = await this.world.instance(
      this.user.admin,
      id,
      'running',
      'terminated',
    );
    if (State?.Name !== 'running') return `${StateReason?.Code}`;
    const volume = BlockDeviceMappings?.find(({ DeviceName }) => DeviceName === device)?.Ebs?.VolumeId;
    return this.#keyOfVolume(volume ?? 'none');
  }

  async #keyOfVolume(id: string): Promise<string> {
    using database = new DatabaseSync(join(this.world.ingot.dataDir, 'ingot.db'), { readOnly: true });
    const row = database.prepare('select wrapped_key, kms_key_arn from volumes where id = ?').get(id);
    const wrapped = row?.wrapped_key;
    if (!(wrapped instanceof Uint8Array)) throw new Error(`${id} has no wrapped data key`);
    const EncryptionContext = { 'aws:ebs:id': id };
    return new KMSClient(this.user.admin).send(new DecryptCommand({ CiphertextBlob: wrapped, EncryptionContext })).then(
      ({ KeyId, Plaintext }) => (Plaintext?.byteLength === 64 ? `${KeyId}` : `a key of ${Plaintext?.byteLength} bytes`),
      (error: Error) => {
        // What the root key wraps is random to KMS, and by chance looks like a ciphertext of a key that is none.
        const foreign = error.name === 'AccessDeniedException' && row?.kms_key_arn === null;
        if (foreign || error.name === 'InvalidCiphertextException') return 'plain';
        throw error;
      },
    );
  }

  /** Launches every row before it waits for the first. Gives what is not as the table says. */
  async differences(on: boolean, send: (row: Row) => Promise<string>): Promise<string[]> {
    const wrong: string[] = [];
    const launched: { readonly row: Row; readonly id: string }[] = [];
    for (const row of VOLUME_TABLE) {
      const outcome = await send(row).catch((error: Error) => error);
      if (typeof outcome === 'string') launched.push({ row, id: outcome });
      const said = outcome instanceof Error ? `${outcome.name}: ${outcome.message}` : 'launched';
      const wanted = REFUSALS[expectedOf(row, on)]?.join(': ') ?? 'launched';
      if (said !== wanted) wrong.push(`row ${row.row}: ${said}, not ${wanted}`);
    }
    for (const { row, id } of launched) {
      const found = await this.keyOfDevice(id, deviceOf(row));
      const wanted = (this.keys as Readonly<Record<string, string>>)[expectedOf(row, on)];
      if (found !== wanted) wrong.push(`row ${row.row}: under ${found}, not ${wanted}`);
    }
    return wrong;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.world[Symbol.asyncDispose]();
  }
}

const deviceOf = ({ source }: Row): string => (source === 'none' ? DATA_DEVICE : ROOT_DEVICE);
const expectedOf = (row: Row, on: boolean): Expected => (on ? row.on : row.off);
