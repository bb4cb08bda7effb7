/** Asking the API, and keeping account of what it does not answer. */
import type { Aws } from '../aws.ts';
import { describeFailure } from '../error.ts';
import type { Gate } from './gate.ts';
import type { NotSeen, Part, Place } from './model.ts';

/** One account in one region, asked through one gate. What fails is noted once, and is `undefined` for the asker. */
export class Reader {
  readonly aws: Aws;
  readonly place: Place;
  readonly signal: AbortSignal;
  readonly #gate: Gate;
  readonly #notSeen: NotSeen[];

  constructor(aws: Aws, place: Place, gate: Gate, notSeen: NotSeen[], signal: AbortSignal) {
    this.aws = aws;
    this.place = place;
    this.signal = signal;
    this.#gate = gate;
    this.#notSeen = notSeen;
  }

  /** @throws if the audit is stopped; every other failure is noted as not seen. */
  async ask<Value>(
    part: Part,
    call: string,
    work: (aws: Aws, abortSignal: AbortSignal) => Promise<Value>,
    resource?: string,
  ): Promise<Value | undefined> {
    try {
      return await this.#gate.pass(() => {
        this.signal.throwIfAborted();
        return work(this.aws, this.signal);
      });
    } catch (error) {
      this.signal.throwIfAborted();
      this.missed(part, call, describeFailure(error), resource);
      return undefined;
    }
  }

  missed(part: Part, call: string, reason: string, resource?: string): void {
    this.#notSeen.push({ ...this.place, part, call, reason, ...(resource === undefined ? {} : { resource }) });
  }

  /** All pages as one list; an answer that breaks off halfway is not seen at all. */
  async all<Page, Item>(
    part: Part,
    call: string,
    pages: (aws: Aws) => AsyncIterable<Page>,
    items: (page: Page) => readonly Item[] | undefined,
    resource?: string,
  ): Promise<Item[] | undefined> {
    return this.ask(
      part,
      call,
      async (aws) => {
        const found: Item[] = [];
        for await (const page of pages(aws)) {
          this.signal.throwIfAborted();
          found.push(...(items(page) ?? []));
        }
        return found;
      },
      resource,
    );
  }
}
