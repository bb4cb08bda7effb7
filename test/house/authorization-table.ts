/** The table of who may do what, made from real calls: docs/authorization-table.md. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { REPOSITORY } from './ingot.ts';

const FILE = 'docs/authorization-table.md';
const REWRITE = 'INGOT_REWRITE_TABLE=1 npx node --test test/house/access.test.ts';

export interface TableRow {
  readonly service: string;
  readonly operation: string;
  /** What a request without signature is answered. */
  readonly nobody: string;
  /** An administrator of another account, with our ids. */
  readonly stranger: string;
  /** A user of our account without policies. */
  readonly powerless: string;
  /** Rights without which a user of our account is denied, the operation's own first. */
  readonly rights: readonly string[];
}

const HEADER = `# Who may do what

Made from real calls by \`test/house/access.test.ts\`; rewritten by \`${REWRITE}\`.

- **Nobody** sends no signature.
- **A stranger** administers another account and knows our ids. \`ok\` means that the operation did something in the
  stranger's own account, or showed nothing of ours; that it changes nothing of ours is a test of its own.
- **A user without rights** is one of our account, without policies.
- **Rights** are the actions without which a user of our account is denied, found by allowing one action at a time on
  resources that exist. What EBS asks of KMS on the caller's behalf comes on top (docs/authorization.md).

| Operation | Nobody | A stranger | A user without rights | Rights |
|---|---|---|---|---|
`;

export function tableText(rows: readonly TableRow[]): string {
  const lines = rows.map(
    ({ service, operation, nobody, stranger, powerless, rights }) =>
      `| ${service} ${operation} | ${nobody} | ${stranger} | ${powerless} | ${rights.join(', ') || 'none'} |\n`,
  );
  return HEADER + lines.sort().join('');
}

/** Lines that are new and gone; with INGOT_REWRITE_TABLE the file is written instead. */
export async function tableDifferences(text: string): Promise<string[]> {
  const path = join(REPOSITORY, FILE);
  if (process.env.INGOT_REWRITE_TABLE) {
    await writeFile(path, text);
    return [];
  }
  const before = (await readFile(path, 'utf8')).split('\n');
  const after = text.split('\n');
  const gone = before.filter((line) => !after.includes(line)).map((line) => `- ${line}`);
  const added = after.filter((line) => !before.includes(line)).map((line) => `+ ${line}`);
  return [...gone, ...added, ...(gone.length + added.length > 0 ? [`If this is meant: ${REWRITE}`] : [])];
}
