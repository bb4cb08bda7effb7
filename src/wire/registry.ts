/**
 * The one table that names services. A line is all it takes for every operation of a service to be recognised,
 * decoded, encoded, and refused by name where it is not implemented.
 */
import * as autoscaling from '@aws-sdk/client-auto-scaling';
import * as cloudtrail from '@aws-sdk/client-cloudtrail';
import * as ebs from '@aws-sdk/client-ebs';
import * as ec2 from '@aws-sdk/client-ec2';
import * as iam from '@aws-sdk/client-iam';
import * as kms from '@aws-sdk/client-kms';
import * as organizations from '@aws-sdk/client-organizations';
import * as sts from '@aws-sdk/client-sts';
import * as ingot from './ingot-schemas.ts';
import type { ServiceEntry } from './model.ts';
import * as rbin from './rbin-schemas.ts';

export const REGISTRY: readonly ServiceEntry[] = [
  {
    name: 'ec2',
    protocol: 'ec2Query',
    version: '2016-11-15',
    xmlNamespace: 'http://ec2.amazonaws.com/doc/2016-11-15/',
    schemas: ec2,
    // Members of type Double or Float in the EC2 service model, version 2016-11-15.
    fractional: [
      'ClientData.UploadSize',
      'FleetLaunchTemplateOverridesRequest.Priority',
      'FleetLaunchTemplateOverridesRequest.WeightedCapacity',
      'LaunchTemplateOverrides.Priority',
      'LaunchTemplateOverrides.WeightedCapacity',
      'MemoryGiBPerVCpu.Max',
      'MemoryGiBPerVCpu.Min',
      'MemoryGiBPerVCpuRequest.Max',
      'MemoryGiBPerVCpuRequest.Min',
      'NetworkBandwidthGbps.Max',
      'NetworkBandwidthGbps.Min',
      'NetworkBandwidthGbpsRequest.Max',
      'NetworkBandwidthGbpsRequest.Min',
      'PriceScheduleSpecification.Price',
      'ReservationFleetInstanceSpecification.Weight',
      'ReservedInstanceLimitPrice.Amount',
      'SpotFleetLaunchSpecification.WeightedCapacity',
      'SpotFleetRequestConfigData.FulfilledCapacity',
      'SpotFleetRequestConfigData.OnDemandFulfilledCapacity',
      'TotalLocalStorageGB.Max',
      'TotalLocalStorageGB.Min',
      'TotalLocalStorageGBRequest.Max',
      'TotalLocalStorageGBRequest.Min',
    ],
  },
  { name: 'kms', protocol: 'awsJson1_1', version: '2014-11-01', targets: ['TrentService'], schemas: kms },
  { name: 'ebs', protocol: 'restJson1', version: '2019-11-02', schemas: ebs },
  {
    name: 'sts',
    protocol: 'awsQuery',
    version: '2011-06-15',
    xmlNamespace: 'https://sts.amazonaws.com/doc/2011-06-15/',
    global: true,
    schemas: sts,
  },
  {
    name: 'iam',
    protocol: 'awsQuery',
    version: '2010-05-08',
    xmlNamespace: 'https://iam.amazonaws.com/doc/2010-05-08/',
    global: true,
    schemas: iam,
  },
  {
    name: 'organizations',
    protocol: 'awsJson1_1',
    version: '2016-11-28',
    targets: ['AWSOrganizationsV20161128'],
    global: true,
    schemas: organizations,
  },
  {
    name: 'cloudtrail',
    protocol: 'awsJson1_1',
    version: '2013-11-01',
    // The JavaScript SDK sends the short form, botocore and Go the long one.
    targets: ['CloudTrail_20131101', 'com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101'],
    schemas: cloudtrail,
  },
  {
    name: 'autoscaling',
    protocol: 'awsQuery',
    version: '2011-01-01',
    xmlNamespace: 'http://autoscaling.amazonaws.com/doc/2011-01-01/',
    schemas: autoscaling,
  },
  { name: 'ingot', protocol: 'restJson1', version: '2026-11-23', schemas: ingot },
  { name: 'rbin', protocol: 'restJson1', version: '2021-06-15', schemas: rbin },
];
