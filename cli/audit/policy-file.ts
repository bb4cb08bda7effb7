/** What the auditor holds the facts against: from options, and from a policy file. */
import { CliError, UsageError } from '../error.ts';
import { readText, readYaml } from './baseline.ts';
import type { AuditPolicy } from './model.ts';

const UNUSED_AFTER_DAYS = 90;
const APPROVED =
  /^(arn:[\w-]+:kms:[\w-]+:\d{12}:(key|alias)\/.+|alias\/.+|tag:[^=]+=.*|mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

export interface PolicyOptions {
  readonly approvedKey?: readonly string[];
  readonly policy?: string;
}

/** @throws {CliError} for a file that says what no policy says. */
export async function readPolicy({ approvedKey = [], policy }: PolicyOptions): Promise<AuditPolicy> {
  const written = policy === undefined ? {} : await readFile(policy);
  const approvedKeys = [...approvedKey, ...(written.approvedKeys ?? [])];
  const wrong = approvedKeys.find((one) => !APPROVED.test(one));
  if (wrong !== undefined) {
    throw new UsageError(
      `${JSON.stringify(wrong)} names no key: give its ARN, its id, alias/NAME, the ARN of an alias, or tag:NAME=VALUE.`,
    );
  }
  return {
    approvedKeys,
    trustedAccounts: written.trustedAccounts ?? [],
    unusedAfterDays: written.unusedAfterDays ?? UNUSED_AFTER_DAYS,
  };
}

async function readFile(path: string): Promise<Partial<AuditPolicy>> {
  const document = readYaml(await readText(path), path);
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new CliError(`${path} is no policy: it may have approvedKeys, trustedAccounts and unusedAfterDays.`);
  }
  const read: { -readonly [Member in keyof AuditPolicy]?: AuditPolicy[Member] } = {};
  for (const [name, value] of Object.entries(document)) {
    if (name === 'approvedKeys') read.approvedKeys = texts(path, name, value);
    else if (name === 'trustedAccounts') read.trustedAccounts = texts(path, name, value, /^\d{12}$/);
    else if (name === 'unusedAfterDays') read.unusedAfterDays = days(path, value);
    else throw new CliError(`${path}: there is no member ${JSON.stringify(name)}.`);
  }
  return read;
}

function texts(path: string, name: string, value: unknown, pattern = /./): string[] {
  const wrong = new CliError(
    `${path}: ${name} must be a list${name === 'trustedAccounts' ? ' of account ids in quotes' : ''}.`,
  );
  if (!Array.isArray(value)) throw wrong;
  return value.map((one: unknown) => {
    if (typeof one !== 'string' || !pattern.test(one)) throw wrong;
    return one;
  });
}

function days(path: string, value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  throw new CliError(`${path}: unusedAfterDays must be a whole number from 0.`);
}
