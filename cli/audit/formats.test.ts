/** What the formats of other programs demand, and that nothing a resource is called gets out of its place. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CHECKS } from './check-table.ts';
import { asff } from './formats/asff.ts';
import { csv } from './formats/csv.ts';
import { html } from './formats/html.ts';
import { sarif } from './formats/sarif.ts';
import { terminal } from './formats/terminal.ts';
import { FORMATS } from './model.ts';
import { readOutput, render } from './output.ts';
import { HOSTILE, sampleReport } from './test-report.ts';

const report = sampleReport();
type Json = Readonly<Record<string, unknown>>;
const at = (value: unknown, ...path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>((inner, step) => (inner as Json | undefined)?.[step], value);

describe('ASFF', () => {
  const findings = asff(report) as Json[];
  const REQUIRED =
    'SchemaVersion Id ProductArn GeneratorId AwsAccountId CreatedAt UpdatedAt Severity Title Description Resources';

  it('has the required members, within the lengths of the format', () => {
    assert.equal(findings.length, CHECKS.length);
    for (const finding of findings) {
      for (const member of REQUIRED.split(' ')) assert.ok(finding[member] !== undefined, member);
      assert.equal(finding.SchemaVersion, '2018-10-08');
      assert.match(String(finding.ProductArn), /^arn:aws:securityhub:[\w-]+:(\d{12}):product\/\1\/default$/);
      assert.match(String(finding.CreatedAt), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.match(String(at(finding, 'Severity', 'Label')), /^(CRITICAL|HIGH|MEDIUM|LOW|INFORMATIONAL)$/);
      for (const [path, most] of [
        [['Id'], 512],
        [['GeneratorId'], 512],
        [['Title'], 256],
        [['Description'], 1024],
        [['Remediation', 'Recommendation', 'Text'], 512],
        [['Types', 0], 256],
      ] as const) {
        const text = String(at(finding, ...path));
        assert.ok(text.length > 0 && text.length <= most, `${path.join('.')} has ${text.length}`);
      }
      const fields = Object.entries(finding.ProductFields as Record<string, string>);
      assert.ok(fields.length <= 50 && fields.every(([name, value]) => name.length <= 128 && value.length <= 2048));
      const requirements = at(finding, 'Compliance', 'RelatedRequirements') as string[];
      assert.ok(requirements.length <= 32 && requirements.every((one) => one.length > 0 && one.length <= 64));
      for (const resource of finding.Resources as Json[]) {
        assert.match(
          String(resource.Type),
          /^(AwsEc2Volume|AwsEc2Instance|AwsEc2LaunchTemplate|AwsKmsKey|AwsAccount|Other)$/,
        );
        assert.equal(resource.Partition, 'aws');
      }
      assert.ok(JSON.stringify(finding).length < 240_000);
    }
    assert.equal(new Set(findings.map(({ Id }) => Id)).size, findings.length);
  });

  it('suppresses what is accepted, and says why', () => {
    assert.equal(at(findings[0], 'Workflow', 'Status'), 'SUPPRESSED');
    assert.equal(at(findings[0], 'Note', 'Text'), 'Accepted until 2099-01-01: known');
    assert.equal(at(findings[1], 'Workflow', 'Status'), 'NEW');
  });
});

describe('SARIF', () => {
  const log = sarif(report);
  const run = at(log, 'runs', 0) as Json;
  const rules = at(run, 'tool', 'driver', 'rules') as Json[];

  it('is 2.1.0 with a driver, and every result names its rule by id and index', () => {
    assert.equal(at(log, 'version'), '2.1.0');
    assert.equal(at(run, 'tool', 'driver', 'name'), 'ingot audit');
    const ids = rules.map(({ id }) => id);
    assert.equal(new Set(ids).size, CHECKS.length);
    for (const result of run.results as Json[]) {
      assert.equal(ids[Number(result.ruleIndex)], result.ruleId);
      assert.match(String(result.level), /^(none|note|warning|error)$/);
      assert.ok(String(at(result, 'message', 'text')).length > 0);
      assert.match(String(at(result, 'partialFingerprints', 'ingotAudit/v1')), /^[0-9a-f]{32}$/);
      const uri = String(at(result, 'locations', 0, 'physicalLocation', 'artifactLocation', 'uri'));
      assert.equal(new URL(uri, 'file:///').pathname, `/${uri}`);
    }
  });

  it('gives each rule words, a level and a score that GitHub reads', () => {
    for (const rule of rules) {
      assert.match(String(at(rule, 'shortDescription', 'text')), /^[A-Z].+\.$/);
      assert.match(String(at(rule, 'fullDescription', 'text')), /\.$/);
      assert.match(String(rule.name), /^[A-Z][A-Za-z]+$/);
      assert.match(String(rule.helpUri), /^https:/);
      assert.match(String(at(rule, 'properties', 'security-severity')), /^\d\.\d$/);
    }
  });

  it('tells of what was not seen, and of what is accepted', () => {
    const notification = at(run, 'invocations', 0, 'toolExecutionNotifications', 0);
    assert.match(String(at(notification, 'message', 'text')), /^Not seen: volumes of 111122223333 eu-central-1\./);
    assert.equal(at(run, 'results', 0, 'suppressions', 0, 'status'), 'accepted');
  });
});

/** RFC 4180: records end in CRLF; a cell in quotes may hold anything, with quotes doubled. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  for (let at = 0; at < text.length; ) {
    const row: string[] = [];
    for (;;) {
      const quoted = /"((?:[^"]|"")*)"/y;
      const bare = /[^",\r\n]*/y;
      quoted.lastIndex = bare.lastIndex = at;
      const match = quoted.exec(text);
      if (match) {
        row.push(match[1]!.replaceAll('""', '"'));
        at = quoted.lastIndex;
      } else {
        row.push(bare.exec(text)![0]);
        at = bare.lastIndex;
      }
      if (text[at] !== ',') break;
      at += 1;
    }
    assert.equal(text.slice(at, at + 2), '\r\n');
    at += 2;
    rows.push(row);
  }
  return rows;
}

describe('CSV', () => {
  it('is RFC 4180 with one length of rows, for any name and detail', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (name, detail) => {
        const [first, ...rest] = report.findings;
        const findings = [{ ...first!, detail, resource: { ...first!.resource, name } }, ...rest];
        const rows = parseCsv(csv({ ...report, findings }));
        assert.equal(rows.length, 1 + findings.length + report.notSeen.length);
        assert.ok(rows.every((row) => row.length === rows[0]!.length));
        const [column, told] = [rows[0]!.indexOf('resource_name'), rows[0]!.indexOf('detail')];
        assert.equal(rows[1]![told]!.replace(/^'(?=[=+\-@\t\r])/, ''), detail);
        assert.ok(!/^[=+\-@\t\r]/.test(rows[1]![column]!));
      }),
      { verbose: 1 },
    );
  });

  it('lets no name be a formula', () => {
    const rows = parseCsv(csv(report));
    assert.ok(rows.some((row) => row.includes(`'${HOSTILE}`)));
    assert.ok(rows.flat().every((cell) => !cell.startsWith('=')));
  });
});

describe('HTML', () => {
  const page = html(report);

  it('needs nothing from elsewhere and runs nothing', () => {
    assert.doesNotMatch(page, /<(script|link|img|iframe|object)\b/i);
    assert.doesNotMatch(page, /\s(src|href)="(?!#)/i);
    assert.doesNotMatch(page, /url\(|@import/i);
    assert.match(page, /Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/);
  });

  it('escapes what resources are called', () => {
    assert.doesNotMatch(page, /<script>alert/);
    assert.ok(page.includes('&lt;script&gt;alert(1)&lt;/script&gt;'));
    assert.ok(!page.includes('\u001b'));
  });

  it('is whole: language, title, one heading of the first level, headed tables, ids that are there once', () => {
    assert.match(page, /^<!doctype html>\n<html lang="en">/);
    assert.equal(page.match(/<h1>/g)?.length, 1);
    const tables = page.match(/<table>[\s\S]*?<\/table>/g) ?? [];
    assert.ok(tables.length >= 5);
    for (const table of tables) assert.match(table, /<caption>[\s\S]+<th scope="col">[\s\S]+<th scope="row">/);
    const ids = [...page.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id!);
    assert.equal(new Set(ids).size, ids.length);
    for (const [, target] of page.matchAll(/href="#([^"]+)"/g))
      assert.ok(ids.includes(target!), `#${target} is nowhere`);
    for (const tag of ['section', 'table', 'tr', 'td', 'div', 'details', 'article', 'p', 'ul', 'li', 'code', 'dl']) {
      const opened = page.match(new RegExp(`<${tag}[ >]`, 'g'))?.length;
      assert.equal(opened, page.match(new RegExp(`</${tag}>`, 'g'))?.length, `${tag} is not closed`);
    }
  });
});

describe('the terminal', () => {
  it('shows no control character of a resource, and no colour unless asked', () => {
    const text = terminal(report, { colour: false, rowsMost: 20 });
    assert.doesNotMatch(text, /(?!\n)\p{Cc}/u);
    assert.ok(terminal(report, { colour: true, rowsMost: 20 }).includes('\u001b[31m'));
  });

  it('shows the first rows and counts the rest', () => {
    const many = Array.from({ length: 30 }, () => report.findings[1]!);
    assert.match(terminal({ ...report, findings: many }, { colour: false, rowsMost: 20 }), /… and 10 more\./);
  });
});

describe('an output', () => {
  it('has its format from its name, or from what stands in front', () => {
    for (const [given, format, path] of [
      ['a/b.html', 'html', 'a/b.html'],
      ['b.asff.json', 'asff', 'b.asff.json'],
      ['b.json', 'json', 'b.json'],
      ['b.sarif', 'sarif', 'b.sarif'],
      ['csv:report', 'csv', 'report'],
      ['asff:b.json', 'asff', 'b.json'],
      ['b.txt', 'text', 'b.txt'],
    ] as const) {
      assert.deepEqual(readOutput(given), { format, path });
    }
    for (const wrong of ['report', 'pdf:report', 'csv:', '']) assert.throws(() => readOutput(wrong), /tells no format/);
  });

  it('comes in every format', () => {
    for (const format of FORMATS) assert.ok(render(report, format).length > 1000, format);
  });
});
