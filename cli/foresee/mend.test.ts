import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import {
  copyImageMend,
  copySnapshotMend,
  shareImageMend,
  shareSnapshotMend,
  templateVersionMend,
  unblockPublicImagesMend,
} from './image-mends.ts';
import { cancelDeletionMend, enableKeyMend, grantMend, keyPolicyMend } from './key-mends.ts';
import { commandText, type Mend, quoted } from './mend.ts';
import { identityPolicyMend, narrowMend, serviceLinkedRoleMend } from './policy-mends.ts';
import { readPrincipal } from './principal.ts';
import { ebsUseStatements, sidOf, withStatements } from './statements.ts';
import { block } from './terraform.ts';
import { isMissing } from './views.ts';

const ACCOUNT = '111122223333';
const KEY = `arn:aws:kms:eu-central-1:${ACCOUNT}:key/aaaaaaaa-0000-0000-0000-000000000000`;
const ROLE = `arn:aws:iam::${ACCOUNT}:role/build/packer`;
const PLACE = { region: 'eu-central-1', account: ACCOUNT };
const use = ebsUseStatements({ side: 'target', regions: ['eu-central-1'], name: 'Packer', principals: [ROLE] });

const EVERY: readonly Mend[] = [
  keyPolicyMend(KEY, use, '{"Version":"2012-10-17","Statement":[]}', 'Let it'),
  keyPolicyMend(KEY, use, undefined, 'Let it'),
  grantMend(KEY, ROLE, ACCOUNT),
  enableKeyMend(KEY),
  cancelDeletionMend(KEY),
  identityPolicyMend(readPrincipal(ROLE, ACCOUNT), 'ebs', use, undefined, 'Let it'),
  shareImageMend(PLACE, 'ami-1', '444455556666'),
  shareSnapshotMend(PLACE, ['snap-1', 'snap-2'], '444455556666'),
  copyImageMend(
    PLACE,
    { Name: "it's", SourceImageId: 'ami-1', SourceRegion: 'eu-central-1', Encrypted: true, KmsKeyId: KEY },
    'Copy',
  ),
  copySnapshotMend(
    PLACE,
    { SourceSnapshotId: 'snap-1', SourceRegion: 'eu-central-1', Encrypted: true, KmsKeyId: KEY },
    'Copy',
  ),
  unblockPublicImagesMend(PLACE),
];

describe('mends', () => {
  it('a service-linked role is made by the name of its service, and by its suffix where it has one', () => {
    const role = readPrincipal('autoscaling', ACCOUNT);
    const create = 'aws iam create-service-linked-role --aws-service-name autoscaling.amazonaws.com';
    assert.equal(serviceLinkedRoleMend(role).commands, create);
    const { arn, name } = role;
    const golden = { ...role, arn: `${arn}_golden`, name: `${name}_golden` };
    assert.equal(serviceLinkedRoleMend(golden).commands, `${create} --custom-suffix golden`);
  });

  it('HCL takes no template, of either kind, out of a text', () => {
    assert.match(block('x', { name: ['a $', '{b} %{c} $d 5%'].join('') }), /"a \$\$\{b\} %%\{c\} \$d 5%"/);
  });

  it('the command is the call: operation, region and every member of its input', () => {
    const send = () => Promise.resolve();
    const call = { service: 'ec2', operation: 'CopyImage', region: 'us-east-1', send } as const;
    const input = {
      Name: "a b's",
      Encrypted: true,
      CopyImageTags: false,
      KmsKeyId: 'alias/x',
      Tags: [{ Key: 'a' }],
      Description: undefined,
    };
    assert.equal(
      commandText({ ...call, input }),
      `aws ec2 copy-image --region us-east-1 --name 'a b'\\''s' --encrypted --no-copy-image-tags --kms-key-id alias/x --tags '[{"Key":"a"}]'`,
    );
  });

  it('a word for a shell is quoted unless it needs no quotes', () => {
    assert.equal(quoted(KEY), KEY);
    assert.equal(quoted('$(rm -rf /)'), "'$(rm -rf /)'");
    assert.equal(spawnSync('sh', ['-c', `printf %s ${quoted(`a'b"c $d`)}`]).stdout.toString(), `a'b"c $d`);
  });

  const noTerraform = spawnSync('terraform', ['version']).error ? 'terraform is not installed' : false;
  it('what is printed for Terraform is HCL, in its own format', { skip: noTerraform }, () => {
    const text = EVERY.flatMap(({ terraform }) => (terraform ? [`${terraform}\n`] : [])).join('\n');
    const { status, stdout, stderr } = spawnSync('terraform', ['fmt', '-diff', '-check', '-'], { input: text });
    assert.equal(status, 0, `${stdout}${stderr}`);
  });

  it('a document has each statement once, however often it is added', () => {
    const once = withStatements('{"Version":"2012-10-17","Statement":{"Sid":"Old","Effect":"Allow"}}', use);
    assert.equal(withStatements(once, use), once);
    assert.deepEqual(JSON.parse(once), {
      Version: '2012-10-17',
      Statement: [{ Sid: 'Old', Effect: 'Allow' }, ...use],
    });
  });

  it('P-2, P-3: rights are bound to calls that EC2 makes, and grants to those it makes for itself', () => {
    const [use1, grants] = ebsUseStatements({
      side: 'source',
      regions: ['a-1', 'b-1'],
      name: 'X',
      principals: '*',
      organization: { id: 'o-1' },
    });
    const both = ['ec2.a-1.amazonaws.com', 'ec2.b-1.amazonaws.com'];
    assert.deepEqual(use1.Condition, { StringEquals: { 'kms:ViaService': both, 'aws:PrincipalOrgID': 'o-1' } });
    assert.deepEqual(grants.Condition, { ...use1.Condition, Bool: { 'kms:GrantIsForAWSResource': 'true' } });
    assert.deepEqual(use1.Action, ['kms:Decrypt', 'kms:DescribeKey', 'kms:ReEncryptFrom']);
    // P-13: who makes grants for a service-linked role is not EC2.
    const [, own] = ebsUseStatements({
      side: 'target',
      regions: ['a-1'],
      name: 'X',
      principals: [ROLE],
      ownGrants: true,
    });
    assert.deepEqual(own.Condition, {});
  });

  it('a Deny is narrowed, not removed, and its own conditions stay', () => {
    const document = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Deny',
          Action: '*',
          Resource: '*',
          Condition: { ArnNotEquals: { 'aws:PrincipalArn': 'arn:a' }, Bool: { x: 'true' } },
        },
      ],
    });
    const policy = { name: 'own', document, place: { kind: 'role', owner: 'packer', policyName: 'own' } } as const;
    const mend = narrowMend(policy, ACCOUNT, 0, { ArnNotEquals: { 'aws:PrincipalArn': ROLE } }, 'Narrow');
    assert.deepEqual((mend.json as { Condition: object }).Condition, {
      ArnNotEquals: { 'aws:PrincipalArn': ['arn:a', ROLE] },
      Bool: { x: 'true' },
    });
    assert.match(mend.commands, /^aws iam put-role-policy --role-name packer --policy-name own /);
  });

  it("AWS's own policies are not changed", () => {
    const place = { kind: 'managed', arn: 'arn:aws:iam::aws:policy/PowerUserAccess' } as const;
    const policy = { name: place.arn, document: '{"Version":"2012-10-17","Statement":[{}]}', place };
    assert.deepEqual(narrowMend(policy, ACCOUNT, 0, {}, 'Narrow').calls, []);
  });

  it('the version of a template becomes the default only where the one at fault was', () => {
    const template = { id: 'lt-1', version: '2', makeDefault: false };
    const of = (makeDefault: boolean) =>
      templateVersionMend(PLACE, { ...template, makeDefault }, {}, 'x').calls.map(({ operation }) => operation);
    assert.deepEqual(of(false), ['CreateLaunchTemplateVersion']);
    assert.deepEqual(of(true), ['CreateLaunchTemplateVersion', 'ModifyLaunchTemplate']);
  });

  it('names become Sids of letters and digits', () => {
    assert.equal(sidOf('packer-builder_2@x'), 'PackerBuilder2X');
  });
});

describe('what a service says is not there', () => {
  const errors = [
    ['InvalidAMIID.NotFound', true],
    ['InvalidAMIID.Unavailable', true],
    ['NoSuchEntityException', true],
    ['NotFoundException', true],
    ['Unavailable', false],
    ['ServiceUnavailable', false],
    ['InvalidAMIID.Malformed', false],
    ['AccessDenied', false],
  ] as const;
  for (const [name, missing] of errors) {
    it(`${name} ${missing ? 'says so' : 'does not'}`, () => {
      assert.equal(isMissing(Object.assign(new Error('no'), { name })), missing);
    });
  }
});
