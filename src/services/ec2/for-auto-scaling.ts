/** EC2 as Auto Scaling groups use it: its own RunInstances and TerminateInstances, in the name of who calls. */
import type { RunInstancesCommandOutput, RunInstancesRequest } from '@aws-sdk/client-ec2';
import { Denied } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Ec2ForGroups, GroupLaunch } from '../../auto-scaling/auto-scaling.ts';
import { ApiError, Refusal } from '../../errors.ts';
import type { InstanceId } from '../../ids.ts';
import type { InstanceDeps } from './instance-shapes.ts';
import { requireVersion } from './launch-template-access.ts';
import { runInstances } from './run-instances.ts';

/** The operations of {@link Ec2ForGroups} that are called, and recorded, as calls of EC2's API. */
export const CALLED_FOR_GROUPS = ['RunInstances', 'TerminateInstances', 'ModifyInstanceAttribute'] as const;

type CallEc2 = (call: Call, operation: (typeof CALLED_FOR_GROUPS)[number], input: object) => Promise<unknown>;

const VERSION_TAG = 'aws:ec2launchtemplate:version';

function refused(error: unknown): Refusal | undefined {
  if (error instanceof Denied) return launchRefused('UnauthorizedOperation', error.text, error);
  if (error instanceof ApiError && error.fault === 'client') return launchRefused(error.code, error.message, error);
  return undefined;
}

const launchRefused = (code: string, message: string, cause: unknown) =>
  new Refusal('launch-refused', { code, message }, { cause });

export function ec2ForGroups(deps: InstanceDeps, callEc2: CallEc2): Ec2ForGroups {
  /** The group's subnet goes over the template's, where the template has it: in its network interface or beside it. */
  async function requestOf(call: Call, { template, subnetId, tags }: GroupLaunch): Promise<RunInstancesRequest> {
    const { accountId } = call.caller;
    const found = await deps.launchTemplates.find(accountId, call.region, { id: template.id });
    const version = found && (await requireVersion(deps.launchTemplates, found, template.version));
    const interfaces = version?.data.NetworkInterfaces as readonly unknown[] | undefined;
    return {
      MinCount: 1,
      MaxCount: 1,
      LaunchTemplate: { LaunchTemplateId: template.id, Version: template.version },
      ...(interfaces?.length
        ? { NetworkInterfaces: [{ DeviceIndex: 0, SubnetId: subnetId }] }
        : { SubnetId: subnetId }),
      ...(tags.length > 0 ? { TagSpecifications: [{ ResourceType: 'instance', Tags: [...tags] }] } : {}),
    };
  }

  return {
    async check(call, launch) {
      try {
        await runInstances(deps)(call, { ...(await requestOf(call, launch)), DryRun: true });
      } catch (error) {
        if (error instanceof ApiError && error.code === 'DryRunOperation') return;
        throw refused(error) ?? error;
      }
    },

    async launch(call, token, launch) {
      try {
        const request = { ...(await requestOf(call, launch)), ClientToken: token };
        const answer = (await callEc2(call, 'RunInstances', request)) as RunInstancesCommandOutput;
        const instance = answer.Instances![0]!;
        return {
          instanceId: instance.InstanceId as InstanceId,
          instanceType: instance.InstanceType!,
          imageId: instance.ImageId!,
          zone: instance.Placement!.AvailabilityZone!,
          subnetId: instance.SubnetId!,
          launchedAt: instance.LaunchTime!,
          templateVersion: instance.Tags?.find(({ Key }) => Key === VERSION_TAG)?.Value ?? launch.template.version,
        };
      } catch (error) {
        throw refused(error) ?? error;
      }
    },

    async terminate(call, id) {
      const terminate = () => callEc2(call, 'TerminateInstances', { InstanceIds: [id] });
      const codeOf = (error: unknown) => (error instanceof ApiError ? error.code : undefined);
      try {
        await terminate();
      } catch (error) {
        if (codeOf(error) === 'InvalidInstanceID.NotFound') return;
        if (codeOf(error) !== 'OperationNotPermitted') throw error;
        // Protection is from users, and does not hold against the group (as in AWS).
        const input = { InstanceId: id, DisableApiTermination: { Value: false } };
        await callEc2(call, 'ModifyInstanceAttribute', input);
        await terminate();
      }
    },
  };
}
