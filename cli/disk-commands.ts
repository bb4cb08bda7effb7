/** `ingot import`, `export` and `diff`: their options. */
import type { Command } from 'commander';
import { addConnectionOptions } from './connection-options.ts';
import { FORMATS, parseFormat } from './disk/format.ts';
import { addTag, oneOf, wholeNumber } from './options.ts';

const BOOT_MODES = ['legacy-bios', 'uefi', 'uefi-preferred'] as const;
const ARCHITECTURES = ['x86_64', 'arm64'] as const;
const EXPORT_FORMATS = ['raw', 'qcow2'] as const;

const IMPORT_EXAMPLES = `
Examples:
  ingot import disk.raw --encrypt
  ingot import debian.qcow2 --kms-key alias/golden --name debian-12-v1 --tag team=images
  zstd -dc disk.raw.zst | ingot import - --encrypt --volume-size 8
  ingot import https://images.example.com/disk.raw.gz --encrypt --volume-size 8
  ingot import disk-v2.raw --parent snap-0123456789abcdef0
  ingot import --resume snap-0123456789abcdef0

Exit codes: 0 done, 1 failed, 2 wrong use, 130 stopped (Ctrl-C); what is left and how to go on is said.`;

const EXPORT_EXAMPLES = `
The file is raw, or qcow2 where it is called *.qcow2. It has its name only when it is whole. It is as large as the
volume, and not encrypted: the snapshot's bytes are in clear in it.

Examples:
  ingot export ami-0123456789abcdef0 golden.raw --verify
  ingot export snap-0123456789abcdef0 golden.qcow2
  ingot export ami-0123456789abcdef0 data.raw --device /dev/sdf

Exit codes: 0 done, 1 failed, 2 wrong use, 3 --verify found a difference, 130 stopped (Ctrl-C): nothing is left.`;

const DIFF_EXAMPLES = `
EBS lists what was written since, so a block that was written again with the same bytes counts as changed. --contents
reads such blocks and compares them; it compares snapshots without a common origin too.

Examples:
  ingot diff snap-0123456789abcdef0 snap-0fedcba9876543210
  ingot diff ami-0123456789abcdef0 ami-0fedcba9876543210 --contents
  ingot diff snap-0123456789abcdef0 snap-0fedcba9876543210 --json --exit-code

Exit codes: 0 done, 1 failed, 2 wrong use, 3 they differ (with --exit-code), 130 stopped (Ctrl-C).`;

export function addDiskCommands(program: Command): void {
  addImportCommand(program);
  addExportCommand(program);
  addDiffCommand(program);
}

function addImportCommand(program: Command): void {
  const command = program
    .command('import')
    .description('bring a disk into an encrypted snapshot, and with --name into an AMI')
    .argument('[disk]', 'file, http(s) URL, or - for standard input')
    .option('--encrypt', "encrypt under the account's default key for EBS, unless --kms-key names another")
    .option('--kms-key <key>', 'encrypt under this KMS key: id, ARN or alias')
    .option('--parent <snapshot>', 'send only what differs from this snapshot, whose key is kept')
    .option('--name <name>', 'register an AMI of this name')
    .option(
      '--boot-mode <mode>',
      `${BOOT_MODES.join(', ')}; seen from the partition table`,
      oneOf('--boot-mode', BOOT_MODES),
    )
    .option('--arch <architecture>', 'x86_64 (default) or arm64', oneOf('--arch', ARCHITECTURES))
    .option('--root-device <name>', 'root device of the AMI (default: /dev/xvda)')
    .option('--description <text>', 'description of the snapshot and of the AMI')
    .option('--tag <name=value>', 'tag of the snapshot and of the AMI; may be repeated', addTag)
    .option('--format <format>', `${FORMATS.join(', ')}; seen from the bytes`, parseFormat)
    .option(
      '--volume-size <gib>',
      'size of the volume, where the disk does not tell',
      wholeNumber('--volume-size', 1, 65_536),
    )
    .option('--spool <dir>', 'folder for a qcow2, vmdk, vhd or vhdx disk that comes as a stream; in clear meanwhile')
    .option('--parallel <n>', 'blocks on the way at a time', wholeNumber('--parallel', 1, 128), 16)
    .option('--resume <snapshot>', 'go on with an import that was stopped')
    .option('--discard <snapshot>', 'give up an import that was stopped, and delete its snapshot');
  addConnectionOptions(command)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', IMPORT_EXAMPLES)
    .action(async (source, options) => (await import('./import.ts')).importDisk(source, options));
}

function addExportCommand(program: Command): void {
  const command = program
    .command('export')
    .description('bring a snapshot, or the disk of an AMI, into a file')
    .argument('<subject>', 'AMI (its root device, unless --device names another) or snapshot')
    .argument('<file>', 'file to make')
    .option(
      '--format <format>',
      `${EXPORT_FORMATS.join(' or ')}; by the name of the file`,
      oneOf('--format', EXPORT_FORMATS),
    )
    .option('--device <name>', 'device of the AMI')
    .option('--verify', 'read the finished file back and compare all of it')
    .option('--force', 'replace the file if it is there')
    .option('--parallel <n>', 'blocks on the way at a time', wholeNumber('--parallel', 1, 128), 16);
  addConnectionOptions(command)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', EXPORT_EXAMPLES)
    .action(async (subject, file, options) => (await import('./export.ts')).exportDisk(subject, file, options));
}

function addDiffCommand(program: Command): void {
  const command = program
    .command('diff')
    .description('tell where two snapshots differ, by block')
    .argument('<first>', 'snapshot, or AMI (its root device)')
    .argument('<second>', 'snapshot, or AMI (its root device)')
    .option('--contents', 'compare the bytes of blocks, not only where they were written')
    .option('--exit-code', 'end with 3 where they differ')
    .option('--parallel <n>', 'blocks on the way at a time', wholeNumber('--parallel', 1, 128), 16);
  addConnectionOptions(command)
    .option('--json', 'print the result as JSON')
    .addHelpText('after', DIFF_EXAMPLES)
    .action(async (first, second, options) => (await import('./diff.ts')).diffSnapshots(first, second, options));
}
