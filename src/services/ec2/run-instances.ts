import type { RunInstancesCommand, RunInstancesRequest } from '@aws-sdk/client-ec2';
import type { ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { hashParameters, type TokenUse } from '../../idempotency/idempotency.ts';
import { type Arn, ec2Arn, imageArn, snapshotArn } from '../../ids.ts';
import type { ImageRecord } from '../../images/images.ts';
import type { InstanceType } from '../../instances/instance-types.ts';
import type { InstanceRecord, LaunchRequest, MetadataOptions } from '../../instances/instances.ts';
import type { KeyPairRecord } from '../../network/key-pairs.ts';
import type { Tag } from '../../tags/tags.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAll, authorizeTagsOnCreate, dryRun, type ResourceCheck, requestTagContext } from './common.ts';
import { ec2Error } from './errors.ts';
import { imageContext } from './image-access.ts';
import { authorizePassRole, type NamedProfile, requireProfile } from './instance-profile-associations.ts';
import { type InstanceDeps, showReservations, viewOf } from './instance-shapes.ts';
import { type ResolvedLaunchTemplate, resolveLaunchTemplate } from './launch-template-access.ts';
import { mergeLaunchTemplate } from './merge-launch-template.ts';
import { launchMetadata, metadataContext, requireMetadataTags } from './metadata-options.ts';
import { type PlannedDevice, planDevices } from './run-instances-devices.ts';
import {
  type Placement,
  refuseWithoutEffect,
  requireCount,
  requireFit,
  requireImage,
  requirePlacement,
  requireType,
  withoutEmpty,
} from './run-instances-request.ts';
import { isSpot, spotCallOf } from './spot-options.ts';
import { tagRecord } from './tag-resources.ts';
import { tagSpecifications } from './tag-specifications.ts';
import { readUserData } from './user-data.ts';
import { snapshotContext } from './volume-shapes.ts';

const ACTION = 'ec2:RunInstances';
/** What makes an instance other than its template has it. */
const OF_INSTANCE = [
  'IamInstanceProfile',
  'InstanceInitiatedShutdownBehavior',
  'InstanceType',
  'MetadataOptions',
  'Placement',
  'UserData',
] as const;
const TAGGED = ['instance', 'volume', 'network-interface'] as const;

/** A launch that was checked, before it is authorized. */
interface Plan {
  /** The request itself, without the template. */
  readonly request: RunInstancesRequest;
  readonly input: RunInstancesRequest;
  readonly template: ResolvedLaunchTemplate | undefined;
  readonly image: ImageRecord;
  readonly type: InstanceType;
  readonly count: number;
  readonly placement: Placement;
  readonly devices: readonly PlannedDevice[];
  readonly keyPair: KeyPairRecord | undefined;
  readonly metadata: MetadataOptions;
  readonly profile: NamedProfile | undefined;
  readonly userData: Uint8Array | undefined;
  readonly tags: ReadonlyMap<string, Tag[]>;
  readonly spot: boolean;
}

/**
 * Launches instances. KMS is not asked before the answer: whether the caller may use the keys shows in the state of the
 * instances (RI-5, K-14).
 */
export const runInstances =
  (deps: InstanceDeps): OperationOf<RunInstancesCommand> =>
  async (call, raw) => {
    const request: RunInstancesRequest = withoutEmpty(raw);
    const use = tokenOf(call, request);
    const hash = await hashParameters(request);
    if (use && !request.DryRun) {
      const earlier = await deps.idempotency.find(use);
      if (earlier) return replay(deps, call, earlier, hash);
    }
    const plan = await checked(deps, call, request);
    const permit = await authorizeLaunch(deps, call, plan);
    dryRun(raw);
    const spotCall = plan.spot ? await spotCallOf(deps, call) : undefined;
    const launched = await deps.db.write(async (tx) => {
      const meanwhile = use && (await deps.idempotency.find(use, tx));
      if (meanwhile) return meanwhile;
      const records = await deps.instances.launch(tx, permit, call, {
        ...launchRequest(call, plan),
        ...(spotCall ? { spotCall } : {}),
      });
      if (use) await deps.idempotency.remember(tx, use, hash, records[0]!.reservationId);
      return records;
    });
    if ('resultId' in launched) return replay(deps, call, launched, hash);
    return answer(deps, call, launched);
  };

async function checked(deps: InstanceDeps, call: Call, request: RunInstancesRequest): Promise<Plan> {
  const template = request.LaunchTemplate
    ? await resolveLaunchTemplate(deps.launchTemplates, call, request.LaunchTemplate)
    : undefined;
  const input = template ? withoutEmpty(mergeLaunchTemplate(template.data, request)) : request;
  refuseWithoutEffect(input);
  const count = requireCount(input);
  const type = requireType(input.InstanceType);
  const tags = tagSpecifications(input.TagSpecifications, TAGGED);
  const image = await requireImage(deps, call, input.ImageId);
  requireFit(image, type);
  const placement = await requirePlacement(deps, call, input, count);
  const keyPair = await requireKeyPair(deps, call, input.KeyName);
  const devices = await planDevices(deps, call, image, input.BlockDeviceMappings ?? [], placement.subnet.zone);
  const metadata = launchMetadata(input.MetadataOptions, image);
  requireMetadataTags(metadata, tags.get('instance') ?? []);
  const userData = input.UserData === undefined ? undefined : readUserData(input.UserData);
  const profile = input.IamInstanceProfile ? await requireProfile(deps, call, input.IamInstanceProfile) : undefined;
  const given = { keyPair, metadata, profile, userData, spot: isSpot(input) };
  return { request, input, template, image, type, count, placement, devices, ...given, tags };
}

async function requireKeyPair(deps: InstanceDeps, call: Call, name: string | undefined) {
  if (name === undefined) return undefined;
  const pair = (await deps.keyPairs.list(call.caller.accountId, call.region)).find((each) => each.name === name);
  if (!pair) throw ec2Error('InvalidKeyPair.NotFound', `The key pair '${name}' does not exist`);
  return pair;
}

/** Every resource of table 4.2, each with the template's condition keys (7.6). */
async function authorizeLaunch(deps: InstanceDeps, call: Call, plan: Plan): Promise<Permit<typeof ACTION>> {
  const { accountId } = call.caller;
  const { image, placement, template, type, tags } = plan;
  const arn = (kind: string, id: string): Arn => ec2Arn(call.region, accountId, kind, id);
  const mark = (...members: (keyof RunInstancesRequest)[]): ConditionValues =>
    template === undefined
      ? {}
      : {
          'ec2:LaunchTemplate': template.arn,
          'ec2:IsLaunchTemplateResource': members.every((member) => plan.request[member] === undefined),
        };
  const zone = { 'ec2:AvailabilityZone': placement.subnet.zone };
  const network = await deps.network.defaults(accountId, call.region);
  const vpc = { 'ec2:Vpc': arn('vpc', network.vpcId) };
  const ids = [image.id, placement.subnet.id, ...placement.groups.map((group) => group.id)];
  if (template) ids.push(template.template.id);
  if (plan.keyPair) ids.push(plan.keyPair.id);
  for (const { snapshot } of plan.devices) if (snapshot) ids.push(snapshot.id);
  const tagsOf = await deps.tags.of(accountId, call.region, ids);
  const known = (id: string) => ({ tags: tagRecord(tagsOf.get(id) ?? []) });

  const checks: ResourceCheck[] = [
    {
      resource: { arn: imageArn(call.region, image.id), ...known(image.id) },
      context: { ...imageContext(image), ...mark('ImageId') },
    },
    {
      resource: { arn: arn('instance', '*') },
      context: {
        ...zone,
        'ec2:InstanceType': type.name,
        'ec2:RootDeviceType': 'ebs',
        'ec2:Tenancy': 'default',
        'ec2:EbsOptimized': false,
        ...(plan.spot ? { 'ec2:InstanceMarketType': 'spot' } : {}),
        ...metadataContext(plan.metadata),
        ...(plan.profile ? { 'ec2:InstanceProfile': plan.profile.profile.arn } : {}),
        ...mark(...OF_INSTANCE),
        ...requestTagContext(tags.get('instance')),
      },
    },
    {
      resource: { arn: arn('subnet', placement.subnet.id), ...known(placement.subnet.id) },
      context: { ...zone, ...vpc, ...mark('SubnetId', 'NetworkInterfaces', 'Placement') },
    },
    {
      resource: { arn: arn('network-interface', '*') },
      context: {
        ...zone,
        ...vpc,
        'ec2:Subnet': arn('subnet', placement.subnet.id),
        'ec2:AssociatePublicIpAddress': deps.guestsAreReached,
        ...mark('SubnetId', 'NetworkInterfaces', 'SecurityGroupIds', 'SecurityGroups', 'PrivateIpAddress'),
        ...requestTagContext(tags.get('network-interface')),
      },
    },
    ...placement.groups.map((group) => ({
      resource: { arn: arn('security-group', group.id), ...known(group.id) },
      context: { ...vpc, ...mark('SecurityGroupIds', 'SecurityGroups', 'NetworkInterfaces') },
    })),
  ];
  for (const device of plan.devices) {
    const { request, outcome, snapshot } = device;
    if (snapshot) {
      checks.push({
        resource: { arn: snapshotArn(call.region, snapshot.id), accountId: snapshot.ownerId, ...known(snapshot.id) },
        context: { ...snapshotContext(snapshot), ...mark('ImageId', 'BlockDeviceMappings') },
      });
    }
    checks.push({
      resource: { arn: arn('volume', '*') },
      context: {
        ...zone,
        // The final state, encryption by default included (7.3).
        'ec2:Encrypted': outcome.encrypted,
        'ec2:VolumeSize': request.sizeGiB,
        'ec2:VolumeType': request.volumeType,
        'ec2:VolumeIops': request.iops,
        'ec2:VolumeThroughput': request.throughput,
        ...(snapshot ? { 'ec2:ParentSnapshot': snapshotArn(call.region, snapshot.id) } : {}),
        ...mark('ImageId', 'BlockDeviceMappings'),
        ...requestTagContext(tags.get('volume')),
      },
    });
  }
  if (plan.keyPair) {
    checks.push({
      resource: { arn: arn('key-pair', plan.keyPair.name), ...known(plan.keyPair.id) },
      context: { 'ec2:KeyPairName': plan.keyPair.name, ...mark('KeyName') },
    });
  }
  if (template) {
    checks.push({
      resource: { arn: template.arn, ...known(template.template.id) },
      context: { 'ec2:LaunchTemplate': template.arn, 'ec2:IsLaunchTemplateResource': true },
    });
  }
  const permits = await authorizeAll(deps.authorizer, call, ACTION, checks);
  await authorizeTagsOnCreate(
    deps.authorizer,
    call,
    'RunInstances',
    TAGGED.map((kind) => ({ resource: { arn: arn(kind, '*') }, tags: tags.get(kind) })),
  );
  if (plan.profile) await authorizePassRole(deps, call, plan.profile.role);
  // The permit for the instances that are to be.
  return permits[1]!;
}

function launchRequest(call: Call, plan: Plan): LaunchRequest {
  const { input, image, type, count, placement, devices, template, tags, keyPair } = plan;
  return {
    ownerId: call.caller.accountId,
    image,
    instanceType: type.name,
    count,
    subnet: placement.subnet,
    groupIds: placement.groups.map((group) => group.id),
    ...(placement.privateIp === undefined ? {} : { privateIp: placement.privateIp }),
    interfaceDescription: placement.description,
    interfaceDeleteOnTermination: placement.deleteOnTermination,
    ...(keyPair === undefined ? {} : { keyName: keyPair.name, publicKey: keyPair.publicKey }),
    metadata: plan.metadata,
    ...(plan.profile ? { profile: plan.profile.profile } : {}),
    ...(plan.userData?.byteLength ? { userData: plan.userData } : {}),
    shutdownBehavior: input.InstanceInitiatedShutdownBehavior === 'terminate' ? 'terminate' : 'stop',
    disableApiTermination: input.DisableApiTermination === true,
    disableApiStop: input.DisableApiStop === true,
    ...(input.ClientToken === undefined ? {} : { clientToken: input.ClientToken }),
    devices: devices.map(({ snapshot: _, ...device }) => device),
    tags: {
      instance: tags.get('instance') ?? [],
      volume: tags.get('volume') ?? [],
      'network-interface': tags.get('network-interface') ?? [],
    },
    ...(template ? { launchTemplate: { id: template.template.id, version: template.versionNumber } } : {}),
  };
}

function tokenOf(call: Call, input: RunInstancesRequest): TokenUse | undefined {
  if (!input.ClientToken) return undefined;
  return { account: call.caller.accountId, region: call.region, action: ACTION, token: input.ClientToken };
}

/** L-21. */
async function replay(
  deps: InstanceDeps,
  call: Call,
  earlier: { readonly parametersHash: string; readonly resultId: string },
  hash: string,
) {
  if (earlier.parametersHash !== hash) {
    throw ec2Error(
      'IdempotentParameterMismatch',
      'Parameters on this idempotent request are inconsistent with parameters used in previous request(s).',
    );
  }
  const records = await deps.instances.ofReservation(earlier.resultId);
  if (records.every(({ state }) => state === 'terminated' || state === 'shutting-down')) {
    throw ec2Error('IdempotentInstanceTerminated', 'The instances of this client token have been terminated.');
  }
  return answer(deps, call, records);
}

async function answer(deps: InstanceDeps, call: Call, records: readonly InstanceRecord[]) {
  return showReservations(records, await viewOf(deps, call, records))[0]!;
}
