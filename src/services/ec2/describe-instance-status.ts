import type { DescribeInstanceStatusCommand, InstanceStatusSummary } from '@aws-sdk/client-ec2';
import { type InstanceHealth, type InstanceRecord, STATE_CODES } from '../../instances/instances.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun, refuseUnsupported } from './common.ts';
import { instancesAskedFor } from './describe-instances.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { type InstanceDeps, showState } from './instance-shapes.ts';
import { page } from './paging.ts';

const STATUS = { passed: 'ok', initializing: 'initializing', failed: 'impaired' } as const;

/** Only running instances unless IncludeAllInstances. */
export const describeInstanceStatus =
  (deps: InstanceDeps): OperationOf<DescribeInstanceStatusCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeInstanceStatus');
    dryRun(input);
    refuseUnsupported(input, ['IncludeManagedResources']);
    const asked = await instancesAskedFor(deps, call, input.InstanceIds);
    const shown = asked.filter((record) => input.IncludeAllInstances || record.state === 'running');
    const checks = (record: InstanceRecord) => summaries(record, deps.instances.health(record));
    const filters: FilterReaders<InstanceRecord> = {
      'availability-zone': (record) => record.zone,
      'instance-state-code': (record) => STATE_CODES[record.state],
      'instance-state-name': (record) => record.state,
      'instance-status.reachability': (record) => checks(record).InstanceStatus.Details?.[0]?.Status,
      'instance-status.status': (record) => checks(record).InstanceStatus.Status,
      'system-status.reachability': (record) => checks(record).SystemStatus.Details?.[0]?.Status,
      'system-status.status': (record) => checks(record).SystemStatus.Status,
    };
    const { items, NextToken } = page(shown.filter(compileFilters(input.Filters, filters)), input, {
      operation: 'DescribeInstanceStatus',
      key: (record) => record.id,
      ids: { parameter: 'instancesSet', given: input.InstanceIds },
    });
    return {
      InstanceStatuses: items.map((record) => ({
        InstanceId: record.id,
        AvailabilityZone: record.zone,
        InstanceState: showState(record.state),
        ...checks(record),
      })),
      ...(NextToken === undefined ? {} : { NextToken }),
    };
  };

interface Summaries {
  readonly InstanceStatus: InstanceStatusSummary;
  readonly SystemStatus: InstanceStatusSummary;
}

function summaries(record: InstanceRecord, health: InstanceHealth): Summaries {
  if (record.state !== 'running') {
    return { InstanceStatus: { Status: 'not-applicable' }, SystemStatus: { Status: 'not-applicable' } };
  }
  const summary = (check: InstanceHealth['instance'], since?: Date): InstanceStatusSummary => ({
    Status: STATUS[check],
    Details: [{ Name: 'reachability', Status: check, ...(since ? { ImpairedSince: since } : {}) }],
  });
  return { InstanceStatus: summary(health.instance, health.impairedSince), SystemStatus: summary(health.system) };
}
