/**
 * The front door: a node:http server with bounds on everything it reads, in front of the pipeline.
 *
 * Every answer has a request id and the current Date, by which clients correct their clocks (authorization-and-wire
 * 10.12). Stopping is in order: no new connections, requests in flight are finished, then the rest is closed.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { ApiError } from '../errors.ts';
import { newUuid } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { Log } from '../log.ts';
import type { WireRequest, WireResponse } from '../wire/message.ts';
import type { Wire } from '../wire/wire.ts';
import { bodyBytes, readBody } from './body.ts';
import { ByteBudget } from './byte-budget.ts';
import type { Pipeline, ReceivedRequest } from './pipeline.ts';
import { internalFailure } from './translate-error.ts';

export interface FrontDoorDeps {
  readonly wire: Wire;
  readonly pipeline: Pipeline;
  readonly log: Log;
}

export interface FrontDoor {
  /** Resolves with the address when connections are accepted. Port 0 lets the system choose. */
  listen(host: string, port: number): Promise<{ readonly host: string; readonly port: number }>;
  /** Finishes what is in flight, for at most `graceMs`, and closes every connection. */
  stop(graceMs?: number): Promise<void>;
}

/** Longer than clients keep idle connections, so that the client is the one to close them. */
const KEEP_ALIVE_MS = 65_000;
const HEADERS_TIMEOUT_MS = 20_000;
const STOP_GRACE_MS = 30_000;
/** What is read and thrown away of a body that is too large, so that the answer is not lost in a reset. */
const DRAIN_BYTES_MAX = 64 * 1024 * 1024;

const EMPTY = new Uint8Array();

export function createFrontDoor({ wire, pipeline, log }: FrontDoorDeps): FrontDoor {
  const budget = new ByteBudget(LIMITS.bodiesBytesMax);
  /** Requests being served, their bodies read. */
  let inFlight = 0;
  let stopping = false;

  const server = createServer(
    {
      maxHeaderSize: LIMITS.headerBytesMax,
      requestTimeout: LIMITS.requestTimeoutMs,
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      noDelay: true,
    },
    (request, response) => take(request, response, { asksFirst: false }),
  );
  // `Expect: 100-continue`: whoever is refused by the head need not send the body.
  server.on('checkContinue', (request, response) => take(request, response, { asksFirst: true }));
  server.maxConnections = LIMITS.connectionsMax;
  server.on('clientError', refuseConnection);

  function take(request: IncomingMessage, response: ServerResponse, { asksFirst }: { asksFirst: boolean }): void {
    answer(request, response, asksFirst).catch((error: unknown) => {
      log.error({ error }, 'a response could not be sent');
      response.destroy();
    });
  }

  async function answer(request: IncomingMessage, response: ServerResponse, asksFirst: boolean): Promise<void> {
    let held = asksFirst;
    const goOn = () => {
      if (held) response.writeContinue();
      held = false;
    };
    const head = readHead(request);
    if (head.path === '/health' && (head.method === 'GET' || head.method === 'HEAD')) {
      return send(response, health(stopping), stopping);
    }
    const requestId = newUuid();
    const { result, unread } = await respond(request, head, requestId, goOn);
    // A client that is still sending would lose the answer in a reset of its connection.
    const drained = unread ? !held && (await drain(request)) : true;
    if (result) send(response, result, stopping || !drained);
  }

  /** No result where the client has gone; `unread` where its body was not read to the end. */
  async function respond(
    request: IncomingMessage,
    head: ReceivedRequest,
    requestId: string,
    goOn: () => void,
  ): Promise<{ readonly result?: WireResponse; readonly unread: boolean }> {
    const encoding = head.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') {
      const error = new ApiError('UnsupportedMediaType', 'Content-Encoding is not supported.', { status: 415 });
      return { result: encodeError(head, error, requestId), unread: true };
    }
    const gone = new AbortController();
    request.once('close', () => gone.abort(new Error('the client went away before its request was read')));
    const bytesMax = wire.bodyBytesMax(head);
    const bytes = bodyBytes(request, bytesMax);
    let giveBack = () => {};
    try {
      if (bytes > LIMITS.smallBodyBytes) {
        const refused = await refuseByHead(head, requestId);
        if (refused) return { result: refused, unread: true };
        giveBack = await budget.take(bytes, gone.signal);
      }
      if (bytes > 0) goOn();
      return await receive(request, head, requestId, bytesMax);
    } catch (error) {
      log.debug({ requestId, error }, 'a request was not completed');
      return { unread: false };
    } finally {
      giveBack();
    }
  }

  /** What goes wrong inside is an answer as well: nobody is left without one. */
  async function refuseByHead(head: ReceivedRequest, requestId: string): Promise<WireResponse | undefined> {
    try {
      return await pipeline.refuseByHead(head, requestId);
    } catch (error) {
      log.error({ requestId, error }, 'a request failed outside its operation');
      return encodeError(head, internalFailure(), requestId);
    }
  }

  async function receive(
    request: IncomingMessage,
    head: ReceivedRequest,
    requestId: string,
    bytesMax: number,
  ): Promise<{ readonly result?: WireResponse; readonly unread: boolean }> {
    const claim = wire.claim(head);
    const body = await readBody(request, bytesMax);
    if (body.kind === 'too-large') {
      const error =
        claim?.tooLarge() ?? new ApiError('RequestEntityTooLarge', 'The request is too large.', { status: 413 });
      return { result: encodeError(head, error, requestId), unread: true };
    }
    // Only now: requests that are still on their way must not keep others from being served.
    if (inFlight >= LIMITS.requestsInFlightMax) {
      const error =
        claim?.throttled() ?? new ApiError('ServiceUnavailable', 'Service is unavailable.', { status: 503 });
      return { result: encodeError(head, error, requestId), unread: false };
    }
    inFlight += 1;
    try {
      return { result: await pipeline.serve({ ...head, body: body.bytes }, requestId), unread: false };
    } catch (error) {
      log.error({ requestId, error }, 'a request failed outside its operation');
      return { result: encodeError(head, internalFailure(), requestId), unread: false };
    } finally {
      inFlight -= 1;
    }
  }

  function encodeError(head: WireRequest, error: ApiError, requestId: string): WireResponse {
    return wire.claim(head)?.encodeError(error, requestId) ?? wire.encodeUnclaimed(head, error, requestId);
  }

  return {
    async listen(host, port) {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, () => {
          server.removeListener('error', reject);
          resolve();
        });
      });
      const address = server.address() as AddressInfo;
      return { host: address.address, port: address.port };
    },
    async stop(graceMs = STOP_GRACE_MS) {
      stopping = true;
      await closeServer(server, graceMs);
    },
  };
}

async function closeServer(server: Server, graceMs: number): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const force = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(force);
}

/** The request without its body. */
function readHead(request: IncomingMessage): ReceivedRequest {
  const headers: Record<string, string | undefined> = Object.create(null);
  const { rawHeaders } = request;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    const value = rawHeaders[index + 1] ?? '';
    const before = headers[name];
    headers[name] = before === undefined ? value : `${before},${value}`;
  }
  // A proxy may send the absolute form.
  const target = (request.url ?? '/').replace(/^https?:\/\/[^/?]*/i, '');
  const mark = target.indexOf('?');
  return {
    method: request.method ?? '',
    path: (mark === -1 ? target : target.slice(0, mark)) || '/',
    query: mark === -1 ? '' : target.slice(mark + 1),
    headers,
    rawHeaders,
    body: EMPTY,
    sourceIp: (request.socket.remoteAddress ?? '').replace(/^::ffff:/, ''),
    secureTransport: false,
  };
}

function send(response: ServerResponse, { status, headers, body }: WireResponse, close: boolean): void {
  response.writeHead(status, {
    ...headers,
    'content-length': Buffer.byteLength(body),
    ...(close ? { connection: 'close' } : {}),
  });
  // A string leaves in one piece with the head.
  response.end(body);
}

/** Reads the rest of a body and throws it away, up to a bound; tells whether that was all of it. */
function drain(request: IncomingMessage): Promise<boolean> {
  if (request.readableEnded) return Promise.resolve(true);
  return new Promise((resolve) => {
    let drained = 0;
    request.on('data', (chunk: Buffer) => {
      drained += chunk.byteLength;
      if (drained <= DRAIN_BYTES_MAX) return;
      request.pause();
      resolve(false);
    });
    request.once('end', () => resolve(true));
    request.once('error', () => resolve(false));
    request.once('close', () => resolve(false));
    request.resume();
  });
}

function health(stopping: boolean): WireResponse {
  return {
    status: stopping ? 503 : 200,
    headers: { 'content-type': 'application/json', 'x-amzn-requestid': newUuid() },
    body: JSON.stringify({ status: stopping ? 'stopping' : 'ok' }),
  };
}

/** Bytes that are no HTTP request, or too slow, or with too large a head: there is no dialect to answer in. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      `Date: ${new Date().toUTCString()}`,
      `x-amzn-RequestId: ${newUuid()}`,
      'Connection: close',
      'Content-Length: 0',
      '\r\n',
    ].join('\r\n'),
  );
}
