/** What the database of an installation holds, of all modules: how its tables are made, and where the root key sealed something. */

import { auditMigrations } from './audit/trail.ts';
import { autoScalingMigrations } from './auto-scaling/create-auto-scaling.ts';
import type { RootKey } from './crypto/root-key.ts';
import type { SealedColumn } from './crypto/sealed-column.ts';
import type { Migration } from './db/db.ts';
import { idempotencyMigrations } from './idempotency/idempotency.ts';
import { identityMigrations } from './identity/identity.ts';
import { identitySealed } from './identity/sealed.ts';
import { imagesMigrations } from './images/tables.ts';
import { instancesMigrations } from './instances/create.ts';
import { instancesSealed } from './instances/sealed.ts';
import { jobsMigrations } from './jobs/runner.ts';
import { keysSealed } from './keys/sealed.ts';
import { keysMigrations } from './keys/tables.ts';
import { launchTemplateMigrations } from './launch-templates/create-launch-templates.ts';
import { launchTemplatesSealed } from './launch-templates/user-data.ts';
import { networkMigrations } from './network/tables.ts';
import { recycleBinMigrations } from './recycle-bin/recycle-bin.ts';
import { tokenKeyMigrations, tokenKeySealed } from './root-key/token-keys.ts';
import { tagMigrations } from './tags/tags.ts';
import { verificationMigrations, verificationSealed } from './verification/signing-key.ts';
import { volumesMigrations } from './volumes/create.ts';
import { volumesSealed } from './volumes/sealed.ts';
import { storageMigrations } from './volumes/storage/tables.ts';

export const migrations = (rootKey: RootKey): readonly Migration[] =>
  [
    auditMigrations,
    autoScalingMigrations,
    idempotencyMigrations,
    identityMigrations,
    imagesMigrations,
    instancesMigrations,
    jobsMigrations,
    keysMigrations,
    launchTemplateMigrations(rootKey),
    networkMigrations,
    recycleBinMigrations,
    storageMigrations,
    tagMigrations,
    tokenKeyMigrations,
    verificationMigrations,
    volumesMigrations,
  ].flat();

/** Everything that the root key sealed in the database; that of KMS last, with the check of the root key at its end. */
export const SEALED_COLUMNS: readonly SealedColumn[] = [
  ...tokenKeySealed,
  ...identitySealed,
  ...instancesSealed,
  ...launchTemplatesSealed,
  ...verificationSealed,
  ...volumesSealed,
  ...keysSealed,
];
