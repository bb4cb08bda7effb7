/**
 * The one service that is Ingot's own, in the form in which the SDK's clients carry their schemas: proof from stored
 * bytes, which no AWS API can give.
 */
const SPACE = 'ingot';
const TEXT = 0;
const NUMBER = 1;
const TIME = 4;
/** A label of the path. */
const LABEL = [TEXT, 1] as const;
/** Shown in no record. */
const SECRET = [TEXT, 8] as const;

type Members = Readonly<Record<string, unknown>>;

/** The required members come first. */
const struct = (name: string, required: Members, optional: Members = {}) => {
  const members = { ...required, ...optional };
  return [3, SPACE, name, 0, Object.keys(members), Object.values(members), Object.keys(required).length] as const;
};
const failure = (name: string, httpError: number) =>
  [-3, SPACE, name, { error: 'client', httpError }, ['Message'], [TEXT]] as const;
const operation = (name: string, method: string, path: string, status: number, input: unknown, output: unknown) =>
  [9, SPACE, name, { http: [method, path, status] }, () => input, () => output] as const;

export const AccessDeniedException$ = failure('AccessDeniedException', 403);
export const ResourceNotFoundException$ = failure('ResourceNotFoundException', 404);
export const ConflictException$ = failure('ConflictException', 409);
export const LimitExceededException$ = failure('LimitExceededException', 429);
export const ValidationException$ = failure('ValidationException', 400);

const verification = {
  VerificationId: TEXT,
  SnapshotId: TEXT,
  State: TEXT,
  /** Per cent. */
  Progress: NUMBER,
  StartTime: TIME,
};

export const VerifySnapshot$ = operation(
  'VerifySnapshot',
  'POST',
  '/verifications',
  202,
  struct('VerifySnapshotRequest', { SnapshotId: TEXT }, { Marker: SECRET }),
  struct('VerifySnapshotResponse', verification),
);
export const GetVerification$ = operation(
  'GetVerification',
  'GET',
  '/verifications/{VerificationId}',
  200,
  struct('GetVerificationRequest', { VerificationId: LABEL }),
  struct('GetVerificationResponse', verification, { Envelope: TEXT }),
);
export const GetVerificationKey$ = operation(
  'GetVerificationKey',
  'GET',
  '/verification-key',
  200,
  struct('GetVerificationKeyRequest', {}),
  struct('GetVerificationKeyResponse', { KeyId: TEXT, Algorithm: TEXT, PublicKey: TEXT }),
);
