/** What requests and answers of Ingot's own service hold; `src/wire/ingot-schemas.ts` says the same to the wire. */

export interface VerifySnapshotInput {
  readonly SnapshotId?: string;
  readonly Marker?: string;
}
export interface GetVerificationInput {
  readonly VerificationId?: string;
}
export interface VerificationShape {
  readonly VerificationId: string;
  readonly SnapshotId: string;
  readonly State: 'running' | 'completed' | 'failed';
  readonly Progress: number;
  readonly StartTime: Date;
  /** DSSE envelope, JSON. */
  readonly Envelope?: string;
}
export interface VerificationKeyShape {
  readonly KeyId: string;
  readonly Algorithm: 'Ed25519';
  /** PEM. */
  readonly PublicKey: string;
}
