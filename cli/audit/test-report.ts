/** A small report with everything in it that a format must carry, names of an attacker included. */
import { CHECKS } from './check-table.ts';
import { fingerprintOf } from './judge.ts';
import type { AuditReport, Finding } from './model.ts';

export const HOSTILE = '=HYPERLINK("http://x","<script>alert(1)</script>")\u001b[31m';

export function sampleReport(): AuditReport {
  const findings = CHECKS.map(({ id, title, severity }, at): Finding => {
    const resource = {
      arn: `arn:aws:ec2:eu-central-1::image/ami-${at}`,
      type: ['AWS::EC2::Image', 'AWS::EC2::Volume', 'AWS::KMS::Key', 'AWS::::Account'][at % 4]!,
      id: `ami-${at}`,
      name: HOSTILE,
    };
    return {
      ...{ check: id, title, severity, resource, account: '111122223333', region: 'eu-central-1' },
      detail: `A detail, with "quotes" and ${HOSTILE}.`,
      evidence: { name: HOSTILE, list: ['a', 'b'], none: undefined },
      mend: [`aws ec2 describe-images --image-ids ami-${at}`, 'x'.repeat(3000)],
      fingerprint: fingerprintOf(id, resource.arn, 'eu-central-1'),
      ...(at === 0 ? { accepted: { reason: 'known', expires: '2099-01-01' } } : {}),
    };
  });
  const place = { account: '111122223333', region: 'eu-central-1' };
  return {
    kind: 'ingot-audit',
    version: 1,
    startedAt: '2026-11-23T18:00:00.000Z',
    endedAt: '2026-11-23T18:00:02.000Z',
    caller: 'arn:aws:iam::111122223333:user/auditor',
    accounts: [{ id: '111122223333', name: HOSTILE }],
    regions: ['eu-central-1'],
    policy: { approvedKeys: ['alias/golden'], trustedAccounts: [], unusedAfterDays: 90 },
    counts: { places: 1, images: 1, snapshots: 1, volumes: 1, instances: 1, templates: 1, keys: 1 },
    findings,
    coverage: CHECKS.map(({ id }) => ({ ...place, check: id, status: 'failed' as const })),
    notSeen: [{ ...place, part: 'volumes', call: 'ec2:DescribeVolumes', reason: `UnauthorizedOperation: ${HOSTILE}` }],
    sharing: [
      {
        image: 'ami-1',
        name: HOSTILE,
        owner: '111122223333',
        region: 'eu-central-1',
        with: [{ kind: 'everyone', value: 'all' }],
      },
    ],
    keys: [
      {
        ...{ key: 'arn:aws:kms:eu-central-1:111122223333:key/1', state: 'Enabled', aliases: ['alias/golden'] },
        ...{ images: ['ami-1'], snapshots: ['snap-1'], volumes: [], instances: [], templates: [], defaults: [] },
      },
    ],
  };
}
