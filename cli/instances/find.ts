/** Instances as EC2 describes them. */
import { DescribeInstancesCommand, type EC2Client, type Instance } from '@aws-sdk/client-ec2';
import { CliError } from '../error.ts';

/** An instance by its id, or by its tag Name where one living instance alone has it. */
export async function findInstance(ec2: EC2Client, given: string, signal: AbortSignal): Promise<Instance> {
  const byId = /^i-[0-9a-f]+$/.test(given);
  const living = ['pending', 'running', 'stopping', 'stopped'];
  const command = new DescribeInstancesCommand(
    byId
      ? { InstanceIds: [given] }
      : {
          Filters: [
            { Name: 'tag:Name', Values: [given] },
            { Name: 'instance-state-name', Values: living },
          ],
        },
  );
  const { Reservations } = await ec2.send(command, { abortSignal: signal });
  const found = (Reservations ?? []).flatMap(({ Instances }) => Instances ?? []);
  if (found.length > 1) {
    throw new CliError(
      `${found.length} instances are named ${given}: ${found.map((one) => one.InstanceId).join(', ')}.`,
    );
  }
  if (!found[0]?.InstanceId) {
    throw new CliError(byId ? `There is no instance ${given}.` : `No instance is named ${JSON.stringify(given)}.`);
  }
  return found[0];
}
