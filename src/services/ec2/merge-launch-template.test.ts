/** Launches by template: LT-1, LT-2, G-12. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RequestLaunchTemplateData, RunInstancesRequest } from '@aws-sdk/client-ec2';
import fc from 'fast-check';
import { mergeLaunchTemplate } from './merge-launch-template.ts';

type Request = Partial<RunInstancesRequest>;
const CASES: [name: string, template: RequestLaunchTemplateData, request: Request, merged: Request][] = [
  [
    'LT-1: the request wins',
    { InstanceType: 't3.micro', KeyName: 'k' },
    { InstanceType: 't3.large' },
    { InstanceType: 't3.large', KeyName: 'k' },
  ],
  [
    'LT-2, G-12: Ebs field by field, by device name',
    {
      BlockDeviceMappings: [
        { DeviceName: 'a', Ebs: { Encrypted: true, KmsKeyId: 'alias/x', VolumeSize: 8 } },
        { DeviceName: 'b', Ebs: { VolumeSize: 1 } },
      ],
    },
    {
      BlockDeviceMappings: [
        { DeviceName: 'a', Ebs: { VolumeSize: 20 } },
        { DeviceName: 'c', Ebs: { VolumeSize: 2 } },
      ],
    },
    {
      BlockDeviceMappings: [
        { DeviceName: 'a', Ebs: { Encrypted: true, KmsKeyId: 'alias/x', VolumeSize: 20 } },
        { DeviceName: 'b', Ebs: { VolumeSize: 1 } },
        { DeviceName: 'c', Ebs: { VolumeSize: 2 } },
      ],
    },
  ],
  [
    'RI-2: NoDevice drops the template’s device',
    { BlockDeviceMappings: [{ DeviceName: 'a', Ebs: { VolumeSize: 8 } }] },
    { BlockDeviceMappings: [{ DeviceName: 'a', NoDevice: '' }] },
    { BlockDeviceMappings: [{ DeviceName: 'a', NoDevice: '' }] },
  ],
  [
    'a device dropped by the template comes back by request',
    { BlockDeviceMappings: [{ DeviceName: 'a', NoDevice: '' }] },
    { BlockDeviceMappings: [{ DeviceName: 'a', Ebs: { VolumeSize: 8 } }] },
    { BlockDeviceMappings: [{ DeviceName: 'a', Ebs: { VolumeSize: 8 } }] },
  ],
  [
    'LT-2: tags by key within a resource type',
    {
      TagSpecifications: [
        {
          ResourceType: 'instance',
          Tags: [
            { Key: 'a', Value: '1' },
            { Key: 'b', Value: '2' },
          ],
        },
        { ResourceType: 'volume', Tags: [{ Key: 'v', Value: '1' }] },
      ],
    },
    {
      TagSpecifications: [
        {
          ResourceType: 'instance',
          Tags: [
            { Key: 'b', Value: '3' },
            { Key: 'c', Value: '4' },
          ],
        },
      ],
    },
    {
      TagSpecifications: [
        {
          ResourceType: 'instance',
          Tags: [
            { Key: 'a', Value: '1' },
            { Key: 'b', Value: '3' },
            { Key: 'c', Value: '4' },
          ],
        },
        { ResourceType: 'volume', Tags: [{ Key: 'v', Value: '1' }] },
      ],
    },
  ],
  [
    'LT-2: MetadataOptions field by field',
    { MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 2 } },
    { MetadataOptions: { HttpPutResponseHopLimit: 1 } },
    { MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1 } },
  ],
  [
    'an instance profile is replaced whole: a name and an ARN exclude each other',
    { IamInstanceProfile: { Name: 'x' } },
    { IamInstanceProfile: { Arn: 'arn:aws:iam::111122223333:instance-profile/y' } },
    { IamInstanceProfile: { Arn: 'arn:aws:iam::111122223333:instance-profile/y' } },
  ],
  [
    'security groups by id replace those by name',
    { SecurityGroups: ['default'] },
    { SecurityGroupIds: ['sg-1'] },
    { SecurityGroupIds: ['sg-1'] },
  ],
  [
    'a list is a value',
    { SecurityGroupIds: ['sg-1', 'sg-2'] },
    { SecurityGroupIds: ['sg-3'] },
    { SecurityGroupIds: ['sg-3'] },
  ],
  ['names that differ between the two shapes', { RamDiskId: 'ari-1' }, {}, { RamdiskId: 'ari-1' }],
  [
    'interfaces by device index',
    { NetworkInterfaces: [{ DeviceIndex: 0, SubnetId: 'subnet-1', Groups: ['sg-1'] }] },
    { NetworkInterfaces: [{ DeviceIndex: 0, SubnetId: 'subnet-2' }] },
    { NetworkInterfaces: [{ DeviceIndex: 0, SubnetId: 'subnet-2', Groups: ['sg-1'] }] },
  ],
];

const counts = { MinCount: 1, MaxCount: 1 };

describe('mergeLaunchTemplate', () => {
  for (const [name, template, request, merged] of CASES) {
    it(name, () => {
      assert.deepEqual(mergeLaunchTemplate(template, { ...counts, ...request }), { ...counts, ...merged });
    });
  }

  const ebs = fc.record(
    {
      Encrypted: fc.boolean(),
      KmsKeyId: fc.constantFrom('alias/a', 'alias/b'),
      VolumeSize: fc.integer({ min: 1, max: 9 }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  const devices = fc.uniqueArray(
    fc.record({ DeviceName: fc.constantFrom('a', 'b', 'c'), Ebs: ebs }, { noNullPrototype: true }),
    {
      selector: ({ DeviceName }) => DeviceName,
    },
  );

  it('LT-1: every field of a device comes from the request if it is there, else from the template', () => {
    fc.assert(
      fc.property(devices, devices, (under, over) => {
        const merged = mergeLaunchTemplate({ BlockDeviceMappings: under }, { ...counts, BlockDeviceMappings: over });
        const names = new Set([...under, ...over].map(({ DeviceName }) => DeviceName));
        const found = merged.BlockDeviceMappings ?? [];
        assert.deepEqual(new Set(found.map(({ DeviceName }) => DeviceName)), names);
        for (const { DeviceName, Ebs } of found) {
          const below = under.find((device) => device.DeviceName === DeviceName)?.Ebs;
          const above = over.find((device) => device.DeviceName === DeviceName)?.Ebs;
          assert.deepEqual(Ebs, { ...below, ...above });
        }
      }),
      { verbose: true },
    );
  });

  it('a request without anything is the template, and neither argument is changed', () => {
    fc.assert(
      fc.property(devices, (under) => {
        const template = { BlockDeviceMappings: under, InstanceType: 't3.micro' as const };
        const before = structuredClone(template);
        const merged = mergeLaunchTemplate(template, counts);
        assert.deepEqual(merged, {
          ...counts,
          InstanceType: 't3.micro',
          ...(under.length > 0 ? { BlockDeviceMappings: under } : {}),
        });
        assert.deepEqual(template, before);
      }),
      { verbose: true },
    );
  });
});
