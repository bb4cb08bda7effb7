/** `ingot verify`: its options; the work is loaded when it is asked for. */
import type { Command } from 'commander';
import { addConnectionOptions } from '../connection-options.ts';

const EXAMPLES = `
For Ingot alone: AWS shows nobody the stored bytes. Only the owner of a snapshot who may decrypt it can have it verified;
a marker is looked for in the files of every account, so that only the management account may name one.

Examples:
  ingot verify ami-0123456789abcdef0 --output golden.verification.jsonl
  ingot verify snap-0123456789abcdef0 --marker "a sentence that stands in the image"
  ingot verify --save-public-key ingot.pem
  ingot verify --check golden.verification.jsonl --public-key ingot.pem

Exit codes: 0 done and intact, 1 failed, 2 wrong use, 3 damaged, or a signature that does not hold, 130 stopped (Ctrl-C).`;

export function addVerifyCommand(program: Command): void {
  const command = program
    .command('verify')
    .description('prove from the stored bytes that a snapshot is whole, authentic and encrypted')
    .argument('[subject]', 'snapshot, or AMI (every device, unless --device names one)')
    .option('--device <name>', 'of an AMI, the device to verify')
    .option('--marker <text>', 'also prove that this text stands nowhere under the data directory')
    .option('--output <file>', 'write the signed reports, one a line')
    .option('--check <file>', 'check signed reports offline, with --public-key')
    .option('--public-key <file>', 'public key of the installation, PEM')
    .option('--save-public-key <file>', 'write the public key of the installation');
  addConnectionOptions(command)
    .option('--json', 'print the reports as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (subject, options) => (await import('./run.ts')).verify(subject, options));
}
