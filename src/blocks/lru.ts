/** A bounded map that forgets what was used least recently. `onEvict` gets what goes, also on `clear`. */
export class Lru<Value> {
  readonly #entries = new Map<string, Value>();
  readonly #weightMax: number;
  readonly #weigh: (value: Value) => number;
  readonly #onEvict: ((value: Value) => void) | undefined;
  #weight = 0;

  constructor(weightMax: number, weigh: (value: Value) => number = () => 1, onEvict?: (value: Value) => void) {
    this.#weightMax = weightMax;
    this.#weigh = weigh;
    this.#onEvict = onEvict;
  }

  get(key: string): Value | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  set(key: string, value: Value): void {
    this.delete(key);
    this.#entries.set(key, value);
    this.#weight += this.#weigh(value);
    for (const oldest of this.#entries.keys()) {
      if (this.#weight <= this.#weightMax || oldest === key) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const value = this.#entries.get(key);
    if (value === undefined) return;
    this.#entries.delete(key);
    this.#weight -= this.#weigh(value);
    this.#onEvict?.(value);
  }

  values(): Iterable<Value> {
    return this.#entries.values();
  }

  clear(): void {
    for (const key of [...this.#entries.keys()]) this.delete(key);
  }
}
