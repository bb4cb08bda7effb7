/**
 * Ingot's own service: proof that a snapshot is what was written, from its stored bytes. Only the owner may have one, and
 * only who may decrypt. Looking for a marker reads the files of every account, so that it is the operator's: the
 * management account's, with a permission of its own.
 */
import type { Authorizer } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import { type AccountId, isEc2Id, snapshotArn } from '../../ids.ts';
import type { Tags } from '../../tags/tags.ts';
import type { Verification, Verifications } from '../../verification/verifications.ts';
import type { SnapshotRecord, Snapshots } from '../../volumes/volumes.ts';
import type { OperationTable, Service } from '../operation.ts';
import { failure, snapshotNotFound, translate } from './errors.ts';
import type { GetVerificationInput, VerificationKeyShape, VerificationShape, VerifySnapshotInput } from './shapes.ts';

export interface IngotDeps {
  readonly authorizer: Authorizer;
  readonly snapshots: Snapshots;
  readonly tags: Tags;
  readonly verifications: Verifications;
  readonly managementAccount: () => Promise<AccountId>;
}

/** Shorter ones are found by chance, and could be guessed byte by byte. */
const MARKER_BYTES = { min: 8, max: 1024 };

export function ingotService(deps: IngotDeps): Service {
  const { authorizer, snapshots, tags, verifications } = deps;

  /** The caller's own snapshot; denied comes before not found. */
  const use = async <Action extends string>(call: Call, action: Action, id: string) => {
    const wellFormed = isEc2Id(id, 'snap');
    const found = wellFormed ? await snapshots.find(call.region, id) : undefined;
    const own = found?.ownerId === call.caller.accountId ? found : undefined;
    const tagged = own ? ((await tags.of(own.ownerId, call.region, [id])).get(id) ?? []) : [];
    const permit = await authorizer.authorize(call, action, {
      arn: wellFormed ? snapshotArn(call.region, id) : '*',
      ...(found && { accountId: found.ownerId }),
      tags: Object.fromEntries(tagged.map(({ Key, Value }) => [Key, Value])),
    });
    if (!own) throw snapshotNotFound(id);
    return { permit, snapshot: own };
  };

  const operations = {
    async VerifySnapshot(call: Call, { SnapshotId: id = '', Marker }: VerifySnapshotInput): Promise<VerificationShape> {
      const marker = markerOf(Marker);
      const { permit, snapshot } = await use(call, 'ingot:VerifySnapshot', id);
      if (marker) await requireOperator(deps, call);
      return shapeOf(await verifications.begin(call, permit, snapshot, marker));
    },
    async GetVerification(call: Call, { VerificationId: id = '' }: GetVerificationInput): Promise<VerificationShape> {
      const verification = verifications.find(id);
      const snapshot = verification && ownedHere(call, verification.snapshot);
      await authorizer.authorize(call, 'ingot:GetVerification', {
        arn: snapshot ? snapshotArn(call.region, snapshot.id) : '*',
      });
      if (!verification || !snapshot) {
        const about = `There is no verification ${id}: it was never begun here, is older than an hour, or the server was started since.`;
        throw failure('ResourceNotFoundException', 404, about);
      }
      return shapeOf(verification);
    },
    async GetVerificationKey(call: Call): Promise<VerificationKeyShape> {
      await authorizer.authorize(call, 'ingot:GetVerificationKey', { arn: '*' });
      const { id, publicKey } = await verifications.signingKey();
      const base64 = Buffer.from(publicKey).toString('base64');
      return {
        KeyId: id,
        Algorithm: 'Ed25519',
        PublicKey: `-----BEGIN PUBLIC KEY-----\n${base64}\n-----END PUBLIC KEY-----\n`,
      };
    },
  } satisfies OperationTable;
  return { name: 'ingot', operations, translate };
}

function ownedHere(call: Call, snapshot: SnapshotRecord): SnapshotRecord | undefined {
  return snapshot.ownerId === call.caller.accountId && snapshot.region === call.region ? snapshot : undefined;
}

async function requireOperator({ authorizer, managementAccount }: IngotDeps, call: Call): Promise<void> {
  await authorizer.authorize(call, 'ingot:ScanDataDirectory', { arn: '*' });
  if (call.caller.accountId === (await managementAccount())) return;
  throw failure(
    'AccessDeniedException',
    403,
    'A marker is looked for in the files of every account: only the management account may ask for that.',
  );
}

function markerOf(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined;
  const bytes = Buffer.from(text);
  const { min, max } = MARKER_BYTES;
  if (bytes.byteLength >= min && bytes.byteLength <= max) return bytes;
  throw failure('ValidationException', 400, `A marker has ${min} to ${max} bytes in UTF-8, not ${bytes.byteLength}.`);
}

function shapeOf({ id, snapshot, state, progress, startedAt, envelope }: Verification): VerificationShape {
  return {
    VerificationId: id,
    SnapshotId: snapshot.id,
    State: state,
    Progress: Math.floor(progress * 100),
    StartTime: startedAt,
    ...(envelope === undefined ? {} : { Envelope: envelope }),
  };
}
