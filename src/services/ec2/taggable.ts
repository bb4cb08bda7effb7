/** What of the images and launch templates modules can be tagged. */
import { ec2Arn, imageArn } from '../../ids.ts';
import type { Images } from '../../images/images.ts';
import type { LaunchTemplates } from '../../launch-templates/launch-templates.ts';
import { imageNotFound } from './errors.ts';
import { reportNotFound } from './image-usage-reports.ts';
import { launchTemplateArn, templateNotFound } from './launch-template-access.ts';
import type { Taggable } from './tag-resources.ts';

/** By id prefix; other groups of operations bring their own. */
export function imageTaggables(deps: {
  readonly images: Images;
  readonly launchTemplates: LaunchTemplates;
}): Readonly<Record<'ami' | 'amiur' | 'lt', Taggable>> {
  return {
    ami: {
      resourceType: 'image',
      arn: (call, id) => imageArn(call.region, id),
      async exists(call, id) {
        const image = await deps.images.find(call.region, id);
        if (!image || image.state === 'deregistered') return false;
        return deps.images.mayLaunch(image, call.caller.accountId);
      },
      notFound: (id) => imageNotFound([id]),
    },
    amiur: {
      resourceType: 'image-usage-report',
      arn: (call, id) => ec2Arn(call.region, call.caller.accountId, 'image-usage-report', id),
      async exists(call, id) {
        const own = await deps.images.usageReports.list(call.caller.accountId, call.region);
        return own.some((report) => report.id === id);
      },
      notFound: reportNotFound,
    },
    lt: {
      resourceType: 'launch-template',
      arn: (call, id) => launchTemplateArn(call.region, call.caller.accountId, id),
      async exists(call, id) {
        return (await deps.launchTemplates.find(call.caller.accountId, call.region, { id })) !== undefined;
      },
      notFound: (id) => templateNotFound({ id }),
    },
  };
}
