/** Disable and enable, deprecation, deregistration protection (L-10 to L-12): small calls on one own image. */
import type {
  DisableImageDeprecationRequest,
  DisableImageDeregistrationProtectionRequest,
  DisableImageRequest,
  EnableImageDeprecationRequest,
  EnableImageDeregistrationProtectionRequest,
  EnableImageRequest,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { publicLifeEnd } from '../../images/images.ts';
import { invalidParameterValue, missingParameter } from './errors.ts';
import { type ImageDeps, useOwnImage } from './image-access.ts';

export const disableImage = (deps: ImageDeps) => async (call: Call, input: DisableImageRequest) => {
  const { permit } = await useOwnImage(deps, call, 'ec2:DisableImage', input);
  await deps.db.write((tx) => deps.images.disable(tx, permit));
  return { Return: true };
};

export const enableImage = (deps: ImageDeps) => async (call: Call, input: EnableImageRequest) => {
  const { permit } = await useOwnImage(deps, call, 'ec2:EnableImage', input);
  await deps.db.write((tx) => deps.images.enable(tx, permit));
  return { Return: true };
};

const MINUTE_MS = 60_000;

function yearsAfter(date: Date, years: number): Date {
  const later = new Date(date);
  later.setUTCFullYear(later.getUTCFullYear() + years);
  return later;
}

/** Not in the past, at most 10 years ahead, for a public image 2 years after its creation; to the minute (L-12). */
export const enableImageDeprecation = (deps: ImageDeps) => async (call: Call, input: EnableImageDeprecationRequest) => {
  const at = input.DeprecateAt;
  if (!at) throw missingParameter('DeprecateAt');
  const { image, permit } = await useOwnImage(deps, call, 'ec2:EnableImageDeprecation', input);
  const rounded = new Date(Math.round(at.getTime() / MINUTE_MS) * MINUTE_MS);
  if (Number.isNaN(rounded.getTime())) throw invalidParameterValue('DeprecateAt is not a valid date.');
  if (at < call.now) throw invalidParameterValue('DeprecateAt must not be in the past.');
  if (rounded > yearsAfter(call.now, 10)) {
    throw invalidParameterValue('DeprecateAt must not be more than 10 years in the future.');
  }
  if (image.public && rounded > publicLifeEnd(image)) {
    throw invalidParameterValue('DeprecateAt of a public image must not be more than 2 years after its creation.');
  }
  await deps.db.write((tx) => deps.images.setDeprecation(tx, permit, rounded));
  return { Return: true };
};

export const disableImageDeprecation =
  (deps: ImageDeps) => async (call: Call, input: DisableImageDeprecationRequest) => {
    const { permit } = await useOwnImage(deps, call, 'ec2:DisableImageDeprecation', input);
    await deps.db.write((tx) => deps.images.setDeprecation(tx, permit, undefined));
    return { Return: true };
  };

export const enableImageDeregistrationProtection =
  (deps: ImageDeps) => async (call: Call, input: EnableImageDeregistrationProtectionRequest) => {
    const { permit } = await useOwnImage(deps, call, 'ec2:EnableImageDeregistrationProtection', input);
    await deps.db.write((tx) => deps.images.protectFromDeregistration(tx, permit, input.WithCooldown === true));
    return { Return: 'true' };
  };

export const disableImageDeregistrationProtection =
  (deps: ImageDeps) => async (call: Call, input: DisableImageDeregistrationProtectionRequest) => {
    const { permit } = await useOwnImage(deps, call, 'ec2:DisableImageDeregistrationProtection', input);
    await deps.db.write((tx) => deps.images.endDeregistrationProtection(tx, permit));
    return { Return: 'true' };
  };
