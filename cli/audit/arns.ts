/** ARNs and types of what an audit finds something about. Images and snapshots have no account in theirs (P-8). */
import type { Place, Resource } from './model.ts';

const PARTITIONS: readonly (readonly [RegExp, string])[] = [
  [/^cn-/, 'aws-cn'],
  [/^us-gov-/, 'aws-us-gov'],
];

export function partitionOf(region: string): string {
  return PARTITIONS.find(([pattern]) => pattern.test(region))?.[1] ?? 'aws';
}

const ec2 = (region: string, account: string, resource: string) =>
  `arn:${partitionOf(region)}:ec2:${region}:${account}:${resource}`;
const named = (name: string | undefined) => (name === undefined ? {} : { name });

export const imageResource = (region: string, id: string, name?: string): Resource => ({
  arn: ec2(region, '', `image/${id}`),
  type: 'AWS::EC2::Image',
  id,
  ...named(name),
});
export const snapshotResource = (region: string, id: string): Resource => ({
  arn: ec2(region, '', `snapshot/${id}`),
  type: 'AWS::EC2::Snapshot',
  id,
});
export const volumeResource = ({ account, region }: Place, id: string): Resource => ({
  arn: ec2(region, account, `volume/${id}`),
  type: 'AWS::EC2::Volume',
  id,
});
export const instanceResource = ({ account, region }: Place, id: string, name?: string): Resource => ({
  arn: ec2(region, account, `instance/${id}`),
  type: 'AWS::EC2::Instance',
  id,
  ...named(name),
});
export const templateResource = ({ account, region }: Place, id: string, name: string): Resource => ({
  arn: ec2(region, account, `launch-template/${id}`),
  type: 'AWS::EC2::LaunchTemplate',
  id,
  name,
});
export const keyResource = (arn: string, name?: string): Resource => ({
  arn,
  type: 'AWS::KMS::Key',
  id: arn.slice(arn.lastIndexOf('/') + 1),
  ...named(name),
});
/** A setting of an account in a region has no ARN of its own: it is the account's. */
export const accountResource = ({ account, region }: Place): Resource => ({
  arn: `arn:${partitionOf(region)}:iam::${account}:root`,
  type: 'AWS::::Account',
  id: account,
});

export const isKeyArn = (text: string): boolean => /^arn:[\w-]+:kms:[\w-]+:\d{12}:key\/[\w-]+$/.test(text);
