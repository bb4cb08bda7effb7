/**
 * docs/tutorial.md, exactly as printed: every `sh` block is run in one shell, and what the `text` block after it shows
 * is what was said. `INGOT_REWRITE_TUTORIAL=1` writes what was said into the document.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { REPOSITORY } from '../house/ingot.ts';
import { checkOut, endGroup, startLines } from './checkout.ts';
import { missing, QUIET } from './programs.ts';

const TUTORIAL = join(REPOSITORY, 'docs/tutorial.md');
const BLOCK = /^```(sh|text)\n([\s\S]*?)^```$/gm;
const MARK = '=== block';
const skip = missing('aws', ['--version'], 'the AWS CLI') || missing('bash', ['--version']);

interface Step {
  readonly script: string;
  /** What it shows; undefined where the document shows nothing. */
  readonly shown?: string;
}

function stepsOf(document: string): Step[] {
  const steps: { script: string; shown?: string }[] = [];
  for (const [, kind, text = ''] of document.matchAll(BLOCK)) {
    if (kind === 'sh') steps.push({ script: text });
    else steps.at(-1)!.shown = text;
  }
  return steps;
}

/** Everything that differs from run to run, and the width of columns that follows from it. */
function settled(text: string): string[] {
  return text
    .replace(/\b(ami|snap|i|vol|lt)-[0-9a-f]{17}\b/g, '$1-ID')
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'KEY')
    .replace(/\b\d{12}\b/g, 'ACCOUNT')
    .replace(/\b20\d\d-\d\d-\d\d\b/g, 'DATE')
    .replace(/127\.0\.0\.1:\d+/g, 'SERVER')
    .replace(/in [\d.]+ s$/gm, 'in TIME')
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter(Boolean);
}

it('the tutorial does what it says, and says what it does', { skip }, async () => {
  const document = await readFile(TUTORIAL, 'utf8');
  const steps = stepsOf(document);
  assert.ok(steps.length >= 10);
  const lines = ['set -euo pipefail', 'exec 2>&1'];
  for (const [index, { script }] of steps.entries()) {
    const [first = '', ...rest] = script.trimEnd().split('\n');
    lines.push(`echo '${MARK} ${index}'`, ...(index === 0 ? startLines(first) : [first]), ...rest);
  }
  const directory = await checkOut();
  const shell = spawn('bash', ['-c', lines.join('\n')], {
    cwd: directory,
    // A process group of its own, so that the server it leaves behind can be ended with it.
    detached: true,
    env: { PATH: process.env.PATH, HOME: directory, INGOT_LOG: 'warn', ...QUIET },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let said = '';
  shell.stdout.setEncoding('utf8').on('data', (piece: string) => {
    said += piece;
  });
  const closed = once(shell, 'close');
  try {
    const [code] = await once(shell, 'exit');
    endGroup(shell.pid);
    await closed;
    assert.equal(code, 0, said);
    const parts = said
      .replaceAll(`${directory}/`, '')
      .split(new RegExp(`^${MARK} \\d+\\n`, 'm'))
      .slice(1);
    if (process.env.INGOT_REWRITE_TUTORIAL) await rewrite(document, parts);
    else compare(steps, parts);
  } finally {
    endGroup(shell.pid);
    await closed;
    await rm(directory, { recursive: true, force: true });
  }
});

/** Regions are worked on side by side: what is said of them has no order. */
function compare(steps: readonly Step[], parts: readonly string[]): void {
  for (const [index, { script, shown }] of steps.entries()) {
    if (shown === undefined) continue;
    assert.deepEqual(settled(parts[index]!).sort(), settled(shown).sort(), `after: ${script}`);
  }
}

async function rewrite(document: string, parts: readonly string[]): Promise<void> {
  let index = -1;
  const written = document.replace(BLOCK, (block: string, kind: string) => {
    if (kind === 'sh') index += 1;
    if (kind === 'sh') return block;
    const lines = parts[index]!.replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:4599').trimEnd();
    return `\`\`\`text\n${lines}\n\`\`\``;
  });
  await writeFile(TUTORIAL, written);
}
