/** `ingot console` and `ingot ssh`: their options. */
import type { Command } from 'commander';
import { addConnectionOptions } from '../connection-options.ts';
import { wholeNumber } from '../options.ts';

const CONSOLE_EXAMPLES = `
The console is read through GetConsoleOutput, so it takes no input. It is followed until the instance stops.

Examples:
  ingot console i-0123456789abcdef0
  ingot console web-1 --region eu-west-1
  ingot console i-0123456789abcdef0 --no-follow | tail

Exit codes: 0 done, 1 failed, 2 wrong use, 130 stopped (Ctrl-C).`;

const SSH_EXAMPLES = `
The host keys are those that cloud-init prints on the instance's console, so the first connection is checked too; they
are remembered by instance. The user is the one whose keys cloud-init says it has written, else ec2-user.

Examples:
  ingot ssh i-0123456789abcdef0
  ingot ssh web-1 --identity ~/.ssh/golden -- sudo journalctl -b
  ingot ssh i-0123456789abcdef0 --user admin --port 2222

Exit codes: that of ssh, which is that of the command; 1 failed before it, 2 wrong use, 130 stopped (Ctrl-C).`;

export function addInstanceCommands(program: Command): void {
  addConnectionOptions(
    program
      .command('console')
      .description("show an instance's serial console, live")
      .argument('<instance>', 'id, or tag Name, of the instance')
      .option('--no-follow', 'print what there is, and end'),
  )
    .addHelpText('after', CONSOLE_EXAMPLES)
    .action(async (instance, options) => (await import('./console.ts')).followConsole(instance, options));

  addConnectionOptions(
    program
      .command('ssh')
      .description('log in to an instance with the key pair it was launched with')
      .argument('<instance>', 'id, or tag Name, of the instance')
      .argument('[command...]', 'what to run there; a shell unless given')
      .option('--user <name>', 'who to log in as')
      .option('--identity <file>', 'private key of the key pair; those of ssh unless given')
      .option('--port <n>', 'port, where `ingot serve --guest-ssh-port` is not 22', wholeNumber('--port', 1, 65_535))
      .option('--private', 'by the private address')
      .option('--accept-new', 'take the first answer where no host keys were printed')
      .option('--wait <seconds>', 'for the instance to come up', wholeNumber('--wait', 1, 3600), 300),
  )
    .addHelpText('after', SSH_EXAMPLES)
    .action(async (instance, command, options) => (await import('./ssh.ts')).sshTo(instance, command, options));
}
