/** {@link KeysOnBehalf}: authorize the original caller, act by the methods of the KMS API, leave one audit record. */
import type { Audit } from '../audit/audit.ts';
import { Denied, denialBehind } from '../authz/authorizer.ts';
import { AuditNotes, type Call } from '../authz/caller.ts';
import { systemPermit } from '../authz/permit.ts';
import type { Fields } from '../crypto/fields.ts';
import { randomBytes } from '../crypto/random.ts';
import type { RootKey } from '../crypto/root-key.ts';
import { SecretKey } from '../crypto/secret-key.ts';
import { Refusal } from '../errors.ts';
import { type AccountId, type Arn, parseArn } from '../ids.ts';
import type { AccessRequest, KmsAction } from './access.ts';
import { encodeContext } from './ciphertext.ts';
import { createGrantConditions } from './grant-conditions.ts';
import { EBS_ALIAS, readKeyName } from './identifiers.ts';
import { isSymmetric } from './key-specs.ts';
import type { Keys } from './keys.ts';
import { kmsErrorOf } from './kms-words.ts';
import type { EncryptionContext, KeySummary, KeysOnBehalf } from './on-behalf.ts';
import type { KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';

/** Bytes of a data key of EBS: two halves of AES-256-XTS (ec2-encryption K-1). */
const DATA_KEY_BYTES = 64;
const ALGORITHM = 'SYMMETRIC_DEFAULT';

/** Facts of one call for its audit record, filled in while it runs. */
interface Trail {
  /** Gives the record its id, which stands with the use of the key. */
  readonly notes: AuditNotes;
  readonly keys: KeyRecord[];
  responseElements?: unknown;
  additionalEventData?: unknown;
}

export function createKeysOnBehalf(
  keys: Keys,
  { audit, rootKey }: { readonly audit: Audit; readonly rootKey: RootKey },
): KeysOnBehalf {
  async function keyOf(call: Call, arn: Arn, action: KmsAction): Promise<KeyRecord> {
    const name = readKeyName(arn, { account: call.caller.accountId, region: call.region });
    const key = await keys.find(name, call.region);
    return key ?? keys.access.refuseMissing(call, action, arn, name.account);
  }

  async function permitted<Action extends KmsAction>(
    call: Call,
    arn: Arn,
    action: Action,
    trail: Trail,
    request?: AccessRequest,
  ) {
    const key = await keyOf(call, arn, action);
    trail.keys.push(key);
    const permit = await keys.access.authorize({ ...call, audit: trail.notes }, action, key, request);
    // EC2 and EBS take symmetric encryption keys only (6.7).
    const asked: string = action;
    if (asked !== 'kms:DescribeKey' && !isSymmetric(key)) {
      throw refuse('key-usage', { arn: key.arn, usage: key.usage, operation: asked.slice('kms:'.length) });
    }
    return permit;
  }

  /** Runs `work` and records it, whether it succeeds or is refused. */
  async function recorded<Result>(
    call: Call,
    eventName: string,
    readOnly: boolean,
    requestParameters: unknown,
    work: (trail: Trail) => Promise<Result>,
  ): Promise<Result> {
    const trail: Trail = { notes: new AuditNotes(), keys: [] };
    const record = (error?: { code: string; message: string }, denied?: Denied) =>
      audit.record({
        call: { ...call, audit: trail.notes },
        eventSource: 'kms.amazonaws.com',
        vpcEndpointId: 'AWS Internal',
        eventName,
        readOnly,
        requestParameters,
        resources: trail.keys.map((key) => ({ arn: key.arn, accountId: key.accountId, type: 'AWS::KMS::Key' })),
        ...(trail.responseElements === undefined ? {} : { responseElements: trail.responseElements }),
        ...(trail.additionalEventData === undefined ? {} : { additionalEventData: trail.additionalEventData }),
        ...(denied ? { denied } : {}),
        ...(error ? { error } : { otherAccounts: othersThan(call, trail.keys) }),
      });
    let result: Result;
    try {
      // What a service does in its own name gives back what it holds, and must not be kept from that.
      if (call.caller.type !== 'Service') keys.countCall(call, eventName);
      result = await work(trail);
    } catch (error) {
      const words = kmsErrorOf(error);
      // CloudTrail names a denial AccessDenied, without the suffix that the API has.
      const code = error instanceof Denied ? 'AccessDenied' : (words?.code ?? 'KMSInternalException');
      await record({ code, message: words?.message ?? 'An internal error occurred.' }, denialBehind(error));
      throw error;
    }
    await record();
    return result;
  }

  async function dataKey(
    call: Call,
    action: 'kms:GenerateDataKey' | 'kms:GenerateDataKeyWithoutPlaintext',
    keyArn: Arn,
    numberOfBytes: number,
    context: EncryptionContext,
  ) {
    const parameters = { keyId: keyArn, numberOfBytes, encryptionContext: context };
    return recorded(call, action.slice(4), true, parameters, async (trail) => {
      const permit = await permitted(call, keyArn, action, trail, cryptographic(context));
      const made = await keys.generateDataKey(permit, numberOfBytes, context);
      trail.additionalEventData = { keyMaterialId: made.materialId };
      return made;
    });
  }

  return {
    async resolve(call, identifier) {
      const scope = { account: call.caller.accountId, region: call.region };
      try {
        const name = readKeyName(identifier, scope);
        if (name.kind === 'alias' && name.alias === EBS_ALIAS && name.account === scope.account) {
          return summaryOf(await keys.ebsManagedKey(scope.account, scope.region));
        }
        const key = await keys.find(name, call.region);
        return key && summaryOf(key);
      } catch (error) {
        // An identifier that names nothing is no failure here: the asking service has its own words for it.
        if (error instanceof Refusal && !(error instanceof Denied)) return undefined;
        throw error;
      }
    },

    async ebsManagedKey(call) {
      return summaryOf(await keys.ebsManagedKey(call.caller.accountId, call.region));
    },

    async describeKey(call, keyArn) {
      return recorded(call, 'DescribeKey', true, { keyId: keyArn }, async (trail) =>
        summaryOf(await keys.describeKey(await permitted(call, keyArn, 'kms:DescribeKey', trail))),
      );
    },

    async generateDataKeyWithoutPlaintext(call, keyArn, numberOfBytes, context) {
      const made = await dataKey(call, 'kms:GenerateDataKeyWithoutPlaintext', keyArn, numberOfBytes, context);
      made.plaintext.fill(0);
      return made.ciphertext;
    },

    async generateDataKey(call, keyArn, numberOfBytes, context) {
      const made = await dataKey(call, 'kms:GenerateDataKey', keyArn, numberOfBytes, context);
      return { wrapped: made.ciphertext, plaintext: SecretKey.take(made.plaintext) };
    },

    async decrypt(call, keyArn, wrapped, context) {
      // As in CloudTrail, the key is named under resources only (27.4).
      const parameters = { encryptionContext: context, encryptionAlgorithm: ALGORITHM };
      return recorded(call, 'Decrypt', true, parameters, async (trail) => {
        const permit = await permitted(call, keyArn, 'kms:Decrypt', trail, cryptographic(context));
        const opened = await keys.decrypt(permit, wrapped, { context });
        trail.additionalEventData = { keyMaterialId: opened.materialId };
        return SecretKey.take(opened.plaintext);
      });
    },

    async reEncrypt(call, source, destination) {
      const same = { 'kms:ReEncryptOnSameKey': source.keyArn === destination.keyArn };
      const parameters = {
        sourceKeyId: source.keyArn,
        sourceEncryptionContext: source.context,
        sourceEncryptionAlgorithm: ALGORITHM,
        destinationKeyId: destination.keyArn,
        destinationEncryptionContext: destination.context,
        destinationEncryptionAlgorithm: ALGORITHM,
      };
      return recorded(call, 'ReEncrypt', true, parameters, async (trail) => {
        const from = cryptographic(source.context, same);
        const to = cryptographic(destination.context, same);
        const sourcePermit = await permitted(call, source.keyArn, 'kms:ReEncryptFrom', trail, from);
        const destinationPermit = await permitted(call, destination.keyArn, 'kms:ReEncryptTo', trail, to);
        const result = await keys.reEncrypt(
          sourcePermit,
          destinationPermit,
          { ciphertext: source.wrapped, context: source.context },
          { context: destination.context },
        );
        trail.additionalEventData = {
          sourceKeyMaterialId: result.sourceMaterialId,
          destinationKeyMaterialId: result.destinationMaterialId,
        };
        return result.ciphertext;
      });
    },

    async createGrant(call, keyArn, grant, keep) {
      const constraints = grant.encryptionContextSubset
        ? { encryptionContextSubset: grant.encryptionContextSubset }
        : {};
      const parameters = {
        keyId: keyArn,
        granteePrincipal: grant.granteePrincipal,
        ...(grant.retiringPrincipal === undefined ? {} : { retiringPrincipal: grant.retiringPrincipal }),
        operations: grant.operations,
        ...(grant.encryptionContextSubset ? { constraints } : {}),
      };
      return recorded(call, 'CreateGrant', false, parameters, async (trail) => {
        const request = createGrantConditions(call, { ...grant, constraints });
        const permit = await permitted(call, keyArn, 'kms:CreateGrant', trail, request);
        const { grantId } = await keys.createGrant(permit, { ...grant, constraints }, { keep });
        trail.responseElements = { grantId, keyId: keyArn };
        return { grantId };
      });
    },

    async retireGrant(call, keyArn, grantId) {
      const key = await keys.find(
        readKeyName(keyArn, { account: accountOf(keyArn), region: call.region }),
        call.region,
      );
      if (!key || !(await keys.findGrant(keyArn, grantId))) return;
      await recorded(call, 'RetireGrant', false, undefined, async (trail) => {
        trail.keys.push(key);
        trail.additionalEventData = { grantId };
        const permit = systemPermit('kms:RetireGrant', keyArn, 'EC2 is the retiring principal of the grants it makes');
        await keys.retireGrant(permit, grantId).catch((error) => {
          if (!(error instanceof Refusal && error.reason === 'grant-not-found')) throw error;
        });
      });
    },

    async openForSystem(keyArn, wrapped, context, reason) {
      const opened = await keys.openForSystem(systemPermit('kms:Decrypt', keyArn, reason), wrapped, context);
      return SecretKey.take(opened.plaintext);
    },

    async newInstallationDataKey(context) {
      const plaintext = randomBytes(DATA_KEY_BYTES);
      return { wrapped: rootKey.seal(plaintext, installationFields(context)), plaintext: SecretKey.take(plaintext) };
    },

    async openInstallationDataKey(wrapped, context) {
      return SecretKey.take(rootKey.open(wrapped, installationFields(context)));
    },
  };
}

/** What a decision on a cryptographic operation looks at besides the key (kms 24). */
function cryptographic(context: EncryptionContext, conditions: AccessRequest['conditions'] = {}): AccessRequest {
  return { encryptionContext: context, conditions: { 'kms:EncryptionAlgorithm': ALGORITHM, ...conditions } };
}

/** What the data key of a plain volume or snapshot is bound to. */
export function installationFields(context: EncryptionContext): Fields {
  return [
    ['purpose', 'installation-data-key'],
    ['encryption-context', encodeContext(context)],
  ];
}

function summaryOf(key: KeyRecord): KeySummary {
  return {
    arn: key.arn,
    accountId: key.accountId,
    region: key.region,
    manager: key.manager,
    state: key.state,
    usableByEbs: key.spec === 'SYMMETRIC_DEFAULT' && key.usage === 'ENCRYPT_DECRYPT',
  };
}

/** A successful call is also in the trail of the key's owner (kms 26.6). */
function othersThan(call: Call, used: readonly KeyRecord[]): AccountId[] {
  return [...new Set(used.map((key) => key.accountId))].filter((account) => account !== call.caller.accountId);
}

function accountOf(keyArn: Arn): AccountId {
  const parts = parseArn(keyArn);
  if (!parts) throw refuse('key-arn-invalid', { value: keyArn });
  return parts.account as AccountId;
}
