/** StartInstances, StopInstances, RebootInstances, TerminateInstances: all of the instances, or none. */
import type {
  InstanceStateChange,
  RebootInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { ec2Arn } from '../../ids.ts';
import type { InstanceRecord, StateChange } from '../../instances/instances.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeOne, dryRun, refuseUnsupported } from './common.ts';
import { instanceNotFound, missingParameter, requireInstanceId } from './errors.ts';
import { type InstanceDeps, instanceContext, ownInstance, showState } from './instance-shapes.ts';
import { tagRecord } from './tag-resources.ts';

/** Authorizes each of the instances named, and then says which of them do not exist. */
async function useInstances<Action extends string>(
  deps: InstanceDeps,
  call: Call,
  action: Action,
  ids: readonly string[] | undefined,
): Promise<Permit<Action>[]> {
  if (!ids?.length) throw missingParameter('InstanceId');
  const wanted = [...new Set(ids)];
  for (const id of wanted) requireInstanceId(id);
  const { accountId } = call.caller;
  const records = await Promise.all(wanted.map((id) => ownInstance(deps, call, id)));
  const tags = await deps.tags.of(accountId, call.region, wanted);
  const permits: Permit<Action>[] = [];
  for (const [index, id] of wanted.entries()) {
    const record: InstanceRecord | undefined = records[index];
    const resource = { arn: ec2Arn(call.region, accountId, 'instance', id), tags: tagRecord(tags.get(id) ?? []) };
    permits.push(await authorizeOne(deps.authorizer, call, action, resource, record ? instanceContext(record) : {}));
  }
  const missing = wanted.filter((_, index) => !records[index]);
  if (missing.length > 0) throw instanceNotFound(missing);
  return permits;
}

const showChange = ({ instance, previous }: StateChange): InstanceStateChange => ({
  InstanceId: instance.id,
  CurrentState: showState(instance.state),
  PreviousState: showState(previous),
});

/** Answers with `pending`; where the caller may not use the keys, the instance is stopped again (K-17). */
export const startInstances =
  (deps: InstanceDeps): OperationOf<StartInstancesCommand> =>
  async (call, input) => {
    refuseUnsupported(input, ['AdditionalInfo']);
    const permits = await useInstances(deps, call, 'ec2:StartInstances', input.InstanceIds);
    dryRun(input);
    const changes = await deps.db.write(async (tx) => {
      const done: StateChange[] = [];
      for (const permit of permits) done.push(await deps.instances.start(tx, permit, call));
      return done;
    });
    return { StartingInstances: changes.map(showChange) };
  };

export const stopInstances =
  (deps: InstanceDeps): OperationOf<StopInstancesCommand> =>
  async (call, input) => {
    if (input.Hibernate) refuseUnsupported(input, ['Hibernate']);
    const force = input.Force === true || input.SkipOsShutdown === true;
    const permits = await useInstances(deps, call, 'ec2:StopInstances', input.InstanceIds);
    dryRun(input);
    const changes = await deps.db.write(async (tx) => {
      const done: StateChange[] = [];
      for (const permit of permits) done.push(await deps.instances.stop(tx, permit, { force }));
      return done;
    });
    return { StoppingInstances: changes.map(showChange) };
  };

export const rebootInstances =
  (deps: InstanceDeps): OperationOf<RebootInstancesCommand> =>
  async (call, input) => {
    const permits = await useInstances(deps, call, 'ec2:RebootInstances', input.InstanceIds);
    dryRun(input);
    await deps.db.write(async (tx) => {
      for (const permit of permits) await deps.instances.reboot(tx, permit);
    });
    return {};
  };

export const terminateInstances =
  (deps: InstanceDeps): OperationOf<TerminateInstancesCommand> =>
  async (call, input) => {
    const force = input.SkipOsShutdown === true;
    const permits = await useInstances(deps, call, 'ec2:TerminateInstances', input.InstanceIds);
    dryRun(input);
    const changes = await deps.db.write(async (tx) => {
      const done: StateChange[] = [];
      for (const permit of permits) done.push(await deps.instances.terminate(tx, permit, { force }));
      return done;
    });
    return { TerminatingInstances: changes.map(showChange) };
  };
