/** `ingot audit`, `ingot audit compare`: their options; the work is loaded when it is asked for. */
import type { Command } from 'commander';
import { addConnectionOptions } from '../connection-options.ts';
import { UsageError } from '../error.ts';
import { oneOf, wholeNumber } from '../options.ts';
import { FORMATS, SEVERITIES } from './model.ts';

const EXAMPLES = `
Reads only. What could not be read is reported as not seen, and has not passed.

Examples:
  ingot audit
  ingot audit --organization --regions eu-central-1,us-east-1 --approved-key alias/golden
  ingot audit --regions all --output audit.html --output audit.sarif --fail-on high
  ingot audit --key alias/golden
  ingot audit --json > today.json && ingot audit compare yesterday.json today.json

Exit codes: 0 done, 1 failed, 2 wrong use, 3 findings at or above --fail-on (or new ones, with compare --exit-code),
4 none of those but not everything could be seen (with --fail-on), 130 stopped (Ctrl-C).`;

export function addAuditCommand(program: Command): void {
  const command = program
    .command('audit')
    .description(
      'find what is not encrypted, under the wrong key, or shared with the wrong accounts, and prove the rest',
    )
    .option('--accounts <ids>', 'accounts to audit, by role assumption; your own unless given', accountIds)
    .option('--organization', 'every account of the organization')
    .option('--role-name <name>', 'role to assume in other accounts', 'OrganizationAccountAccessRole')
    .option('--regions <names>', 'regions to audit, or all; that of the connection unless given', regionNames)
    .option('--approved-key <key>', 'key that may be used: ARN, id, alias/NAME or tag:NAME=VALUE; repeatable', addText)
    .option('--policy <file>', 'YAML with approvedKeys, trustedAccounts, unusedAfterDays')
    .option('--key <key>', 'tell only what would die with this key')
    .option('--format <format>', `what is printed: ${FORMATS.join(', ')}`, oneOf('--format', FORMATS))
    .option('--output <file>', 'also write a file, in the format its name ends in, or FORMAT:FILE; repeatable', addText)
    .option(
      '--fail-on <severity>',
      `end with 3 at findings of this severity or worse: ${SEVERITIES.join(', ')}`,
      severity,
    )
    .option('--allow-not-seen', 'with --fail-on: do not end with 4 where something could not be seen')
    .option('--baseline <file>', 'findings that are accepted, each with reason and last day')
    .option('--write-baseline <file>', 'accept every finding from now on, with --reason and --expires')
    .option('--reason <text>', 'why they are accepted')
    .option('--expires <day>', 'last day they are accepted, such as 2027-01-31')
    .option('--parallel <n>', 'calls on the way at a time', wholeNumber('--parallel', 1, 64), 12);
  addConnectionOptions(command)
    .option('--json', 'the same as --format json')
    .addHelpText('after', EXAMPLES)
    .action(async (options) => (await import('./run.ts')).audit(options));

  command
    .command('compare')
    .description('tell what is new, gone and unchanged between two reports of `ingot audit --json`')
    .argument('<before>', 'JSON report')
    .argument('<after>', 'JSON report')
    .option('--exit-code', 'end with 3 where something is new')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', '\nExamples:\n  ingot audit compare yesterday.json today.json --exit-code')
    .action(async (before, after, _, self: Command) => {
      const { compareReports } = await import('./compare.ts');
      await compareReports(before, after, self.optsWithGlobals());
    });
}

const severity = oneOf('--fail-on', SEVERITIES);

function addText(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function accountIds(text: string): string[] {
  const ids = listOf(text);
  const wrong = ids.find((one) => !/^\d{12}$/.test(one));
  if (ids.length === 0 || wrong !== undefined) {
    throw new UsageError(
      `--accounts must be account ids of 12 digits, with commas between, not ${JSON.stringify(text)}.`,
    );
  }
  return ids;
}

function regionNames(text: string): string[] {
  const names = listOf(text);
  const wrong = names.find((one) => !/^[a-z]{2}(-[a-z]+)+-\d$|^all$/.test(one));
  if (names.length === 0 || wrong !== undefined) {
    throw new UsageError(
      `--regions must be names of regions, with commas between, or all, not ${JSON.stringify(text)}.`,
    );
  }
  return names;
}
