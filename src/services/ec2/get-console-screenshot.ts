import type { GetConsoleScreenshotCommand } from '@aws-sdk/client-ec2';
import type { OperationOf } from '../operation.ts';
import { dryRun } from './common.ts';
import { type InstanceDeps, useInstance } from './instance-shapes.ts';

/** The screen of a running instance as a JPEG, in base64. */
export const getConsoleScreenshot =
  (deps: InstanceDeps): OperationOf<GetConsoleScreenshotCommand> =>
  async (call, input) => {
    const { record, permit } = await useInstance(deps, call, 'ec2:GetConsoleScreenshot', input.InstanceId);
    dryRun(input);
    const picture = await deps.instances.screenshot(permit, { wakeUp: input.WakeUp ?? false });
    return { InstanceId: record.id, ImageData: Buffer.from(picture).toString('base64') };
  };
