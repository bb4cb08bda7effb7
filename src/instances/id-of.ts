import type { Permit } from '../authz/permit.ts';
import type { InstanceId } from '../ids.ts';

/** The instance a permit is about: what was authorized is what is used. */
export function idOf(permit: Permit): InstanceId {
  return permit.resource.slice(permit.resource.lastIndexOf('/') + 1) as InstanceId;
}
