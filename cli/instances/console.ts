/** Running `ingot console`. */
import { setTimeout as pause } from 'node:timers/promises';
import { type EC2Client, GetConsoleOutputCommand } from '@aws-sdk/client-ec2';
import { connect } from '../aws.ts';
import type { ConnectionOptions } from '../connection-options.ts';
import { interruptSignal } from '../interrupt.ts';
import { Report } from '../report.ts';
import { continuation } from './console-text.ts';
import { findInstance } from './find.ts';

export interface ConsoleOptions extends ConnectionOptions {
  /** False to print what there is and end. */
  readonly follow: boolean;
}

const POLL_MS = 1000;
const STATE_EVERY_POLLS = 5;

/** The newest output there is; empty before the first. */
export async function consoleOutput(ec2: EC2Client, instanceId: string, signal: AbortSignal): Promise<string> {
  const command = new GetConsoleOutputCommand({ InstanceId: instanceId, Latest: true });
  const { Output } = await ec2.send(command, { abortSignal: signal });
  return Buffer.from(Output ?? '', 'base64').toString('utf8');
}

export async function followConsole(given: string, options: ConsoleOptions): Promise<void> {
  const report = new Report({});
  const signal = interruptSignal();
  const { ec2 } = await connect(options);
  const { InstanceId: id = given, State } = await findInstance(ec2, given, signal);
  let seen = '';
  let state = State?.Name;
  for (let polls = 1; ; polls++) {
    const last = state === 'terminated' || state === 'stopped' || !options.follow;
    const now = await consoleOutput(ec2, id, signal);
    const { text, gap } = continuation(seen, now);
    if (gap) report.warn('Some of the output came faster than it could be read, and is lost.');
    process.stdout.write(text);
    seen = now;
    if (last) break;
    await pause(POLL_MS, undefined, { signal });
    if (polls % STATE_EVERY_POLLS === 0) state = (await findInstance(ec2, id, signal)).State?.Name;
  }
  if (options.follow) report.step(`${id} is ${state}.`);
}
