/** `ingot publish`: its verbs and options. */
import type { Command } from 'commander';
import { addConnectionOptions } from '../connection-options.ts';

const EXAMPLES = `
Examples:
  ingot publish plan golden.yaml
  ingot publish golden.yaml
  ingot publish apply golden.yaml --json
  ingot publish destroy golden.yaml --version 1.3.0
  ingot publish schema > publish-v1.schema.json

Exit codes: 0 done or nothing to do, 1 failed or refused, 2 wrong use or a manifest that is none, 130 stopped (Ctrl-C).`;

const PLAN_EXAMPLES = `
Shows what apply would do and why, under which key, and refuses what would fail later. Nothing is changed.

Examples:
  ingot publish plan golden.yaml
  ingot publish plan golden.yaml --profile build --json | jq '.steps[].encryption'`;

const APPLY_EXAMPLES = `
Does what is left to do. What is there is told by tags, so that it can be stopped at any point and applied again; a
second apply finds nothing to do.

Examples:
  ingot publish apply golden.yaml
  ingot publish apply golden.yaml --force`;

const DESTROY_EXAMPLES = `
Takes a version away everywhere: sharing withdrawn, AMIs deregistered, snapshots deleted, key statements removed that no
other version needs. Refused while a launch template launches it, unless --force moves that back.

Examples:
  ingot publish destroy golden.yaml --version 1.3.0
  ingot publish destroy golden.yaml --version 1.3.0 --force --yes`;

const SCHEMA_EXAMPLES = `
Editors use it for a manifest whose first line is: # yaml-language-server: $schema=publish-v1.schema.json

Examples:
  ingot publish schema > publish-v1.schema.json`;

export function addPublishCommand(program: Command): void {
  const publish = program
    .command('publish')
    .description('publish a golden image to regions and accounts, as a manifest says')
    .argument('[file]', 'the manifest: shows the plan, asks, applies');
  withOptions(publish)
    .option('--yes', 'do not ask')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string | undefined, options) => (await import('./run.ts')).publish(file, options));

  // Options before and after the verb are the same to commander: both are read together.
  withOptions(publish.command('plan'))
    .description('show every step of apply, why, and its encryption')
    .argument('<file>', 'the manifest')
    .addHelpText('after', PLAN_EXAMPLES)
    .action(async (file: string, _options, command: Command) =>
      (await import('./run.ts')).planPublication(file, command.optsWithGlobals()),
    );

  withOptions(publish.command('apply'))
    .description('do what is left to do')
    .argument('<file>', 'the manifest')
    .addHelpText('after', APPLY_EXAMPLES)
    .action(async (file: string, _options, command: Command) =>
      (await import('./run.ts')).applyPublication(file, command.optsWithGlobals()),
    );

  withOptions(publish.command('destroy'))
    .description('retire a version everywhere')
    .argument('<file>', 'the manifest')
    .requiredOption('--version <version>', 'the version that goes')
    .option('--yes', 'do not ask')
    .addHelpText('after', DESTROY_EXAMPLES)
    .action(async (file: string, _options, command: Command) =>
      (await import('./run.ts')).destroyVersion(file, command.optsWithGlobals()),
    );

  publish
    .command('schema')
    .description('print the JSON Schema of manifests, for editors')
    .addHelpText('after', SCHEMA_EXAMPLES)
    .action(async () => (await import('./run.ts')).printSchema());
}

function withOptions(command: Command): Command {
  return addConnectionOptions(command)
    .option('--force', 'go ahead although launch templates or instances use what is retired')
    .option('--json', 'print the result as JSON');
}
