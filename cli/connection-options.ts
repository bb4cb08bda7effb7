/** Which server, region and credentials a command uses: the options of every command that speaks to one. */
import type { Command } from 'commander';

export interface ConnectionOptions {
  readonly profile?: string;
  readonly region?: string;
  readonly endpointUrl?: string;
}

export function addConnectionOptions(command: Command): Command {
  return command
    .option('--profile <name>', 'profile of the AWS configuration files (AWS_PROFILE)')
    .option('--region <region>', 'region (AWS_REGION, or that of the profile)')
    .option('--endpoint-url <url>', 'server to talk to instead of AWS (AWS_ENDPOINT_URL)');
}
