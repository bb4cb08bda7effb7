/** The metadata service over real records, at a port of this host instead of a guest's link-local address. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { systemPermit } from '../../src/authz/permit.ts';
import { rootKeyFrom } from '../../src/crypto/root-key.ts';
import { entityArn } from '../../src/identity/entities.ts';
import type { Identity } from '../../src/identity/identity.ts';
import { type AccountId, type ImageId, type InstanceId, newEc2Id } from '../../src/ids.ts';
import { givenProfile } from '../../src/instances/attributes.ts';
import type { InstanceRecord } from '../../src/instances/instances.ts';
import { createMetadataServer } from '../../src/instances/metadata/server.ts';
import { metadataOf } from '../../src/instances/metadata/view.ts';
import { type InstancesTables, insertInstance, instancesMigrations } from '../../src/instances/tables.ts';
import { writeUserData } from '../../src/instances/user-data.ts';
import { createLog } from '../../src/log.ts';
import { createNetwork } from '../../src/network/create-network.ts';
import { networkMigrations } from '../../src/network/tables.ts';
import { openTestVolumes, REGION } from '../../src/volumes/test-volumes.ts';

export const PUBLIC_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7aRDJtXj0 operator';
export const USER_DATA = '#cloud-config\nhostname: golden\n';

const ROLE = 'golden-role';

async function makeProfile(identity: Identity, account: AccountId, trusted: string) {
  const permit = <Action extends string>(action: Action, type: 'role' | 'instance-profile') =>
    systemPermit(action, entityArn(account, type, '/', ROLE), 'test');
  const trust = { Effect: 'Allow', Principal: { Service: trusted }, Action: 'sts:AssumeRole' };
  await identity.roles.create(permit('iam:CreateRole', 'role'), {
    trustPolicy: JSON.stringify({ Version: '2012-10-17', Statement: [trust] }),
    description: '',
    maxSessionSeconds: 3600,
    tags: {},
  });
  const profile = await identity.instanceProfiles.create(permit('iam:CreateInstanceProfile', 'instance-profile'), {});
  await identity.instanceProfiles.addRole(permit('iam:AddRoleToInstanceProfile', 'instance-profile'), ROLE);
  return profile;
}

/** One instance with everything a guest can be told; its role trusts `trusted`. */
export async function openMetadata({ trusted = 'ec2.amazonaws.com' } = {}) {
  const house = await openTestVolumes({ migrations: [...instancesMigrations, ...networkMigrations], above: () => {} });
  const { db, clock, tags, volumes, identity } = house;
  const network = createNetwork({ db, clock });
  const rootKey = rootKeyFrom(new Uint8Array(32).fill(9));
  const ownerId = house.build;
  const { subnets, defaultGroupId, vpcId } = await network.defaults(ownerId, REGION);
  const subnet = subnets[0]!;
  const id = newEc2Id<InstanceId>('i');
  const profile = await makeProfile(identity, ownerId, trusted);
  const ctx = { db, network, tags, volumes, rootKey, roles: identity.instanceRoles, clock };
  const { record, link } = await db.write(async (tx) => {
    const link = await network.createInterface(tx, {
      accountId: ownerId,
      region: REGION,
      subnet,
      instanceId: id,
      groupIds: [defaultGroupId],
      description: '',
      deleteOnTermination: true,
    });
    const record: InstanceRecord = {
      id,
      ownerId,
      region: REGION,
      reservationId: newEc2Id('r'),
      launchIndex: 0,
      launchedBy: `arn:aws:iam::${ownerId}:root`,
      imageId: newEc2Id<ImageId>('ami'),
      instanceType: 't3.nano',
      state: 'running',
      stateTransitionReason: '',
      launchTime: new Date('2026-03-01T12:00:00.500Z'),
      zone: subnet.zone,
      subnetId: subnet.id,
      vpcId,
      privateIp: link.privateIp,
      groupIds: [defaultGroupId],
      keyName: 'operator',
      publicKey: PUBLIC_KEY,
      metadata: { httpEndpoint: 'enabled', httpTokens: 'required', hopLimit: 1, instanceTags: 'enabled' },
      profile: givenProfile(ctx, profile),
      architecture: 'x86_64',
      currentBootMode: 'legacy-bios',
      rootDeviceName: '/dev/xvda',
      virtualizationType: 'hvm',
      enaSupport: true,
      platformDetails: 'Linux/UNIX',
      shutdownBehavior: 'stop',
      disableApiTermination: false,
      disableApiStop: false,
      devices: [],
      launched: true,
      held: false,
    };
    await insertInstance(tx.as<InstancesTables>(), record);
    await writeUserData(ctx, tx, id, Buffer.from(USER_DATA));
    await tags.put(tx, ownerId, REGION, 'instance', id, [
      { Key: 'Name', Value: 'golden' },
      { Key: 'added/later', Value: 'cannot be a name' },
    ]);
    return { record, link };
  });

  const server = createMetadataServer({ view: (each) => metadataOf(ctx, each), clock, log: createLog('silent') });
  const door = createServer({ allowHalfOpen: true }, (socket) => server.accept(id, socket));
  await once(door.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(door.address() as AddressInfo).port}`;
  const [Name, Seconds] = ['X-aws-ec2-metadata-token', 'X-aws-ec2-metadata-token-ttl-seconds'];
  const token = await fetch(`${url}/latest/api/token`, { method: 'PUT', headers: { [Seconds]: '600' } });
  const headers = { [Name]: await token.text() };
  return {
    house,
    url,
    record,
    link,
    subnet,
    profile,
    /** The body, or the status of a refusal. */
    async get(path: string): Promise<string | number> {
      const answer = await fetch(`${url}${path}`, { headers });
      const body = await answer.text();
      return answer.ok ? body : answer.status;
    },
    async [Symbol.asyncDispose]() {
      door.close();
      await house[Symbol.asyncDispose]();
    },
  };
}
