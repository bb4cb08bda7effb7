import type { Ec2Part } from './common.ts';
import { describeInstanceStatus } from './describe-instance-status.ts';
import {
  describeInstanceCreditSpecifications,
  describeInstanceTypeOfferings,
  describeInstanceTypes,
} from './describe-instance-types.ts';
import { describeInstances } from './describe-instances.ts';
import { describeNetworkInterfaces } from './describe-network-interfaces.ts';
import {
  describeDhcpOptions,
  describeInternetGateways,
  describeNetworkAcls,
  describeRouteTables,
  describeSubnets,
  describeVpcAttribute,
  describeVpcs,
} from './describe-networks.ts';
import { describeAccountAttributes, describeAvailabilityZones, describeRegions } from './describe-regions.ts';
import { describeReplaceRootVolumeTasks } from './describe-replace-root-volume-tasks.ts';
import { getConsoleOutput } from './get-console-output.ts';
import { getConsoleScreenshot } from './get-console-screenshot.ts';
import { describeInstanceAttribute, modifyInstanceAttribute } from './instance-attributes.ts';
import {
  associateIamInstanceProfile,
  describeIamInstanceProfileAssociations,
  disassociateIamInstanceProfile,
  replaceIamInstanceProfileAssociation,
} from './instance-profile-associations.ts';
import { type InstanceDeps, instanceRefusals } from './instance-shapes.ts';
import { rebootInstances, startInstances, stopInstances, terminateInstances } from './instance-states.ts';
import { attachVolume, detachVolume } from './instance-volumes.ts';
import { createKeyPair, deleteKeyPair, describeKeyPairs, importKeyPair } from './key-pairs.ts';
import { modifyInstanceMetadataOptions } from './metadata-options.ts';
import { modifySubnetAttribute, modifyVpcAttribute } from './modify-network-attributes.ts';
import { createReplaceRootVolumeTask } from './replace-root-volume.ts';
import { runInstances } from './run-instances.ts';
import {
  authorizeSecurityGroupEgress,
  authorizeSecurityGroupIngress,
  describeSecurityGroupRules,
  revokeSecurityGroupEgress,
  revokeSecurityGroupIngress,
} from './security-group-rules.ts';
import { createSecurityGroup, deleteSecurityGroup, describeSecurityGroups } from './security-groups.ts';
import { cancelSpotInstanceRequests, describeSpotInstanceRequests } from './spot-requests.ts';

export function instanceOperations(deps: InstanceDeps): Ec2Part {
  return {
    operations: {
      AssociateIamInstanceProfile: associateIamInstanceProfile(deps),
      AttachVolume: attachVolume(deps),
      AuthorizeSecurityGroupEgress: authorizeSecurityGroupEgress(deps),
      AuthorizeSecurityGroupIngress: authorizeSecurityGroupIngress(deps),
      CancelSpotInstanceRequests: cancelSpotInstanceRequests(deps),
      CreateKeyPair: createKeyPair(deps),
      CreateReplaceRootVolumeTask: createReplaceRootVolumeTask(deps),
      CreateSecurityGroup: createSecurityGroup(deps),
      DeleteKeyPair: deleteKeyPair(deps),
      DeleteSecurityGroup: deleteSecurityGroup(deps),
      DescribeAccountAttributes: describeAccountAttributes(deps),
      DescribeAvailabilityZones: describeAvailabilityZones(deps),
      DescribeDhcpOptions: describeDhcpOptions(deps),
      DescribeIamInstanceProfileAssociations: describeIamInstanceProfileAssociations(deps),
      DescribeInstanceAttribute: describeInstanceAttribute(deps),
      DescribeInstanceCreditSpecifications: describeInstanceCreditSpecifications(deps),
      DescribeInstances: describeInstances(deps),
      DescribeInstanceStatus: describeInstanceStatus(deps),
      DescribeInstanceTypeOfferings: describeInstanceTypeOfferings(deps),
      DescribeInstanceTypes: describeInstanceTypes(deps),
      DescribeInternetGateways: describeInternetGateways(deps),
      DescribeKeyPairs: describeKeyPairs(deps),
      DescribeNetworkAcls: describeNetworkAcls(deps),
      DescribeNetworkInterfaces: describeNetworkInterfaces(deps),
      DescribeRegions: describeRegions(deps),
      DescribeReplaceRootVolumeTasks: describeReplaceRootVolumeTasks(deps),
      DescribeRouteTables: describeRouteTables(deps),
      DescribeSecurityGroupRules: describeSecurityGroupRules(deps),
      DescribeSecurityGroups: describeSecurityGroups(deps),
      DescribeSpotInstanceRequests: describeSpotInstanceRequests(deps),
      DescribeSubnets: describeSubnets(deps),
      DescribeVpcAttribute: describeVpcAttribute(deps),
      DescribeVpcs: describeVpcs(deps),
      DetachVolume: detachVolume(deps),
      DisassociateIamInstanceProfile: disassociateIamInstanceProfile(deps),
      GetConsoleOutput: getConsoleOutput(deps),
      GetConsoleScreenshot: getConsoleScreenshot(deps),
      ImportKeyPair: importKeyPair(deps),
      ModifyInstanceAttribute: modifyInstanceAttribute(deps),
      ModifySubnetAttribute: modifySubnetAttribute(deps),
      ModifyVpcAttribute: modifyVpcAttribute(deps),
      ModifyInstanceMetadataOptions: modifyInstanceMetadataOptions(deps),
      RebootInstances: rebootInstances(deps),
      ReplaceIamInstanceProfileAssociation: replaceIamInstanceProfileAssociation(deps),
      RevokeSecurityGroupEgress: revokeSecurityGroupEgress(deps),
      RevokeSecurityGroupIngress: revokeSecurityGroupIngress(deps),
      RunInstances: runInstances(deps),
      StartInstances: startInstances(deps),
      StopInstances: stopInstances(deps),
      TerminateInstances: terminateInstances(deps),
    },
    refusals: instanceRefusals,
  };
}
