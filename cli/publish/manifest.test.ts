import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { parseManifest, readSchema } from './manifest.ts';

const schema = JSON.parse(await readSchema()) as object;
const parse = (text: string) => parseManifest(text, 'm.yaml', schema);

const GOOD = `name: web
version: "1.10"
source:
  disk: web.raw
regions: [eu-central-1, us-east-1]
key: alias/golden
for:
  accounts: ["111122223333"]
`;

/** What is changed in the good manifest, and where and how it is complained of. */
const COMPLAINTS: readonly { change: readonly [string, string]; says: RegExp }[] = [
  {
    change: ['version: "1.10"', 'version: 1.10'],
    says: /^m\.yaml:2:10 version: 1\.1 is a number here: put it in quotes$/,
  },
  {
    change: ['  disk: web.raw', '  disk: web.raw\n  image: ami-1'],
    says: /^m\.yaml:4:3 source: name exactly one of disk, image and instance$/,
  },
  { change: ['  disk: web.raw', '  {}'], says: /^m\.yaml:4:3 source: name exactly one of/ },
  {
    change: ['regions: [eu-central-1, us-east-1]', 'regions: [mars]'],
    says: /^m\.yaml:5:11 regions\.0: "mars" is not of the form wanted/,
  },
  {
    change: ['regions: [eu-central-1, us-east-1]', 'regions: {eu-central-1: {kex: a}}'],
    says: /^m\.yaml:5:26 regions\.eu-central-1: there is no kex here$/,
  },
  { change: ['key: alias/golden', 'key: golden'], says: /^m\.yaml:6:6 key: "golden" is not of the form wanted/ },
  {
    change: ['["111122223333"]', '[111122223333]'],
    says: /^m\.yaml:8:14 for\.accounts\.0: 111122223333 is a number here: put it in quotes$/,
  },
  {
    change: ['  accounts: ["111122223333"]', '  role: x'],
    says: /^m\.yaml:8:3 for: name accounts, organizationalUnits, organization or everyone$/,
  },
  { change: ['key: alias/golden', 'keep: 0'], says: /^m\.yaml:6:7 keep: must be >= 1$/ },
  {
    change: ['key: alias/golden', 'tags: {"ingot:x": y}'],
    says: /^m\.yaml:6:8 tags: ingot:x is no name for an entry of it$/,
  },
  {
    change: ['key: alias/golden', 'mode: lend'],
    says: /^m\.yaml:6:7 mode: must be one of share, reencrypt, not "lend"$/,
  },
  { change: ['key: alias/golden', 'encrypted: false'], says: /^m\.yaml:6:12 encrypted: only an image for everyone/ },
  {
    change: ['  accounts: ["111122223333"]', '  everyone: true'],
    says: /^m\.yaml:8:13 for\.everyone: encrypted snapshots cannot be public/,
  },
  {
    change: ['  accounts: ["111122223333"]', '  accounts: ["111122223333"]\n  key: alias/own'],
    says: /^m\.yaml:9:8 for\.key: is for mode: reencrypt$/,
  },
  {
    change: ['key: alias/golden', 'launchTemplates: [{template: web, region: us-west-2}]'],
    says: /^m\.yaml:6:43 launchTemplates\.0\.region: the image is not published in us-west-2$/,
  },
  { change: ['name: web\n', ''], says: /^m\.yaml:1:1 name is missing$/ },
  {
    change: ['key: alias/golden', 'key: alias/golden\nkey: alias/other'],
    says: /^m\.yaml:7:1 Map keys must be unique/,
  },
  { change: ['key: alias/golden', 'key: "alias'], says: /^m\.yaml:6:\d+ .*|^m\.yaml:\d+:\d+ Missing closing "quote/ },
];

describe('the manifest', () => {
  for (const { change, says } of COMPLAINTS) {
    it(`complains by line and column: ${change[1].split('\n').at(-1)?.trim() || 'no name'}`, () => {
      const text = GOOD.replace(...change);
      assert.notEqual(text, GOOD);
      assert.throws(
        () => parse(text),
        (error: Error) => error.name === 'UsageError' && error.message.split('\n').some((line) => says.test(line)),
      );
    });
  }

  it('a key of each region, or one for those that name none', () => {
    const text = GOOD.replace('[eu-central-1, us-east-1]', '\n  eu-central-1:\n  us-east-1: {key: alias/away}');
    assert.deepEqual(parse(text).regions, [
      { region: 'eu-central-1', key: 'alias/golden' },
      { region: 'us-east-1', key: 'alias/away' },
    ]);
  });

  it('those of the documents are manifests', async () => {
    const read = (path: string) => readFile(new URL(`../../docs/${path}`, import.meta.url), 'utf8');
    const [, example = ''] = /^```yaml\n([\s\S]*?)^```$/m.exec(await read('tools/publish.md')) ?? [];
    assert.equal(parse(example).version, '1.4.0');
    const [, tutorial = ''] = /^cat > golden\.yaml <<END\n([\s\S]*?)^END$/m.exec(await read('tutorial.md')) ?? [];
    const filled = tutorial.replace(/\$\(account team-(\w)\)/g, (_, team) => `11112222333${'abc'.indexOf(team)}`);
    assert.equal(parse(filled).audience.accounts.length, 3);
  });

  it('what is not said', () => {
    const manifest = parse(GOOD);
    assert.equal(manifest.home, 'eu-central-1');
    assert.equal(manifest.mode, 'share');
    assert.equal(manifest.encrypted, true);
    assert.equal(manifest.role, 'OrganizationAccountAccessRole');
    assert.deepEqual(manifest.templates, []);
  });
});
