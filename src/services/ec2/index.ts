/**
 * EC2: images, snapshots, volumes, instances, launch templates, tags. One file per operation; groups of operations are
 * joined here into the one table of the service.
 */
import type { Service } from '../operation.ts';
import type { Ec2Part } from './common.ts';
import { type EncodeAuthorizationFailure, keyRefusals, translateEc2, volumeRefusals } from './errors.ts';
import { tagRefusals } from './tag-specifications.ts';

export interface Ec2ServiceDeps {
  readonly encodeAuthorizationFailure: EncodeAuthorizationFailure;
  readonly parts: readonly Ec2Part[];
}

/** Joins the parts. Throws if two of them have an operation of the same name. */
export function ec2Service({ encodeAuthorizationFailure, parts }: Ec2ServiceDeps): Service {
  const operations: Record<string, Ec2Part['operations'][string]> = {};
  for (const part of parts) {
    for (const [name, operation] of Object.entries(part.operations)) {
      if (Object.hasOwn(operations, name)) throw new Error(`EC2 operation ${name} is there twice`);
      operations[name] = operation;
    }
  }
  const refusals = Object.assign(
    {},
    keyRefusals,
    volumeRefusals,
    tagRefusals,
    ...parts.map((part) => part.refusals ?? {}),
  );
  return {
    name: 'ec2',
    operations,
    translate: (error, call, operation) =>
      translateEc2(error, call, operation, { encode: encodeAuthorizationFailure, refusals }),
  };
}
