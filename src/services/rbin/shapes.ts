/** What requests and answers of Recycle Bin hold; `src/wire/rbin-schemas.ts` says the same to the wire. */

export interface ResourceTagShape {
  readonly ResourceTagKey?: string;
  readonly ResourceTagValue?: string;
}

/** Members of all requests; each operation reads its own. */
export interface RuleInput {
  readonly Identifier?: string;
  readonly ResourceType?: string;
  readonly Description?: string;
  readonly RetentionPeriod?: { readonly RetentionPeriodValue?: number; readonly RetentionPeriodUnit?: string };
  readonly ResourceTags?: readonly ResourceTagShape[];
  readonly ExcludeResourceTags?: readonly ResourceTagShape[];
  readonly LockConfiguration?: {
    readonly UnlockDelay?: { readonly UnlockDelayValue?: number; readonly UnlockDelayUnit?: string };
  };
  readonly LockState?: string;
  readonly MaxResults?: number;
  readonly NextToken?: string;
  readonly Tags?: readonly unknown[];
}

export interface RuleShape {
  readonly Identifier: string;
  readonly Description: string;
  readonly ResourceType: string;
  readonly RetentionPeriod: { readonly RetentionPeriodValue: number; readonly RetentionPeriodUnit: 'DAYS' };
  readonly ResourceTags: readonly ResourceTagShape[];
  readonly ExcludeResourceTags: readonly ResourceTagShape[];
  readonly Status: 'available';
  readonly LockState: string;
  readonly LockConfiguration?: object;
  readonly LockEndTime?: Date;
  readonly RuleArn: string;
}
