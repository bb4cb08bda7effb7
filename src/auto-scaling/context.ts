/** What the files of this folder share. */
import { AuditNotes, type Call } from '../authz/caller.ts';
import type { Db, Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import type { Role } from '../identity/entities.ts';
import { linkedCaller } from '../identity/linked-roles.ts';
import { type AccountId, newUuid } from '../ids.ts';
import type { Instances } from '../instances/instances.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Log } from '../log.ts';
import type { Tags } from '../tags/tags.ts';
import type { ActivityRecord, AutoScalingRefusalReason, Ec2ForGroups, GroupRecord, Place } from './auto-scaling.ts';
import type { AutoScalingTables } from './tables.ts';

export const SERVICE = 'autoscaling.amazonaws.com';

/** How often what, in ms. */
export interface Rhythm {
  /** Between looks at a group in which something is going on. */
  readonly watchMs: number;
  /** Between health checks of a group in which nothing is. */
  readonly healthMs: number;
  /** Before launching again after the first failure; doubled with each further one. */
  readonly retryMs: number;
  readonly retryMsMax: number;
}

export const RHYTHM: Rhythm = { watchMs: 250, healthMs: 5_000, retryMs: 2_000, retryMsMax: 5 * 60_000 };

export interface AutoScalingDeps {
  readonly db: Db;
  readonly jobs: Jobs;
  readonly tags: Tags;
  readonly ec2: Ec2ForGroups;
  readonly instances: Pick<Instances, 'find' | 'health'>;
  /** The service-linked role of Auto Scaling with this ARN. */
  readonly roleByArn: (arn: string) => Promise<Role | undefined>;
  readonly isClosed: (account: AccountId) => Promise<boolean>;
  readonly clock: () => Date;
  readonly log: Log;
  readonly rhythm?: Rhythm;
}

export type Context = AutoScalingDeps & { readonly rhythm: Rhythm };

export const reading = (ctx: Pick<Context, 'db'>) => ctx.db.read<AutoScalingTables>();
export const writing = (tx: Tx) => tx.as<AutoScalingTables>();

export function refuse(
  reason: AutoScalingRefusalReason,
  facts: Refusal['facts'] = {},
): Refusal<AutoScalingRefusalReason> {
  return new Refusal(reason, facts);
}

/** A call of the service in the group's role; `undefined` where that role is gone. */
export async function callInRoleOf(ctx: Context, group: GroupRecord): Promise<Call | undefined> {
  const role = await ctx.roleByArn(group.serviceLinkedRoleArn);
  if (!role) return undefined;
  const now = ctx.clock();
  return {
    caller: linkedCaller(role, 'AutoScaling', now),
    region: group.region,
    requestId: newUuid(),
    now,
    userAgent: SERVICE,
    secureTransport: true,
    invokedBy: SERVICE,
    audit: new AuditNotes(),
  };
}

export function newActivity(
  ctx: Context,
  group: Pick<GroupRecord, 'id'>,
  kind: ActivityRecord['kind'],
  place: Place,
  cause: string,
): ActivityRecord {
  return { id: newUuid(), groupId: group.id, kind, status: 'InProgress', place, startedAt: ctx.clock(), cause };
}
