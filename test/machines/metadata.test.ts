/** What the metadata service says of an instance, over real records. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemPermit } from '../../src/authz/permit.ts';
import { entityArn } from '../../src/identity/entities.ts';
import { openMetadata, PUBLIC_KEY, USER_DATA } from './metadata-rig.ts';

test('a guest is told what is true of its instance', async () => {
  await using rig = await openMetadata();
  const { record, link, subnet, profile } = rig;
  const own = `ip-${record.privateIp.replaceAll('.', '-')}.eu-central-1.compute.internal`;
  const card = `network/interfaces/macs/${link.mac}`;
  const told: Readonly<Record<string, string | number>> = {
    'ami-id': record.imageId,
    'ami-launch-index': '0',
    'block-device-mapping/': 'ami\nroot',
    'block-device-mapping/ami': 'xvda',
    'block-device-mapping/root': '/dev/xvda',
    hostname: own,
    'local-hostname': own,
    'iam/security-credentials/': 'golden-role',
    'instance-action': 'none',
    'instance-id': record.id,
    'instance-type': 't3.nano',
    'local-ipv4': record.privateIp,
    mac: link.mac,
    [`${card}/device-number`]: '0',
    [`${card}/interface-id`]: link.id,
    [`${card}/local-ipv4s`]: record.privateIp,
    [`${card}/owner-id`]: record.ownerId,
    [`${card}/security-group-ids`]: record.groupIds[0]!,
    [`${card}/subnet-id`]: subnet.id,
    [`${card}/subnet-ipv4-cidr-block`]: subnet.cidr,
    [`${card}/vpc-id`]: record.vpcId,
    'placement/availability-zone': subnet.zone,
    'placement/availability-zone-id': subnet.zoneId,
    'placement/region': 'eu-central-1',
    'public-keys/': '0=operator',
    'public-keys/0/openssh-key': PUBLIC_KEY,
    'reservation-id': record.reservationId,
    'security-groups': 'default',
    'services/domain': 'amazonaws.com',
    'tags/instance/': 'Name',
    'tags/instance/Name': 'golden',
    'public-ipv4': 404,
    'spot/termination-time': 404,
  };
  for (const [path, value] of Object.entries(told)) {
    assert.equal(await rig.get(`/latest/meta-data/${path}`), value, path);
  }
  assert.equal(await rig.get('/latest/user-data'), USER_DATA);
  const info = JSON.parse(String(await rig.get('/latest/meta-data/iam/info'))) as Record<string, string>;
  assert.equal(info.InstanceProfileArn, profile.arn);
  assert.equal(info.InstanceProfileId, profile.id);
  const document = JSON.parse(String(await rig.get('/latest/dynamic/instance-identity/document'))) as object;
  assert.deepEqual(document, {
    accountId: record.ownerId,
    architecture: 'x86_64',
    availabilityZone: subnet.zone,
    billingProducts: null,
    devpayProductCodes: null,
    imageId: record.imageId,
    instanceId: record.id,
    instanceType: 't3.nano',
    kernelId: null,
    marketplaceProductCodes: null,
    pendingTime: '2026-03-01T12:00:00Z',
    privateIp: record.privateIp,
    ramdiskId: null,
    region: 'eu-central-1',
    version: '2017-09-30',
  });
  for (const name of ['signature', 'pkcs7', 'rsa2048']) {
    assert.equal(await rig.get(`/latest/dynamic/instance-identity/${name}`), 404, name);
  }
});

test('role credentials are a session of the role, kept until half an hour before they end', async () => {
  await using rig = await openMetadata();
  const path = '/latest/meta-data/iam/security-credentials/golden-role';
  const ask = async () => JSON.parse(String(await rig.get(path))) as Record<string, string>;
  const first = await ask();
  assert.equal(first.Code, 'Success');
  const found = await rig.house.identity.credentials.find(first.AccessKeyId!);
  assert.match(found!.caller.arn, new RegExp(`:assumed-role/golden-role/${rig.record.id}$`));
  assert.equal((await ask()).AccessKeyId, first.AccessKeyId);
  const lifeMs = Date.parse(first.Expiration!) - rig.house.clock().getTime();
  assert.ok(Math.abs(lifeMs - 6 * 3_600_000) < 60_000, String(lifeMs));
  assert.equal(await rig.get('/latest/meta-data/iam/security-credentials/other'), 404);
});

test('a role that does not trust EC2 gives no credentials, and says so', async () => {
  await using rig = await openMetadata({ trusted: 'lambda.amazonaws.com' });
  const said = await rig.get('/latest/meta-data/iam/security-credentials/golden-role');
  const answer = JSON.parse(String(said)) as Record<string, string>;
  assert.equal(answer.Code, 'AssumeRoleUnauthorizedAccess');
  assert.equal(answer.AccessKeyId, undefined);
});

test('a role that is taken out of the profile is gone with the next request', async () => {
  await using rig = await openMetadata();
  const permit = systemPermit(
    'iam:RemoveRoleFromInstanceProfile',
    entityArn(rig.record.ownerId, 'instance-profile', '/', 'golden-role'),
    'test',
  );
  await rig.house.identity.instanceProfiles.removeRole(permit, 'golden-role');
  assert.equal(await rig.get('/latest/meta-data/iam/security-credentials/'), '');
  assert.equal(await rig.get('/latest/meta-data/iam/security-credentials/golden-role'), 404);
});
