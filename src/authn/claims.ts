/** What a request says about its own signature, in the Authorization header or in the query; parsed, not believed. */

import { headerValue, queryParameters, type SignedRequest } from './canonical.ts';
import type { AuthnFailure } from './refusals.ts';

export interface SignatureClaim {
  readonly accessKeyId: string;
  /** `yyyymmdd` */
  readonly date: string;
  readonly region: string;
  readonly service: string;
  /** Lower-case names in the order given. */
  readonly signedHeaders: readonly string[];
  /** 64 lower-case hex digits. */
  readonly signature: string;
  /** `yyyymmddThhmmssZ` */
  readonly amzDate: string;
  readonly signedAt: Date;
  readonly sessionToken: string | undefined;
  /** Present with a presigned query. */
  readonly expiresSeconds: number | undefined;
}

export type Parsed = { readonly claim: SignatureClaim } | { readonly failure: AuthnFailure };

const ALGORITHM = 'AWS4-HMAC-SHA256';

function malformed(message: string): Parsed {
  return { failure: { kind: 'malformed', message } };
}

export function parseSignature(request: SignedRequest): Parsed {
  const authorization = headerValue(request, 'authorization');
  if (authorization !== undefined) return parseHeader(request, authorization);
  if (request.query.includes('X-Amz-')) {
    const parameters = new Map(queryParameters(request.query));
    if (parameters.has('X-Amz-Signature') || parameters.has('X-Amz-Algorithm')) return parseQuery(parameters);
  }
  return { failure: { kind: 'no-signature' } };
}

function parseHeader(request: SignedRequest, authorization: string): Parsed {
  const shown = authorization.replace(/Signature=[0-9a-f]+/i, 'Signature=…').slice(0, 512);
  const space = authorization.indexOf(' ');
  if (space === -1 || authorization.slice(0, space) !== ALGORITHM) {
    return malformed(`Unsupported AWS 'algorithm': '${authorization.slice(0, 32)}'`);
  }
  const fields = new Map<string, string>();
  for (const field of authorization.slice(space + 1).split(',')) {
    const text = field.trim();
    const equals = text.indexOf('=');
    if (equals === -1) {
      return malformed(
        `'${text.slice(0, 128)}' not a valid key=value pair (missing equal-sign) in Authorization header: '${shown}'.`,
      );
    }
    const name = text.slice(0, equals);
    if (fields.has(name))
      return malformed(`Authorization header has '${name.slice(0, 32)}' more than once: '${shown}'.`);
    fields.set(name, text.slice(equals + 1));
  }
  const missing = ['Credential', 'Signature', 'SignedHeaders'].filter((name) => !fields.get(name));
  const amzDate = headerValue(request, 'x-amz-date') ?? fromHttpDate(headerValue(request, 'date'));
  if (missing.length > 0 || amzDate === undefined) {
    const parts = missing.map((name) => `Authorization header requires '${name}' parameter.`);
    if (amzDate === undefined) {
      parts.push("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
    }
    return malformed(`${parts.join(' ')} Authorization=${shown}`);
  }
  return assemble({
    credential: fields.get('Credential') ?? '',
    signedHeaders: fields.get('SignedHeaders') ?? '',
    signature: fields.get('Signature') ?? '',
    amzDate,
    sessionToken: headerValue(request, 'x-amz-security-token'),
    expiresSeconds: undefined,
  });
}

function parseQuery(parameters: ReadonlyMap<string, string>): Parsed {
  const names = ['Algorithm', 'Credential', 'Signature', 'SignedHeaders', 'Date', 'Expires'];
  const missing = names.map((name) => `X-Amz-${name}`).find((name) => !parameters.get(name));
  if (missing !== undefined) return malformed(`AWS query-string parameters must include '${missing}'.`);
  if (parameters.get('X-Amz-Algorithm') !== ALGORITHM) return malformed(`'X-Amz-Algorithm' must be '${ALGORITHM}'.`);
  const expires = parameters.get('X-Amz-Expires') ?? '';
  if (!/^\d{1,9}$/.test(expires)) return malformed("'X-Amz-Expires' must be a number of seconds.");
  return assemble({
    credential: parameters.get('X-Amz-Credential') ?? '',
    signedHeaders: parameters.get('X-Amz-SignedHeaders') ?? '',
    signature: parameters.get('X-Amz-Signature') ?? '',
    amzDate: parameters.get('X-Amz-Date') ?? '',
    sessionToken: parameters.get('X-Amz-Security-Token'),
    expiresSeconds: Number(expires),
  });
}

interface Pieces {
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
  readonly amzDate: string;
  readonly sessionToken: string | undefined;
  readonly expiresSeconds: number | undefined;
}

function assemble(pieces: Pieces): Parsed {
  const scope = pieces.credential.split('/');
  const [accessKeyId, date, region, service, terminator] = scope;
  if (scope.length !== 5 || !accessKeyId || !date || !region || !service || terminator !== 'aws4_request') {
    return malformed(
      "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/aws4_request, got '" +
        `${pieces.credential.slice(0, 128)}'`,
    );
  }
  const signedAt = fromAmzDate(pieces.amzDate);
  if (!signedAt) return malformed(`Date must be in ISO-8601 'basic format'. Got '${pieces.amzDate.slice(0, 64)}'.`);
  if (!pieces.amzDate.startsWith(date)) {
    const message = `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${date.slice(0, 16)}' != '${pieces.amzDate.slice(0, 8)}'.`;
    return { failure: { kind: 'wrong-scope', message } };
  }
  if (!/^[0-9a-f]{64}$/.test(pieces.signature)) return { failure: { kind: 'wrong-signature' } };
  const signedHeaders = pieces.signedHeaders.split(';');
  if (!signedHeaders.includes('host')) {
    return malformed("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  }
  if (signedHeaders.some((name) => !/^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/.test(name))) {
    return malformed('SignedHeaders must be lower-case header names, separated by semicolons.');
  }
  const { signature, amzDate, sessionToken, expiresSeconds } = pieces;
  return {
    claim: {
      accessKeyId,
      date,
      region,
      service,
      signedHeaders,
      signature,
      amzDate,
      signedAt,
      sessionToken,
      expiresSeconds,
    },
  };
}

function fromAmzDate(text: string): Date | undefined {
  const match = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** The Date header in the form that the string to sign wants. */
function fromHttpDate(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (fromAmzDate(text)) return text;
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString().replace(/[-:]|\.\d+/g, '');
}
