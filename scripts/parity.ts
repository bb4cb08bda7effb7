/**
 * Writes docs/parity.md: every operation of every service as the server's own tables have it, the known differences from
 * AWS, and the statements of the specification that no test names. Run it after adding an operation:
 *
 *     npx node scripts/parity.ts
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import { createLog } from '../src/log.ts';
import { REGISTRY } from '../src/wire/registry.ts';
import { Wire } from '../src/wire/wire.ts';

const REPOSITORY = new URL('..', import.meta.url).pathname;
export const PARITY = join(REPOSITORY, 'docs/parity.md');
const WIDTH = 120;

export interface Difference {
  readonly text: string;
  /** Statements of the specification it is about. */
  readonly ids: readonly string[];
}
export interface Area {
  readonly area: string;
  readonly differences: readonly Difference[];
}

const TITLES: Readonly<Record<string, string>> = {
  autoscaling: 'Auto Scaling',
  ec2: 'EC2',
  ebs: 'EBS direct APIs',
  kms: 'KMS',
  sts: 'STS',
  iam: 'IAM',
  organizations: 'Organizations',
  cloudtrail: 'CloudTrail',
  rbin: 'Recycle Bin',
};

const readJson = async <Value>(path: string): Promise<Value> =>
  JSON.parse(await readFile(join(REPOSITORY, path), 'utf8')) as Value;

export const differences = (): Promise<readonly Area[]> => readJson('docs/differences.json');

async function implemented(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'ingot-parity-'));
  try {
    const app = await createApp(
      readConfig({ data: dataDir, listen: '127.0.0.1:0', machines: 'none' }, {}),
      createLog('silent'),
    );
    const tables = new Map(app.services.map(({ name, operations }) => [name, new Set(Object.keys(operations))]));
    await app.close();
    return tables;
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
}

const SPECIFICATIONS = [
  { title: 'EC2 encryption', file: 'ec2-encryption', word: '' },
  { title: 'KMS', file: 'kms', word: 'kms ' },
  { title: 'Authorization and wire', file: 'authorization-and-wire', word: 'authz ' },
] as const;

async function readSpecification({ title, file, word }: (typeof SPECIFICATIONS)[number]) {
  const { statements, notHeld } = await readJson<{
    statements: Record<string, number>;
    notHeld: Record<string, string>;
  }>(`test/spec/${file}.json`);
  const count = Object.values(statements).reduce((sum, each) => sum + each, 0);
  return { title, count, notHeld: Object.entries(notHeld).map(([id, why]) => [`${word}${id}`, why] as const) };
}

/** The document as it should be. */
export async function parityText(): Promise<string> {
  const tables = await implemented();
  const wire = new Wire(REGISTRY);
  // Ingot's own service has no counterpart.
  const services = REGISTRY.filter(({ name }) => name !== 'ingot').map(({ name }) => {
    const all = [...(wire.service(name)?.operationNames ?? [])].sort();
    const served = all.filter((operation) => tables.get(name)?.has(operation));
    return { name, all, served, refused: all.filter((operation) => !served.includes(operation)) };
  });
  const specifications = await Promise.all(SPECIFICATIONS.map(readSpecification));
  return [
    '# Parity with AWS',
    '',
    'Written by `scripts/parity.ts` from the tables that the server serves; a test fails when it is out of date.',
    '',
    '| Service | Operations of AWS | Served | Refused by name |',
    '|---|---|---|---|',
    ...services.map(
      ({ name, all, served, refused }) =>
        `| [${titleOf(name)}](#${anchorOf(titleOf(name))}) | ${all.length} | ${served.length} | ${refused.length} |`,
    ),
    '',
    'Refused by name means that the request is verified and decoded, and answered with the error that says so',
    '(`UnsupportedOperation` or its like in the service’s dialect). Nothing is answered that was not done.',
    '',
    '## Known differences',
    '',
    ...(await differences()).flatMap(({ area, differences }) => [
      `### ${area}`,
      '',
      ...differences.map(({ text, ids }) => `- ${text}${ids.length > 0 ? ` (${ids.join(', ')})` : ''}`),
      '',
    ]),
    '## The specifications',
    '',
    'How AWS behaves stands in three specifications of numbered statements; `test/spec/coverage.test.ts` counts those that',
    'a test names.',
    '',
    '| Specification | Statements | Named by a test |',
    '|---|---|---|',
    ...specifications.map(({ title, count, notHeld }) => `| ${title} | ${count} | ${count - notHeld.length} |`),
    '',
    'No test names these:',
    '',
    '| Statement | Why not |',
    '|---|---|',
    ...specifications.flatMap(({ notHeld }) => notHeld.map(([id, why]) => `| ${id} | ${why} |`)),
    '',
    '## Operations',
    '',
    ...services.flatMap(({ name, served, refused }) => [
      `### ${titleOf(name)}`,
      '',
      `Served (${served.length}):`,
      '',
      ...paragraph(served),
      '',
      ...(refused.length > 0 ? [`Refused by name (${refused.length}):`, '', ...paragraph(refused), ''] : []),
    ]),
  ].join('\n');
}

const titleOf = (name: string) => TITLES[name] ?? name;
const anchorOf = (title: string) => title.toLowerCase().replaceAll(' ', '-');

/** Names in lines of a bearable width. */
function paragraph(names: readonly string[]): string[] {
  const lines: string[] = [];
  for (const [at, name] of names.entries()) {
    const word = `\`${name}\`${at < names.length - 1 ? ',' : '.'}`;
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < WIDTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

if (import.meta.main) await writeFile(PARITY, await parityText());
