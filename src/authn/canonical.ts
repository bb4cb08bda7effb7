/** The canonical request of Signature Version 4 (authorization-and-wire 10.2), over the request as it came. */
import { sha256Hex } from '../crypto/hash.ts';

/** The request as authentication needs it: nothing decoded, nothing normalised. */
export interface SignedRequest {
  readonly method: string;
  /** Raw, still percent-encoded, without the query. */
  readonly path: string;
  /** Raw, without the question mark. */
  readonly query: string;
  /** Names and values in the order and spelling of the request, as `rawHeaders` of node:http: name, value, name, … */
  readonly rawHeaders: readonly string[];
  readonly body: Uint8Array;
}

/** The text is no percent-encoding of UTF-8. */
export class BrokenEncoding extends Error {
  override readonly name = 'BrokenEncoding';
}

/** RFC 3986: everything but letters, digits, `-`, `.`, `_` and `~`. */
export function encodeStrictly(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw new BrokenEncoding('a percent-encoding in the query is broken', { cause });
  }
}

/** Dot segments and empty segments removed, then each segment encoded once more than it already is. */
export function canonicalPath(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') kept.pop();
    else kept.push(segment);
  }
  if (kept.length === 0) return '/';
  const trailing = path.endsWith('/') ? '/' : '';
  return `/${kept.map(encodeStrictly).join('/')}${trailing}`;
}

/** Parameters of the query, decoded, without the signature; in the order they came. */
export function queryParameters(query: string): (readonly [name: string, value: string])[] {
  const parameters: (readonly [string, string])[] = [];
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals === -1 ? pair : pair.slice(0, equals));
    parameters.push([name, equals === -1 ? '' : decode(pair.slice(equals + 1))]);
  }
  return parameters;
}

function canonicalQuery(query: string): string {
  if (query === '') return '';
  return queryParameters(query)
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encodeStrictly(name), encodeStrictly(value)] as const)
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** Values of one header, trimmed, runs of white space as one space, several joined by commas. */
export function headerValue(request: SignedRequest, name: string): string | undefined {
  let joined: string | undefined;
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    if (request.rawHeaders[index]?.toLowerCase() !== name) continue;
    const value = (request.rawHeaders[index + 1] ?? '').trim().replace(/\s+/g, ' ');
    joined = joined === undefined ? value : `${joined},${value}`;
  }
  return joined;
}

/**
 * The canonical request for exactly the listed headers, in the listed order. Gives `undefined` when one of them is
 * not in the request.
 */
export function canonicalRequest(
  request: SignedRequest,
  signedHeaders: readonly string[],
  payloadHash: string,
): string | undefined {
  let headers = '';
  for (const name of signedHeaders) {
    const value = headerValue(request, name);
    if (value === undefined) return undefined;
    headers += `${name}:${value}\n`;
  }
  return [
    request.method,
    canonicalPath(request.path),
    canonicalQuery(request.query),
    headers,
    signedHeaders.join(';'),
    payloadHash,
  ].join('\n');
}

/** Algorithm, time, scope and the hash of the canonical request (10.3). */
export function stringToSign(amzDate: string, scope: string, canonical: string): string {
  return `AWS4-HMAC-SHA256\n${amzDate}\n${scope}\n${sha256Hex(canonical)}`;
}
