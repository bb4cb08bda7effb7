import type { GetConsoleOutputCommand } from '@aws-sdk/client-ec2';
import type { OperationOf } from '../operation.ts';
import { dryRun } from './common.ts';
import { type InstanceDeps, useInstance } from './instance-shapes.ts';

/** At most the last 64 KiB, in base64. It is always the newest, so Latest changes nothing. */
export const getConsoleOutput =
  (deps: InstanceDeps): OperationOf<GetConsoleOutputCommand> =>
  async (call, input) => {
    const { record, permit } = await useInstance(deps, call, 'ec2:GetConsoleOutput', input.InstanceId);
    dryRun(input);
    const { output, at } = await deps.instances.consoleOutput(permit);
    const Output = Buffer.from(output).toString('base64');
    return { InstanceId: record.id, Timestamp: at, ...(Output === '' ? {} : { Output }) };
  };
