/**
 * What a command says. Steps and progress go to standard error, the result to standard output; with --json the result
 * is one JSON document and only warnings stand beside it. Nothing moves where standard error is no terminal.
 */
import { styleText } from 'node:util';
import ora, { type Ora } from 'ora';
import { Pace, seconds } from './pace.ts';
import { printable } from './printable.ts';

export interface Bar {
  /** `bytes` more are done. */
  advance(bytes: number): void;
  /** Ends it: the line stays with this text. */
  done(text: string): void;
  /** Ends it without a line. */
  stop(): void;
}

const BAR_CELLS = 24;

export class Report {
  readonly #json: boolean;
  readonly #out: NodeJS.WriteStream;
  readonly #err: NodeJS.WriteStream;
  #spinner: Ora | undefined;

  constructor(options: { readonly json?: boolean }) {
    this.#json = options.json === true;
    this.#out = process.stdout;
    this.#err = process.stderr;
  }

  /** Something is done. */
  step(text: string): void {
    if (!this.#json) this.#line(`${this.#styled('green', '✔')} ${text}`);
  }

  /** Something was looked at and is not as it should be. */
  fault(text: string): void {
    if (!this.#json) this.#line(`${this.#styled('red', '✘')} ${text}`);
  }

  /** Something could not be looked at. */
  unseen(text: string): void {
    if (!this.#json) this.#line(`${this.#styled('yellow', '?')} ${text}`);
  }

  warn(text: string): void {
    this.#line(`${this.#styled('yellow', 'Warning:')} ${text}`);
  }

  /** Shows that something is waited for. */
  async waiting<Value>(text: string, work: () => Promise<Value>): Promise<Value> {
    this.#start(text);
    try {
      return await work();
    } finally {
      this.#clear();
    }
  }

  /** A bar of `totalBytes`, or a counter where that is not known. */
  bar(label: string, totalBytes: number | undefined): Bar {
    const pace = new Pace(totalBytes, () => performance.now());
    this.#start(label);
    return {
      advance: (bytes) => {
        pace.advance(bytes);
        if (this.#spinner) this.#spinner.text = `${label} ${drawn(pace)}`;
      },
      done: (text) => {
        this.#clear();
        this.step(`${text} in ${seconds(pace.elapsedSeconds)}`);
      },
      stop: () => this.#clear(),
    };
  }

  /** Counts `total` things that are done one by one, in no order. */
  counter(label: string, total: number, what: string): Pick<Bar, 'advance' | 'stop'> {
    let done = 0;
    const text = () => `${label} ${done} of ${total} ${what}`;
    this.#start(text());
    return {
      advance: (more) => {
        done += more;
        if (this.#spinner) this.#spinner.text = text();
      },
      stop: () => this.#clear(),
    };
  }

  /** Whether the result may be styled: standard output is a terminal that shows colours, and nobody asked for none. */
  get colourful(): boolean {
    return this.#out.isTTY === true && this.#out.hasColors() && !process.env.NO_COLOR;
  }

  /** The result: for programs, or for people. */
  result(document: object, text: string): void {
    this.#out.write(this.#json ? `${JSON.stringify(document, undefined, 2)}\n` : `${printable(text)}\n`);
  }

  #line(text: string): void {
    this.#spinner?.clear();
    this.#err.write(`${printable(text)}\n`);
  }

  #start(text: string): void {
    // Standard input may be the disk itself, and Ctrl-C has to stay a signal: the spinner leaves both alone.
    // A terminal that tells no width (0 columns) cannot be drawn on: ora would clear lines for ever.
    if (this.#err.isTTY && this.#err.columns > 0)
      this.#spinner = ora({ text, stream: this.#err, discardStdin: false }).start();
  }

  #clear(): void {
    this.#spinner?.stop();
    this.#spinner = undefined;
  }

  #styled(format: 'green' | 'yellow' | 'red', text: string): string {
    return styleText(format, text, { stream: this.#err });
  }
}

function drawn(pace: Pace): string {
  const { share } = pace;
  if (share === undefined) return pace.toString();
  const cells = Math.floor(share * BAR_CELLS);
  const bar = '█'.repeat(cells) + '░'.repeat(BAR_CELLS - cells);
  return `${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${pace}`;
}

/** Rows of names and values for people. */
export function facts(rows: readonly (readonly [string, string | undefined])[]): string {
  const shown = rows.filter((row): row is readonly [string, string] => row[1] !== undefined);
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}
