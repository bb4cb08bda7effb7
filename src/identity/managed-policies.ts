/**
 * The AWS managed policies that Ingot knows, by ARN. Texts follow AWS's, cut to the services that Ingot or its users'
 * instances have; the descriptions of the cut ones say so.
 */
import type { Arn } from '../ids.ts';

export interface ManagedPolicy {
  readonly arn: Arn;
  readonly name: string;
  readonly path: string;
  readonly id: string;
  readonly description: string;
  readonly version: string;
  readonly createdAt: Date;
  readonly document: string;
}

type Statement = Readonly<Record<string, unknown>>;

const CREATED = new Date('2015-02-06T18:40:00Z');

function managed(name: string, description: string, version: string, statements: readonly Statement[], path = '/') {
  const id = `ANPAINGOT${name.replace(/[^A-Za-z0-9]/g, '').toUpperCase()}`.padEnd(21, 'A').slice(0, 21);
  const document = JSON.stringify({ Version: '2012-10-17', Statement: statements }, null, 4);
  const arn = `arn:aws:iam::aws:policy${path}${name}` as Arn;
  return { arn, name, path, id, description, version, createdAt: CREATED, document };
}

const allow = (actions: readonly string[], more: Statement = {}): Statement => ({
  Effect: 'Allow',
  Action: actions,
  Resource: '*',
  ...more,
});

const READ = {
  ec2: ['ec2:Describe*', 'ec2:Get*', 'ec2:List*', 'ec2:Search*'],
  iam: ['iam:Generate*', 'iam:Get*', 'iam:List*', 'iam:Simulate*'],
  kms: ['kms:Describe*', 'kms:Get*', 'kms:List*'],
  organizations: ['organizations:Describe*', 'organizations:List*'],
  trail: ['cloudtrail:Describe*', 'cloudtrail:Get*', 'cloudtrail:List*', 'cloudtrail:LookupEvents'],
  sts: ['sts:GetAccessKeyInfo', 'sts:GetCallerIdentity', 'sts:GetSessionToken'],
};

const LIST: readonly ManagedPolicy[] = [
  managed('AdministratorAccess', 'Provides full access to AWS services and resources.', 'v1', [allow(['*'])]),
  managed(
    'PowerUserAccess',
    'Provides full access to AWS services and resources, but does not allow management of Users and groups.',
    'v5',
    [
      { Effect: 'Allow', NotAction: ['iam:*', 'organizations:*', 'account:*'], Resource: '*' },
      allow([
        'account:GetAccountInformation',
        'account:GetGovCloudAccountInformation',
        'account:GetPrimaryEmail',
        'account:ListRegions',
        'iam:CreateServiceLinkedRole',
        'iam:DeleteServiceLinkedRole',
        'iam:ListRoles',
        'organizations:DescribeOrganization',
      ]),
    ],
  ),
  managed('ReadOnlyAccess', 'Read-only access to the services that Ingot has.', 'v1', [
    allow([
      ...READ.trail,
      ...READ.ec2,
      'ebs:ListChangedBlocks',
      'ebs:ListSnapshotBlocks',
      ...READ.iam,
      ...READ.kms,
      ...READ.organizations,
      ...READ.sts,
      'tag:Get*',
    ]),
  ]),
  managed('SecurityAudit', 'Access to read security configuration metadata of the services that Ingot has.', 'v1', [
    allow([
      'cloudtrail:DescribeTrails',
      'cloudtrail:GetTrailStatus',
      'cloudtrail:LookupEvents',
      'ec2:Describe*',
      'ec2:GetEbsDefaultKmsKeyId',
      'ec2:GetEbsEncryptionByDefault',
      'ec2:GetImageBlockPublicAccessState',
      'ec2:GetSnapshotBlockPublicAccessState',
      ...READ.iam,
      ...READ.kms,
      ...READ.organizations,
    ]),
  ]),
  managed('AmazonEC2FullAccess', 'Provides full access to Amazon EC2 via the AWS Management Console.', 'v5', [
    allow(['ec2:*']),
    allow(['elasticloadbalancing:*']),
    allow(['cloudwatch:*']),
    allow(['autoscaling:*']),
    allow(['iam:CreateServiceLinkedRole'], {
      Condition: {
        StringEquals: {
          'iam:AWSServiceName': [
            'autoscaling.amazonaws.com',
            'ec2scheduled.amazonaws.com',
            'elasticloadbalancing.amazonaws.com',
            'spot.amazonaws.com',
            'spotfleet.amazonaws.com',
            'transitgateway.amazonaws.com',
          ],
        },
      },
    }),
  ]),
  managed('AmazonEC2ReadOnlyAccess', 'Provides read only access to Amazon EC2 via the AWS Management Console.', 'v2', [
    allow(['ec2:Describe*', 'ec2:GetSecurityGroupsForVpc']),
    allow(['elasticloadbalancing:Describe*']),
    allow(['cloudwatch:ListMetrics', 'cloudwatch:GetMetricStatistics', 'cloudwatch:Describe*']),
    allow(['autoscaling:Describe*']),
  ]),
  managed('IAMFullAccess', 'Provides full access to IAM via the AWS Management Console.', 'v2', [
    allow([
      'iam:*',
      'organizations:DescribeAccount',
      'organizations:DescribeOrganization',
      'organizations:DescribeOrganizationalUnit',
      'organizations:DescribePolicy',
      'organizations:ListChildren',
      'organizations:ListParents',
      'organizations:ListPoliciesForTarget',
      'organizations:ListRoots',
      'organizations:ListPolicies',
      'organizations:ListTargetsForPolicy',
    ]),
  ]),
  managed('IAMReadOnlyAccess', 'Provides read only access to IAM via the AWS Management Console.', 'v4', [
    allow(READ.iam),
  ]),
  managed('AWSKeyManagementServicePowerUser', 'Provides access to AWS Key Management Service (KMS).', 'v1', [
    allow([
      'kms:CreateAlias',
      'kms:CreateKey',
      'kms:DeleteAlias',
      'kms:Describe*',
      'kms:GenerateRandom',
      'kms:Get*',
      'kms:List*',
      'kms:TagResource',
      'kms:UntagResource',
      'iam:ListGroups',
      'iam:ListRoles',
      'iam:ListUsers',
    ]),
  ]),
  managed('AWSCloudTrail_ReadOnlyAccess', 'Provides read only access to CloudTrail.', 'v1', [allow(READ.trail)]),
  managed('AWSOrganizationsFullAccess', 'Provides full access to AWS Organizations.', 'v1', [
    allow(['organizations:*']),
  ]),
  managed('AWSOrganizationsReadOnlyAccess', 'Provides read-only access to AWS Organizations.', 'v1', [
    allow(READ.organizations),
  ]),
  managed('AmazonSSMManagedInstanceCore', 'The policy for Amazon EC2 Role to enable Systems Manager core.', 'v2', [
    allow([
      'ssm:DescribeAssociation',
      'ssm:GetDeployablePatchSnapshotForInstance',
      'ssm:GetDocument',
      'ssm:DescribeDocument',
      'ssm:GetManifest',
      'ssm:GetParameter',
      'ssm:GetParameters',
      'ssm:ListAssociations',
      'ssm:ListInstanceAssociations',
      'ssm:PutInventory',
      'ssm:PutComplianceItems',
      'ssm:PutConfigurePackageResult',
      'ssm:UpdateAssociationStatus',
      'ssm:UpdateInstanceAssociationStatus',
      'ssm:UpdateInstanceInformation',
    ]),
    allow([
      'ssmmessages:CreateControlChannel',
      'ssmmessages:CreateDataChannel',
      'ssmmessages:OpenControlChannel',
      'ssmmessages:OpenDataChannel',
    ]),
    allow([
      'ec2messages:AcknowledgeMessage',
      'ec2messages:DeleteMessage',
      'ec2messages:FailMessage',
      'ec2messages:GetEndpoint',
      'ec2messages:GetMessages',
      'ec2messages:SendReply',
    ]),
  ]),
  managed(
    'AutoScalingServiceRolePolicy',
    'Enables what EC2 Auto Scaling does for a group, as far as Ingot has it.',
    'v1',
    [
      allow([
        'ec2:CreateTags',
        'ec2:DeleteTags',
        'ec2:Describe*',
        'ec2:ModifyInstanceAttribute',
        'ec2:RunInstances',
        'ec2:StartInstances',
        'ec2:StopInstances',
        'ec2:TerminateInstances',
      ]),
      allow(['iam:PassRole'], { Condition: { StringLike: { 'iam:PassedToService': 'ec2.amazonaws.com*' } } }),
      allow(['iam:CreateServiceLinkedRole'], {
        Condition: { StringEquals: { 'iam:AWSServiceName': 'spot.amazonaws.com' } },
      }),
    ],
    '/aws-service-role/',
  ),
  managed(
    'AWSEC2SpotServiceRolePolicy',
    'Allows EC2 Spot to launch and manage spot instances, as far as Ingot has it.',
    'v1',
    [
      allow([
        'ec2:DescribeImages',
        'ec2:DescribeInstanceStatus',
        'ec2:DescribeInstances',
        'ec2:DescribeSubnets',
        'ec2:RunInstances',
        'ec2:StopInstances',
        'ec2:TerminateInstances',
      ]),
      allow(['iam:PassRole'], { Condition: { StringLike: { 'iam:PassedToService': 'ec2.amazonaws.com*' } } }),
      allow(['ec2:CreateTags'], { Condition: { StringEquals: { 'ec2:CreateAction': 'RunInstances' } } }),
    ],
    '/aws-service-role/',
  ),
];

/** By service principal: what its service-linked role has from the start. None of them allows KMS anything. */
export const LINKED_ROLE_POLICIES: Readonly<Record<string, Arn>> = {
  'autoscaling.amazonaws.com': 'arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy' as Arn,
  'spot.amazonaws.com': 'arn:aws:iam::aws:policy/aws-service-role/AWSEC2SpotServiceRolePolicy' as Arn,
};

export const MANAGED_POLICIES: ReadonlyMap<string, ManagedPolicy> = new Map(LIST.map((one) => [one.arn, one]));

/** What every root, unit and account has attached unless someone detaches it (1.3, 1.4). */
export const FULL_AWS_ACCESS = {
  id: 'p-FullAWSAccess',
  name: 'FullAWSAccess',
  description: 'Allows access to every operation',
  document: JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }),
} as const;
