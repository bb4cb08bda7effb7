import { setTimeout as pause } from 'node:timers/promises';

/** Asks again and again until `probe` gives something; fails loudly after `seconds`. */
export async function until<Value>(
  what: string,
  probe: () => Promise<Value | undefined>,
  seconds = 180,
): Promise<Value> {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`waited ${seconds} s, but not yet: ${what}`);
    await pause(100);
  }
}
