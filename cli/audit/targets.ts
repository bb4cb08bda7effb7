/** Which accounts and regions are audited, and with whose credentials. */
import { DescribeRegionsCommand } from '@aws-sdk/client-ec2';
import type { Aws } from '../aws.ts';
import { describeFailure, UsageError } from '../error.ts';
import { partitionOf } from './arns.ts';
import type { AccountAccess } from './collect.ts';
import type { Gate } from './gate.ts';
import type { Organization } from './model.ts';

export interface TargetOptions {
  readonly accounts?: readonly string[];
  readonly organization?: true;
  readonly roleName: string;
  readonly regions?: readonly string[];
}

const SESSION = 'ingot-audit';

/** The accounts, each with its credentials or the reason why there are none. */
export async function findAccounts(
  own: Aws,
  account: string,
  organization: Organization | 'none' | undefined,
  options: TargetOptions,
  gate: Gate,
  signal: AbortSignal,
): Promise<AccountAccess[]> {
  const wanted = new Set(options.accounts);
  if (options.organization) {
    if (organization === undefined || organization === 'none') {
      throw new UsageError(
        '--organization needs the accounts of the organization: ask with credentials of its management account.',
      );
    }
    for (const member of organization.members.keys()) wanted.add(member);
  }
  if (wanted.size === 0) wanted.add(account);
  return Promise.all(
    [...wanted].sort().map(async (id): Promise<AccountAccess> => {
      if (id === account) return { id, aws: own };
      const role = `arn:${partitionOf(own.region)}:iam::${id}:role/${options.roleName}`;
      const aws = own.assuming(role, SESSION);
      try {
        await gate.pass(() => aws.identity(signal));
        return { id, aws };
      } catch (error) {
        signal.throwIfAborted();
        const reason = `${role}: ${describeFailure(error)}`;
        return { id, aws: undefined, refused: { call: 'sts:AssumeRole', reason } };
      }
    }),
  );
}

/** `all` stands for every region that the account has enabled. */
export async function findRegions(
  aws: Aws,
  regions: readonly string[] | undefined,
  abortSignal: AbortSignal,
): Promise<string[]> {
  if (!regions || regions.length === 0) return [aws.region];
  if (!regions.includes('all')) return [...new Set(regions)];
  const { Regions } = await aws.ec2.send(new DescribeRegionsCommand({}), { abortSignal });
  return (Regions ?? []).flatMap(({ RegionName }) => (RegionName ? [RegionName] : [])).sort();
}
