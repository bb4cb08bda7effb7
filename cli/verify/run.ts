/** `ingot verify`: has snapshots verified by the server, and checks what it signed. */
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { DescribeImagesCommand } from '@aws-sdk/client-ec2';
import { type Aws, connect } from '../aws.ts';
import type { ConnectionOptions } from '../connection-options.ts';
import { resolveSnapshot } from '../ebs/snapshots.ts';
import { CliError, EXIT, InterruptedError, UsageError } from '../error.ts';
import { interruptSignal } from '../interrupt.ts';
import { size } from '../pace.ts';
import { facts, Report } from '../report.ts';
import { keyIdOf, openEnvelope, readPublicKey, type VerificationReport } from './envelope.ts';
import { IngotClient, type Verification } from './ingot-client.ts';

export interface VerifyOptions extends ConnectionOptions {
  readonly device?: string;
  readonly marker?: string;
  readonly output?: string;
  readonly check?: string;
  readonly publicKey?: string;
  readonly savePublicKey?: string;
  readonly json?: true;
}

const POLL_FIRST_MS = 100;
const POLL_MOST_MS = 2_000;
const FAULTS_SHOWN_MAX = 20;

export async function verify(subject: string | undefined, options: VerifyOptions): Promise<void> {
  const report = new Report(options);
  if (options.check !== undefined) {
    const { device, marker, output, savePublicKey } = options;
    const strays = [subject, device, marker, output, savePublicKey];
    if (options.publicKey === undefined || strays.some((one) => one !== undefined)) {
      throw new UsageError('--check takes a file and --public-key, and nothing to verify.');
    }
    const key = readPublicKey(await read(options.publicKey));
    const lines = (await read(options.check)).split('\n').filter((line) => line.trim() !== '');
    if (lines.length === 0) throw new CliError(`${options.check} has no report.`);
    tell(
      report,
      lines.map((line) => openEnvelope(line, key)),
      `Signed by the key ${keyIdOf(key)}.`,
    );
    return;
  }
  if (options.publicKey !== undefined) throw new UsageError('--public-key is for --check.');
  if (subject === undefined && options.savePublicKey === undefined) {
    throw new UsageError('Give a snapshot or an AMI to verify, --check, or --save-public-key.');
  }
  const signal = interruptSignal();
  const aws = await connect(options);
  if (!process.env.AWS_ENDPOINT_URL) {
    throw new UsageError('ingot verify is for Ingot: give --endpoint-url. AWS shows nobody the stored bytes.');
  }
  const client = aws.use(IngotClient);
  const pem = await publicKeyOf(client);
  const key = readPublicKey(pem);
  if (options.savePublicKey !== undefined) {
    await writeFile(options.savePublicKey, pem);
    report.step(`${options.savePublicKey} has the public key ${keyIdOf(key)}`);
  }
  if (subject === undefined) return;

  const envelopes: string[] = [];
  for (const snapshot of await snapshotsOf(aws, subject, options.device, signal)) {
    const request = { SnapshotId: snapshot, ...(options.marker === undefined ? {} : { Marker: options.marker }) };
    envelopes.push(await ended(client, await client.verifySnapshot(request), report, signal));
  }
  const reports = envelopes.map((envelope) => openEnvelope(envelope, key));
  if (options.output !== undefined) {
    await writeFile(options.output, envelopes.map((envelope) => `${envelope}\n`).join(''));
    report.step(`${options.output} written`);
  }
  tell(report, reports, `Signed by the key ${keyIdOf(key)}.`);
}

/** @throws {CliError} where something else than Ingot answers. */
async function publicKeyOf(client: IngotClient): Promise<string> {
  try {
    return (await client.getVerificationKey()).PublicKey;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new CliError('What answers there is not Ingot: it knows of no verification.', { cause });
  }
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new CliError(`${path} cannot be read: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/** Every snapshot of an AMI, each once. */
async function snapshotsOf(
  aws: Aws,
  subject: string,
  device: string | undefined,
  signal: AbortSignal,
): Promise<string[]> {
  if (device !== undefined || !subject.startsWith('ami-')) {
    return [(await resolveSnapshot(aws.ec2, subject, device, signal)).snapshotId];
  }
  const { Images } = await aws.ec2.send(new DescribeImagesCommand({ ImageIds: [subject] }), { abortSignal: signal });
  const mappings = Images?.[0]?.BlockDeviceMappings ?? [];
  const snapshots = new Set(mappings.flatMap(({ Ebs }) => (Ebs?.SnapshotId ? [Ebs.SnapshotId] : [])));
  if (snapshots.size === 0) throw new CliError(`There is no AMI ${subject} with a snapshot.`);
  return [...snapshots];
}

/** The signed report. */
async function ended(client: IngotClient, begun: Verification, report: Report, signal: AbortSignal): Promise<string> {
  const progress = report.counter(`Verifying ${begun.SnapshotId}`, 100, 'per cent');
  let shown = 0;
  try {
    for (let [now, waitMs] = [begun, POLL_FIRST_MS]; ; waitMs = Math.min(waitMs * 2, POLL_MOST_MS)) {
      progress.advance(now.Progress - shown);
      shown = now.Progress;
      if (now.State === 'completed' && now.Envelope !== undefined) return now.Envelope;
      if (now.State === 'failed')
        throw new CliError(`The verification of ${now.SnapshotId} failed: see the server's log.`);
      await pause(waitMs, undefined, { signal });
      now = await client.getVerification({ VerificationId: begun.VerificationId });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new InterruptedError('Stopped. The server ends the verification that began by itself, and changes nothing.', {
      cause: error,
    });
  } finally {
    progress.stop();
  }
}

function tell(out: Report, reports: readonly VerificationReport[], signedBy: string): void {
  out.result({ reports }, [...reports.map(describe), signedBy].join('\n\n'));
  if (reports.some(({ verdict }) => verdict === 'damaged')) process.exitCode = EXIT.differs;
}

function describe(report: VerificationReport): string {
  const { chain, blocks, segments, randomness, marker, faults, faultCount } = report;
  const stored = blocks.listed - blocks.zero;
  const example = chain.examples[0];
  const outside = randomness.outside.length;
  const lines = [
    `${report.snapshot} is ${report.verdict}.`,
    facts([
      [
        'Blocks',
        `${blocks.authenticated} of ${stored} stored blocks authenticate; ${blocks.zero} are zeros and not stored`,
      ],
      ['Segments', `${segments.named} hold them; ${segments.orphaned.length} of this data key belong to nothing`],
      [
        'Chain',
        example &&
          `block ${example.block} (segment ${example.segment}, slot ${example.slot}) → data key ${chain.dataKey} → ` +
            `${chain.wrappedBy.kmsKey ?? 'root key of the installation'}`,
      ],
      [
        'Random',
        randomness.blocks > 0
          ? `chi-square from ${randomness.least.toFixed(1)} to ${randomness.greatest.toFixed(1)} over ${randomness.blocks} blocks; ` +
            `${outside} outside of ${randomness.low} to ${randomness.high}`
          : undefined,
      ],
      [
        'Marker',
        marker && `in ${marker.found.length} of ${marker.files} files, ${size(marker.bytes)}, of the data directory`,
      ],
      ['Done', `${report.startedAt} to ${report.endedAt}`],
    ]),
  ];
  for (const { problem, index, segment, slot, foundInSlot } of faults.slice(0, FAULTS_SHOWN_MAX)) {
    const where = index === undefined ? 'the map' : `block ${index} (segment ${segment}, slot ${slot})`;
    lines.push(`  ✘ ${problem}: ${where}${foundInSlot === undefined ? '' : `; its bytes are in slot ${foundInSlot}`}`);
  }
  if (faultCount > FAULTS_SHOWN_MAX) lines.push(`  … and ${faultCount - FAULTS_SHOWN_MAX} more.`);
  for (const { path, places } of marker?.found ?? []) lines.push(`  ✘ marker: ${path} at ${places.join(', ')}`);
  return lines.join('\n');
}
