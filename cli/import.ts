/** `ingot import`: a disk into a snapshot, and with --name into an AMI. */
import { StartSnapshotCommand } from '@aws-sdk/client-ebs';
import { DeleteSnapshotCommand, type Snapshot } from '@aws-sdk/client-ec2';
import { type Aws, connect, resolveKey } from './aws.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { BLOCK_BYTES } from './disk/block.ts';
import type { DiskFormat } from './disk/format.ts';
import { bootModeOf } from './disk/partitions.ts';
import { type Disk, openDisk, type SourceIdentity, withoutSecrets } from './disk/source.ts';
import { volumeSizeOf } from './disk/volume-size.ts';
import { listBlocks } from './ebs/read-blocks.ts';
import { findSnapshot, resolveSnapshot, snapshotCompleted } from './ebs/snapshots.ts';
import { type ImageChoice, type ImportState, readState, removeState, saveState, type Tag } from './ebs/state.ts';
import type { Parent, Uploaded } from './ebs/upload.ts';
import { type DiskUpload, UPLOAD_TIMEOUT_MINUTES, uploadDisk } from './ebs/upload-disk.ts';
import { CliError, describeFailure, InterruptedError, UsageError } from './error.ts';
import { interruptSignal } from './interrupt.ts';
import { size } from './pace.ts';
import { registerImage, requireFreeName, requireImageName } from './register-image.ts';
import { facts, Report } from './report.ts';

export interface ImportOptions extends ConnectionOptions {
  readonly format?: DiskFormat;
  readonly encrypt?: true;
  readonly kmsKey?: string;
  readonly parent?: string;
  readonly volumeSize?: number;
  readonly description?: string;
  readonly tag?: readonly Tag[];
  readonly name?: string;
  readonly bootMode?: ImageChoice['bootMode'];
  readonly arch?: 'x86_64' | 'arm64';
  readonly rootDevice?: string;
  readonly spool?: string;
  readonly parallel: number;
  readonly resume?: string;
  readonly discard?: string;
  readonly json?: true;
}

export async function importDisk(source: string | undefined, options: ImportOptions): Promise<void> {
  const report = new Report(options);
  const signal = interruptSignal();
  if (options.discard !== undefined) {
    if (source !== undefined || options.resume !== undefined) throw new UsageError('--discard stands alone.');
    return discard(options.discard, options, report);
  }
  const run =
    options.resume === undefined
      ? await begin(source, options, report, signal)
      : await goOn(source, options.resume, options, report, signal);
  try {
    await using _disk = run.disk;
    await finish(run, options, report, signal);
  } catch (error) {
    throw withWayOn(error, run.state, signal);
  }
}

interface Run {
  readonly aws: Aws;
  readonly disk: Disk;
  readonly state: ImportState;
  readonly parent: Parent | undefined;
  readonly resumed: boolean;
}

async function begin(
  source: string | undefined,
  options: ImportOptions,
  report: Report,
  signal: AbortSignal,
): Promise<Run> {
  if (source === undefined) throw new UsageError('Name the disk: a file, a URL, or - for standard input.');
  checkCombinations(options);
  const aws = await connect(options);
  const kmsKeyArn = options.kmsKey === undefined ? undefined : await resolveKey(aws, options.kmsKey);
  if (options.name !== undefined) await requireFreeName(aws.ec2, options.name, signal);
  const parent = options.parent === undefined ? undefined : await readParent(aws, options.parent, report, signal);
  const disk = await openDisk(source, {
    format: options.format,
    spoolDir: options.spool,
    mayEndEarly: options.volumeSize !== undefined,
    signal,
  });
  try {
    const volumeSizeGiB = volumeSizeOf(disk, options.volumeSize, parent?.volumeSizeGiB ?? 1, '--volume-size');
    const image = options.name === undefined ? undefined : imageChoice(options.name, disk, options);
    const started = await aws.ebs.send(
      new StartSnapshotCommand({
        VolumeSize: volumeSizeGiB,
        Timeout: UPLOAD_TIMEOUT_MINUTES,
        ...(options.description === undefined ? {} : { Description: options.description }),
        ...(parent ? { ParentSnapshotId: parent.snapshotId } : {}),
        ...(options.encrypt || kmsKeyArn ? { Encrypted: true } : {}),
        ...(kmsKeyArn ? { KmsKeyArn: kmsKeyArn } : {}),
        ...(options.tag ? { Tags: [...options.tag] } : {}),
      }),
      { abortSignal: signal },
    );
    const snapshotId = started.SnapshotId as string;
    const state: ImportState = {
      version: 1,
      snapshotId,
      source: /^https?:/i.test(source) ? withoutSecrets(source) : source,
      identity: disk.identity,
      format: disk.format,
      region: aws.region,
      ...(options.profile === undefined ? {} : { profile: options.profile }),
      ...(options.endpointUrl === undefined ? {} : { endpointUrl: options.endpointUrl }),
      volumeSizeGiB,
      ...(options.volumeSize === undefined ? {} : { mayEndEarly: true as const }),
      ...(parent ? { parent: parent.snapshotId } : {}),
      ...(image ? { image } : {}),
    };
    await saveState(state);
    report.step(`${disk.format} disk into ${snapshotId}, ${volumeSizeGiB} GiB, ${keyOf(started.KmsKeyArn)}`);
    return { aws, disk, state, parent, resumed: false };
  } catch (error) {
    await disk[Symbol.asyncDispose]();
    throw error;
  }
}

const keyOf = (arn: string | undefined) => (arn === undefined ? 'not encrypted' : `encrypted under ${arn}`);

function checkCombinations(options: ImportOptions): void {
  if (options.parent !== undefined && (options.encrypt || options.kmsKey !== undefined)) {
    throw new UsageError('A snapshot with a parent is under the key of its parent: leave out --encrypt and --kms-key.');
  }
  if (options.name !== undefined) requireImageName(options.name);
  const forImage = ['bootMode', 'arch', 'rootDevice'] as const;
  const stray = forImage.find((name) => options[name] !== undefined);
  if (options.name === undefined && stray) {
    throw new UsageError(
      `--${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} is for an AMI: it needs --name.`,
    );
  }
}

async function readParent(aws: Aws, id: string, report: Report, signal: AbortSignal) {
  const { snapshotId } = await resolveSnapshot(aws.ec2, id, undefined, signal);
  const listing = await report.waiting(`Reading the blocks of ${snapshotId}`, () =>
    listBlocks(aws.ebs, snapshotId, signal),
  );
  return { snapshotId, ...listing };
}

function imageChoice(name: string, disk: Disk, options: ImportOptions): ImageChoice {
  const architecture = options.arch ?? 'x86_64';
  return {
    name,
    ...(options.description === undefined ? {} : { description: options.description }),
    // arm64 machines know no other way to boot.
    bootMode: options.bootMode ?? (architecture === 'arm64' ? 'uefi' : bootModeOf(disk.head)),
    architecture,
    rootDevice: options.rootDevice ?? '/dev/xvda',
    tags: options.tag ?? [],
  };
}

async function goOn(
  source: string | undefined,
  snapshotId: string,
  options: ImportOptions,
  report: Report,
  signal: AbortSignal,
): Promise<Run> {
  const fixed = ['encrypt', 'kmsKey', 'parent', 'name', 'bootMode', 'arch', 'rootDevice', 'volumeSize'] as const;
  if (fixed.some((name) => options[name] !== undefined) || options.description !== undefined || options.tag) {
    throw new UsageError('--resume goes on with what was chosen at the beginning: leave the other options out.');
  }
  const state = await readState(snapshotId);
  const aws = await connect({ ...state, ...given(options) });
  const parent = state.parent === undefined ? undefined : await readParent(aws, state.parent, report, signal);
  const disk = await openDisk(source ?? state.source, {
    format: options.format ?? (state.format as DiskFormat),
    spoolDir: options.spool,
    mayEndEarly: state.mayEndEarly === true,
    signal,
  });
  if (!sameDisk(disk.identity, state.identity)) {
    await disk[Symbol.asyncDispose]();
    throw new CliError(
      `${source ?? state.source} is not the disk that ${snapshotId} was begun with, or has changed since. ` +
        `Give it up with: ingot import --discard ${snapshotId}`,
    );
  }
  report.step(`going on with ${snapshotId}`);
  return { aws, disk, state, parent, resumed: true };
}

function given({ profile, region, endpointUrl }: ConnectionOptions): ConnectionOptions {
  return {
    ...(profile === undefined ? {} : { profile }),
    ...(region === undefined ? {} : { region }),
    ...(endpointUrl === undefined ? {} : { endpointUrl }),
  };
}

function sameDisk(now: SourceIdentity, then: SourceIdentity): boolean {
  if (now.kind === 'stream' || then.kind === 'stream') return now.kind === then.kind;
  return now.sizeBytes === then.sizeBytes && now.modifiedMs === then.modifiedMs;
}

async function finish(run: Run, options: ImportOptions, report: Report, signal: AbortSignal): Promise<void> {
  const { aws, disk, state } = run;
  const started = performance.now();
  const before = await findSnapshot(aws.ec2, state.snapshotId, signal);
  // An import may have been stopped between the end of the upload and the registration.
  const upload =
    before.State === 'completed'
      ? undefined
      : await uploadDisk(aws.ebs, disk, uploadOf(run, options.parallel, signal), report);
  const snapshot = await report.waiting(`Waiting until ${state.snapshotId} is completed`, () =>
    snapshotCompleted(aws.ec2, state.snapshotId, signal),
  );
  const { image } = state;
  const imageId = image && (await registerImage(aws.ec2, state.snapshotId, image));
  await removeState(state.snapshotId);
  if (imageId) report.step(`registered as ${imageId}`);
  tell(report, { state, snapshot, imageId, upload, seconds: (performance.now() - started) / 1000, disk });
}

function uploadOf({ state, parent, resumed }: Run, lanes: number, signal: AbortSignal): DiskUpload {
  const { snapshotId, volumeSizeGiB } = state;
  return { snapshotId, volumeSizeGiB, parent, resumed, lanes, signal };
}

function tell(
  report: Report,
  done: {
    state: ImportState;
    snapshot: Snapshot;
    imageId: string | undefined;
    upload: Uploaded | undefined;
    seconds: number;
    disk: Disk;
  },
): void {
  const { state, snapshot, imageId, upload, seconds, disk } = done;
  const { image } = state;
  const bytesUploaded = (upload?.written ?? 0) * BLOCK_BYTES;
  report.result(
    {
      snapshotId: state.snapshotId,
      ...(imageId ? { imageId, name: image?.name, bootMode: image?.bootMode, architecture: image?.architecture } : {}),
      region: state.region,
      format: disk.format,
      volumeSizeGiB: state.volumeSizeGiB,
      encrypted: snapshot.Encrypted === true,
      ...(snapshot.KmsKeyId ? { kmsKeyArn: snapshot.KmsKeyId } : {}),
      ...(state.parent ? { parentSnapshotId: state.parent } : {}),
      ...(upload ? { blocks: upload } : {}),
      bytesUploaded,
      seconds: Number(seconds.toFixed(3)),
    },
    facts([
      ['AMI', imageId && `${imageId} (${image?.name}, ${image?.architecture}, ${image?.bootMode})`],
      ['Snapshot', state.snapshotId],
      ['Key', snapshot.Encrypted ? (snapshot.KmsKeyId ?? 'unknown') : 'none: not encrypted'],
      ['Size', `${state.volumeSizeGiB} GiB`],
      ['Uploaded', upload && `${size(bytesUploaded)} in ${upload.written} blocks${othersOf(upload)}`],
    ]),
  );
}

function othersOf({ unchanged, resumed }: Uploaded): string {
  const others = [unchanged > 0 && `${unchanged} as in the parent`, resumed > 0 && `${resumed} sent before`];
  return others.filter(Boolean).length > 0 ? ` (${others.filter(Boolean).join(', ')})` : '';
}

/** Whatever stops an import once its snapshot is begun: what is left, and how to go on. */
function withWayOn(error: unknown, { snapshotId, source }: ImportState, signal: AbortSignal): Error {
  const pipe = source === '-' ? ' (with the same disk on standard input)' : '';
  const ways = [
    `The snapshot ${snapshotId} is begun and stays until it is finished or given up:`,
    `  ingot import --resume ${snapshotId}${pipe}`,
    `  ingot import --discard ${snapshotId}`,
  ];
  if (signal.aborted) return new InterruptedError(['Stopped.', ...ways].join('\n'), { cause: error });
  return new CliError([describeFailure(error), ...ways].join('\n'), { cause: error });
}

async function discard(snapshotId: string, options: ImportOptions, report: Report): Promise<void> {
  const state = await readState(snapshotId);
  const aws = await connect({ ...state, ...given(options) });
  try {
    await aws.ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
  } catch (error) {
    if (!(error instanceof Error && error.name === 'InvalidSnapshot.NotFound')) throw error;
  }
  await removeState(snapshotId);
  report.result({ discarded: snapshotId }, `${snapshotId} is deleted.`);
}
