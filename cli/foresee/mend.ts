/**
 * A mend: the calls of the AWS API that set one thing right, as data. The command that is printed and the call that is
 * sent are made from the same input, so that they cannot differ.
 */
import type { Aws } from '../aws.ts';
import { CliError } from '../error.ts';
import type { Views } from './views.ts';

export interface ApiCall {
  readonly service: 'ec2' | 'kms' | 'iam' | 'organizations';
  /** For example `PutKeyPolicy`. */
  readonly operation: string;
  /** Absent for global services. */
  readonly region?: string;
  readonly input: object;
  send(aws: Aws): Promise<unknown>;
}

export interface Mend {
  /** Stable name of its kind, such as `key-policy-statement`. */
  readonly kind: string;
  /** What it does: an imperative sentence without its period. */
  readonly title: string;
  /** The account whose credentials it needs. */
  readonly account: string;
  /** The statements or the grant to add, ready to paste. */
  readonly json?: object;
  /** None where only a person can do it, or where the document to change cannot be seen. */
  readonly calls: readonly ApiCall[];
  /** AWS CLI. */
  readonly commands: string;
  /** HCL; absent where Terraform has nothing for it. */
  readonly terraform?: string;
  /** Read again before it is applied: a document that was changed meanwhile is not overwritten. */
  readonly guard?: { readonly was: string; read(aws: Aws): Promise<string> };
  /** What else there is to know. */
  readonly note?: string;
}

/** A mend of calls; its commands are their texts. */
export function mendOf(mend: Omit<Mend, 'commands'> & { readonly commands?: string }): Mend {
  return { ...mend, commands: mend.commands ?? mend.calls.map(commandText).join('\n') };
}

/** For a request that is itself wrong: what it has to say instead, as `json`. */
export function requestMend(title: string, json: object): Mend {
  const note = 'The request is what is wrong: no key and no policy can help.';
  return mendOf({ kind: 'request', title, account: '', json, calls: [], note });
}

/**
 * Makes the calls and gives their answers.
 *
 * @throws {CliError} where it cannot be applied with the credentials at hand, or its document changed meanwhile.
 */
export async function applyMend(views: Views, mend: Mend): Promise<unknown[]> {
  const aws = views.inAccount(mend.account);
  if (!aws) {
    throw new CliError(`"${mend.title}" wants credentials in account ${mend.account}: nothing was changed.`);
  }
  if (mend.calls.length === 0) throw new CliError(`"${mend.title}" cannot be done by a call: nothing was changed.`);
  if (mend.guard && (await mend.guard.read(aws)) !== mend.guard.was) {
    throw new CliError(`What "${mend.title}" would change was changed meanwhile: nothing was changed; look again.`);
  }
  const results: unknown[] = [];
  for (const call of mend.calls) {
    results.push(await call.send(call.region === undefined ? aws : aws.inRegion(call.region)));
  }
  return results;
}

/** The call as a command of the AWS CLI. */
export function commandText({ service, operation, region, input }: ApiCall): string {
  const words = ['aws', service, kebab(operation)];
  if (region !== undefined) words.push('--region', region);
  for (const [name, value] of Object.entries(input)) {
    if (value === undefined) continue;
    if (typeof value === 'boolean') words.push(`--${value ? '' : 'no-'}${kebab(name)}`);
    else
      words.push(`--${kebab(name)}`, typeof value === 'object' ? quoted(JSON.stringify(value)) : quoted(String(value)));
  }
  return words.join(' ');
}

/** As the AWS CLI spells names of operations and members: `KmsKeyId` is `kms-key-id`. */
function kebab(name: string): string {
  return name
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1-$2')
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase();
}

/** One word of a POSIX shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
