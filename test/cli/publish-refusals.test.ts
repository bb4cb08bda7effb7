/** What `ingot publish` refuses before anything is done, each by its code. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CreateLaunchTemplateCommand,
  DisableEbsEncryptionByDefaultCommand,
  DisableImageBlockPublicAccessCommand,
  EnableEbsEncryptionByDefaultCommand,
  EnableImageBlockPublicAccessCommand,
  ModifyImageAttributeCommand,
} from '@aws-sdk/client-ec2';
import { IAMClient, PutUserPolicyCommand } from '@aws-sdk/client-iam';
import {
  CreateAliasCommand,
  CreateKeyCommand,
  DisableKeyCommand,
  GetKeyPolicyCommand,
  PutKeyPolicyCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { Aws } from '../../cli/aws.ts';
import { readManifest } from '../../cli/publish/manifest.ts';
import { makePlan } from '../../cli/publish/plan.ts';
import type { ClientConfig } from '../house/ingot.ts';
import { AWAY, HOME, PublishRig } from './publish-rig.ts';

let rig: PublishRig;
let consumer: string;
let stranger: string;
let source: string;
let plain: string;
let golden: string;

before(async () => {
  rig = await PublishRig.start();
  consumer = await rig.addAccount('team');
  stranger = await rig.addAccount('stranger');
  golden = await rig.key('alias/golden');
  source = await rig.sourceImage('built', golden);
  plain = await rig.sourceImage('built-plain');
});
after(() => rig[Symbol.asyncDispose]());

const image = (more: object) => ({
  name: 'refused',
  version: '1',
  source: { image: source },
  key: 'alias/golden',
  regions: [HOME],
  for: { accounts: [consumer] },
  ...more,
});

interface Case {
  readonly code: string;
  readonly what: string;
  /** Builds the fault; gives what differs from a manifest that is well. */
  build(): Promise<object>;
  /** Part of the mend that is told. */
  readonly mend: RegExp;
  readonly as?: () => Promise<ClientConfig['credentials']>;
  undo?(): Promise<unknown>;
}

async function keyIn(alias: string, fault: (KeyId: string) => Promise<unknown>): Promise<object> {
  await fault(await rig.key(alias));
  return { key: alias };
}

const CASES: readonly Case[] = [
  {
    code: 'region-unreachable',
    what: 'a region that does not exist',
    build: async () => ({ regions: [HOME, 'xx-nowhere-1'] }),
    mend: /enable the region/,
  },
  {
    code: 'source-missing',
    what: 'no such AMI in the home region',
    build: async () => ({ source: { image: 'ami-00000000000000000' } }),
    mend: /source\.region/,
  },
  {
    code: 'source-missing',
    what: 'no such instance',
    build: async () => ({ source: { instance: 'i-00000000000000000' } }),
    mend: /source\.region/,
  },
  {
    code: 'source-missing',
    what: 'no such disk',
    build: async () => ({ source: { disk: 'nowhere.raw' } }),
    mend: /source\.disk/,
  },
  {
    code: 'source-not-ours',
    what: 'an AMI that is shared, its snapshots are not (CI-4)',
    build: async () => {
      const theirs = await rig.sourceImage('theirs', undefined, HOME, consumer);
      const LaunchPermission = { Add: [{ UserId: rig.account }] };
      const ec2 = await rig.ec2(HOME, consumer);
      await ec2.send(new ModifyImageAttributeCommand({ ImageId: theirs, LaunchPermission }));
      return { source: { image: theirs } };
    },
    mend: /modify-snapshot-attribute --snapshot-id snap-/,
  },
  {
    code: 'source-unusable',
    what: 'the key of the source is disabled',
    build: async () => {
      const key = await rig.key('alias/lost');
      const lost = await rig.sourceImage('lost', key);
      await (await rig.kms()).send(new DisableKeyCommand({ KeyId: key }));
      return { source: { image: lost } };
    },
    mend: /usable again/,
  },
  {
    code: 'no-key',
    what: 'no key is given, and the default is the AWS managed one (SH-11)',
    build: async () => ({ key: undefined }),
    mend: /customer managed key/,
  },
  {
    code: 'key-aws-managed',
    what: 'the AWS managed key is named (SH-11)',
    build: async () => ({ key: 'alias/aws/ebs' }),
    mend: /customer managed key/,
  },
  {
    code: 'key-missing',
    what: 'an alias that the region does not have (CI-3)',
    build: async () => ({ regions: [HOME, AWAY] }),
    mend: /make the key or the alias there/,
  },
  {
    code: 'key-other-region',
    what: 'the key of another region (CS-3)',
    build: async () => ({ regions: { [AWAY]: { key: golden } } }),
    mend: /key of this region/,
  },
  {
    code: 'key-replica-missing',
    what: 'a multi-Region key without a replica there',
    build: async () => ({
      key: await rig.key('alias/multi', HOME, rig.account, { MultiRegion: true }),
      regions: [HOME, AWAY],
    }),
    mend: /aws kms replicate-key .*--replica-region us-east-1/,
  },
  {
    code: 'key-disabled',
    what: 'a disabled key',
    build: () => keyIn('alias/disabled', async (KeyId) => (await rig.kms()).send(new DisableKeyCommand({ KeyId }))),
    mend: /aws kms enable-key --key-id arn:/,
  },
  {
    code: 'key-pending-deletion',
    what: 'a key that is to be deleted',
    build: () =>
      keyIn('alias/going', async (KeyId) =>
        (await rig.kms()).send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 })),
      ),
    mend: /cancel-key-deletion/,
  },
  {
    code: 'key-unusable',
    what: 'a key without key material',
    build: async () => {
      await rig.key('alias/empty', HOME, rig.account, { Origin: 'EXTERNAL' });
      return { key: 'alias/empty' };
    },
    mend: /import its key material/,
  },
  {
    code: 'key-wrong-type',
    what: 'an asymmetric key (V-4)',
    build: async () => {
      await rig.key('alias/rsa', HOME, rig.account, { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' });
      return { key: 'alias/rsa' };
    },
    mend: /SYMMETRIC_DEFAULT/,
  },
  {
    code: 'key-foreign',
    what: "another account's key, whose policy is not ours to change (P-5)",
    build: async () => {
      const theirs = await rig.key('alias/theirs', HOME, consumer);
      const kms = await rig.kms(HOME, consumer);
      const Statement = [
        { Effect: 'Allow', Principal: { AWS: [consumer, rig.account] }, Action: 'kms:*', Resource: '*' },
      ];
      const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
      await kms.send(new PutKeyPolicyCommand({ KeyId: theirs, Policy }));
      return { key: theirs };
    },
    mend: /publish from/,
  },
  {
    code: 'key-unseen',
    what: "another account's key that we may not look at",
    build: async () => ({ key: await rig.key('alias/hidden', HOME, stranger) }),
    mend: /kms:DescribeKey/,
  },
  {
    code: 'key-denied',
    what: 'we may not make grants on the key, so that the copy would fail (CS-6, CI-3)',
    build: async () => ({}),
    as: () => denied('no-grants', 'kms:CreateGrant'),
    mend: /allow kms:CreateGrant/,
  },
  {
    code: 'key-denied',
    what: "reencrypt: the account's role may not make data keys under its key (CS-6)",
    build: async () => {
      const KeyId = await rig.key('alias/guarded', HOME, consumer);
      const kms = await rig.kms(HOME, consumer);
      const { Policy } = await kms.send(new GetKeyPolicyCommand({ KeyId }));
      const policy = JSON.parse(Policy!);
      const deny = {
        Effect: 'Deny',
        Principal: '*',
        Action: 'kms:GenerateDataKeyWithoutPlaintext',
        Resource: '*',
      };
      const Statement = [...policy.Statement, deny];
      await kms.send(new PutKeyPolicyCommand({ KeyId, Policy: JSON.stringify({ ...policy, Statement }) }));
      return { mode: 'reencrypt', for: { accounts: [consumer], key: 'alias/guarded' } };
    },
    mend: /allow kms:GenerateDataKeyWithoutPlaintext/,
  },
  {
    code: 'key-policy-fixed',
    what: 'a consumer may not use the key, and we may not change its policy',
    build: async () => ({}),
    as: () => denied('no-policies', 'kms:PutKeyPolicy'),
    mend: /kms:PutKeyPolicy.*IngotPublishRefused\w+AccountsEbsUse/,
  },
  {
    code: 'key-policy-full',
    what: 'a policy that is full',
    build: async () => {
      const KeyId = await rig.key('alias/full');
      const policy = await rig.policyOf(KeyId);
      const Condition = { StringEquals: { 'aws:PrincipalTag/filler': 'x'.repeat(1000) } };
      const filler = (Sid: string) => ({ ...policy.Statement[0], Sid, Action: 'kms:DescribeKey', Condition });
      const Statement = [...policy.Statement, ...Array.from({ length: 20 }, (_, index) => filler(`Filler${index}`))];
      await (await rig.kms()).send(
        new PutKeyPolicyCommand({ KeyId, Policy: JSON.stringify({ ...policy, Statement }) }),
      );
      return { key: 'alias/full', for: { accounts: accountIds(150) } };
    },
    mend: /organization in place of accounts/,
  },
  {
    code: 'name-taken',
    what: 'an AMI of another origin has the name',
    build: async () => {
      await rig.sourceImage('taken-1');
      return { name: 'taken' };
    },
    mend: /deregister that AMI/,
  },
  {
    code: 'public-blocked',
    what: 'public sharing is blocked (SH-31)',
    build: async () => {
      const command = new EnableImageBlockPublicAccessCommand({ ImageBlockPublicAccessState: 'block-new-sharing' });
      await (await rig.ec2()).send(command);
      return { source: { image: plain }, key: undefined, encrypted: false, for: { everyone: true } };
    },
    mend: /disable-image-block-public-access/,
    undo: async () => (await rig.ec2()).send(new DisableImageBlockPublicAccessCommand({})),
  },
  {
    code: 'public-encrypted',
    what: 'for everyone, and encryption by default makes it encrypted (SH-12)',
    build: async () => {
      await (await rig.ec2()).send(new EnableEbsEncryptionByDefaultCommand({}));
      return { source: { image: plain }, key: undefined, encrypted: false, for: { everyone: true } };
    },
    mend: /without encryption by default/,
    undo: async () => (await rig.ec2()).send(new DisableEbsEncryptionByDefaultCommand({})),
  },
  {
    code: 'public-encrypted',
    what: 'for everyone, and the source is encrypted (SH-12, ERR-plaincopy)',
    build: async () => ({ key: undefined, encrypted: false, for: { everyone: true } }),
    mend: /without encryption by default/,
  },
  {
    code: 'role-not-assumable',
    what: 'no such role in the account',
    build: async () => ({ mode: 'reencrypt', for: { accounts: [consumer], role: 'NoSuchRole' } }),
    mend: /trust policy/,
  },
  {
    code: 'organization-unseen',
    what: 'a unit whose accounts may not be listed',
    build: async () => ({
      mode: 'reencrypt',
      for: { organizationalUnits: [`arn:aws:organizations::${rig.account}:ou/o-aaaaaaaaaa/ou-aaaa-aaaaaaaa`] },
    }),
    mend: /management account/,
  },
  {
    code: 'template-missing',
    what: 'no such launch template',
    build: async () => ({ launchTemplates: [{ template: 'nowhere', region: HOME }] }),
    mend: /launchTemplates/,
  },
  {
    code: 'template-stranger',
    what: 'a launch template in an account that may not launch the image',
    build: async () => {
      const LaunchTemplateData = { InstanceType: 't3.micro' as const };
      const command = new CreateLaunchTemplateCommand({ LaunchTemplateName: 'theirs', LaunchTemplateData });
      await (await rig.ec2(HOME, stranger)).send(command);
      return { launchTemplates: [{ template: 'theirs', region: HOME, account: stranger }] };
    },
    mend: /name the account in for/,
  },
  {
    code: 'template-key',
    what: 'a template that gives a key without Encrypted (ERR-dep)',
    build: async () => templateWith('half', { KmsKeyId: 'alias/golden' }),
    mend: /Encrypted=true/,
  },
  {
    code: 'template-key',
    what: 'a template whose key is gone',
    build: async () => templateWith('gone', { Encrypted: true, KmsKeyId: 'alias/gone' }),
    mend: /usable key/,
  },
  {
    code: 'key-disabled',
    what: "reencrypt: the account's own default key for EBS is disabled (D-10)",
    build: async () => {
      const kms = await rig.kms(HOME, consumer);
      const { KeyMetadata: key } = await kms.send(new CreateKeyCommand({}));
      await kms.send(new CreateAliasCommand({ AliasName: 'alias/off', TargetKeyId: key!.KeyId }));
      await kms.send(new DisableKeyCommand({ KeyId: key!.KeyId }));
      return { mode: 'reencrypt', for: { accounts: [consumer], key: 'alias/off' } };
    },
    mend: /enable-key/,
  },
];

/** An administrator who is denied one action. */
async function denied(UserName: string, Action: string): Promise<ClientConfig['credentials']> {
  const { credentials } = await rig.user(UserName);
  const Statement = [{ Effect: 'Deny', Action, Resource: '*' }];
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement });
  const command = new PutUserPolicyCommand({ UserName, PolicyName: 'deny', PolicyDocument });
  await new IAMClient(await rig.config()).send(command);
  return credentials;
}

const accountIds = (count: number) => Array.from({ length: count }, (_, index) => String(100_000_000_000 + index));

async function templateWith(name: string, Ebs: object): Promise<object> {
  const LaunchTemplateData = { ImageId: source, BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs }] };
  const command = new CreateLaunchTemplateCommand({ LaunchTemplateName: name, LaunchTemplateData });
  await (await rig.ec2()).send(command);
  return { launchTemplates: [{ template: name, region: HOME }] };
}

describe('ingot publish plan: refusals', () => {
  for (const { code, what, build, mend, as, undo } of CASES) {
    it(`${code}: ${what}`, async () => {
      try {
        const manifest = await readManifest(await rig.manifest(image(await build())));
        const config = await rig.config();
        const aws = new Aws(HOME, { ...config, credentials: (await as?.()) ?? config.credentials });
        const { refusals } = await makePlan(aws, manifest, { signal: new AbortController().signal, now: new Date() });
        const found = refusals.find((one) => one.code === code);
        assert.ok(found, JSON.stringify(refusals));
        assert.match(found.mend, mend);
      } finally {
        // A setting of one case would be the fault of the next.
        await undo?.();
      }
    });
  }

  it('a version that is published is not made again from something else, nor under another key', async () => {
    const file = await rig.manifest(image({ name: 'fixed' }));
    assert.equal((await rig.run(['apply', file])).code, 0);
    await rig.key('alias/other');
    const other = await rig.told(['plan', await rig.manifest(image({ name: 'fixed', key: 'alias/other' }))]);
    assert.deepEqual([...new Set(other.refusals.map(({ code }) => code))], ['version-differs']);
    const else_ = await rig.told(['plan', await rig.manifest(image({ name: 'fixed', source: { image: plain } }))]);
    assert.deepEqual([...new Set(else_.refusals.map(({ code }) => code))], ['version-differs']);
  });

  it('many at once are all told, in words', async () => {
    const file = await rig.manifest(
      image({ key: 'alias/nowhere', launchTemplates: [{ template: 'nowhere', region: HOME }] }),
    );
    const { code, stdout, stderr } = await rig.run(['plan', file]);
    assert.equal(code, 1);
    const applied = await rig.run(['apply', file]);
    assert.deepEqual([applied.code, applied.stdout, applied.stderr], [code, stdout, stderr]);
    assert.equal((await rig.versions('refused')).length, 0, 'nothing was made');
    assert.match(stdout, /✘ eu-central-1: The key alias\/nowhere does not exist\. \[key-missing\]/);
    assert.match(stdout, /\[template-missing\]/);
    assert.match(stderr, /Refused, for 2 reasons\. Nothing was changed\./);
  });
});
