/** In which formats a report is given, and where to. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { UsageError } from '../error.ts';
import { asff } from './formats/asff.ts';
import { csv } from './formats/csv.ts';
import { html } from './formats/html.ts';
import { sarif } from './formats/sarif.ts';
import { terminal } from './formats/terminal.ts';
import { type AuditReport, FORMATS, type Format } from './model.ts';

/** By the end of a file's name, the longest first. */
const ENDINGS: readonly (readonly [string, Format])[] = [
  ['.asff.json', 'asff'],
  ['.sarif.json', 'sarif'],
  ['.sarif', 'sarif'],
  ['.json', 'json'],
  ['.csv', 'csv'],
  ['.html', 'html'],
  ['.txt', 'text'],
];

export interface Output {
  readonly format: Format;
  readonly path: string;
}

/** `FILE`, whose name tells the format, or `FORMAT:FILE`. */
export function readOutput(text: string): Output {
  const colon = text.indexOf(':');
  const prefix = FORMATS.find((format) => format === text.slice(0, Math.max(colon, 0)));
  const path = prefix ? text.slice(colon + 1) : text;
  const format = prefix ?? ENDINGS.find(([ending]) => path.endsWith(ending))?.[1];
  if (!format || path === '') {
    throw new UsageError(
      `--output ${JSON.stringify(text)} tells no format: end the name in ${ENDINGS.map(([ending]) => ending).join(', ')}, ` +
        `or put one in front, as in csv:${path || 'FILE'}.`,
    );
  }
  return { format, path };
}

const ROWS_MOST = { screen: 20, file: Number.POSITIVE_INFINITY };

export function render(report: AuditReport, format: Format, screen?: { readonly colour: boolean }): string {
  const json = (document: unknown) => `${JSON.stringify(document, undefined, 2)}\n`;
  switch (format) {
    case 'json':
      return json(report);
    case 'asff':
      return json(asff(report));
    case 'sarif':
      return json(sarif(report));
    case 'csv':
      return csv(report);
    case 'html':
      return html(report);
    case 'text':
      return `${terminal(report, { colour: screen?.colour ?? false, rowsMost: screen ? ROWS_MOST.screen : ROWS_MOST.file })}\n`;
  }
}

/** Whole, or not at all: a reader never finds half a report. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.part`;
  try {
    await writeFile(draft, text, { mode: 0o600 });
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
