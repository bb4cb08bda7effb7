import type { GetImageAncestryRequest, GetImageAncestryResult, ImageAncestryEntry } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { ImageRecord } from '../../images/images.ts';
import { imageNotFound } from './errors.ts';
import { type ImageDeps, useImage } from './image-access.ts';

const ANCESTORS_MAX = 1000;

/** From the image to the first of its line. Sources that the caller may not see end the line, named but not shown. */
export const getImageAncestry =
  (deps: ImageDeps) =>
  async (call: Call, input: GetImageAncestryRequest): Promise<GetImageAncestryResult> => {
    const { image } = await useImage(deps, call, 'ec2:GetImageAncestry', input);
    const visible = (each: ImageRecord) => deps.images.mayLaunch(each, call.caller.accountId);
    if (!(await visible(image))) throw imageNotFound([image.id]);
    const entries: ImageAncestryEntry[] = [];
    let next: ImageRecord | undefined = image;
    while (next && entries.length < ANCESTORS_MAX) {
      const { sourceImageId, sourceImageRegion }: ImageRecord = next;
      entries.push({
        ImageId: next.id,
        CreationDate: next.creationDate,
        ...(sourceImageId && { SourceImageId: sourceImageId }),
        ...(sourceImageRegion && { SourceImageRegion: sourceImageRegion }),
      });
      const source: ImageRecord | undefined =
        sourceImageId && sourceImageRegion ? await deps.images.find(sourceImageRegion, sourceImageId) : undefined;
      next = source && (await visible(source)) ? source : undefined;
    }
    return { ImageAncestryEntries: entries };
  };
