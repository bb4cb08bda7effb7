/** Service principals as members of grants (kms 15.4, 15.14, 15.15). */
import type { ApiError } from '../../errors.ts';
import { invalid } from './constraints.ts';

/** `name.amazonaws.com` or `name.region.amazonaws.com`; some names have two parts. */
const SERVICE_PRINCIPAL = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.){1,3}amazonaws\.com$/;

/** @throws {ApiError} ValidationException for what no service can be called. */
export function checkServicePrincipal(member: string, value: string): string {
  if (!SERVICE_PRINCIPAL.test(value)) throw invalid(`${member} is not a service principal: ${value}`);
  return value;
}

/** Of two members that exclude each other both are given. */
export function oneOf(one: string, other: string): ApiError {
  return invalid(`Specify either ${one} or ${other}, but not both.`);
}
