/** What of the images, volumes and launch templates modules can be tagged. */
import { ec2Arn, imageArn, snapshotArn } from '../../ids.ts';
import type { Images } from '../../images/images.ts';
import type { LaunchTemplates } from '../../launch-templates/launch-templates.ts';
import type { Snapshots, Volumes } from '../../volumes/volumes.ts';
import { imageNotFound, snapshotNotFound, volumeNotFound } from './errors.ts';
import { launchTemplateArn, templateNotFound } from './launch-template-access.ts';
import type { Taggable } from './tag-resources.ts';

/** By id prefix; `app.ts` adds what instances brings. */
export function imagesTaggable(deps: {
  readonly images: Images;
  readonly snapshots: Snapshots;
  readonly volumes: Volumes;
  readonly launchTemplates: LaunchTemplates;
}): Readonly<Record<'ami' | 'snap' | 'vol' | 'lt', Taggable>> {
  return {
    ami: {
      resourceType: 'image',
      async find(call, id) {
        const image = await deps.images.find(call.region, id);
        if (!image || image.state === 'deregistered') return undefined;
        return (await deps.images.mayLaunch(image, call.caller.accountId)) ? imageArn(call.region, id) : undefined;
      },
      notFound: (id) => imageNotFound([id]),
    },
    snap: {
      resourceType: 'snapshot',
      async find(call, id) {
        const snapshot = await deps.snapshots.find(call.region, id);
        const visible = snapshot && deps.snapshots.mayUse(snapshot, call.caller.accountId);
        return visible ? snapshotArn(call.region, id) : undefined;
      },
      notFound: snapshotNotFound,
    },
    vol: {
      resourceType: 'volume',
      async find(call, id) {
        const volume = await deps.volumes.find(call.region, id);
        if (volume?.ownerId !== call.caller.accountId) return undefined;
        return ec2Arn(call.region, volume.ownerId, 'volume', id);
      },
      notFound: volumeNotFound,
    },
    lt: {
      resourceType: 'launch-template',
      async find(call, id) {
        const template = await deps.launchTemplates.find(call.caller.accountId, call.region, { id });
        return template && launchTemplateArn(call.region, template.ownerId, template.id);
      },
      notFound: (id) => templateNotFound({ id }),
    },
  };
}
