/** The house rules that a program can check: who imports whom, the four doors, dead files, broken links, banned words. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { glob, readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { before, describe, it } from 'node:test';

const REPOSITORY = new URL('..', import.meta.url).pathname;

/** What a folder of src/ may import besides itself and the files of COMMON. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  http: ['wire', 'authn', 'audit', 'authz', 'services/operation', 'crypto'],
  wire: ['services/operation', 'authz', 'crypto'],
  authn: ['identity', 'crypto', 'authz', 'wire'],
  'services/operation': ['authz'],
  'services/autoscaling': [
    'services/operation',
    'authz',
    'db',
    'auto-scaling',
    'launch-templates',
    'network',
    'identity',
  ],
  'services/cloudtrail': ['services/operation', 'authz', 'audit'],
  'services/ebs': ['services/operation', 'authz', 'db', 'volumes', 'tags', 'keys', 'idempotency', 'crypto'],
  'services/ec2': [
    'services/operation',
    'authz',
    'db',
    'auto-scaling',
    'instances',
    'network',
    'launch-templates',
    'images',
    'recycle-bin',
    'volumes',
    'keys',
    'tags',
    'idempotency',
    'identity',
    'crypto',
  ],
  'services/iam': ['services/operation', 'authz', 'db', 'identity'],
  'services/ingot': ['services/operation', 'authz', 'keys', 'tags', 'verification', 'volumes'],
  'services/kms': ['services/operation', 'authz', 'db', 'keys', 'crypto', 'jobs'],
  'services/organizations': ['services/operation', 'authz', 'db', 'identity'],
  'services/rbin': ['services/operation', 'authz', 'db', 'recycle-bin'],
  'services/sts': ['services/operation', 'authz', 'db', 'identity'],
  'auto-scaling': ['instances', 'identity', 'tags', 'jobs', 'db', 'authz'],
  instances: [
    'guest-network',
    'images',
    'launch-templates',
    'volumes',
    'network',
    'keys',
    'tags',
    'jobs',
    'db',
    'authz',
    'nbd',
    'crypto',
  ],
  'guest-network': [],
  network: ['db', 'authz', 'crypto'],
  'launch-templates': ['images', 'tags', 'db', 'authz', 'crypto'],
  verification: ['volumes', 'db', 'authz', 'crypto'],
  images: ['recycle-bin', 'volumes', 'keys', 'tags', 'jobs', 'db', 'authz'],
  volumes: ['recycle-bin', 'keys', 'tags', 'blocks', 'nbd', 'jobs', 'db', 'authz', 'crypto'],
  keys: ['crypto', 'jobs', 'db', 'authz', 'audit'],
  tags: ['db', 'authz'],
  'recycle-bin': ['db', 'authz'],
  idempotency: ['db', 'authz', 'crypto'],
  identity: ['db', 'crypto', 'authz', 'authn'],
  jobs: ['db'],
  audit: ['db', 'authz'],
  blocks: ['crypto'],
  nbd: [],
  authz: [],
  crypto: [],
  'root-key': ['crypto', 'db'],
  db: [],
};
/** Files beside the folders that every folder may import. */
const COMMON = ['errors', 'ids', 'limits', 'log'];
/** The pure policy language, a library beside src/: for those who may ask authz, and for the tools. */
const inPolicy = (path: string) => path.startsWith('policy/');
/** These join the parts; nothing imports them except each other and the tests. */
const TOP = [
  'main',
  'process-settings',
  'serve',
  'app',
  'config',
  'data-dir',
  'root-key-source',
  'housekeeping',
  'pruning',
  'schema',
  'closers',
];

/** Doors: a thing of the platform, and the only files that may touch it. */
const DOORS: readonly { readonly what: string; readonly pattern: RegExp; readonly keeper: RegExp }[] = [
  { what: 'node:crypto', pattern: /^import (?!type ).*from ['"](node:)?crypto['"]/m, keeper: /^src\/crypto\// },
  { what: 'process.env', pattern: /\bprocess\.env\b/, keeper: /^src\/(config|process-settings)\.ts$/ },
  {
    what: 'starting processes',
    pattern: /from ['"]node:child_process['"]/,
    // Besides machines, the operator's command that prints the key to the root key, once at start.
    keeper: /^src\/(?:instances\/qemu\/|root-key-source\.ts)/,
  },
  { what: 'node:sqlite', pattern: /from ['"]node:sqlite['"]/, keeper: /^src\/(db\/|data-dir\.ts$)/ },
];

const BANNED: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  { what: 'an unfinished note', pattern: /\b(TODO|FIXME|XXX|HACK)\b/ },
  { what: 'an untyped value', pattern: /(:\s*any\s*[,;)=|&>\]]|\bas any\b|<any>|@ts-ignore|@ts-nocheck|\bany\[\])/ },
  { what: 'a test that runs alone', pattern: /\b(it|describe|test)\.only\(/ },
  { what: 'an enum or a namespace', pattern: /^\s*(export\s+)?(const\s+)?(enum|namespace)\s+\w+\s*\{/m },
];

const QUERIED_TABLE = /\b(?:selectFrom|insertInto|updateTable|deleteFrom|innerJoin|leftJoin)\(\s*'(\w+)(?: as \w+)?'/g;

const LINES_MAX = 400;

interface Source {
  readonly path: string;
  readonly text: string;
  /** Repository paths of relative imports. */
  readonly imports: readonly string[];
}

let sources: Source[] = [];
const isTest = (path: string) =>
  /\.(test|contract)\.ts$/.test(path) || path.startsWith('test/') || /\/test-[\w-]+\.ts$/.test(path);

before(async () => {
  const paths = await Array.fromAsync(
    glob('{policy,src,cli,scripts,demo,bench,test}/**/*.{ts,js}', { cwd: REPOSITORY }),
  );
  sources = await Promise.all(
    paths.sort().map(async (path) => {
      const text = await readFile(join(REPOSITORY, path), 'utf8');
      const specifiers = [...text.matchAll(/(?:\bfrom|\bimport|\bimport\(|new URL\()\s*'(\.{1,2}\/[^']+)'/g)].map(
        (match) => match[1]!,
      );
      return { path, text, imports: specifiers.map((specifier) => normalize(join(dirname(path), specifier))) };
    }),
  );
});

/** The folder of src/ a file belongs to, in the words of the table: `keys`, `services/kms`, or the name of a top file. */
function homeOf(path: string): string {
  const inside = path.replace(/^src\//, '').replace(/\.ts$/, '');
  const [first = '', second = ''] = inside.split('/');
  return first === 'services' ? `services/${second}` : first;
}

const complaints = (list: readonly string[]) => `\n  ${list.join('\n  ')}\n`;
function none(list: readonly string[]): void {
  assert.equal(list.length, 0, complaints(list));
}

describe('tidiness', () => {
  it('src imports downhill only', () => {
    const wrong = sources
      .filter(({ path }) => path.startsWith('src/') && !isTest(path) && !TOP.includes(homeOf(path)))
      .flatMap(({ path, imports }) => {
        const home = homeOf(path);
        if (COMMON.includes(home)) {
          const outside = imports.filter((target) => !COMMON.includes(homeOf(target)) && target !== 'policy/arn.ts');
          return outside.map((target) => `${path} imports ${target}`);
        }
        const allowed = MAY_IMPORT[home];
        if (!allowed) return [`${path}: ${home} is not in the table of who may import whom`];
        return imports
          .filter((target) => target.startsWith('src/'))
          .filter((target) => ![home, ...allowed, ...COMMON].includes(homeOf(target)))
          .map((target) => `${path} imports ${target}`);
      });
    none(wrong);
  });

  it('cli, demo and bench come in by the front door: nothing from src', () => {
    const wrong = sources
      .filter(({ path }) => /^(cli|demo|bench)\//.test(path) && !isTest(path))
      .flatMap(({ path, imports }) =>
        imports.filter((target) => target.startsWith('src/')).map((target) => `${path} imports ${target}`),
      );
    none(wrong);
  });

  it('src imports nothing from outside src, but the policy language where authz may be asked', () => {
    const asks = (home: string) => home === 'authz' || TOP.includes(home) || MAY_IMPORT[home]?.includes('authz');
    const wrong = sources
      .filter(({ path }) => path.startsWith('src/') && !isTest(path))
      .flatMap(({ path, imports }) =>
        imports
          .filter((target) => !target.startsWith('src/'))
          .filter((target) => !(inPolicy(target) && (asks(homeOf(path)) || target === 'policy/arn.ts')))
          .map((target) => `${path} imports ${target}`),
      );
    none(wrong);
  });

  it('the policy language imports nothing of ours', () => {
    const wrong = sources
      .filter(({ path }) => inPolicy(path) && !isTest(path))
      .flatMap(({ path, imports }) =>
        imports.filter((target) => !inPolicy(target)).map((target) => `${path} imports ${target}`),
      );
    none(wrong);
  });

  for (const { what, pattern, keeper } of DOORS) {
    it(`one keeper of ${what}`, () => {
      const wrong = sources
        .filter(
          ({ path, text }) => path.startsWith('src/') && !isTest(path) && !keeper.test(path) && pattern.test(text),
        )
        .map(({ path }) => path);
      none(wrong);
    });
  }

  it('each table is named in one folder only', () => {
    const folders = new Map<string, Set<string>>();
    for (const { path, text } of sources) {
      if (!path.startsWith('src/') || isTest(path)) continue;
      for (const [, table = ''] of text.matchAll(QUERIED_TABLE)) {
        folders.set(table, (folders.get(table) ?? new Set()).add(homeOf(path)));
      }
    }
    assert.ok(folders.size > 5, 'hardly any tables found: the pattern of this test is out of date');
    none(
      [...folders].filter(([, homes]) => homes.size > 1).map(([table, homes]) => `${table}: ${[...homes].join(', ')}`),
    );
  });

  it('no dead files: everything in src and policy is reached from main, the tests aside', () => {
    const byPath = new Map(sources.map((source) => [source.path, source]));
    const reached = new Set<string>();
    const visit = (path: string) => {
      const source = byPath.get(path);
      if (!source || reached.has(path)) return;
      reached.add(path);
      source.imports.forEach(visit);
    };
    visit('src/main.ts');
    const dead = sources
      .map(({ path }) => path)
      .filter((path) => (path.startsWith('src/') || inPolicy(path)) && !isTest(path) && !reached.has(path));
    none(dead);
  });

  for (const { what, pattern } of BANNED) {
    it(`nowhere ${what}`, () => {
      const wrong = sources
        .filter(({ path }) => path !== 'test/tidy.test.ts')
        .flatMap(({ path, text }) =>
          text
            .split('\n')
            .map((line, index) => ({ line, place: `${path}:${index + 1}` }))
            .filter(({ line }) => pattern.test(line))
            .map(({ line, place }) => `${place} ${line.trim()}`),
        );
      none(wrong);
    });
  }

  it('file names are kebab-case', () => {
    none(sources.map(({ path }) => path).filter((path) => !/^[a-z0-9/.-]+$/.test(path)));
  });

  it('long files are noticed', (context) => {
    for (const { path, text } of sources) {
      const lines = text.split('\n').length;
      if (lines > LINES_MAX && !isTest(path))
        context.diagnostic(`${path} has ${lines} lines; over ${LINES_MAX} it wants splitting`);
    }
  });

  it('links of the documents lead somewhere', async () => {
    const documents = await Array.fromAsync(glob('{*.md,docs/**/*.md}', { cwd: REPOSITORY }));
    const broken: string[] = [];
    for (const document of documents) {
      const text = await readFile(join(REPOSITORY, document), 'utf8');
      for (const [, target = ''] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        if (!existsSync(join(REPOSITORY, dirname(document), target))) broken.push(`${document}: ${target}`);
      }
    }
    none(broken);
  });
});
