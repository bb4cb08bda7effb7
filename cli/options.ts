/** Values of options, and how they are refused. */
import { UsageError } from './error.ts';

export function wholeNumber(name: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new UsageError(`${name} must be a whole number from ${least} to ${most}, not ${JSON.stringify(text)}.`);
  };
}

export function oneOf<Choice extends string>(name: string, choices: readonly Choice[]): (text: string) => Choice {
  return (text) => {
    const found = choices.find((choice) => choice === text);
    if (found === undefined) {
      throw new UsageError(`${name} must be one of ${choices.join(', ')}, not ${JSON.stringify(text)}.`);
    }
    return found;
  };
}

/** `K=V`, given any number of times. */
export function addTag(text: string, before: readonly { Key: string; Value: string }[] = []) {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--tag must be NAME=VALUE, not ${JSON.stringify(text)}.`);
  return [...before, { Key: text.slice(0, at), Value: text.slice(at + 1) }];
}
