/**
 * Writes docs/tools/reference.md from the commands themselves: what `--help` says, for every command.
 *
 *     npx node scripts/reference.ts
 */
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { makeProgram } from '../cli/program.ts';

const PATH = new URL('../docs/tools/reference.md', import.meta.url);
const COLUMNS = 110;

/** The page; commands in the order of `ingot --help`. */
export function reference(): string {
  const program = makeProgram((code) => {
    throw new Error(`a command ended with ${code} instead of telling its help`);
  });
  // What `serve` takes is told by the server's own --help and docs/operating.md.
  const commands = withChildren(program).filter((command) => command !== program && command.name() !== 'serve');
  return [
    '# Reference of the commands',
    '',
    'Written by `scripts/reference.ts` from the same source as `--help`; a test fails when it is out of date. The options of',
    '`ingot serve` are in [operating](../operating.md).',
    '',
    ...commands.map(
      (command) => `- [\`${nameOf(command)}\`](#${nameOf(command).replaceAll(' ', '-')}): ${command.description()}`,
    ),
    ...commands.flatMap((command) => ['', `## ${nameOf(command)}`, '', ...indented(helpOf(command))]),
    '',
  ].join('\n');
}

export function withChildren(command: Command): Command[] {
  return [command, ...command.commands.filter((child) => child.name() !== 'help').flatMap(withChildren)];
}

export function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();
}

/** What `--help` prints, at a width of its own. */
export function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (piece) => (text += piece),
    getOutHelpWidth: () => COLUMNS,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text.trimEnd();
}

function indented(text: string): string[] {
  return text.split('\n').map((line) => (line === '' ? '' : `    ${line}`));
}

if (import.meta.main) await writeFile(PATH, reference());
