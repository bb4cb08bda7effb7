import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REGISTRY } from '../wire/registry.ts';
import { Wire } from '../wire/wire.ts';
import { NAMED_RESOURCES_MAX, namesResources, resourcesIn } from './audit-resources.ts';

const wire = new Wire(REGISTRY);
const id = (prefix: string, digit: number | string) => `${prefix}-${String(digit).padStart(17, '0')}`;

function named(service: string, operationName: string, input: object, output?: object): string[] {
  const operation = wire.service(service)?.operation(operationName);
  assert.ok(operation);
  const values = [
    { shape: operation.input, value: input },
    { shape: operation.output, value: output },
  ];
  return resourcesIn(values).map(({ type, name }) => `${type.replace('AWS::EC2::', '')} ${name}`);
}

const launch = (count: number) => ({
  Instances: Array.from({ length: count }, (_, index) => ({
    InstanceId: id('i', index),
    ImageId: id('ami', 1),
    KeyName: 'door',
    VpcId: id('vpc', 1),
    SubnetId: id('subnet', 1),
    ClientToken: id('vol', 9),
    SecurityGroups: [{ GroupId: id('sg', 1), GroupName: 'default' }],
    NetworkInterfaces: [{ NetworkInterfaceId: id('eni', index) }],
    Placement: { GroupName: 'rack' },
    Tags: [{ Key: 'golden', Value: id('ami', 8) }],
  })),
});

const CASES: readonly (readonly [string, string, object, object | undefined, string[]])[] = [
  [
    'ec2',
    'RunInstances',
    { ImageId: id('ami', 1), KeyName: 'door', SecurityGroupIds: [id('sg', 1)], UserData: id('vol', 8) },
    launch(1),
    [
      `Ami ${id('ami', 1)}`,
      'KeyPair door',
      `SecurityGroup ${id('sg', 1)}`,
      `Instance ${id('i', 0)}`,
      `Subnet ${id('subnet', 1)}`,
      `VPC ${id('vpc', 1)}`,
      'SecurityGroup default',
      `NetworkInterface ${id('eni', 0)}`,
    ],
  ],
  [
    'ec2',
    'CreateSnapshot',
    { VolumeId: id('vol', 1), Description: id('vol', 2) },
    { SnapshotId: id('snap', 1), VolumeId: id('vol', 1), OwnerId: '111122223333' },
    [`Volume ${id('vol', 1)}`, `Snapshot ${id('snap', 1)}`],
  ],
  [
    'ec2',
    'RegisterImage',
    { BlockDeviceMappings: [{ DeviceName: '/dev/sda1', Ebs: { SnapshotId: id('snap', 1) } }] },
    { ImageId: id('ami', 1) },
    [`Ami ${id('ami', 1)}`, `Snapshot ${id('snap', 1)}`],
  ],
  [
    'ec2',
    'CreateTags',
    { Resources: [id('ami', 1), 'snap-0a1b2c3d', 'i-short', id('zzz', 1)], Tags: [{ Key: 'k', Value: id('i', 9) }] },
    undefined,
    [`Ami ${id('ami', 1)}`, 'Snapshot snap-0a1b2c3d'],
  ],
  ['ebs', 'CompleteSnapshot', { SnapshotId: id('snap', 1) }, { Status: 'pending' }, [`Snapshot ${id('snap', 1)}`]],
];

for (const [service, operation, input, output, expected] of CASES) {
  test(`${operation} is found by the resources that it names`, () => {
    assert.deepEqual(named(service, operation, input, output).sort(), [...expected].sort());
  });
}

test('of a launch of many, the instances come before their parts, up to the limit', () => {
  const names = named('ec2', 'RunInstances', { ImageId: id('ami', 1) }, launch(60));
  assert.equal(names.length, NAMED_RESOURCES_MAX);
  assert.deepEqual(names.slice(0, 2), [`Ami ${id('ami', 1)}`, `Instance ${id('i', 0)}`]);
  const instances = named('ec2', 'RunInstances', {}, launch(40)).filter((name) => name.startsWith('Instance '));
  assert.equal(instances.length, 40);
});

test('names are taken from EC2 and EBS, not from the blocks of an upload', () => {
  assert.equal(namesResources('ec2', 'RunInstances'), true);
  assert.equal(namesResources('ebs', 'StartSnapshot'), true);
  assert.equal(namesResources('ebs', 'PutSnapshotBlock'), false);
  assert.equal(namesResources('kms', 'CreateKey'), false);
});
