import type { DescribeInstanceStatusCommand } from '@aws-sdk/client-ec2';
import { type InstanceRecord, STATE_CODES } from '../../instances/instances.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun, refuseUnsupported } from './common.ts';
import { instancesAskedFor } from './describe-instances.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { type InstanceDeps, showState } from './instance-shapes.ts';
import { page } from './paging.ts';

const summary = (record: InstanceRecord) => (record.state === 'running' ? 'ok' : 'not-applicable');

const FILTERS: FilterReaders<InstanceRecord> = {
  'availability-zone': (record) => record.zone,
  'instance-state-code': (record) => STATE_CODES[record.state],
  'instance-state-name': (record) => record.state,
  'instance-status.status': summary,
  'system-status.status': summary,
};

/** Only running instances unless IncludeAllInstances. A machine that runs has passed both checks. */
export const describeInstanceStatus =
  (deps: InstanceDeps): OperationOf<DescribeInstanceStatusCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeInstanceStatus');
    dryRun(input);
    refuseUnsupported(input, ['IncludeManagedResources']);
    const asked = await instancesAskedFor(deps, call, input.InstanceIds);
    const shown = asked.filter((record) => input.IncludeAllInstances || record.state === 'running');
    const { items, NextToken } = page(shown.filter(compileFilters(input.Filters, FILTERS)), input, {
      operation: 'DescribeInstanceStatus',
      key: (record) => record.id,
      ids: { parameter: 'instancesSet', given: input.InstanceIds },
    });
    return {
      InstanceStatuses: items.map((record) => ({
        InstanceId: record.id,
        AvailabilityZone: record.zone,
        InstanceState: showState(record.state),
        InstanceStatus: checks(record),
        SystemStatus: checks(record),
      })),
      ...(NextToken === undefined ? {} : { NextToken }),
    };
  };

function checks(record: InstanceRecord) {
  if (record.state !== 'running') return { Status: 'not-applicable' as const };
  return { Status: 'ok' as const, Details: [{ Name: 'reachability' as const, Status: 'passed' as const }] };
}
