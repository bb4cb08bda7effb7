/** ARN patterns: compared part by part, the remainder as one glob (authorization-and-wire 3.2, 4.3). */
import { parseArn } from './arn.ts';
import { compileGlob, type Glob, readVariable, type VariableLookup } from './glob.ts';

export interface ArnPattern {
  readonly source: string;
  matches(arn: string, variables?: VariableLookup): boolean;
}

/**
 * `*` alone matches everything, also the `*` of operations without resource-level permissions. An ARN with fewer than
 * six parts is completed with `*`, as IAM does. Variables work only after the fifth colon (4.9), unless
 * `variablesAnywhere` (condition values).
 */
export function compileArnPattern(
  source: string,
  options: { variables: boolean; variablesAnywhere?: boolean },
): ArnPattern {
  if (source === '*') return { source, matches: () => true };
  const parts = splitArnPattern(source);
  if (parts[0] !== 'arn') {
    if (options.variablesAnywhere) return wholeArn(source, options.variables);
    return { source, matches: () => false };
  }
  while (parts.length < 6) parts.push('*');
  const early = { variables: options.variables && options.variablesAnywhere === true };
  const globs = parts.map((part, index) => compileGlob(part, index === 5 ? { variables: options.variables } : early));
  const [, partition, service, region, account, resource] = globs as [Glob, Glob, Glob, Glob, Glob, Glob];
  return {
    source,
    matches(arn, variables) {
      const candidate = parseArn(arn);
      return (
        candidate !== undefined &&
        resource.matches(candidate.resource, variables) &&
        service.matches(candidate.service, variables) &&
        account.matches(candidate.account, variables) &&
        region.matches(candidate.region, variables) &&
        partition.matches(candidate.partition, variables)
      );
    },
  };
}

/** A condition value that is one variable standing for a whole ARN. */
function wholeArn(source: string, variables: boolean): ArnPattern {
  const glob = compileGlob(source, { variables, wildcards: false });
  return { source, matches: (arn, lookup) => glob.matches(arn, lookup) };
}

/** Splits at the first five colons that stand outside `${…}`. */
function splitArnPattern(source: string): string[] {
  const parts: string[] = [];
  let part = '';
  let at = 0;
  while (at < source.length) {
    const variable = source[at] === '$' ? readVariable(source, at) : undefined;
    if (variable) {
      part += source.slice(at, at + variable.length);
      at += variable.length;
      continue;
    }
    if (source[at] === ':' && parts.length < 5) {
      parts.push(part);
      part = '';
    } else part += source[at];
    at += 1;
  }
  parts.push(part);
  return parts;
}
