/** Key policies: what CreateKey gives a key, and what PutKeyPolicy accepts (kms §13, §14). */

import { checkPolicy, PolicyMalformed } from '../../policy/document.ts';
import type { Call } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import type { AccountId, Region } from '../ids.ts';
import { rootArn } from '../ids.ts';
import { callOf, type KeyParts, permittedKey } from './parts.ts';
import type { KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import { requireState } from './states.ts';

const POLICY_BYTES_MAX = 32_768;
/** Tab, line feed, carriage return, and U+0020 to U+00FF (14.5). */
const POLICY_TEXT = /^[\t\n\r\u0020-\u00ff]*$/;

/** 14.2 */
export function defaultKeyPolicy(account: AccountId): string {
  return JSON.stringify({
    Version: '2012-10-17',
    Id: 'key-default-1',
    Statement: [
      {
        Sid: 'Enable IAM User Permissions',
        Effect: 'Allow',
        Principal: { AWS: rootArn(account) },
        Action: 'kms:*',
        Resource: '*',
      },
    ],
  });
}

/** 13.3: whoever may use EBS in the account may use the key through EBS, and nobody directly. */
export function ebsKeyPolicy(account: AccountId, region: Region): string {
  return JSON.stringify({
    Version: '2012-10-17',
    Id: 'auto-ebs-2',
    Statement: [
      {
        Sid: 'Allow access through EBS for all principals in the account that are authorized to use EBS',
        Effect: 'Allow',
        Principal: { AWS: '*' },
        Action: [
          'kms:Encrypt',
          'kms:Decrypt',
          'kms:ReEncrypt*',
          'kms:GenerateDataKey*',
          'kms:CreateGrant',
          'kms:DescribeKey',
        ],
        Resource: '*',
        Condition: {
          StringEquals: { 'kms:CallerAccount': account, 'kms:ViaService': `ec2.${region}.amazonaws.com` },
        },
      },
      {
        Sid: 'Allow direct access to key metadata to the account',
        Effect: 'Allow',
        Principal: { AWS: rootArn(account) },
        Action: ['kms:Describe*', 'kms:Get*', 'kms:List*', 'kms:RevokeGrant'],
        Resource: '*',
      },
    ],
  });
}

/** The policy as it is stored. @throws {Refusal} `policy-malformed` or `policy-too-large`. */
export async function storablePolicy({ principals }: Pick<KeyParts, 'principals'>, text: string): Promise<string> {
  if (Buffer.byteLength(text) > POLICY_BYTES_MAX) throw refuse('policy-too-large', { limit: POLICY_BYTES_MAX });
  if (!POLICY_TEXT.test(text)) {
    throw new PolicyMalformed('syntax', 'The policy contains characters that are not allowed in a key policy.');
  }
  checkPolicy(text, 'key');
  return principals.canonicalizePolicy(text);
}

/** A policy that its writer could not change again (14.7). The default policy is the account's own affair. */
export async function requirePolicyKeepsDoorOpen(
  { access }: Pick<KeyParts, 'access'>,
  call: Call,
  request: { readonly policy?: string; readonly bypassLockoutCheck: boolean },
  key: Parameters<KeyParts['access']['mayPutPolicy']>[1] & { readonly policy: string },
): Promise<void> {
  if (request.policy === undefined || request.bypassLockoutCheck) return;
  if (!(await access.mayPutPolicy(call, key, key.policy))) throw refuse('policy-lockout', { arn: key.arn });
}

export function policyMethods(parts: KeyParts) {
  const { store, access, principals } = parts;
  return {
    /** The key policy with principals as ARNs, those of deleted principals as unique ids (14.9). */
    async getKeyPolicy(permit: Permit<'kms:GetKeyPolicy'>): Promise<string> {
      return principals.displayPolicy((await permittedKey(store, permit)).policy);
    },

    /** The policy of a key that the caller just made, as {@link getKeyPolicy} shows it. */
    shownPolicy(key: KeyRecord): Promise<string> {
      return principals.displayPolicy(key.policy);
    },

    /** Replaces the whole policy. `bypassLockoutCheck` skips 14.7 only. */
    async putKeyPolicy(permit: Permit<'kms:PutKeyPolicy'>, text: string, bypassLockoutCheck: boolean): Promise<void> {
      const key = await permittedKey(store, permit);
      requireState(key, 'PutKeyPolicy');
      const policy = await storablePolicy(parts, text);
      if (!bypassLockoutCheck && !(await access.mayPutPolicy(callOf(permit), key, policy))) {
        throw refuse('policy-lockout', { arn: key.arn });
      }
      await store.write(async (tables, tx) => {
        await tables.updateTable('keys_key').set({ policy }).where('arn', '=', key.arn).execute();
        store.changed(tx, key.arn);
      });
    },
  };
}
