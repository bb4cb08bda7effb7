/** `ingot doctor`: its options. */
import type { Command } from 'commander';
import { addConnectionOptions } from '../connection-options.ts';

const EXAMPLES = `
The subject is an AMI, a snapshot, an instance (also one whose launch failed), a volume (also one that vanished), or a
launch template by id or name. Without --as it is asked for the caller, or for whoever made the failed call, as the trail
tells. Each check is told as it is made: ✔ as it should be, ✘ a fault, ? could not be seen and is not guessed.
Nothing is changed unless --fix is given.

Examples:
  ingot doctor ami-0123456789abcdef0
  ingot doctor ami-0123456789abcdef0 --as arn:aws:iam::111122223333:role/packer
  ingot doctor lt-0123456789abcdef0 --version 3 --as autoscaling
  ingot doctor i-0123456789abcdef0 --fix
  ingot doctor ami-0123456789abcdef0 --as 444455556666 --owner-profile consumer
  ingot doctor ami-0123456789abcdef0 --copy-to us-east-1 --kms-key alias/golden
  ingot doctor ami-0123456789abcdef0 --share-with 444455556666
  ingot doctor snap-0123456789abcdef0 --error 'Given key ID is not accessible'

Exit codes: 0 it can, 1 could not look, 2 wrong use, 3 it cannot, 4 no fault was seen and not everything could be seen,
130 stopped (Ctrl-C).`;

export function addDoctorCommand(program: Command): void {
  const command = program
    .command('doctor')
    .description('can this principal launch this, and if not, what is the one thing missing?')
    .argument('<subject>', 'AMI, snapshot, instance, volume, or launch template (id or name)')
    .option('--as <principal>', 'ARN of a user, role, session or account root; autoscaling, spot, spotfleet')
    .option('--version <version>', 'version of the launch template: a number, $Latest or $Default')
    .option('--encrypted', 'as if the request gave Encrypted=true for every device')
    .option('--no-encrypted', 'as if the request gave Encrypted=false for every device')
    .option('--kms-key <key>', 'as if the request gave this key; with --share-with, the key of a copy')
    .option('--copy-to <region>', 'ask about a copy to this region instead of a launch')
    .option('--share-with <account>', 'ask about sharing with this account, or with all, instead of a launch')
    .option('--error <message>', 'what a tool showed')
    .option('--owner-profile <name>', 'profile of a further account to look into; may be repeated', collect)
    .option('--account-role <arn>', 'role of a further account to look with; may be repeated', collect)
    .option('--fix', 'apply the mend, after asking')
    .option('--yes', 'with --fix: do not ask');
  addConnectionOptions(command)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (subject, options) => (await import('./doctor.ts')).diagnose(subject, options));
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
