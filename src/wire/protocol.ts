/** What each of the four protocols does, and the words of the errors that arise before an operation is reached. */
import { ApiError } from '../errors.ts';
import { MalformedForm } from './form.ts';
import type { WireRequest, WireResponse } from './message.ts';
import type { OperationModel, ServiceModel } from './model.ts';
import { BoundPassed, type Problem, Reading } from './reading.ts';

export interface Protocol {
  /** Name of the operation that the request asks for, read without trusting anything else of it. */
  claim(service: ServiceModel, request: WireRequest): string | undefined;
  /** The operation's input. Throws {@link ApiError}. */
  decode(service: ServiceModel, operation: OperationModel, request: WireRequest): Record<string, unknown>;
  encode(service: ServiceModel, operation: OperationModel, output: unknown, requestId: string): WireResponse;
  /** Works without a service too: for requests that are for none of ours. */
  encodeError(service: ServiceModel | undefined, error: ApiError, requestId: string): WireResponse;
  /** `name` is absent when the request names none. */
  unknownOperation(service: ServiceModel, name: string | undefined, request: WireRequest): ApiError;
  unsupportedOperation(service: ServiceModel, name: string): ApiError;
  tooLarge(bytesMax: number): ApiError;
  throttled(): ApiError;
}

/** Status of an answer: what the service's model says of the code, else what the error says. */
export function statusOf(service: ServiceModel | undefined, error: ApiError): number {
  return service?.error(error.code)?.status ?? error.status;
}

/** Runs a decoder over a request and turns whatever it finds wrong into one error of the protocol. */
export function readInput(
  read: (reading: Reading) => Record<string, unknown>,
  words: {
    problems(problems: readonly Problem[]): ApiError;
    malformed(message: string, cause: unknown): ApiError;
  },
): Record<string, unknown> {
  const reading = new Reading();
  let input: Record<string, unknown>;
  try {
    input = read(reading);
  } catch (error) {
    if (error instanceof BoundPassed || error instanceof MalformedForm) throw words.malformed(error.message, error);
    throw error;
  }
  if (reading.problems.length > 0) throw words.problems(reading.problems);
  return input;
}

/** Values in messages are shortened: an answer should not carry a megabyte back. */
function shortened(text: string): string {
  return text.length > 128 ? `${text.slice(0, 128)}…` : text;
}

/** One constraint failure in the common wording of AWS (kms 1.8). */
function constraint(problem: Problem): string {
  switch (problem.kind) {
    case 'missing':
      return `Value null at '${problem.path}' failed to satisfy constraint: Member must not be null`;
    case 'unknown':
      return `Value at '${shortened(problem.path)}' failed to satisfy constraint: Member is not known`;
    case 'repeated':
      return `Value at '${shortened(problem.path)}' failed to satisfy constraint: Member must be given once`;
    case 'type':
      return `Value '${shortened(problem.found)}' at '${problem.path}' failed to satisfy constraint: Member must be ${problem.expected}`;
  }
}

export function constraintMessage(problems: readonly Problem[]): string {
  const count = problems.length;
  return `${count} validation error${count === 1 ? '' : 's'} detected: ${problems.map(constraint).join('; ')}`;
}

/** EC2 tells one problem, the first of the most telling kind. */
export function ec2Problem(problems: readonly Problem[]): ApiError {
  const problem = problems.find(({ kind }) => kind === 'unknown') ?? problems[0];
  switch (problem?.kind) {
    case 'unknown':
      return new ApiError('UnknownParameter', `The parameter ${shortened(problem.path)} is not recognized`);
    case 'missing':
      return new ApiError('MissingParameter', `The request must contain the parameter ${problem.path}`);
    case 'repeated':
      return new ApiError(
        'InvalidParameterValue',
        `The parameter ${shortened(problem.path)} may only be specified once`,
      );
    case 'type':
      return new ApiError(
        'InvalidParameterValue',
        `Value (${shortened(problem.found)}) for parameter ${problem.path} is invalid. Expected ${problem.expected}.`,
      );
    case undefined:
      throw new Error('there is no problem to tell');
  }
}
