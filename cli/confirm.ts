/** Asking before something is changed. */
import { confirm, isCancel } from '@clack/prompts';
import { InterruptedError, UsageError } from './error.ts';
import { printable } from './printable.ts';

/**
 * Whether the person at the terminal says yes; `--yes` answers for them.
 *
 * @throws {UsageError} if nobody can be asked.
 * @throws {InterruptedError} on Ctrl-C.
 */
export async function confirmed(question: string, { yes }: { readonly yes?: boolean }): Promise<boolean> {
  if (yes) return true;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new UsageError(`${question} Nobody can be asked here: give --yes to go ahead.`);
  }
  const answer = await confirm({ message: printable(question), initialValue: false, output: process.stderr });
  if (isCancel(answer)) throw new InterruptedError('Nothing was changed.');
  return answer;
}
