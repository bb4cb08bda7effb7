/** Requests and responses as the wire sees them: bytes and headers, nothing of any service. */

export interface WireRequest {
  readonly method: string;
  /** Raw, still percent-encoded, without the query. */
  readonly path: string;
  /** Raw, without the question mark; empty where there is none. */
  readonly query: string;
  /** By lower-case name; several of one name are joined by commas. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
}

export interface WireResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}
