/** `ingot audit` over an organization of three accounts in two regions of a real server. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { EC2Client, ModifyImageAttributeCommand } from '@aws-sdk/client-ec2';
import { CreateRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { CHECKS } from '../../cli/audit/check-table.ts';
import { collect } from '../../cli/audit/collect.ts';
import type { Comparison } from '../../cli/audit/compare.ts';
import { judge } from '../../cli/audit/judge.ts';
import type { AuditReport, Finding, KeyUse } from '../../cli/audit/model.ts';
import { Aws } from '../../cli/aws.ts';
import { AuditWorld, AWAY, HOME } from './audit-world.ts';

let world: AuditWorld;
let everything: string[];
let report: AuditReport;
/** The same facts judged two days later, when the deprecation is past. */
let later: Finding[];

before(async () => {
  world = await AuditWorld.make();
  await writeFile(world.path('policy.yaml'), 'approvedKeys: [alias/golden]\nunusedAfterDays: 0\n');
  everything = ['--organization', '--regions', `${HOME},${AWAY}`, '--policy', world.path('policy.yaml')];
  report = await world.report(everything);
  const estate = await collect({
    accounts: [{ id: world.id('build'), aws: new Aws(HOME, await world.config('build', HOME)) }],
    ...{ regions: [HOME], organization: undefined, notSeen: [], callsAtOnce: 8, onPlace: () => {} },
    policy: report.policy,
    signal: new AbortController().signal,
    now: new Date(Date.now() + 2 * 86_400_000),
  });
  later = judge(estate).findings;
});
after(() => world?.[Symbol.asyncDispose]());

/** A setting: of this account in this region. Everything else goes by the name it has in the world. */
const build = { account: 'build', region: HOME } as const;
const prod = { account: 'prod', region: HOME } as const;
type Subject = string | typeof build | typeof prod;

/** For each check what it must find, and the like of it that it must not. */
const CASES: Readonly<Record<string, { readonly fires: readonly Subject[]; readonly quiet: readonly Subject[] }>> = {
  'ING-AMI-001': { fires: ['image plain', 'image public'], quiet: ['image golden', 'image rogue'] },
  'ING-AMI-002': { fires: ['image rogue', 'image shared'], quiet: ['image golden', 'image plain'] },
  'ING-AMI-003': { fires: [build], quiet: [prod] },
  'ING-EBS-001': { fires: [build], quiet: [prod] },
  'ING-EBS-002': { fires: [build], quiet: [prod] },
  'ING-EBS-003': { fires: ['snapshot plain'], quiet: ['snapshot golden', 'snapshot rogue'] },
  'ING-EBS-004': { fires: ['snapshot rogue', 'snapshot idle'], quiet: ['snapshot golden', 'snapshot plain'] },
  'ING-EBS-005': { fires: ['volume plain'], quiet: ['volume golden', 'volume rogue'] },
  'ING-EBS-006': { fires: ['volume rogue'], quiet: ['volume golden', 'volume plain'] },
  'ING-EC2-001': { fires: ['instance plain'], quiet: ['instance golden', 'instance rogue'] },
  'ING-EC2-002': { fires: ['instance rogue'], quiet: ['instance golden', 'instance plain'] },
  'ING-KMS-001': { fires: ['key disabled'], quiet: ['key golden', 'key dying'] },
  'ING-KMS-002': { fires: ['key dying'], quiet: ['key golden', 'key disabled'] },
  'ING-KMS-003': { fires: ['key rogue'], quiet: ['key golden', 'key shared'] },
  'ING-KMS-004': { fires: ['key rogue'], quiet: ['key golden', 'key narrow', 'key shared'] },
  'ING-KMS-005': { fires: ['key missing'], quiet: ['key golden', 'key disabled'] },
  'ING-LT-001': { fires: ['template plain'], quiet: ['template golden', 'template rogue'] },
  'ING-LT-002': { fires: ['template rogue'], quiet: ['template golden', 'template plain'] },
  'ING-SHR-001': { fires: ['image public'], quiet: ['image golden', 'image plain'] },
  'ING-SHR-002': { fires: ['snapshot public'], quiet: ['snapshot shared', 'snapshot plain'] },
  'ING-SHR-003': { fires: [build], quiet: [prod] },
  'ING-SHR-004': { fires: [build], quiet: [prod] },
  'ING-SHR-005': { fires: ['image outside'], quiet: ['image shared', 'image golden', 'image public'] },
  'ING-SHR-006': { fires: ['snapshot shared'], quiet: ['snapshot golden', 'snapshot public'] },
  'ING-SHR-007': { fires: ['image golden', 'image outside'], quiet: ['image shared', 'image plain'] },
  'ING-SHR-008': { fires: ['key idle'], quiet: ['key shared', 'key golden'] },
  'ING-SHR-009': { fires: ['image old'], quiet: ['image golden', 'image shared'] },
  'ING-SHR-010': { fires: ['image shared', 'image golden'], quiet: ['image rogue', 'image plain'] },
};

function isAbout({ account, region, resource }: Finding, subject: Subject): boolean {
  if (typeof subject === 'object') return account === world.id(subject.account) && region === subject.region;
  const id = world.id(subject);
  return resource.id === id || resource.arn === id;
}

describe('ingot audit', () => {
  it('has a case for each of its checks', () => {
    assert.deepEqual(
      Object.keys(CASES),
      CHECKS.map(({ id }) => id),
    );
  });

  for (const [check, { fires, quiet }] of Object.entries(CASES)) {
    it(`${check} fires where it must, and not where it must not`, () => {
      const findings = check === 'ING-SHR-009' ? later : report.findings;
      const found = findings.filter((finding) => finding.check === check);
      for (const subject of fires) {
        const finding = found.find((one) => isAbout(one, subject));
        assert.ok(finding, `${check} did not find ${JSON.stringify(subject)}`);
        assert.ok(finding.mend.length > 0 && finding.mend.every((line) => line.startsWith('aws ')));
        assert.match(finding.fingerprint, /^[0-9a-f]{32}$/);
      }
      for (const subject of quiet) {
        assert.ok(!found.some((one) => isAbout(one, subject)), `${check} found ${JSON.stringify(subject)}`);
      }
    });
  }

  it('counts what it saw, and judged every check everywhere', () => {
    assert.deepEqual(report.notSeen, []);
    assert.equal(report.counts.places, 6);
    assert.equal(report.counts.images, 7);
    assert.equal(report.coverage.length, 6 * CHECKS.length);
    assert.ok(report.coverage.every(({ status }) => status === 'passed' || status === 'failed'));
    assert.equal(new Set(report.findings.map(({ fingerprint }) => fingerprint)).size, report.findings.length);
  });

  it('tells with whom each image is shared', () => {
    const shared = report.sharing.find(({ image }) => image === world.id('image shared'));
    assert.deepEqual(shared?.with, [{ kind: 'account', value: world.id('prod') }]);
  });

  it('tells what dies with a key', async () => {
    const { stdout, code } = await world.audit(['--accounts', world.id('build'), '--key', 'alias/golden', '--json']);
    assert.equal(code, 0);
    const use = JSON.parse(stdout) as KeyUse;
    assert.equal(use.key, world.id('key golden'));
    assert.deepEqual(
      [...use.images].sort(),
      ['image golden', 'image old', 'image outside'].map((name) => world.id(name)).sort(),
    );
    assert.deepEqual(use.snapshots, [world.id('snapshot golden')]);
    assert.ok(use.volumes.includes(world.id('volume golden')));
    assert.deepEqual(use.instances, [world.id('instance golden')]);
    assert.deepEqual(use.templates, [world.id('template golden')]);
    assert.deepEqual(use, { ...report.keys.find(({ key }) => key === use.key), notSeen: [] });
  });

  it('does not ask about approved keys where none are named', async () => {
    const { coverage, findings } = await world.report(['--accounts', world.id('build')]);
    const unasked = new Set(coverage.filter(({ status }) => status === 'not-asked').map(({ check }) => check));
    assert.deepEqual(
      [...unasked],
      ['ING-AMI-002', 'ING-EBS-002', 'ING-EBS-004', 'ING-EBS-006', 'ING-EC2-002', 'ING-LT-002'],
    );
    // 90 days are not over.
    assert.ok(!findings.some(({ check }) => unasked.has(check) || check === 'ING-SHR-010'));
  });
});

describe('what an audit may not see', () => {
  before(async () => {
    const config = await world.config('build', HOME);
    const iam = new IAMClient(config);
    const trust = {
      ...{ Effect: 'Allow', Action: 'sts:AssumeRole' },
      Principal: { AWS: `arn:aws:iam::${world.id('management')}:root` },
    };
    const allow = {
      Effect: 'Allow',
      Action: ['ec2:Describe*', 'ec2:Get*', 'kms:List*', 'kms:Describe*', 'kms:GetKeyRotationStatus'],
      Resource: '*',
    };
    const deny = { Effect: 'Deny', Action: ['ec2:DescribeVolumes', 'ec2:GetEbsEncryptionByDefault'], Resource: '*' };
    const document = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
    await iam.send(new CreateRoleCommand({ RoleName: 'Auditor', AssumeRolePolicyDocument: document(trust) }));
    await iam.send(
      new PutRolePolicyCommand({ RoleName: 'Auditor', PolicyName: 'read', PolicyDocument: document(allow, deny) }),
    );
  });

  it('is told with call and reason, and its checks have not passed', async () => {
    const accounts = ['build', 'prod'].map((name) => world.id(name)).join(',');
    const seen = await world.report(['--accounts', accounts, '--role-name', 'Auditor']);
    const of = (account: string, check: string) =>
      seen.coverage.find((one) => one.account === world.id(account) && one.check === check)?.status;
    assert.equal(of('build', 'ING-EBS-005'), 'not-seen');
    assert.equal(of('build', 'ING-EBS-001'), 'not-seen');
    assert.equal(of('build', 'ING-KMS-004'), 'not-seen');
    assert.equal(of('build', 'ING-SHR-007'), 'not-seen');
    assert.equal(of('build', 'ING-EBS-003'), 'failed');
    assert.equal(of('build', 'ING-SHR-003'), 'failed');
    const volumes = seen.notSeen.find(({ part }) => part === 'volumes');
    assert.equal(volumes?.call, 'ec2:DescribeVolumes');
    assert.match(volumes?.reason ?? '', /UnauthorizedOperation.+DescribeVolumes/s);
    // The role is not in the other account: nothing of it is seen, and nothing of it passes.
    assert.ok(
      seen.coverage.filter(({ account }) => account === world.id('prod')).every(({ status }) => /^not-/.test(status)),
    );
    const refused = seen.notSeen.find(({ account, part }) => account === world.id('prod') && part === 'account');
    assert.match(refused?.reason ?? '', /role\/Auditor: AccessDenied/);
  });

  it('keeps a gate shut, unless it is told otherwise', async () => {
    const place = ['--accounts', world.id('build'), '--role-name', 'Auditor', '--regions', 'us-east-1'];
    const only = [...place, '--fail-on', 'critical'];
    assert.equal((await world.audit(only)).code, 4);
    assert.equal((await world.audit([...only, '--allow-not-seen'])).code, 0);
  });

  it('ends with 1 where nothing at all is seen', async () => {
    const { code, stderr } = await world.audit(['--accounts', world.id('prod'), '--role-name', 'Auditor']);
    assert.equal(code, 1);
    assert.match(stderr, /^No account could be read:\n.+role\/Auditor: AccessDenied/);
  });
});

describe('a gate, a baseline and a comparison', () => {
  it('ends with 3 at findings of the severity or worse, and not at lesser ones', async () => {
    const prodOnly = ['--accounts', world.id('prod')];
    assert.equal((await world.audit([...prodOnly, '--fail-on', 'low'])).code, 0);
    assert.equal((await world.audit([...everything, '--fail-on', 'critical'])).code, 3);
    assert.equal((await world.audit([...everything, '--fail-on', 'high', '--json'])).code, 3);
  });

  it('accepts what a baseline lists until its day, and nothing new', async () => {
    const baseline = world.path('baseline.yaml');
    const written = await world.audit([
      ...everything,
      ...['--write-baseline', baseline, '--reason', 'before the move', '--expires', '2099-12-31'],
    ]);
    assert.equal(written.code, 0, written.stderr);
    const accepted = await world.audit([...everything, '--baseline', baseline, '--fail-on', 'informational']);
    assert.equal(accepted.code, 0, accepted.stdout);
    assert.match(accepted.stdout, new RegExp(`^0 findings; ${report.findings.length} accepted\\.$`, 'm'));

    await writeFile(world.path('late.yaml'), (await readFile(baseline, 'utf8')).replaceAll('2099', '2019'));
    const expired = await world.audit([...everything, '--baseline', world.path('late.yaml'), '--fail-on', 'critical']);
    assert.equal(expired.code, 3);
    assert.match(expired.stdout, new RegExp(`^${report.findings.length} entries of the baseline are expired`, 'm'));

    const shut = await world.audit([...everything, '--write-baseline', baseline, '--expires', '2099-12-31']);
    assert.equal(shut.code, 2);
    assert.match(shut.stderr, /needs --reason/);
  });

  it('compares two reports: new, gone, unchanged', async () => {
    const [before, later] = [world.path('before.json'), world.path('after.json')];
    await writeFile(before, JSON.stringify(report));
    const ec2 = new EC2Client(await world.config('build', HOME));
    const modify = (LaunchPermission: object, name: string) =>
      ec2.send(new ModifyImageAttributeCommand({ ImageId: world.id(name), LaunchPermission }));
    await modify({ Remove: [{ Group: 'all' }] }, 'image public');
    await modify({ Add: [{ Group: 'all' }] }, 'image plain');
    await writeFile(later, JSON.stringify(await world.report(everything)));

    const same = await world.audit(['compare', before, before, '--json', '--exit-code']);
    assert.equal(same.code, 0, same.stderr);
    assert.equal((JSON.parse(same.stdout) as Comparison).unchanged.length, report.findings.length);

    const compared = await world.audit(['compare', before, later, '--json', '--exit-code']);
    assert.equal(compared.code, 3);
    const { new: added, gone } = JSON.parse(compared.stdout) as Comparison;
    const ids = (findings: readonly { check: string; resource: { id: string } }[]) =>
      findings.map(({ check, resource }) => `${check} ${resource.id}`);
    assert.ok(ids(added).includes(`ING-SHR-001 ${world.id('image plain')}`));
    assert.ok(ids(gone).includes(`ING-SHR-001 ${world.id('image public')}`));
    const told = await world.audit(['compare', before, later]);
    assert.match(told.stdout, /^\d+ new, \d+ gone, \d+ unchanged\.$/m);
  });

  it('writes every format at once, and nothing but the result to standard output', async () => {
    const files = ['a.json', 'a.asff.json', 'a.sarif', 'a.csv', 'a.html', 'a.txt'].map((name) => world.path(name));
    const ran = await world.audit([...everything, ...files.flatMap((file) => ['--output', file]), '--format', 'csv']);
    assert.equal(ran.code, 0, ran.stderr);
    const [json, asff, sarif, csv, html, text] = await Promise.all(files.map((file) => readFile(file, 'utf8')));
    assert.equal(ran.stdout, csv);
    const { findings } = JSON.parse(json!) as AuditReport;
    assert.equal((JSON.parse(asff!) as object[]).length, findings.length);
    assert.equal((JSON.parse(sarif!) as { runs: { results: object[] }[] }).runs[0]?.results.length, findings.length);
    for (const { resource } of findings) {
      for (const file of [csv!, html!, text!]) assert.ok(file.includes(resource.id), resource.id);
    }
  });

  it('says what is wrong in how it is used', async () => {
    for (const [args, message] of [
      [['--accounts', '12'], /account ids of 12 digits/],
      [['--regions', 'Frankfurt'], /names of regions/],
      [['--approved-key', 'golden'], /names no key/],
      [['--output', 'report'], /tells no format/],
      [['--fail-on', 'bad'], /must be one of critical/],
      [['--reason', 'so'], /are for --write-baseline/],
      [['--key', 'alias/nowhere'], /There is no key alias\/nowhere/],
    ] as const) {
      const { code, stderr } = await world.audit(args);
      assert.equal(code, args[0] === '--key' ? 1 : 2, stderr);
      assert.match(stderr, message);
    }
  });

  it('stops at Ctrl-C and says that nothing is left', async () => {
    const { code, stdout, stderr } = await world.interrupted(everything);
    assert.equal(code, 130, stderr);
    assert.match(stderr, /^Stopped\. An audit only reads/m);
    assert.equal(stdout, '');
  });
});
