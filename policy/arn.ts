/** Amazon Resource Names: `arn:partition:service:region:account:resource`. */

export interface ArnParts {
  readonly partition: string;
  readonly service: string;
  readonly region: string;
  readonly account: string;
  /** Everything after the fifth colon; may hold colons and slashes. */
  readonly resource: string;
}

/** Splits an ARN into its parts, or gives `undefined` where `value` is none. */
export function parseArn(value: string): ArnParts | undefined {
  const match = /^arn:([^:]*):([^:]*):([^:]*):([^:]*):(.+)$/s.exec(value);
  if (!match) return undefined;
  const [, partition, service, region, account, resource] = match as unknown as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  return { partition, service, region, account, resource };
}
