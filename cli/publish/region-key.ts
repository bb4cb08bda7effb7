/** The key that a site's snapshots will be sealed under, and whatever would keep it from doing so. */
import { parseArn } from '../../policy/arn.ts';
import { describeFailure } from '../error.ts';
import { AWS_MANAGED_KEY } from '../foresee/devices.ts';
import { type FoundKey, findKey, isEbsManagedAlias, type KeyProblem, keyProblem } from '../foresee/key.ts';
import { describeUnseen, type Views } from '../foresee/views.ts';
import type { RefusalCode, Refusals } from './refusal.ts';
import { type Site, siteKey } from './sites.ts';

export type SiteKey =
  | { readonly kind: 'customer'; readonly arn: string; readonly account: string; readonly why: string }
  /** The AWS managed key of EBS; it may not exist yet. */
  | { readonly kind: 'managed'; readonly why: string };

const PROBLEMS: Readonly<
  Record<KeyProblem, { readonly code: RefusalCode; readonly is: string; readonly mend: string }>
> = {
  missing: { code: 'key-missing', is: 'does not exist', mend: 'make the key or the alias there, or name another' },
  'other-region': { code: 'key-other-region', is: 'is in another region', mend: 'name a key of this region' },
  disabled: { code: 'key-disabled', is: 'is disabled', mend: 'aws kms enable-key --key-id KEY' },
  'pending-deletion': {
    code: 'key-pending-deletion',
    is: 'is to be deleted',
    mend: 'aws kms cancel-key-deletion --key-id KEY, and enable it',
  },
  'pending-import': { code: 'key-unusable', is: 'has no key material yet', mend: 'import its key material' },
  unavailable: { code: 'key-unusable', is: 'is unavailable', mend: 'look at its state, or name another key' },
  'not-symmetric': {
    code: 'key-wrong-type',
    is: 'is not a symmetric encryption key',
    mend: 'name a key of spec SYMMETRIC_DEFAULT',
  },
};

/**
 * Resolves the key that is given for the site, or the site's default key for EBS; undefined where it is refused.
 * Of a multi-Region key it is the replica in the site's region.
 */
export async function resolveSiteKey(
  site: Site,
  views: Views,
  given: string | undefined,
  defaultKey: string,
  refusals: Refusals,
): Promise<SiteKey | undefined> {
  const named = given ?? defaultKey;
  const why = given === undefined ? `the default key for EBS there` : 'as the manifest says';
  if (named === AWS_MANAGED_KEY || isEbsManagedAlias(named)) return { kind: 'managed', why };
  const multiRegion = /(?:^|\/)mrk-/.test(named);
  const asked = multiRegion ? inRegion(named, site.region) : named;
  const where = site.own ? site.region : siteKey(site);
  const refuse = (code: RefusalCode, message: string, mend: string) => {
    refusals.add(code, where, message, mend);
    return undefined;
  };
  let seen: Awaited<ReturnType<typeof findKey>>;
  try {
    seen = await findKey(views, asked, site.account);
  } catch (error) {
    return refuse(
      'key-missing',
      `The key ${asked} cannot be looked up: ${describeFailure(error)}`,
      PROBLEMS.missing.mend,
    );
  }
  if (!seen.seen) return refuse('key-unseen', `${describeUnseen(seen)}.`, `allow kms:DescribeKey on ${asked}`);
  const key = seen.value;
  const problem = keyProblem(key, site.region);
  if (problem === 'missing' && multiRegion) {
    const home = parseArn(named)?.region;
    const mend = `aws kms replicate-key --key-id ${named} --replica-region ${site.region}${home ? ` --region ${home}` : ''}`;
    return refuse('key-replica-missing', `The multi-Region key ${named} has no replica in ${site.region}.`, mend);
  }
  if (problem !== undefined) {
    const { code, is, mend } = PROBLEMS[problem];
    const arn = key === 'missing' ? asked : key.arn;
    const source = given === undefined ? ' (the default key for EBS)' : '';
    return refuse(code, `The key ${arn}${source} ${is}.`, mend.replace('KEY', arn));
  }
  const { arn, account, awsManaged } = key as FoundKey;
  if (awsManaged) return { kind: 'managed', why };
  return { kind: 'customer', arn, account, why: multiRegion && asked !== named ? `${why}, by its replica` : why };
}

/** The ARN of a multi-Region key in another region; an id needs no change. */
function inRegion(key: string, region: string): string {
  const parts = key.split(':');
  return parts.length === 6 ? [...parts.slice(0, 3), region, ...parts.slice(4)].join(':') : key;
}
