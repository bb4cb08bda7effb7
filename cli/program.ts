/** The commands of `ingot` and their options; what they do is loaded when they are called. */
import { Command } from 'commander';
import { addAuditCommand } from './audit/command.ts';
import { addDiskCommands } from './disk-commands.ts';
import { addDoctorCommand } from './doctor/commands.ts';
import { EXIT } from './error.ts';
import { addInstanceCommands } from './instances/commands.ts';
import { addPublishCommand } from './publish/command.ts';
import { addVerifyCommand } from './verify/command.ts';

/** `exit` ends the process with the code of an error in the use of the program, or 0 after --help. */
export function makeProgram(exit: (code: number) => never): Command {
  const program = new Command('ingot').description('A self-hosted home for encrypted golden machine images');
  // Before the commands are made: they inherit it.
  program.exitOverride((error) => exit(error.exitCode === 0 ? 0 : EXIT.usage));

  // Listed here for --help; bin/ingot.js hands `serve` to the server before this program is loaded.
  program.command('serve').description('run the server').allowUnknownOption().helpOption(false);

  program
    .command('env')
    .description('print the exports that make AWS tools talk to the server: eval "$(ingot env)"')
    .option('--data <dir>', 'data directory of the server', './.ingot')
    .option('--account <name>', 'profile to use, as made by `ingot account add`', 'ingot')
    .addHelpText(
      'after',
      example('eval "$(ingot env)" && aws sts get-caller-identity', 'eval "$(ingot env --account build)"'),
    )
    .action(async (options) => (await import('./env.ts')).printEnvironment(options));

  program
    .command('account')
    .description('accounts of the installation')
    .command('add')
    .description('make an account, and a profile of that name which administers it')
    .argument('<name>', 'name of account and profile')
    .option('--data <dir>', 'data directory of the server', './.ingot')
    .option('--email <address>', 'e-mail address of the account; unique in the installation')
    .addHelpText('after', example('ingot account add build && aws --profile build sts get-caller-identity'))
    .action(async (name, options) => (await import('./account-add.ts')).addAccount(name, options));

  program
    .command('why')
    .description('explain why a request was denied, and what would have allowed it')
    .argument(
      '<request-id>',
      "request id of the refused call, or EC2's encoded message; - reads it from standard input",
    )
    .option('--data <dir>', 'data directory of the server', './.ingot')
    .option('--account <name>', 'profile to ask with; it needs LookupEvents and DecodeAuthorizationMessage', 'ingot')
    .option('--region <region>', "region of the request; the profile's own unless given")
    .option('--hours <hours>', 'how far to look back', '24')
    .option('--json', 'print the decoded messages')
    .addHelpText(
      'after',
      example('ingot why 4f0c2d56-9a37-4d0e-8d2e-3b1f6f0a7c11', 'aws ec2 run-instances … 2>&1 | ingot why -'),
    )
    .action(async (subject, options) => (await import('./why.ts')).explainDenial(subject, options));

  program
    .command('backup')
    .description('copy a data directory consistently, while the server runs')
    .argument('<directory>', 'where to; it must not exist')
    .option('--data <dir>', 'data directory of the server', './.ingot')
    .option('--secrets', 'copy root.key and credentials as well, which open everything')
    .addHelpText('after', example('ingot backup /backup/ingot-2026-11-23'))
    .action(async (directory, options) => (await import('./backup.ts')).backUp(directory, options));
  addDiskCommands(program);
  addDoctorCommand(program);
  addInstanceCommands(program);
  addPublishCommand(program);
  addAuditCommand(program);
  addVerifyCommand(program);
  return program;
}

function example(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}
