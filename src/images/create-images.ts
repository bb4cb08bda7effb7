/** Builds {@link Images} on its tables, the snapshots below and the durable jobs of CopyImage and CreateImage. */
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { parseArn, type Region } from '../ids.ts';
import { createAllowedImages, isAllowed } from './allowed-images.ts';
import { emptyBinProgram, restoreImage, throwAway } from './binned-images.ts';
import { copyProgram, startCopy } from './copy-image.ts';
import { createProgram, startCreate } from './create-image.ts';
import * as store from './image-store.ts';
import { type ImageRecord, type ImageRefusalReason, type Images, publicLifeEnd } from './images.ts';
import { type ImagesDeps, newImageRecord } from './new-image.ts';
import type { ImageTables } from './tables.ts';
import { createUsageReports } from './usage-reports.ts';

/** Entities one image can be shared with (SH-2). */
const LAUNCH_PERMISSIONS_MAX = 1000;
/** Wait after a deregistration protection with cool-down was turned off (L-10). */
const COOL_DOWN_MS = 24 * 60 * 60 * 1000;

const refuse = (reason: ImageRefusalReason, facts: Refusal['facts']) => new Refusal(reason, facts);

/** Registers the job programs with `deps.jobs`: call before jobs start. */
export function createImages(deps: ImagesDeps): Images {
  const { db, clock } = deps;
  const committed = () => db.read<ImageTables>();
  const allowed = createAllowedImages(db);
  const usageReports = createUsageReports(deps);
  deps.jobs.register(copyProgram(deps));
  deps.jobs.register(createProgram(deps));
  deps.jobs.register(emptyBinProgram(deps));

  /** The image a permit is about, as the transaction sees it: what was authorized is what is used. */
  async function permitted(tx: Tx, permit: Permit): Promise<ImageRecord> {
    const arn = parseArn(permit.resource);
    const id = arn?.resource.replace(/^image\//, '') ?? '';
    const record = await store.findImage(tx.as<ImageTables>(), (arn?.region ?? '') as Region, id);
    if (!record) throw refuse('image-not-found', { imageId: id });
    if (record.state === 'deregistered') throw refuse('image-deregistered', { imageId: id });
    return record;
  }

  async function change(tx: Tx, permit: Permit, patch: (record: ImageRecord) => ImageRecord): Promise<ImageRecord> {
    const record = patch(await permitted(tx, permit));
    await store.replaceImage(tx, record);
    return record;
  }

  async function takePermissionsBack(tx: Tx, record: ImageRecord): Promise<ImageRecord> {
    await store.removePermissions(tx, record, 'all');
    return { ...record, public: false };
  }

  return {
    find: (region, id) => store.findImage(committed(), region, id),
    findMany: (region, ids) => store.findImages(committed(), region, ids),
    async list(query) {
      const needsPlace = query.scope.kind !== 'public' && query.scope.kind !== 'shared-with-account';
      return store.listImages(committed(), query, needsPlace ? await deps.organizationOf(query.viewer) : undefined);
    },
    launchPermissions: (id) => store.permissionsOf(committed(), id),
    allowed,
    usageReports,
    async mayLaunch(image, account) {
      if (image.ownerId === account) return true;
      const settings = await allowed.settings(account, image.region);
      if (settings.state === 'enabled' && !isAllowed(settings, image, account, clock())) return false;
      if (image.public) return true;
      return store.isCovered(committed(), image, account, await deps.organizationOf(account));
    },
    imagesUsingSnapshot: (id) => store.usesOf(committed(), id),
    countRunningCopies: (region, owner) => store.countPendingCopies(committed(), region, owner),
    noteLaunch: (id) => store.noteLaunch(db, id, clock()),

    async register(tx, _permit, owner, region, image) {
      const record = await newImageRecord(tx, { owner, region, at: clock() }, image, { state: 'available' });
      await store.insertImage(tx, record);
      return record;
    },
    startCopy: (tx, _permit, call, copy) => startCopy(deps, tx, call, copy),
    startCreate: (tx, _permit, call, creation) => startCreate(deps, tx, call, creation),

    async deregister(tx, permit) {
      const record = await permitted(tx, permit);
      const { mode, coolsDownAt } = record.deregistrationProtection;
      if (mode !== 'disabled' || (coolsDownAt && coolsDownAt > clock())) {
        throw refuse('image-deregistration-protected', { imageId: record.id, until: coolsDownAt?.toISOString() });
      }
      await store.replaceImage(tx, { ...(await takePermissionsBack(tx, record)), state: 'deregistered' });
      if (!(await throwAway(deps, tx, record))) {
        await deps.tags.removeAll(tx, record.ownerId, record.region, record.id);
      }
      return record;
    },
    restore: (tx, permit) => restoreImage(deps, tx, permit),
    async setDescription(tx, permit, description) {
      await change(tx, permit, (record) => ({ ...record, description }));
    },
    async setImdsSupport(tx, permit) {
      await change(tx, permit, (record) => ({ ...record, imdsSupport: 'v2.0' }));
    },
    async changeLaunchPermissions(tx, permit, { add = [], remove = [] }) {
      const record = await permitted(tx, permit);
      await store.removePermissions(tx, record, remove);
      await store.addPermissions(tx, record, add);
      if (add.length === 0) return;
      if (add.some(({ kind }) => kind === 'group') && !record.deprecateAt) {
        await store.replaceImage(tx, { ...record, public: true, deprecateAt: publicLifeEnd(record) });
      }
      const count = await store.countPermissions(tx, record.id);
      if (count > LAUNCH_PERMISSIONS_MAX) {
        throw refuse('image-sharing-limit', { imageId: record.id, max: LAUNCH_PERMISSIONS_MAX });
      }
    },
    async disable(tx, permit) {
      const record = await permitted(tx, permit);
      if (record.state !== 'available' && record.state !== 'disabled') {
        throw refuse('image-state', { imageId: record.id, state: record.state });
      }
      await store.replaceImage(tx, { ...(await takePermissionsBack(tx, record)), state: 'disabled' });
    },
    async enable(tx, permit) {
      await change(tx, permit, (record) => {
        if (record.state !== 'available' && record.state !== 'disabled') {
          throw refuse('image-state', { imageId: record.id, state: record.state });
        }
        return { ...record, state: 'available' };
      });
    },
    async setDeprecation(tx, permit, deprecateAt) {
      await change(tx, permit, ({ deprecateAt: _, ...record }) => {
        const at = deprecateAt ?? (record.public ? publicLifeEnd(record) : undefined);
        return at ? { ...record, deprecateAt: at } : record;
      });
    },
    async protectFromDeregistration(tx, permit, withCooldown) {
      const mode = withCooldown ? 'enabled-with-cooldown' : 'enabled-without-cooldown';
      await change(tx, permit, (record) => ({ ...record, deregistrationProtection: { mode } }));
    },
    async endDeregistrationProtection(tx, permit) {
      await change(tx, permit, (record) => {
        const cools = record.deregistrationProtection.mode === 'enabled-with-cooldown';
        const until = cools ? new Date(clock().getTime() + COOL_DOWN_MS) : record.deregistrationProtection.coolsDownAt;
        return { ...record, deregistrationProtection: { mode: 'disabled', ...(until ? { coolsDownAt: until } : {}) } };
      });
    },

    blockPublicAccess: (account, region) => store.readBlockPublicAccess(committed(), account, region),
    setBlockPublicAccess: (tx, _permit, account, region, state) =>
      store.writeBlockPublicAccess(tx, account, region, state),
  };
}
