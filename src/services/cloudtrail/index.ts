/** CloudTrail as far as Ingot has it: looking events up. The trail itself is always on and needs no set-up. */
import type { AuditTrail } from '../../audit/trail.ts';
import { type Authorizer, Denied } from '../../authz/authorizer.ts';
import { ApiError } from '../../errors.ts';
import type { Service } from '../operation.ts';
import { lookupEvents } from './lookup-events.ts';

export interface CloudTrailDeps {
  readonly audit: AuditTrail;
  readonly authorizer: Authorizer;
}

export function cloudtrailService(deps: CloudTrailDeps): Service {
  const operations = { LookupEvents: lookupEvents(deps) };
  return {
    name: 'cloudtrail',
    operations,
    translate: (error) =>
      error instanceof Denied ? new ApiError('AccessDeniedException', error.text, { cause: error }) : undefined,
  };
}
