/** How a figure comes about: rounds, medians, and what a process used (design: shared, noisy machines). */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]! };
}

export const show = ({ median, min, max }: Spread, digits = 2) =>
  `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;

/** CPU seconds a process and its ended children used so far (proc(5), fields 14 to 17, 100 ticks a second). */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0) / 100;
}

/** Resident set now and at its highest, in MiB. */
export function memoryOf(pid: number): { residentMiB: number; peakMiB: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN);
  return { residentMiB: kib('VmRSS') / 1024, peakMiB: kib('VmHWM') / 1024 };
}

/** `openssl speed -evp aes-256-gcm` over blocks of 512 KiB, in GB/s; `undefined` where openssl is missing. */
export function opensslGcm(processes: number): number | undefined {
  try {
    const args = ['speed', '-mr', '-seconds', '2', '-bytes', '524288', '-evp', 'aes-256-gcm'];
    if (processes > 1) args.push('-multi', String(processes));
    const output = execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const figures = [...output.matchAll(/^\+F:\d+:[^:]+:([\d.]+)/gm)].map((match) => Number(match[1]));
    const last = figures.at(-1);
    return last === undefined ? undefined : last / 1e9;
  } catch {
    return undefined;
  }
}
