/**
 * What tests of images begin with: the account that builds, one that consumes, a key that both may use, and a snapshot of
 * each kind. Opened before the tests of the file that imports this, and closed after them.
 */
import { after, before } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import type { Arn } from '../../ids.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { openTestEc2, type TestEc2 } from './test-ec2.ts';

export let test: TestEc2;
export let build: Call;
export let prod: Call;
/** Of `build`; `prod` may use it as well. */
export let keyA: Arn;
/** Further keys of `build`. */
export let keyB: Arn;
export let keyC: Arn;
export let plain: SnapshotRecord;
/** Under {@link keyA}. */
export let sealed: SnapshotRecord;

before(async () => {
  test = await openTestEc2();
  build = test.as(test.build);
  prod = test.as(test.prod);
  keyA = await test.key(build, [
    { Effect: 'Allow', Principal: { AWS: [test.build, test.prod] }, Action: 'kms:*', Resource: '*' },
  ]);
  [keyB, keyC] = [await test.key(build), await test.key(build)];
  plain = await test.snapshot(build);
  sealed = await test.snapshot(build, { encrypted: true, keyArn: keyA });
});
after(() => test[Symbol.asyncDispose]());

let count = 0;
/** A name that no other image has. */
export const fresh = (what: string): string => `${what} ${++count}`;

/** Adds launch permissions. */
export const share = (call: Call, ImageId: string, Add: object[]) =>
  test.call(call, 'ModifyImageAttribute', { ImageId, LaunchPermission: { Add } });

/** The image as DescribeImages shows it to the caller, if it does. */
export async function describeOne(call: Call, id: string, more: object = {}) {
  const { Images } = await test.call<{ Images: Record<string, unknown>[] }>(call, 'DescribeImages', {
    ImageIds: [id],
    ...more,
  });
  return Images[0];
}
