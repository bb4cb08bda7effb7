/** Regions and availability zones: AWS's usual ones, three zones each. All of them are partitions of one process. */
import type { Region } from '../ids.ts';

const CODES: Readonly<Record<string, string>> = {
  'us-east-1': 'use1',
  'us-east-2': 'use2',
  'us-west-1': 'usw1',
  'us-west-2': 'usw2',
  'ca-central-1': 'cac1',
  'sa-east-1': 'sae1',
  'eu-west-1': 'euw1',
  'eu-west-2': 'euw2',
  'eu-west-3': 'euw3',
  'eu-central-1': 'euc1',
  'eu-north-1': 'eun1',
  'ap-south-1': 'aps1',
  'ap-northeast-1': 'apne1',
  'ap-northeast-2': 'apne2',
  'ap-northeast-3': 'apne3',
  'ap-southeast-1': 'apse1',
  'ap-southeast-2': 'apse2',
};
const LETTERS = ['a', 'b', 'c'] as const;

export const REGIONS: readonly Region[] = Object.keys(CODES) as Region[];

/** Whether the region exists; for the credential scope of signatures and for parameters. */
export function isRegion(name: string): name is Region {
  return Object.hasOwn(CODES, name);
}

export interface Zone {
  /** For example `eu-central-1a`. */
  readonly name: string;
  /** For example `euc1-az1`. */
  readonly id: string;
}

export function zonesOf(region: Region): readonly Zone[] {
  const code = CODES[region];
  return code === undefined ? [] : LETTERS.map((letter, at) => ({ name: region + letter, id: `${code}-az${at + 1}` }));
}
