/** What was opened, to be closed once in the reverse order; a failure does not keep the rest open. */
export class Closers {
  readonly #closers: (() => Promise<void>)[] = [];

  add(closer: () => Promise<void>): void {
    this.#closers.push(closer);
  }
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const closer of this.#closers.splice(0).reverse()) {
      await closer().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be closed');
  }
}
