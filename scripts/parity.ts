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

/** The document as it should be. */
export async function parityText(): Promise<string> {
  const tables = await implemented();
  const wire = new Wire(REGISTRY);
  const services = REGISTRY.map(({ name }) => {
    const all = [...(wire.service(name)?.operationNames ?? [])].sort();
    const served = all.filter((operation) => tables.get(name)?.has(operation));
    return { name, all, served, refused: all.filter((operation) => !served.includes(operation)) };
  });
  const { statements, notHeld } = await readJson<{
    statements: Record<string, number>;
    notHeld: Record<string, string>;
  }>('test/spec/ec2-encryption.json');
  const count = Object.values(statements).reduce((sum, each) => sum + each, 0);
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
    '## The specification of EC2 encryption',
    '',
    `Tests name ${count - Object.keys(notHeld).length} of its ${count} statements (\`test/spec/coverage.test.ts\`). No test names these:`,
    '',
    '| Statement | Why not |',
    '|---|---|',
    ...Object.entries(notHeld).map(([id, why]) => `| ${id} | ${why} |`),
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
