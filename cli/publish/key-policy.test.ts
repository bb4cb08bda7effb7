import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mergePolicy, sidPrefix, wantedStatements } from './key-policy.ts';

const ROOT = {
  Sid: 'root',
  Effect: 'Allow',
  Principal: { AWS: 'arn:aws:iam::1:root' },
  Action: 'kms:*',
  Resource: '*',
};
const policyOf = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Id: 'key', Statement });
const wanted = (readers: string[], name = 'web', autoScaling: string[] = []) =>
  wantedStatements({ name, partition: 'aws', region: 'us-east-1', readers, autoScaling });

describe('mergePolicy', () => {
  it('adds beside what is there, changes nothing the second time, and takes away again', () => {
    const statements = wanted(['account:222222222222', 'account:111111111111']);
    const first = mergePolicy(policyOf(ROOT), 'web', statements)!;
    assert.deepEqual(first.added.length, 2);
    assert.deepEqual(JSON.parse(first.policy).Statement[0], ROOT);
    assert.equal(mergePolicy(first.policy, 'web', statements), undefined);
    const gone = mergePolicy(first.policy, 'web', [])!;
    assert.deepEqual(gone.removed, first.added);
    assert.deepEqual(JSON.parse(gone.policy), JSON.parse(policyOf(ROOT)));
  });

  it('sees the same in other words: order of lists and members, one value or a list of it', () => {
    const [use, grant] = wanted(['account:111111111111', 'account:222222222222']) as [object, object];
    const turn = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(turn).reverse();
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .map(([name, one]) => [name, turn(one)])
          .reverse(),
      );
    };
    const listed = { ...(turn(grant) as object), Action: ['kms:CreateGrant'] };
    const policy = policyOf(turn(use) as object, listed);
    assert.equal(mergePolicy(policy, 'web', wanted(['account:222222222222', 'account:111111111111'])), undefined);
  });

  it('changes in place, and leaves the statements of other publications alone', () => {
    const other = wanted(['account:333333333333'], 'web.2');
    const mine = wanted(['account:111111111111']);
    const policy = policyOf(ROOT, ...other, ...mine);
    const merged = mergePolicy(policy, 'web', wanted(['account:222222222222']))!;
    assert.equal(merged.changed.length, 2);
    const { Statement } = JSON.parse(merged.policy);
    assert.deepEqual(Statement.slice(0, 3), JSON.parse(JSON.stringify([ROOT, ...other])));
    assert.ok(!merged.policy.includes('111111111111'));
  });

  it('a policy of one statement, not in a list, is one as well', () => {
    const policy = JSON.stringify({ Version: '2012-10-17', Statement: ROOT });
    assert.equal(JSON.parse(mergePolicy(policy, 'web', wanted(['account:111111111111']))!.policy).Statement.length, 3);
  });
});

describe('wantedStatements', () => {
  it('organizations by aws:PrincipalOrgID, units by aws:PrincipalOrgPaths at any depth (SH-17)', () => {
    const text = JSON.stringify(
      wanted([
        'organization:arn:aws:organizations::1:organization/o-abc',
        'unit:arn:aws:organizations::1:ou/o-abc/ou-r-one',
      ]),
    );
    assert.ok(text.includes('"aws:PrincipalOrgID":"o-abc"'));
    assert.ok(text.includes('"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-abc/*/ou-r-one/*"]}'));
    assert.equal(text.match(/"kms:ViaService":"ec2\.us-east-1\.amazonaws\.com"/g)?.length, 4);
  });

  it('names that differ in punctuation have Sids that differ', () => {
    assert.notEqual(sidPrefix('web-1'), sidPrefix('web.1'));
    assert.match(sidPrefix('web-1.x_y'), /^[A-Za-z0-9]+$/);
  });

  it('nobody to read, nothing to say', () => {
    assert.deepEqual(wanted([]), []);
    assert.deepEqual(wanted(['everyone']), []);
  });
});
