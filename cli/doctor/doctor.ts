/** `ingot doctor`: can this principal launch this, and if not, what is the one thing missing? */
import { type Aws, connect } from '../aws.ts';
import { confirmed } from '../confirm.ts';
import type { ConnectionOptions } from '../connection-options.ts';
import { EXIT, InterruptedError, UsageError } from '../error.ts';
import { applyMend, type Mend } from '../foresee/mend.ts';
import { Views } from '../foresee/views.ts';
import { interruptSignal } from '../interrupt.ts';
import { Report } from '../report.ts';
import { settling } from '../settling.ts';
import { Ledger } from './diagnosis.ts';
import { type Examined, examine, type Question } from './examine.ts';
import { type Applied, diagnosisDocument, diagnosisText } from './show.ts';

export interface DoctorOptions extends ConnectionOptions, Omit<Question, 'subject'> {
  readonly ownerProfile?: readonly string[];
  readonly accountRole?: readonly string[];
  readonly fix?: true;
  readonly yes?: true;
  readonly json?: true;
}

/** Mends that make something new, which has to be asked about by its own id. */
const COPIES = ['copy-image', 'copy-snapshot'];

export async function diagnose(subject: string, options: DoctorOptions): Promise<void> {
  if (options.yes && !options.fix) throw new UsageError('--yes is for --fix.');
  const report = new Report(options);
  const own = await connect(options);
  const views = await Views.of(own, ...(await furtherEyes(own, options)));
  const question: Question = { ...options, subject };
  const applied: Applied[] = [];
  const done = new Set<string>();
  const signal = options.fix ? interruptSignal() : undefined;
  const lookOnce = async () => {
    const ledger = new Ledger(report);
    return { examined: await examine(views.anew(), question, ledger), ledger };
  };
  // What was just mended may not be seen as such at once.
  const look = () => settling(lookOnce, ({ ledger }) => !done.has(firstMend(ledger)?.commands ?? ''), signal);
  for (;;) {
    const { examined, ledger } = await look();
    const end = (note?: string) => conclude(report, subject, examined, ledger, applied, note);
    const [finding] = ledger.findings;
    const mend = firstMend(ledger);
    if (!options.fix || !finding || !mend) return end();
    if (signal?.aborted) throw new InterruptedError('Stopped while looking: nothing more was changed.');
    const obstacle = done.has(mend.commands) ? 'it was done, and is not enough' : whyNot(views, mend);
    if (obstacle !== undefined) return end(`"${mend.title}": ${obstacle}.`);
    if (!(await confirmed(`${mend.title} (account ${mend.account})?\n${mend.commands}\n`, options))) {
      return end('Nothing was changed.');
    }
    done.add(mend.commands);
    const results = await applyMend(views, mend);
    applied.push({ finding, mend, results });
    report.step(`Done: ${mend.title}`);
    if (signal?.aborted) throw new InterruptedError(`Stopped after "${mend.title}" was done: ask again to go on.`);
    if (COPIES.includes(mend.kind)) return end(`${idIn(results)} is on its way: go on with that.`);
  }
}

function firstMend({ findings }: Ledger): Mend | undefined {
  return findings[0]?.mends[0];
}

/** Credentials of other accounts, to look and to mend with. */
async function furtherEyes(
  own: Aws,
  { ownerProfile = [], accountRole = [], ...options }: DoctorOptions,
): Promise<Aws[]> {
  const byProfile = ownerProfile.map((profile) => connect({ ...options, profile, region: own.region }));
  return [...(await Promise.all(byProfile)), ...accountRole.map((arn) => own.assuming(arn, 'ingot-doctor'))];
}

function whyNot(views: Views, mend: Mend): string | undefined {
  if (mend.calls.length === 0) return 'a person has to do it';
  if (!views.inAccount(mend.account)) return `it wants credentials in account ${mend.account} (--owner-profile)`;
  return undefined;
}

function idIn(results: readonly unknown[]): string {
  const [first] = results as readonly { readonly ImageId?: string; readonly SnapshotId?: string }[];
  return first?.ImageId ?? first?.SnapshotId ?? 'a copy';
}

function conclude(
  report: Report,
  subject: string,
  examined: Examined,
  ledger: Ledger,
  applied: readonly Applied[],
  note: string | undefined,
): void {
  report.result(diagnosisDocument(subject, examined, ledger, applied), `\n${diagnosisText(subject, examined, ledger)}`);
  if (note !== undefined) report.warn(note);
  const codes = { can: EXIT.done, cannot: EXIT.differs, unknown: EXIT.unseen };
  process.exitCode = codes[ledger.verdict];
}
