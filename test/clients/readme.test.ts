/** The README's ten lines with the AWS CLI, exactly as printed, in a checkout of their own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { SERVE_DEFAULTS } from '../../src/config.ts';
import { REPOSITORY } from '../house/ingot.ts';
import { checkOut, endGroup, startLines } from './checkout.ts';
import { missing, QUIET } from './programs.ts';

const HEADING = '## Ten lines with the AWS CLI\n';
const skip = missing('aws', ['--version'], 'the AWS CLI') || missing('bash', ['--version']);

/** The indented lines below the heading. */
async function printedLines(): Promise<string[]> {
  const [, below] = (await readFile(join(REPOSITORY, 'README.md'), 'utf8')).split(HEADING);
  assert.ok(below, `README.md has no ${HEADING}`);
  const block = /(?:^ {4}.*\n)+/m.exec(below)?.[0] ?? '';
  return block
    .trimEnd()
    .split('\n')
    .map((line) => line.slice(4));
}

it('the ten lines of the README do what they say', { skip }, async () => {
  const [start = '', ...lines] = await printedLines();
  assert.ok(start.includes(`http://${SERVE_DEFAULTS.listen}`), 'the address is the default one');
  assert.equal(lines.length, 9);
  const script = [
    'set -euo pipefail',
    ...startLines(start),
    ...lines,
    'aws ec2 describe-images --owners self --query "Images[].[Name,State,BlockDeviceMappings[0].Ebs.Encrypted]" --output text',
    'aws ec2 describe-snapshots --owner-ids self --query "Snapshots[].KmsKeyId" --output text | sed "s/.*$KEY\\$/under the key/"',
  ];
  const directory = await checkOut();
  // A process group of its own, so that the server it leaves behind can be ended with it.
  const shell = spawn('bash', ['-c', script.join('\n')], {
    cwd: directory,
    detached: true,
    env: { PATH: process.env.PATH, HOME: directory, INGOT_LOG: 'warn', ...QUIET },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  shell.stdout.on('data', (piece: Buffer) => {
    stdout += piece;
  });
  shell.stderr.on('data', (piece: Buffer) => {
    stderr += piece;
  });
  // The server holds standard error open until it is gone.
  const closed = once(shell, 'close');
  try {
    const [code] = await once(shell, 'exit');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /"ImageId": "ami-[0-9a-f]{17}"/);
    assert.match(stdout, /^golden-1\tavailable\tTrue\nunder the key\n$/m);
  } finally {
    endGroup(shell.pid);
    await closed;
    await rm(directory, { recursive: true, force: true });
  }
});
