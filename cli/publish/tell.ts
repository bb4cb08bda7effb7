/** Plans and proofs as tables for people, and as documents for programs. */
import { styleText } from 'node:util';
import { table } from '../table.ts';
import type { Retirement } from './destroy.ts';
import type { Launch } from './launches.ts';
import type { Plan } from './plan.ts';
import type { Proof } from './prove.ts';
import { describeStep, type Encryption, type Step } from './step.ts';

export function planDocument({ manifest, sites, steps, launches, refusals, notes }: Plan) {
  const { name, version, mode } = manifest;
  const nothingToDo = steps.length === 0 && refusals.length === 0;
  const { account } = sites;
  const shown = steps.map(describeStep);
  return { name, version, mode, account, nothingToDo, steps: shown, launches, refusals, notes };
}

export function planText(plan: Plan): string {
  const { manifest, steps, notes } = plan;
  if (plan.refusals.length > 0) return refusalText(plan);
  const parts = [];
  if (steps.length > 0) {
    const count = steps.length === 1 ? 'One step' : `${steps.length} steps`;
    parts.push(`${count} to ${manifest.name} ${manifest.version}:`, stepTable(steps));
    if (plan.launches.length > 0) parts.push('Launches of it will be:', launchTable(plan.launches));
  } else {
    parts.push(`Nothing to do: ${manifest.name} ${manifest.version} is published as the manifest says.`);
  }
  if (notes.length > 0) parts.push(notes.map((note) => `Note: ${note}`).join('\n'));
  return parts.join('\n\n');
}

export function retirementText({ steps, notes }: Retirement): string {
  return [stepTable(steps), ...notes.map((note) => `Note: ${note}`)].join('\n');
}

const WIDE = 64;

function stepTable(steps: readonly Step[]): string {
  const rows = steps.map((step) => {
    const lines = [step.what, ...(step.encryption ? [encryptionText(step.encryption)] : [])];
    return [
      step.region,
      step.account,
      lines.map((line) => wrapped(shortKeys(line, step.region))).join('\n'),
      wrapped(step.why, 36),
    ];
  });
  return table(['REGION', 'ACCOUNT', 'STEP AND ENCRYPTION', 'WHY'], rows);
}

function launchTable(launches: readonly Launch[]): string {
  const rows = launches.map(({ account, region, encryption, problem }) => {
    const text = `${encryptionText(encryption)}${problem ? `; it would fail: ${problem}` : ''}`;
    return [region, account, wrapped(shortKeys(text, region))];
  });
  return table(['REGION', 'ACCOUNT', 'VOLUMES'], rows);
}

export function encryptionText({ encrypted, key, why }: Encryption): string {
  const says = encrypted ? `encrypted under ${key}` : 'NOT ENCRYPTED';
  return `→ ${says}: ${why}`;
}

export function refusalText({ refusals }: Plan): string {
  return refusals
    .map(({ code, where, message, mend }) => {
      const cross = styleText('red', '✘', { stream: process.stdout });
      return `${cross} ${where}: ${message} [${code}]\n  ${mend}`;
    })
    .join('\n');
}

export function proofText(proofs: readonly Proof[]): string {
  const rows = proofs.map(({ account, region, imageId, principal, verdict, encryption, why }) => {
    const how = [...(encryption ? [encryptionText(encryption)] : []), ...why];
    const who = principal.split(/[:/]/).at(-1) ?? '';
    return [region, account, who, imageId ?? '', verdict, wrapped(shortKeys(how.join('; '), region))];
  });
  return table(['REGION', 'ACCOUNT', 'AS', 'IMAGE', 'VERDICT', 'VOLUMES'], rows);
}

/** ARNs of keys of the row's own region by account and id: `111122223333:key/…`. */
function shortKeys(text: string, region: string): string {
  return text.replace(new RegExp(`arn:[a-z-]+:kms:${region}:(\\d{12}:key/)`, 'g'), '$1');
}

/** Lines of words; what has no blank in it stays whole. */
function wrapped(text: string, width = WIDE): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + word.length + 1 > width) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return [...lines, line].join('\n');
}
