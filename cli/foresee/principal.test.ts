import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readPrincipal } from './principal.ts';

const ACCOUNT = '111122223333';

describe('principals as the tools are told of them', () => {
  const table = [
    [ACCOUNT, 'root', 'arn:aws-cn:iam::111122223333:root'],
    ['arn:aws-cn:iam::111122223333:root', 'root', 'arn:aws-cn:iam::111122223333:root'],
    ['arn:aws-cn:iam::111122223333:role/build/packer', 'role', 'arn:aws-cn:iam::111122223333:role/build/packer'],
    ['arn:aws-cn:iam::111122223333:user/ops/ana', 'user', 'arn:aws-cn:iam::111122223333:user/ops/ana'],
    ['arn:aws-cn:sts::111122223333:assumed-role/packer/run', 'role', 'arn:aws-cn:iam::111122223333:role/packer'],
    [
      'autoscaling',
      'service-linked-role',
      'arn:aws-cn:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling',
    ],
  ] as const;
  for (const [text, kind, arn] of table) {
    it(`${text} is the ${kind} ${arn}`, () => {
      const read = readPrincipal(text, ACCOUNT, 'aws-cn');
      assert.deepEqual({ kind: read.kind, arn: read.arn, account: read.account }, { kind, arn, account: ACCOUNT });
    });
  }

  it('a federated user is none that could be looked up', () => {
    assert.throws(() => readPrincipal(`arn:aws:sts::${ACCOUNT}:federated-user/ana`, ACCOUNT), /names no principal/);
  });
});
