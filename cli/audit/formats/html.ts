/** The report as one HTML file that needs nothing else: for a browser, for paper, and for a screen reader. */
import { checkOf } from '../check-table.ts';
import { type Control, FRAMEWORKS, type FrameworkId } from '../controls.ts';
import { type AuditReport, type Coverage, type Finding, type KeyUse, SEVERITIES, type Severity } from '../model.ts';
import { STYLE } from './html-style.ts';

/** Text that is HTML already; everything else is escaped. */
class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Piece = Markup | string | number | undefined | readonly Piece[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(piece: Piece): string {
  if (piece === undefined) return '';
  if (piece instanceof Markup) return piece.text;
  if (Array.isArray(piece)) return piece.map(escaped).join('');
  // Control characters have no place in HTML, whatever a resource is called.
  return String(piece)
    .replace(/[&<>"']/g, (letter) => ENTITIES[letter] ?? '')
    .replace(/(?![\t\n\r])[\p{Cc}\p{Cf}]/gu, '\ufffd');
}

function markup(parts: TemplateStringsArray, ...pieces: readonly Piece[]): Markup {
  return new Markup(parts.map((part, at) => part + escaped(pieces[at])).join(''));
}

export function html(report: AuditReport): string {
  const open = report.findings.filter(({ accepted }) => !accepted);
  const accepted = report.findings.filter((finding) => finding.accepted);
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Ingot audit of ${dayOf(report.endedAt)}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<a class="skip" href="#findings">Skip to the findings</a>
<header>
<h1>Golden image audit</h1>
<p>${report.accounts.length} ${report.accounts.length === 1 ? 'account' : 'accounts'}, ${report.regions.join(', ')}, read on ${momentOf(report.startedAt)} by <code>${report.caller}</code>.</p>
</header>
<nav aria-label="Contents"><ul>
<li><a href="#summary">Summary</a></li>
<li><a href="#findings">Findings</a></li>
${report.notSeen.length > 0 ? markup`<li><a href="#not-seen">Not seen</a></li>` : ''}
${accepted.length > 0 ? markup`<li><a href="#accepted">Accepted</a></li>` : ''}
<li><a href="#controls">Controls</a></li>
<li><a href="#keys">What dies with which key</a></li>
<li><a href="#sharing">Sharing</a></li>
<li><a href="#checks">Checks</a></li>
</ul></nav>
<main>
${summary(report, open)}
<section id="findings" aria-labelledby="findings-title">
<h2 id="findings-title">Findings</h2>
${open.length === 0 ? markup`<p>Nothing was found${report.notSeen.length > 0 ? ' in what could be seen' : ''}.</p>` : groups(open)}
</section>
${notSeen(report)}
${accepted.length > 0 ? acceptedTable(accepted) : ''}
${controls(report)}
${keys(report.keys)}
${sharing(report)}
${checks(report)}
</main>
<footer><p>Made by <code>ingot audit</code>. A mapping marked <em>reading</em> is this project's own; it is no legal advice, and passing these checks makes nobody compliant.</p></footer>
</body>
</html>
`;
  return page.text;
}

const dayOf = (iso: string) => iso.slice(0, 10);
const momentOf = (iso: string) => markup`<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`;
const badge = (severity: Severity) => markup`<span class="badge ${severity}">${severity}</span>`;

function grid(caption: string, head: readonly string[], rows: readonly (readonly Piece[])[]): Markup {
  return markup`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table>
<caption>${caption}</caption>
<thead><tr>${head.map((name) => markup`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>
${rows.map((row) => markup`<tr>${row.map((one, at) => (at === 0 ? markup`<th scope="row">${one}</th>` : markup`<td>${one}</td>`))}</tr>\n`)}</tbody>
</table></div>`;
}

function summary(report: AuditReport, open: readonly Finding[]): Markup {
  const { counts, coverage } = report;
  const count = (status: Coverage['status']) => coverage.filter((one) => one.status === status).length;
  const cards = SEVERITIES.filter((severity) => severity !== 'informational').map((severity) => {
    const number = open.filter((finding) => finding.severity === severity).length;
    return markup`<li class="card ${severity}${number === 0 ? ' none' : ''}"><strong>${number}</strong> <span>${severity}</span></li>`;
  });
  const unseen = report.notSeen.length;
  return markup`<section id="summary" aria-labelledby="summary-title">
<h2 id="summary-title">Summary</h2>
<ul class="cards" aria-label="Findings by severity">${cards}
<li class="card unseen${unseen === 0 ? ' none' : ''}"><strong>${unseen}</strong> <span>not seen</span></li></ul>
<p>${new Set(coverage.map(({ check }) => check)).size} checks, each in every account and region, came to ${coverage.length} results: ${count('passed')} passed, ${count('failed')} failed, ${count('not-seen')} could not be judged because something was not seen, and ${count('not-asked')} were not asked.</p>
<p>${counts.images} images, ${counts.snapshots} snapshots, ${counts.volumes} volumes, ${counts.instances} instances, ${counts.templates} launch templates and ${counts.keys} keys were looked at.</p>
${report.policy.approvedKeys.length > 0 ? markup`<p>Approved keys: ${report.policy.approvedKeys.map((one) => markup`<code>${one}</code> `)}</p>` : markup`<p>No approved keys were named, so every key is as good as another.</p>`}
</section>`;
}

function groups(open: readonly Finding[]): Markup[] {
  return [...Map.groupBy(open, ({ check }) => check)].map(([id, findings]) => {
    const { title, why, severity, controls: mapped } = checkOf(id);
    return markup`<article aria-labelledby="${id}">
<h3 id="${id}">${badge(severity)} <span class="id">${id}</span> ${title} <span class="count">${findings.length}</span></h3>
<p>${why}</p>
<p class="maps">${mapped.map((control) => markup`<span class="map">${controlLabel(control)}</span> `)}</p>
${findings.map(card)}
</article>`;
  });
}

function card(finding: Finding): Markup {
  const { resource, account, region, detail, evidence, mend, severity, fingerprint, check } = finding;
  return markup`<div class="finding">
<p class="what"><code>${resource.name ? `${resource.id} (${resource.name})` : resource.id}</code> <span class="where">${account} · ${region}</span>${severity === checkOf(check).severity ? '' : badge(severity)}</p>
<p>${detail}</p>
<pre aria-label="Mend">${mend.join('\n')}</pre>
<details><summary>Evidence</summary><dl>
<dt>Resource</dt><dd><code>${resource.arn}</code></dd>
${Object.entries(evidence)
  .filter(([, value]) => value !== undefined)
  .map(
    ([name, value]) =>
      markup`<dt>${name}</dt><dd><code>${typeof value === 'string' ? value : JSON.stringify(value)}</code></dd>\n`,
  )}<dt>Fingerprint</dt><dd><code>${fingerprint}</code></dd>
</dl></details>
</div>`;
}

function notSeen(report: AuditReport): Markup | string {
  if (report.notSeen.length === 0) return '';
  return markup`<section id="not-seen" aria-labelledby="not-seen-title">
<h2 id="not-seen-title">Not seen</h2>
<p>What could not be read has not passed: the checks that need it are marked so below.</p>
${grid(
  'What could not be read, and why',
  ['What', 'Account', 'Region', 'Call', 'Why'],
  report.notSeen.map(({ part, resource, account, region, call, reason }) => [
    resource ? [part, ' ', markup`<code>${resource}</code>`] : part,
    account,
    region,
    markup`<code>${call}</code>`,
    reason,
  ]),
)}
</section>`;
}

function acceptedTable(accepted: readonly Finding[]): Markup {
  return markup`<section id="accepted" aria-labelledby="accepted-title">
<h2 id="accepted-title">Accepted</h2>
${grid(
  'Findings that the baseline accepts',
  ['Finding', 'Severity', 'Resource', 'Account', 'Region', 'Reason', 'Until'],
  accepted.map(({ check, title, severity, resource, account, region, accepted: how }) => [
    `${check} ${title}`,
    badge(severity),
    markup`<code>${resource.id}</code>`,
    account,
    region,
    how?.reason,
    how?.expires,
  ]),
)}
</section>`;
}

/** Ids side by side, none of them broken over lines. */
const idList = (ids: readonly string[]) => ids.map((id) => markup`<code class="whole">${id}</code> `);

const controlLabel = ({ framework, id }: Control) => `${FRAMEWORKS[framework].short} ${id}`;

/** For each requirement, the worst that its checks came to. */
function controls(report: AuditReport): Markup {
  const rows = new Map<string, { control: Control; bases: Set<string>; checks: Set<string> }>();
  for (const check of new Set(report.coverage.map((one) => one.check))) {
    for (const control of checkOf(check).controls) {
      const key = controlLabel(control);
      const row = rows.get(key) ?? { control, bases: new Set(), checks: new Set() };
      row.checks.add(check);
      row.bases.add(control.basis);
      rows.set(key, row);
    }
  }
  const order = Object.keys(FRAMEWORKS) as FrameworkId[];
  const sorted = [...rows.values()].sort(
    (one, other) =>
      order.indexOf(one.control.framework) - order.indexOf(other.control.framework) ||
      one.control.id.localeCompare(other.control.id, 'en', { numeric: true }),
  );
  return markup`<section id="controls" aria-labelledby="controls-title">
<h2 id="controls-title">Controls</h2>
${grid(
  'Requirements, and what their checks came to',
  ['Requirement', 'Title', 'Mapping', 'Checks', 'Open findings', 'Result'],
  sorted.map(({ control, bases, checks: ids }) => {
    const found = report.findings.filter(({ check, accepted }) => ids.has(check) && !accepted).length;
    return [
      controlLabel(control),
      control.title,
      [...bases].sort().join(' and '),
      idList([...ids]),
      found,
      result(
        report.coverage.filter(({ check }) => ids.has(check)),
        found,
      ),
    ];
  }),
)}
</section>`;
}

function result(coverage: readonly Coverage[], open: number): Markup {
  const has = (status: Coverage['status']) => coverage.some((one) => one.status === status);
  if (open > 0) return markup`<span class="result failed">failed</span>`;
  if (has('not-seen')) return markup`<span class="result unseen">not seen</span>`;
  if (has('failed')) return markup`<span class="result accepted">accepted</span>`;
  if (has('passed')) return markup`<span class="result passed">passed</span>`;
  return markup`<span class="result">not asked</span>`;
}

function keys(uses: readonly KeyUse[]): Markup {
  return markup`<section id="keys" aria-labelledby="keys-title">
<h2 id="keys-title">What dies with which key</h2>
${
  uses.length === 0
    ? markup`<p>Nothing that was seen is under a key.</p>`
    : grid(
        'Everything that is lost if the key is deleted',
        ['Key', 'State', 'Images', 'Snapshots', 'Volumes', 'Instances', 'Templates', 'Default of'],
        uses.map((use) => [
          [markup`<code>${use.key}</code>`, use.aliases.length > 0 ? ` (${use.aliases.join(', ')})` : ''],
          use.state,
          idList(use.images),
          use.snapshots.length,
          use.volumes.length,
          idList(use.instances),
          idList(use.templates),
          use.defaults.join(', '),
        ]),
      )
}
</section>`;
}

function sharing(report: AuditReport): Markup {
  return markup`<section id="sharing" aria-labelledby="sharing-title">
<h2 id="sharing-title">Sharing</h2>
${
  report.sharing.length === 0
    ? markup`<p>No image is shared.</p>`
    : grid(
        'Images, and with whom they are shared',
        ['Image', 'Owner', 'Region', 'With'],
        report.sharing.map(({ image, name, owner, region, with: shares }) => [
          name ? `${image} (${name})` : image,
          owner,
          region,
          shares.map(({ kind, value }) => (kind === 'everyone' ? 'everyone' : value)).join(', '),
        ]),
      )
}
</section>`;
}

function checks(report: AuditReport): Markup {
  const byCheck = [...Map.groupBy(report.coverage, ({ check }) => check)];
  return markup`<section id="checks" aria-labelledby="checks-title">
<h2 id="checks-title">Checks</h2>
${grid(
  'Every check, and what it came to over accounts and regions',
  ['Check', 'Title', 'Severity', 'Passed', 'Failed', 'Not seen', 'Not asked'],
  byCheck.map(([id, coverage]) => {
    const count = (status: Coverage['status']) => coverage.filter((one) => one.status === status).length;
    const { title, severity } = checkOf(id);
    return [id, title, severity, count('passed'), count('failed'), count('not-seen'), count('not-asked')];
  }),
)}
</section>`;
}
