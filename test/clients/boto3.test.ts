/** boto3, unmodified: one script goes through the main job and tells what it saw. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { REPOSITORY, startIngot } from '../house/ingot.ts';
import { missing, rootEnvironment, runProgram } from './programs.ts';

const skip = missing('python3', ['-c', 'import boto3'], 'boto3');

it('boto3 seals, registers, refuses, launches and reads the trail', { skip }, async () => {
  await using ingot = await startIngot();
  const { code, stdout, stderr } = await runProgram('python3', [`${REPOSITORY}test/clients/boto3_flow.py`], {
    environment: await rootEnvironment(ingot, 'eu-central-1'),
  });
  assert.equal(code, 0, stderr);
  const { account, ...seen } = JSON.parse(stdout);
  assert.match(account, /^\d{12}$/);
  assert.deepEqual(seen, {
    presigned: true,
    presigned_changed: 403,
    decrypted: 'hello',
    wrong_context: [400, 'InvalidCiphertextException'],
    bad_checksum: [403, 'InvalidSignatureException'],
    indexes: [3],
    same_bytes: true,
    encrypted_image: [true],
    duplicate_name: [400, 'InvalidAMIName.Duplicate'],
    plain_copy: [400, 'InvalidRequest'],
    dry_run: [412, 'DryRunOperation'],
    not_implemented: [400, 'UnsupportedOperation'],
    pages: [[true]],
    resource: ['available', [{ Key: 'Release', Value: '1' }], true],
    root_volume: [[true, true]],
    context_of_data_key: true,
  });
});
