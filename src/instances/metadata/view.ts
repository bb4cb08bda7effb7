/** What the metadata service says of one instance. Left out is what could not be true: signatures of AWS, spot, events. */
import type { InstanceId } from '../../ids.ts';
import type { DefaultNetwork, InterfaceRecord, SubnetRecord } from '../../network/network.ts';
import type { Tag } from '../../tags/tags.ts';
import { attachmentOf, type Context, reading, volumesOf } from '../context.ts';
import type { InstanceRecord } from '../instances.ts';
import { findInstance } from '../tables.ts';
import { isMetadataTagKey } from '../tag-keys.ts';
import { readUserData } from '../user-data.ts';
import type { MetadataView } from './server.ts';
import { LABEL, type Tree } from './tree.ts';

/** What of the folder's context it takes to tell. */
export type Telling = Pick<Context, 'db' | 'network' | 'tags' | 'volumes' | 'rootKey' | 'roles' | 'clock'>;

export async function metadataOf(ctx: Telling, id: InstanceId): Promise<MetadataView | undefined> {
  const record = await findInstance(reading(ctx), id);
  if (!record?.metadata) return undefined;
  const { ownerId, region } = record;
  const [link] = await ctx.network.interfacesOf([id]);
  const network = await ctx.network.defaults(ownerId, region);
  const groups = await ctx.network.groups(ownerId, region);
  const groupNames = record.groupIds.map((groupId) => groups.find((each) => each.id === groupId)?.name ?? groupId);
  const subnet = network.subnets.find((each) => each.id === record.subnetId);
  const tags = record.metadata.instanceTags === 'enabled' ? await ctx.tags.of(ownerId, region, [id]) : undefined;
  const hostName = hostNameOf(record);
  const tree: Tree = {
    dynamic: { 'instance-identity': { document: identityDocument(record) } },
    'meta-data': {
      'ami-id': record.imageId,
      'ami-launch-index': String(record.launchIndex),
      'ami-manifest-path': '(unknown)',
      'block-device-mapping': await blockDevices(ctx, record),
      hostname: hostName,
      iam: record.profile && (await roleTree(ctx, record, record.profile)),
      'instance-action': 'none',
      'instance-id': id,
      'instance-life-cycle': 'on-demand',
      'instance-type': record.instanceType,
      'local-hostname': hostName,
      'local-ipv4': record.privateIp,
      mac: link?.mac,
      network: link && {
        interfaces: { macs: { [link.mac]: interfaceTree(record, link, network, subnet, groupNames) } },
      },
      placement: {
        'availability-zone': record.zone,
        'availability-zone-id': subnet?.zoneId,
        region,
      },
      profile: 'default-hvm',
      'public-ipv4': record.publicIp,
      'public-keys':
        record.publicKey === undefined
          ? undefined
          : { 0: { [LABEL]: record.keyName ?? '', 'openssh-key': record.publicKey } },
      'reservation-id': record.reservationId,
      'security-groups': groupNames.join('\n'),
      services: { domain: 'amazonaws.com', partition: 'aws' },
      tags: tags && { instance: tagTree(tags.get(id) ?? []) },
    },
    'user-data': async () => {
      const bytes = await readUserData(ctx, id);
      return bytes && Buffer.from(bytes).toString('latin1');
    },
  };
  return { options: record.metadata, tree };
}

export function hostNameOf(record: Pick<InstanceRecord, 'privateIp' | 'region'>): string {
  const { label, domain } = hostNameParts(record);
  return `${label}.${domain}`;
}

export function hostNameParts({ privateIp, region }: Pick<InstanceRecord, 'privateIp' | 'region'>) {
  const domain = region === 'us-east-1' ? 'ec2.internal' : `${region}.compute.internal`;
  return { label: `ip-${privateIp.replaceAll('.', '-')}`, domain };
}

function interfaceTree(
  record: InstanceRecord,
  link: InterfaceRecord,
  network: DefaultNetwork,
  subnet: SubnetRecord | undefined,
  groupNames: readonly string[],
): Tree {
  return {
    'device-number': '0',
    'interface-id': link.id,
    'local-hostname': hostNameOf(record),
    'local-ipv4s': link.privateIp,
    mac: link.mac,
    'owner-id': record.ownerId,
    'security-group-ids': record.groupIds.join('\n'),
    'security-groups': groupNames.join('\n'),
    'subnet-id': link.subnetId,
    'subnet-ipv4-cidr-block': subnet?.cidr,
    'vpc-id': link.vpcId,
    'vpc-ipv4-cidr-block': network.cidr,
    'vpc-ipv4-cidr-blocks': network.cidr,
  };
}

async function blockDevices(ctx: Telling, record: InstanceRecord): Promise<Tree> {
  const short = (device: string) => device.replace(/^\/dev\//, '');
  const names: Record<string, string> = { ami: short(record.rootDeviceName), root: record.rootDeviceName };
  const devices = (await volumesOf(ctx, record)).map((volume) => attachmentOf(volume, record.id)?.device ?? '');
  devices
    .filter((device) => device !== record.rootDeviceName)
    .forEach((device, index) => {
      names[`ebs${index + 1}`] = short(device);
    });
  return names;
}

function tagTree(tags: readonly Tag[]): Tree {
  // A launch with such a key is refused; one that was added later cannot be told.
  const named = tags.filter(({ Key }) => isMetadataTagKey(Key));
  return Object.fromEntries(named.map(({ Key, Value }) => [Key, Value]));
}

async function roleTree(
  ctx: Telling,
  record: InstanceRecord,
  profile: NonNullable<InstanceRecord['profile']>,
): Promise<Tree | undefined> {
  const role = await ctx.roles.roleOf(profile);
  if (!role) return undefined;
  const told = (body: object) => JSON.stringify(body, undefined, 2);
  const instant = (date: Date) => `${date.toISOString().slice(0, 19)}Z`;
  const now = instant(ctx.clock());
  const credentials = async () => {
    const made = await ctx.roles.credentialsOf(profile, record);
    if (!made) {
      const Message = 'EC2 cannot assume the role. Please see documentation at https://docs.aws.amazon.com/IAM.';
      return told({ Code: 'AssumeRoleUnauthorizedAccess', Message, LastUpdated: now });
    }
    return told({
      Code: 'Success',
      LastUpdated: instant(made.issuedAt),
      Type: 'AWS-HMAC',
      AccessKeyId: made.accessKeyId,
      SecretAccessKey: made.secretAccessKey,
      Token: made.sessionToken,
      Expiration: instant(made.expiresAt),
    });
  };
  return {
    info: told({
      Code: 'Success',
      LastUpdated: now,
      InstanceProfileArn: role.profile.arn,
      InstanceProfileId: role.profile.id,
    }),
    'security-credentials': role.roleName === undefined ? {} : { [role.roleName]: credentials },
  };
}

/** The document of AWS; its signatures are not served, because nobody could verify them with AWS's certificates. */
function identityDocument(record: InstanceRecord): string {
  const document = {
    accountId: record.ownerId,
    architecture: record.architecture,
    availabilityZone: record.zone,
    billingProducts: null,
    devpayProductCodes: null,
    marketplaceProductCodes: null,
    imageId: record.imageId,
    instanceId: record.id,
    instanceType: record.instanceType,
    kernelId: null,
    pendingTime: `${record.launchTime.toISOString().slice(0, 19)}Z`,
    privateIp: record.privateIp,
    ramdiskId: null,
    region: record.region,
    version: '2017-09-30',
  };
  return JSON.stringify(document, undefined, 2);
}
