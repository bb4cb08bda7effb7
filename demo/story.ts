/** The main job as a story of seven steps. Nothing is said to be proven that was not seen. */
import { randomBytes } from 'node:crypto';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { type Event, LookupEventsCommand } from '@aws-sdk/client-cloudtrail';
import {
  CopyImageCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  GetConsoleOutputCommand,
  type Image,
  type Instance,
  ModifyImageAttributeCommand,
  RegisterImageCommand,
  RunInstancesCommand,
  type RunInstancesCommandInput,
  type Snapshot,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { CreateAliasCommand, CreateKeyCommand, DisableKeyCommand, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { buildBootImage } from './image/build.ts';
import { compareWithFile, importDisk } from './import.ts';
import { countDistinctBlocks, fileHolds, sampleFile, scanFor } from './proof.ts';
import { type Account, createAccount, type Server } from './server.ts';
import { until } from './wait.ts';

const HOME = 'eu-central-1';
const AWAY = 'eu-west-1';
const ROOT_DEVICE = '/dev/xvda';

const MIB = 2 ** 20;
const green = (text: string) => (process.stdout.isTTY ? `\x1b[32m${text}\x1b[0m` : text);
export const bold = (text: string) => (process.stdout.isTTY ? `\x1b[1m${text}\x1b[0m` : text);
export const say = (text = '') => process.stdout.write(`${text}\n`);
const heading = (text: string) => say(`\n${bold(text)}`);
const proves = (text: string) => say(`  ${green('✓')} ${text}`);
/** What a guest prints must not drive the terminal. */
const printable = (text: string) => text.replaceAll(/[^\x20-\x7e]/g, '');
const rate = (bytes: number, seconds: number) => `${(bytes / 1e6 / seconds).toFixed(0)} MB/s`;

/** Says what was proven, or ends the demo: nothing is shown as proven that was not seen. */
function prove(holds: boolean, text: string): void {
  if (!holds) throw new Error(`this does not hold: ${text}`);
  proves(text);
}

async function createKey(account: Account, alias: string, policy?: object): Promise<string> {
  const { KeyMetadata } = await account.kms.send(
    new CreateKeyCommand({ Description: alias, Policy: policy && JSON.stringify(policy) }),
  );
  await account.kms.send(new CreateAliasCommand({ AliasName: `alias/${alias}`, TargetKeyId: KeyMetadata?.KeyId }));
  return KeyMetadata?.Arn as string;
}

async function describeImage(account: Account, id: string): Promise<Image> {
  const { Images } = await account.ec2.send(new DescribeImagesCommand({ ImageIds: [id] }));
  const image = Images?.[0];
  if (!image) throw new Error(`image ${id} is not there`);
  return image;
}

const rootSnapshotOf = (image: Image) => image.BlockDeviceMappings?.[0]?.Ebs?.SnapshotId as string;

async function snapshotOf(account: Account, id: string): Promise<Snapshot> {
  const { Snapshots } = await account.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }));
  return Snapshots?.[0] as Snapshot;
}

async function describeInstance(account: Account, id: string): Promise<Instance> {
  const { Reservations } = await account.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
  return Reservations?.[0]?.Instances?.[0] as Instance;
}

/** Every instance that was asked for, so that none is left, however the demo ends. */
class Guests {
  readonly #launches: Promise<{ account: Account; id: string | undefined }>[] = [];
  #closed = false;

  async launch(account: Account, request: RunInstancesCommandInput): Promise<Instance> {
    if (this.#closed) throw new Error('the demo is over');
    const accepted = account.ec2.send(new RunInstancesCommand(request)).then(({ Instances }) => Instances?.[0]);
    this.#launches.push(accepted.then((instance) => ({ account, id: instance?.InstanceId })));
    return (await accepted) as Instance;
  }

  /** Launches nothing more and terminates what was launched. */
  async end(): Promise<void> {
    this.#closed = true;
    for (const launch of await Promise.allSettled(this.#launches)) {
      if (launch.status === 'rejected' || !launch.value.id) continue;
      const { account, id } = launch.value;
      await account.ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
      await until(`${id} is terminated`, async () =>
        (await describeInstance(account, id)).State?.Name === 'terminated' ? true : undefined,
      );
    }
  }
}

/** Launches with the root volume under `key` and gives the instance once it is running or terminated. */
async function launch(
  guests: Guests,
  account: Account,
  imageId: string,
  key: string,
): Promise<{ accepted: Instance; ended: Instance }> {
  const accepted = await guests.launch(account, {
    ImageId: imageId,
    InstanceType: 't3.small',
    MinCount: 1,
    MaxCount: 1,
    BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs: { Encrypted: true, KmsKeyId: key } }],
  });
  const ended = await until(`${accepted.InstanceId} is running or terminated`, async () => {
    const now = await describeInstance(account, accepted.InstanceId as string);
    return ['running', 'terminated'].includes(now.State?.Name ?? '') ? now : undefined;
  });
  return { accepted, ended };
}

async function consoleOf(account: Account, instanceId: string): Promise<string> {
  const { Output } = await account.ec2.send(new GetConsoleOutputCommand({ InstanceId: instanceId, Latest: true }));
  return Buffer.from(Output ?? '', 'base64').toString('latin1');
}

async function keyEvents(account: Account): Promise<Event[]> {
  const events: Event[] = [];
  let NextToken: string | undefined;
  do {
    const page = await account.trail.send(
      new LookupEventsCommand({
        LookupAttributes: [{ AttributeKey: 'EventSource', AttributeValue: 'kms.amazonaws.com' }],
        NextToken,
      }),
    );
    events.push(...(page.Events ?? []));
    NextToken = page.NextToken;
  } while (NextToken);
  return events.reverse();
}

interface TrailRecord {
  readonly eventName: string;
  readonly errorCode?: string;
  readonly userIdentity?: { readonly arn?: string; readonly invokedBy?: string };
  readonly requestParameters?: {
    readonly encryptionContext?: Record<string, string>;
    readonly sourceEncryptionContext?: Record<string, string>;
    readonly destinationEncryptionContext?: Record<string, string>;
    readonly constraints?: { readonly encryptionContextSubset?: Record<string, string> };
  } | null;
}

function contextOf(record: TrailRecord): string {
  const parameters = record.requestParameters ?? {};
  const pairs = (context?: Record<string, string>) =>
    Object.entries(context ?? {})
      .map(([key, value]) => `${key}=${value}`)
      .join(' ');
  const moved = [parameters.sourceEncryptionContext, parameters.destinationEncryptionContext]
    .map(pairs)
    .filter(Boolean);
  return (
    pairs(parameters.encryptionContext) ||
    pairs(parameters.constraints?.encryptionContextSubset) ||
    moved.join(' → ') ||
    '–'
  );
}

const keyPolicy = (owner: string, consumer?: string) => ({
  Version: '2012-10-17',
  Statement: [
    { Sid: 'Owner', Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${owner}:root` }, Action: 'kms:*', Resource: '*' },
    ...(consumer
      ? [
          {
            Sid: 'ConsumersMayLaunch',
            Effect: 'Allow',
            Principal: { AWS: `arn:aws:iam::${consumer}:root` },
            Action: ['kms:DescribeKey', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:CreateGrant'],
            Resource: '*',
            Condition: { StringEquals: { 'kms:ViaService': `ec2.${AWAY}.amazonaws.com` } },
          },
        ]
      : []),
  ],
});

export interface Telling {
  readonly server: Server;
  /** Where the demo may put files of its own. */
  readonly workDir: string;
  readonly dataDir: string;
  /** Whether instances have a guest. */
  readonly canBoot: boolean;
  /** A disk image of the user's own. */
  readonly ownImage?: string;
  /** Text that stands in that image. */
  readonly ownMarker?: string;
  /** Ends the demo early. */
  readonly interrupted: AbortSignal;
}

/** Tells the main job step by step; rejects at the first thing that does not hold. Leaves no instance behind. */
export async function tell(telling: Telling): Promise<void> {
  const { interrupted } = telling;
  const guests = new Guests();
  const cut = Promise.withResolvers<never>();
  interrupted.addEventListener('abort', () => cut.reject(interrupted.reason), { once: true });
  try {
    interrupted.throwIfAborted();
    await Promise.race([steps(telling, guests), cut.promise]);
  } finally {
    await guests.end();
  }
}

async function steps(telling: Telling, guests: Guests): Promise<void> {
  const { server, workDir, dataDir, canBoot, ownImage, ownMarker } = telling;
  const marker = ownMarker ?? `INGOT-MARKER-${randomBytes(12).toString('hex')}`;
  const needles = ownImage && !ownMarker ? await sampleFile(ownImage) : [Buffer.from(marker)];
  const sought = ownImage && !ownMarker ? `each of ${needles.length} samples of the image` : 'the marker';
  const scan = async (when: string) => {
    if (needles.length === 0) return say(`  – ${when}: the image has no bytes that would be known again`);
    const found = await scanFor(dataDir, needles);
    prove(
      found.hits.length === 0,
      `${when}: ${sought} is in none of the ${found.files} files (${(found.bytes / MIB).toFixed(0)} MiB) under the data directory`,
    );
  };

  heading('Accounts');
  const build = await createAccount(server, 'build', HOME);
  const prod = await createAccount(server, 'prod', AWAY);
  say(`  build ${build.id} in ${HOME}, prod ${prod.id} in ${AWAY}`);

  heading('1. A disk image that boots becomes an encrypted AMI');
  const image = ownImage
    ? { path: ownImage, kind: 'your image' }
    : await buildBootImage({
        marker,
        dir: await mkdtemp(join(workDir, 'image-')),
        cacheDir: join(import.meta.dirname, '..', '.cache', 'image'),
      });
  say(`  ${image.kind}: ${image.path}`);
  if ('because' in image && image.because) say(`  (a boot sector instead of a Linux: ${image.because})`);
  if (!ownImage || ownMarker) {
    const clear = await fileHolds(image.path, needles);
    prove(clear, 'the marker stands in the clear in the disk image');
  }
  const homeKey = await createKey(build, 'golden-home');
  const imported = await importDisk(build.ebs, image.path, homeKey, 'golden image');
  proves(
    `${imported.blocksWritten} blocks of 512 KiB imported in ${imported.seconds.toFixed(1)} s ` +
      `(${rate(imported.blocksWritten * 524_288, imported.seconds)} signed and checksummed; ` +
      `${(imported.imageBytes / MIB).toFixed(0)} MiB image, zero blocks skipped)`,
  );
  const golden = await until('the snapshot is completed', async () => {
    const now = await snapshotOf(build, imported.snapshotId);
    if (now.State === 'error') throw new Error(`the import failed: ${now.StateMessage}`);
    return now.State === 'completed' ? now : undefined;
  });
  const { ImageId: homeImageId } = await build.ec2.send(
    new RegisterImageCommand({
      Name: 'golden-1.0.0',
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      EnaSupport: true,
      RootDeviceName: ROOT_DEVICE,
      BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs: { SnapshotId: imported.snapshotId, VolumeType: 'gp3' } }],
    }),
  );
  const homeImage = await describeImage(build, homeImageId as string);
  prove(homeImage.BlockDeviceMappings?.[0]?.Ebs?.Encrypted === true, `AMI ${homeImageId} is encrypted`);
  prove(golden.KmsKeyId === homeKey, `its snapshot ${golden.SnapshotId} is under ${homeKey}`);

  heading('2. Ciphertext at rest, and the same bits back');
  await scan('after the import');
  const back = await compareWithFile(build.ebs, imported.snapshotId, image.path);
  prove(
    back.differing.length === 0,
    `${back.blocks} blocks read back through GetSnapshotBlock in ${back.seconds.toFixed(1)} s equal the image bit for bit`,
  );

  heading(`3. CopyImage into ${AWAY} re-encrypts under another key`);
  const away = build.in(AWAY);
  const awayKey = await createKey(away, 'golden-away', keyPolicy(build.id));
  const copyStarted = performance.now();
  const { ImageId: awayImageId } = await away.ec2.send(
    new CopyImageCommand({
      Name: 'golden-1.0.0',
      SourceImageId: homeImageId,
      SourceRegion: HOME,
      Encrypted: true,
      KmsKeyId: awayKey,
    }),
  );
  const awayImage = await until('the copy is available', async () => {
    const now = await describeImage(away, awayImageId as string);
    if (now.State === 'failed') throw new Error(`the copy failed: ${now.StateReason?.Message}`);
    return now.State === 'available' ? now : undefined;
  });
  const copySeconds = (performance.now() - copyStarted) / 1000;
  const copied = await snapshotOf(away, rootSnapshotOf(awayImage));
  prove(
    copied.KmsKeyId === awayKey,
    `snapshot ${copied.SnapshotId} of ${awayImageId} is under ${awayKey} (${copySeconds.toFixed(1)} s)`,
  );
  prove(
    copied.DataEncryptionKeyId !== golden.DataEncryptionKeyId,
    `new data key: ${golden.DataEncryptionKeyId} → ${copied.DataEncryptionKeyId}`,
  );
  const stored = await countDistinctBlocks(dataDir, '.seg');
  prove(
    stored.blocks >= 2 * imported.blocksWritten && stored.distinct === stored.blocks,
    `other ciphertext: ${stored.blocks} sealed blocks on disk for ${imported.blocksWritten} blocks of image, no two alike`,
  );

  heading('4. Sharing the AMI is not sharing the key');
  await away.ec2.send(
    new ModifyImageAttributeCommand({ ImageId: awayImageId, LaunchPermission: { Add: [{ UserId: prod.id }] } }),
  );
  const prodKey = await createKey(prod, 'prod-volumes');
  const refused = await launch(guests, prod, awayImageId as string, prodKey);
  prove(
    refused.accepted.State?.Name === 'pending',
    `prod's RunInstances is accepted: ${refused.accepted.InstanceId} is pending`,
  );
  prove(
    refused.ended.State?.Name === 'terminated' &&
      refused.ended.StateReason?.Code === 'Client.InvalidKMSKey.InvalidState',
    `and ends terminated, because prod may not use the key: ${refused.ended.StateReason?.Message}`,
  );
  await away.kms.send(
    new PutKeyPolicyCommand({
      KeyId: awayKey,
      PolicyName: 'default',
      Policy: JSON.stringify(keyPolicy(build.id, prod.id)),
    }),
  );
  const allowed = await launch(guests, prod, awayImageId as string, prodKey);
  const instanceId = allowed.ended.InstanceId as string;
  prove(allowed.ended.State?.Name === 'running', `with the key policy amended, ${instanceId} runs`);

  heading('5. The instance boots from its encrypted root volume');
  const consoleText = () => consoleOf(prod, instanceId);
  if (canBoot) {
    const bootStarted = performance.now();
    const expected = ownImage && !ownMarker ? undefined : marker;
    const text = await until('the guest speaks on the serial console', async () => {
      const output = await consoleText();
      return (expected ? output.includes(expected) : /\w/.test(output)) ? output : undefined;
    });
    const lines = text.split('\n').map(printable);
    const seen = lines.find((line) => (expected ? line.includes(expected) : /\w/.test(line))) ?? '';
    prove(
      true,
      `GetConsoleOutput after ${((performance.now() - bootStarted) / 1000).toFixed(1)} s more: ${seen.trim()}`,
    );
  } else {
    say('  – no QEMU here: the `none` driver made the volumes and no guest (install qemu-system-x86 to see it boot)');
  }
  const { Volumes } = await prod.ec2.send(
    new DescribeVolumesCommand({ Filters: [{ Name: 'attachment.instance-id', Values: [instanceId] }] }),
  );
  const rootVolume = Volumes?.[0];
  prove(
    rootVolume?.Encrypted === true && rootVolume.KmsKeyId === prodKey,
    `root volume ${rootVolume?.VolumeId} is encrypted under prod's own key ${prodKey}`,
  );
  // The console log of a machine belongs to its owner and holds what the guest prints; it is kept sealed as well.
  await scan('while the guest runs');

  heading('6. Without the key nothing new starts, and what runs goes on');
  await prod.kms.send(new DisableKeyCommand({ KeyId: prodKey }));
  const late = await launch(guests, prod, awayImageId as string, prodKey);
  prove(
    late.ended.State?.Name === 'terminated',
    `with the key disabled the next launch fails: ${late.ended.StateReason?.Message}`,
  );
  const still = await describeInstance(prod, instanceId);
  prove(still.State?.Name === 'running', `${instanceId}, started before, goes on`);
  if (canBoot && image.kind === 'linux') {
    const readings = async () =>
      (await consoleText()).split('ingot-alive:').filter((line) => line.includes('reads')).length;
    const before = await readings();
    await until('the running guest reads its disk again', async () => ((await readings()) > before ? true : undefined));
    proves('and its guest still reads its volume: it says so on the console again');
  }

  heading('7. Every use of a key is on record');
  for (const account of [build, away, prod]) {
    const events = await keyEvents(account);
    const records = events.map((event) => JSON.parse(event.CloudTrailEvent ?? '{}') as TrailRecord);
    const withContext = records.filter((record) => contextOf(record) !== '–');
    say(
      `  ${account.name} in ${account.region}: ${records.length} KMS events, ${withContext.length} with encryption context`,
    );
    for (const record of withContext) {
      const who = record.userIdentity?.invokedBy ?? 'called directly';
      say(`    ${record.eventName.padEnd(34)} ${contextOf(record).padEnd(40)} ${record.errorCode ?? 'ok'}  (${who})`);
    }
    prove(withContext.length > 0, `the trail of ${account.name} in ${account.region} names the volumes and snapshots`);
  }
}
