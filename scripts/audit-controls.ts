/** Writes docs/tools/audit-controls.md from the table of checks: `npx node scripts/audit-controls.ts`. */
import { writeFile } from 'node:fs/promises';
import type { Check } from '../cli/audit/check.ts';
import { CHECKS } from '../cli/audit/check-table.ts';
import { type Control, FRAMEWORKS, type FrameworkId } from '../cli/audit/controls.ts';

export const AUDIT_CONTROLS = new URL('../docs/tools/audit-controls.md', import.meta.url);

export function auditControlsText(): string {
  return [
    '# The checks of ingot audit, and the controls they speak to',
    '',
    'Written by `scripts/audit-controls.ts` from the table of checks; a test fails when it is out of date.',
    '',
    'A mapping is *published* where AWS’s documentation maps the same check to the requirement, and *reading* where the',
    'requirement’s own text says what the check looks at: that reading is this project’s, and no auditor has signed it.',
    'Requirements ask for more than a check can see; passing all of these makes nobody compliant.',
    '',
    '| Framework | Where its text is |',
    '|---|---|',
    ...Object.values(FRAMEWORKS).map(({ name, source, url }) => `| ${name} | [${source}](${url}) |`),
    '',
    '## Checks',
    '',
    '| Check | Title | Severity | Needs to see |',
    '|---|---|---|---|',
    ...CHECKS.map(
      ({ id, title, severity, needs, asked }) =>
        `| [${id}](#${id.toLowerCase()}) | ${title} | ${severity} | ${needs.join(', ')}${asked ? '; asked where approved keys are named' : ''} |`,
    ),
    '',
    ...CHECKS.flatMap(section),
    '## By requirement',
    '',
    '| Requirement | Title | Checks |',
    '|---|---|---|',
    ...requirements(),
    '',
  ].join('\n');
}

function section({ id, title, why, controls }: Check): string[] {
  return [
    `### ${id}`,
    '',
    `**${title}.** ${why}`,
    '',
    '| Requirement | Title | Mapping | Source |',
    '|---|---|---|---|',
    ...controls.map(
      ({ framework, id: control, title: what, basis, source }) =>
        `| ${FRAMEWORKS[framework].short} ${control} | ${what} | ${basis} | [${source.title}](${source.url}) |`,
    ),
    '',
  ];
}

function requirements(): string[] {
  const order = Object.keys(FRAMEWORKS) as FrameworkId[];
  const all = new Map<string, { readonly control: Control; readonly checks: string[] }>();
  for (const { id, controls } of CHECKS) {
    for (const control of controls) {
      const key = `${FRAMEWORKS[control.framework].short} ${control.id}`;
      const known = all.get(key) ?? { control, checks: [] };
      known.checks.push(id);
      all.set(key, known);
    }
  }
  return [...all]
    .sort(
      ([, { control: one }], [, { control: other }]) =>
        order.indexOf(one.framework) - order.indexOf(other.framework) ||
        one.id.localeCompare(other.id, 'en', { numeric: true }),
    )
    .map(([key, { control, checks }]) => `| ${key} | ${control.title} | ${checks.join(', ')} |`);
}

if (import.meta.main) await writeFile(AUDIT_CONTROLS, auditControlsText());
