/** What EC2 says of an instance's state, in its own words (K-14, K-16, K-23). */
import { Denied } from '../authz/authorizer.ts';
import { Refusal } from '../errors.ts';
import type { StateReason } from './instances.ts';

function reason(code: string, message: string): StateReason {
  return { code, message: `${code}: ${message}` };
}

export const PENDING: StateReason = { code: 'pending', message: 'pending' };
export const USER_SHUTDOWN = reason('Client.UserInitiatedShutdown', 'User initiated shutdown');
export const GUEST_SHUTDOWN = reason('Client.InstanceInitiatedShutdown', 'Instance initiated shutdown');
export const START_FAILED = reason('Client.InternalError', 'Client error on launch');
export const INVALID_KEY = reason('Client.InvalidKMSKey.InvalidState', 'The KMS key provided is in an incorrect state');
export const SNAPSHOT_GONE = reason('Client.InvalidSnapshot.NotFound', 'The snapshot does not exist');
export const MACHINE_DIED = reason('Server.InternalError', 'The machine ended unexpectedly');

/** StateTransitionReason of a failed launch (K-14). */
export const CLIENT_ERROR = 'Client.InternalError';
export const SERVER_ERROR = 'Server.InternalError';

/** `User initiated (2026-09-01 12:00:00 GMT)`. */
export function userInitiated(at: Date): string {
  return `User initiated (${at.toISOString().slice(0, 19).replace('T', ' ')} GMT)`;
}

/** Why a launch failed, or `undefined` where trying again may help. */
export function launchFailure(error: unknown): { reason: StateReason; transition: string } | undefined {
  // Whatever KMS says no with, EC2 says the key is in an incorrect state (K-14, K-15, G-10).
  if (error instanceof Denied) return { reason: INVALID_KEY, transition: CLIENT_ERROR };
  if (!(error instanceof Refusal) || error.reason === 'throttled') return undefined;
  if (error.reason.startsWith('snapshot-')) return { reason: SNAPSHOT_GONE, transition: CLIENT_ERROR };
  if (error.reason === 'firmware-missing') {
    const text = 'This host has no UEFI firmware, which the image needs';
    return { reason: reason('Server.InternalError', text), transition: SERVER_ERROR };
  }
  if (error.reason === 'machine-failed') return { reason: MACHINE_FAILED, transition: SERVER_ERROR };
  if (error.reason.startsWith('volume-')) {
    return { reason: reason('Client.InternalError', 'Client error on launch'), transition: CLIENT_ERROR };
  }
  return { reason: INVALID_KEY, transition: CLIENT_ERROR };
}

export const MACHINE_FAILED = reason('Server.InternalError', 'The machine could not be started');
