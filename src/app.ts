/**
 * The only place where parts are constructed and joined. Reading it from top to bottom is reading the house from the
 * ground up; closing it goes the other way.
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { createAudit } from './audit/trail.ts';
import { createAuthenticator } from './authn/authenticate.ts';
import { createAutoScaling } from './auto-scaling/create-auto-scaling.ts';
import { Closers } from './closers.ts';
import type { Config } from './config.ts';
import { openRootKey, type RootKey, type RootKeyFile } from './crypto/root-key.ts';
import { lockDataDir, runtimeFolder, writeEndpoint, writeRootCredentials } from './data-dir.ts';
import type { Db } from './db/db.ts';
import { openDb } from './db/sqlite.ts';
import { startHousekeeping } from './housekeeping.ts';
import { callsTo } from './http/call-service.ts';
import { createPipeline } from './http/pipeline.ts';
import { createFrontDoor } from './http/server.ts';
import { createIdempotency, type TokenResult } from './idempotency/idempotency.ts';
import { createAuthorizationMessages } from './identity/authorization-messages.ts';
import { createIdentity } from './identity/identity.ts';
import { findLinkedRole } from './identity/linked-roles.ts';
import { organizationPlaceOf } from './identity/organization-place.ts';
import { createImages } from './images/create-images.ts';
import type { Images } from './images/images.ts';
import { createInstances } from './instances/create.ts';
import { instanceType } from './instances/instance-types.ts';
import type { Instances } from './instances/instances.ts';
import { requireFront } from './instances/links.ts';
import { chooseMachineDriver } from './instances/qemu/index.ts';
import { createJobs } from './jobs/runner.ts';
import { createKeys } from './keys/keys.ts';
import { createLaunchTemplates } from './launch-templates/create-launch-templates.ts';
import type { Log } from './log.ts';
import { createNetwork } from './network/create-network.ts';
import { createKeyPairs } from './network/key-pairs.ts';
import { isRegion, REGIONS } from './network/regions.ts';
import { prune } from './pruning.ts';
import { createRecycleBin } from './recycle-bin/recycle-bin.ts';
import { createRootKeyRotation } from './root-key/rotation.ts';
import { openTokenKeys } from './root-key/token-keys.ts';
import { withProtection } from './root-key-source.ts';
import { migrations, SEALED_COLUMNS } from './schema.ts';
import { autoscalingService } from './services/autoscaling/index.ts';
import { cloudtrailService } from './services/cloudtrail/index.ts';
import { ebsService } from './services/ebs/index.ts';
import type { Ec2Deps } from './services/ec2/common.ts';
import { CALLED_FOR_GROUPS, ec2ForGroups } from './services/ec2/for-auto-scaling.ts';
import { imageUseOperations } from './services/ec2/image-use-table.ts';
import { imageOperations } from './services/ec2/images-table.ts';
import { ec2Service } from './services/ec2/index.ts';
import type { InstanceDeps } from './services/ec2/instance-shapes.ts';
import { instanceTaggables } from './services/ec2/instance-taggables.ts';
import { instanceOperations } from './services/ec2/instances-table.ts';
import { launchTemplateOperations } from './services/ec2/launch-templates-table.ts';
import { spotUsesOfRole } from './services/ec2/spot-options.ts';
import { tagOperations } from './services/ec2/tag-resources.ts';
import { imageTaggables } from './services/ec2/taggable.ts';
import { volumeTaggables } from './services/ec2/volume-shapes.ts';
import { volumeOperations } from './services/ec2/volumes-table.ts';
import { iamService } from './services/iam/index.ts';
import { ingotService } from './services/ingot/index.ts';
import { kmsService } from './services/kms/index.ts';
import type { Service } from './services/operation.ts';
import { organizationsService } from './services/organizations/index.ts';
import { rbinService } from './services/rbin/index.ts';
import { stsService } from './services/sts/index.ts';
import { createTags } from './tags/tags.ts';
import { createSigningKey } from './verification/signing-key.ts';
import { createVerifications } from './verification/verifications.ts';
import { createVolumes } from './volumes/create.ts';
import { openStorage } from './volumes/storage/open-storage.ts';
import { REGISTRY } from './wire/registry.ts';
import { Wire } from './wire/wire.ts';

const DATABASE = 'ingot.db';
const COLLECT_GARBAGE_EVERY_MS = 10 * 60_000;
const WRITE_USES_OF_KEYS_EVERY_MS = 60_000;
const PRUNE_EVERY_MS = 60 * 60_000;

export interface App {
  /** The tables of all operations that are implemented. */
  readonly services: readonly Service[];
  /** Accepts connections from here on. */
  listen(): Promise<{ readonly endpoint: string }>;
  /** Seals under a new root key from now on, and anew what earlier ones sealed; failures are logged. */
  rotateRootKey(): Promise<void>;
  /** Finishes what is in flight, stops jobs at a safe place, and lets go of the data directory. */
  close(): Promise<void>;
}

export async function createApp(config: Config, log: Log): Promise<App> {
  const closers = new Closers();
  try {
    return await build(config, log, closers);
  } catch (error) {
    await closers.close();
    throw error;
  }
}

async function build(config: Config, log: Log, closers: Closers): Promise<App> {
  const { dataDir } = config;
  const clock = () => new Date();

  const lock = await lockDataDir(dataDir);
  closers.add(async () => lock.release());
  const rootKey = await rootKeyOf(config);
  const db = await openDatabase(join(dataDir, DATABASE), rootKey, log);
  closers.add(() => db.close());
  const tokenKeys = await openTokenKeys({ db, rootKey, clock });
  const rootKeyRotation = createRootKeyRotation({
    db,
    rootKey,
    tokenKeys,
    columns: SEALED_COLUMNS,
    log,
    withProtection: (use) => withProtection(config.rootKeySource, use),
  });
  closers.add(() => rootKeyRotation.stop());
  await rootKeyRotation.resume();

  const identity = createIdentity({ db, rootKey, clock });
  const { rootAccessKey } = config;
  await identity.bootstrap({
    ...(rootAccessKey && { rootAccessKeyId: rootAccessKey.id, rootSecretAccessKey: rootAccessKey.secret }),
    keepCredentials: (credentials) => writeRootCredentials(dataDir, credentials),
  });
  const { authorizer, principals } = identity;

  const authorizationMessages = createAuthorizationMessages(tokenKeys);
  const audit = createAudit({ db, encodeAuthorizationFailure: authorizationMessages.encode });
  const jobs = createJobs({ db, clock, log });
  const tags = createTags(db);
  const idempotency = createIdempotency({ db, clock });
  const bin = createRecycleBin({ db, clock });
  const { keys, onBehalf } = await createKeys({
    db,
    rootKey,
    tokenKeys,
    authorizer,
    audit,
    principals,
    jobs,
    clock,
    throttled: config.kmsThrottle === 'aws',
  });

  const storage = await openStorage({ dir: dataDir, db, log, workers: config.cryptoWorkers });
  closers.add(() => storage.close());
  const { volumes, snapshots, ebsDefaults, direct, proofs, ...lifecycle } = createVolumes({
    db,
    storage,
    keys: onBehalf,
    jobs,
    tags,
    bin,
    clock,
    log,
    rootKey,
    authorizationEpoch: () => keys.generation() + identity.generation(),
  });

  const verifications = createVerifications({
    proofs,
    storage,
    signingKey: createSigningKey({ db, rootKey, clock }),
    clock,
    log,
  });
  closers.add(() => verifications.close());

  const strays = await storage.removeOverlaysExcept(await volumes.liveOverlays());
  if (strays > 0) log.info({ overlays: strays }, 'overlays that belong to no volume were removed');

  const driver = await chooseMachineDriver({
    kind: config.machines,
    runtimeDir: await runtimeFolder(dataDir, 'machines'),
    log,
  });
  closers.add(() => driver.close());
  log.info({ machines: driver.kind }, driver.about);
  // Without guests there is nobody to reach.
  const front = config.guestNetwork.kind === 'forward' && driver.kind === 'qemu' ? config.guestNetwork : undefined;
  if (front) await requireFront(front.sshPort);

  const network = createNetwork({ db, clock });
  const keyPairs = createKeyPairs({ db, clock });
  const launchTemplates = createLaunchTemplates({ db, rootKey, clock });
  const images: Images = createImages({
    db,
    clock,
    jobs,
    snapshots,
    tags,
    bin,
    instances: () => instances,
    users: {
      instances: (region, image) => instances.countByImage(region, image),
      launchTemplates: (region, image, depth) => launchTemplates.countByImage(region, image, depth),
    },
    organizationOf: (account) => organizationPlaceOf(identity.organizations, account),
  });
  const instances: Instances = createInstances({
    db,
    volumes,
    images,
    network,
    driver,
    jobs,
    tags,
    roles: identity.instanceRoles,
    ...(front ? { front } : {}),
    rootKey,
    clock,
    log,
  });
  closers.add(async () => instances.close());

  const ec2: Ec2Deps = { authorizer, db, tags };
  const forInstances: InstanceDeps = {
    ...ec2,
    instances,
    images,
    launchTemplates,
    volumes,
    snapshots,
    network,
    keyPairs,
    profiles: identity,
    guestsAreReached: front !== undefined,
    idempotency,
  };
  const ec2Api = ec2Service({
    encodeAuthorizationFailure: authorizationMessages.encode,
    parts: [
      imageOperations({ ...ec2, bin, images, snapshots, volumes, idempotency, instances, isRegion }),
      imageUseOperations(forInstances),
      instanceOperations(forInstances),
      launchTemplateOperations({
        ...ec2,
        launchTemplates,
        idempotency,
        isInstanceType: (name) => instanceType(name) !== undefined,
      }),
      tagOperations({
        ...ec2,
        taggable: {
          ...imageTaggables({ images, launchTemplates }),
          ...instanceTaggables(forInstances),
          ...volumeTaggables({ volumes, snapshots }),
        },
      }),
      volumeOperations({
        ...ec2,
        volumes,
        snapshots,
        ebsDefaults,
        ...lifecycle,
        bin,
        keys: onBehalf,
        idempotency,
        clock,
        imagesUsingSnapshot: (id) => images.imagesUsingSnapshot(id),
      }),
    ],
  });
  const wire = new Wire(REGISTRY);
  const toEc2 = ec2ForGroups(forInstances, callsTo(ec2Api, CALLED_FOR_GROUPS, { wire, audit, log }));
  const autoScaling = createAutoScaling({
    db,
    jobs,
    tags,
    ec2: toEc2,
    instances,
    roleByArn: (arn) => findLinkedRole(identity.roles, 'autoscaling.amazonaws.com', arn),
    isClosed: (account) => identity.organizations.isClosed(account),
    clock,
    log,
  });
  const services: readonly Service[] = [
    autoscalingService({
      authorizer,
      db,
      autoScaling,
      ec2: toEc2,
      launchTemplates,
      network,
      roles: identity.roles,
    }),
    cloudtrailService({ audit, authorizer }),
    ebsService({ authorizer, db, snapshots, direct, tags, idempotency }),
    ec2Api,
    iamService({
      identity,
      authorizer,
      usesOfLinkedRole: async (arn) => [
        ...(await autoScaling.usesOfRole(arn)),
        ...(await spotUsesOfRole({ instances }, REGIONS, arn)),
      ],
    }),
    ingotService({
      authorizer,
      snapshots,
      tags,
      verifications,
      managementAccount: async () => (await identity.organizations.get()).managementAccount,
    }),
    kmsService({ keys, isRegion }),
    organizationsService({ identity, authorizer }),
    rbinService({ authorizer, db, bin }),
    stsService({ identity, authorizer }, authorizationMessages),
  ];

  const authenticator = createAuthenticator({ credentials: identity.credentials, regions: REGIONS, clock });
  const pipeline = createPipeline({
    wire,
    services,
    authenticator,
    audit,
    log,
    clock,
    noteUse: ({ caller, region, now }, service) => identity.lastUses.note(caller, service, region, now, log),
  });
  closers.add(() => identity.lastUses.flush());
  const frontDoor = createFrontDoor({ wire, pipeline, log });

  await instances.recover();
  await jobs.start();
  closers.add(() => jobs.stop());
  const housekeeping = startHousekeeping({
    everyMs: COLLECT_GARBAGE_EVERY_MS,
    log,
    round: async () => {
      const collected = await storage.collectGarbage(() => volumes.liveRoots());
      return collected.segmentsDeleted > 0 ? collected : undefined;
    },
  });
  closers.add(() => housekeeping.stop());
  const pruning = startHousekeeping({
    everyMs: PRUNE_EVERY_MS,
    log,
    round: () => {
      const finders = {
        ami: (made: TokenResult) => images.find(made.region, made.resultId),
        lt: (made: TokenResult) => launchTemplates.find(made.account, made.region, { id: made.resultId }),
        r: async (made: TokenResult) => (await instances.ofReservation(made.resultId))[0],
        snap: (made: TokenResult) => snapshots.find(made.region, made.resultId),
        vol: (made: TokenResult) => volumes.find(made.region, made.resultId),
      };
      const { auditRetentionDays } = config;
      return prune({ audit, idempotency, finders, clock, ...(auditRetentionDays && { auditRetentionDays }) });
    },
  });
  closers.add(() => pruning.stop());
  const usesOfKeys = startHousekeeping({
    everyMs: WRITE_USES_OF_KEYS_EVERY_MS,
    log,
    round: async () => void (await keys.flushUses()),
  });
  closers.add(async () => {
    await usesOfKeys.stop();
    await keys.flushUses();
  });
  closers.add(() => frontDoor.stop());

  return {
    services,
    listen: async () => {
      const { host, port } = await frontDoor.listen(config.listen.host, config.listen.port);
      const endpoint = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
      await writeEndpoint(dataDir, endpoint);
      return { endpoint };
    },
    rotateRootKey: () => rootKeyRotation.rotate(),
    close: () => closers.close(),
  };
}

function openDatabase(file: string, rootKey: RootKey, log: Log): Promise<Db> {
  return openDb(file, migrations(rootKey), {
    onEffectError: (error) => log.error({ error }, 'an effect after a commit failed'),
  });
}

async function rootKeyOf(config: Config): Promise<RootKeyFile> {
  const { dataDir, previousRootKeySource } = config;
  const create = !(await exists(join(dataDir, DATABASE)));
  return withProtection(config.rootKeySource, (protection) =>
    withProtection(previousRootKeySource, (previous) =>
      openRootKey(dataDir, { create, ...(protection && { protection }), ...(previous && { previous }) }),
    ),
  );
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
