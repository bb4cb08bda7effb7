/** KMS keys beside another implementation: what one side seals, signs or derives, the other opens, verifies, derives. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { REPOSITORY, startIngot } from '../house/ingot.ts';
import { missing, rootEnvironment, runProgram } from './programs.ts';

const withoutPyca = missing('python3', ['-c', 'import boto3, cryptography'], 'boto3 with pyca/cryptography');

it('boto3 and pyca/cryptography agree with every kind of key', { skip: withoutPyca }, async (context) => {
  await using ingot = await startIngot();
  const { code, stdout, stderr } = await runProgram('python3', [`${REPOSITORY}test/clients/kms_flow.py`], {
    environment: await rootEnvironment(ingot, 'eu-central-1'),
  });
  assert.equal(code, 0, stderr);
  const { lattice, ...agreed } = JSON.parse(stdout);
  if (lattice === null) context.diagnostic('this pyca/cryptography has no ML-DSA');
  else assert.deepEqual(lattice, ['ML_DSA_44', 'ML_DSA_65', 'ML_DSA_87']);
  assert.deepEqual(agreed, {
    signatures: [
      'ECC_NIST_P256 ECDSA_SHA_256',
      'ECC_NIST_P384 ECDSA_SHA_384',
      'ECC_NIST_P521 ECDSA_SHA_512',
      'ECC_SECG_P256K1 ECDSA_SHA_256',
      'ECC_NIST_EDWARDS25519 ED25519_SHA_512',
      'RSA_2048 RSASSA_PSS_SHA_384',
      'RSA_2048 RSASSA_PKCS1_V1_5_SHA_512',
    ],
    macs: ['HMAC_SHA_224', 'HMAC_SHA_256', 'HMAC_SHA_384', 'HMAC_SHA_512'],
    shared_secrets: ['ECC_NIST_P256', 'ECC_NIST_P384', 'ECC_NIST_P521'],
    oaep: ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'],
    key_pairs: ['RSA_2048', 'ECC_NIST_P384', 'ECC_NIST_EDWARDS25519'],
    last_use: ['Encrypt'],
  });
});
