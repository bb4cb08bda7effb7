/** The refusals of authentication in the words of each dialect (authorization-and-wire 10.9 to 10.13). */
import { ApiError } from '../errors.ts';

/** Which column of table 10.9 answers. */
export type Dialect = 'ec2' | 'query' | 'json' | 'rest';

export type AuthnFailure =
  | { readonly kind: 'no-signature' }
  | { readonly kind: 'malformed'; readonly message: string }
  /** Unknown or inactive access key, or a token that is not its own. */
  | { readonly kind: 'unknown-credential' }
  | { readonly kind: 'wrong-signature' }
  | { readonly kind: 'expired'; readonly signedAt: Date; readonly now: Date; readonly windowMs: number }
  | { readonly kind: 'not-yet-current'; readonly signedAt: Date; readonly now: Date; readonly windowMs: number }
  | { readonly kind: 'session-expired' }
  | { readonly kind: 'wrong-scope'; readonly message: string };

const EC2_NOT_VALIDATED = 'AWS was not able to validate the provided access credentials';
const INVALID_TOKEN = 'The security token included in the request is invalid.';
const TOKEN_EXPIRED = 'The security token included in the request is expired';
const NO_TOKEN = 'Request is missing Authentication Token';
const WRONG_SIGNATURE =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key ' +
  'and signing method. Consult the service documentation for details.';

/** `20150830T123600Z` */
export function amzDate(date: Date): string {
  return date.toISOString().replace(/[-:]|\.\d+/g, '');
}

function clockMessage(failure: Extract<AuthnFailure, { readonly windowMs: number }>): string {
  const { signedAt, now, windowMs } = failure;
  const minutes = `${windowMs / 60_000} min.`;
  const [at, current] = [amzDate(signedAt), amzDate(now)];
  return failure.kind === 'expired'
    ? `Signature expired: ${at} is now earlier than ${amzDate(new Date(now.getTime() - windowMs))} (${current} - ${minutes})`
    : `Signature not yet current: ${at} is still later than ${amzDate(new Date(now.getTime() + windowMs))} (${current} + ${minutes})`;
}

export function refusal(dialect: Dialect, failure: AuthnFailure): ApiError {
  switch (dialect) {
    case 'ec2':
      return ec2Refusal(failure);
    case 'query':
      return queryRefusal(failure);
    case 'json':
      return jsonRefusal(failure, 400);
    case 'rest':
      return jsonRefusal(failure, 403);
  }
}

function ec2Refusal(failure: AuthnFailure): ApiError {
  const authFailure = new ApiError('AuthFailure', EC2_NOT_VALIDATED, { status: 401 });
  switch (failure.kind) {
    case 'no-signature':
      return new ApiError('MissingParameter', 'The request must contain the parameter AWSAccessKeyId');
    case 'malformed':
      return new ApiError('IncompleteSignature', failure.message);
    case 'unknown-credential':
    case 'wrong-signature':
      return authFailure;
    case 'wrong-scope':
      return new ApiError('AuthFailure', failure.message, { status: 401 });
    case 'expired':
    case 'not-yet-current':
    case 'session-expired':
      return new ApiError('RequestExpired', 'Request has expired.');
  }
}

function queryRefusal(failure: AuthnFailure): ApiError {
  const status = 403;
  switch (failure.kind) {
    case 'no-signature':
      return new ApiError('MissingAuthenticationToken', NO_TOKEN, { status });
    case 'malformed':
      return new ApiError('IncompleteSignature', failure.message);
    case 'unknown-credential':
      return new ApiError('InvalidClientTokenId', INVALID_TOKEN, { status });
    case 'wrong-signature':
      return new ApiError('SignatureDoesNotMatch', WRONG_SIGNATURE, { status });
    case 'expired':
    case 'not-yet-current':
      return new ApiError('SignatureDoesNotMatch', clockMessage(failure), { status });
    case 'session-expired':
      return new ApiError('ExpiredToken', TOKEN_EXPIRED, { status });
    case 'wrong-scope':
      return new ApiError('SignatureDoesNotMatch', failure.message, { status });
  }
}

function jsonRefusal(failure: AuthnFailure, status: number): ApiError {
  switch (failure.kind) {
    case 'no-signature':
      return new ApiError('MissingAuthenticationTokenException', NO_TOKEN, { status });
    case 'malformed':
      return new ApiError('IncompleteSignatureException', failure.message, { status });
    case 'unknown-credential':
      return new ApiError('UnrecognizedClientException', INVALID_TOKEN, { status });
    case 'wrong-signature':
      return new ApiError('InvalidSignatureException', WRONG_SIGNATURE, { status });
    case 'expired':
    case 'not-yet-current':
      return new ApiError('InvalidSignatureException', clockMessage(failure), { status });
    case 'session-expired':
      return new ApiError('ExpiredTokenException', TOKEN_EXPIRED, { status });
    case 'wrong-scope':
      return new ApiError('InvalidSignatureException', failure.message, { status });
  }
}
