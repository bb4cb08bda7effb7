/** Mends in HCL. */

type HclValue = string | number | boolean | readonly HclValue[] | Reference;
/** An expression that is written as it is, such as `data.aws_kms_key.it.arn`. */
interface Reference {
  readonly expression: string;
}

/** A block: `head { … }`; arrays of blocks stand as nested blocks. */
export function block(head: string, members: Readonly<Record<string, HclValue | undefined>>, nested = ''): string {
  const rows = Object.entries(members).filter((row): row is [string, HclValue] => row[1] !== undefined);
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `  ${name.padEnd(width)} = ${hcl(value)}`);
  if (nested) lines.push(indented(nested));
  return `${head} {\n${lines.join('\n')}\n}`;
}

function hcl(value: HclValue): string {
  if (typeof value === 'string') return JSON.stringify(value).replace(/[$%](?=\{)/g, '$&$&');
  if (Array.isArray(value)) return `[${value.map((one) => hcl(one as HclValue)).join(', ')}]`;
  if (typeof value === 'object') return (value as Reference).expression;
  return String(value);
}

export function indented(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}

export interface PolicyStatement {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Principal?: string | { readonly AWS: string | readonly string[] };
  readonly Action: string | readonly string[];
  readonly Resource: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

/** `statement` blocks for an `aws_iam_policy_document`. */
export function statementBlocks(statements: readonly PolicyStatement[]): string {
  return statements.map(statementBlock).join('\n');
}

function statementBlock({ Sid, Effect, Principal, Action, Resource, Condition = {} }: PolicyStatement): string {
  const list = (value: string | readonly string[]) => (typeof value === 'string' ? [value] : value);
  const names = Principal === undefined ? undefined : typeof Principal === 'string' ? ['*'] : list(Principal.AWS);
  const inner = [
    ...(names ? [block('principals', { type: 'AWS', identifiers: names })] : []),
    ...Object.entries(Condition).flatMap(([test, keys]) =>
      Object.entries(keys).map(([variable, values]) => block('condition', { test, variable, values: list(values) })),
    ),
  ];
  return block(
    'statement',
    { sid: Sid, effect: Effect, actions: list(Action), resources: list(Resource) },
    inner.join('\n'),
  );
}
