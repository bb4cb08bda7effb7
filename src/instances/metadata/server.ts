/**
 * The instance metadata service: HTTP at 169.254.169.254 as a guest sees it, IMDSv2 with tokens and IMDSv1 where the
 * instance allows it. Guests are hostile: a request is small, a connection carries one and is soon over.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { InstanceId } from '../../ids.ts';
import type { Log } from '../../log.ts';
import type { MetadataOptions } from '../instances.ts';
import { createTokens, TOKEN_SECONDS_MAX } from './tokens.ts';
import { lookUp, type Tree } from './tree.ts';

const HEADER_BYTES_MAX = 8 * 1024;
const CONNECTION_MS_MAX = 20_000;
const TTL_HEADER = 'x-aws-ec2-metadata-token-ttl-seconds';
const TOKEN_HEADER = 'x-aws-ec2-metadata-token';

export interface MetadataView {
  readonly options: MetadataOptions;
  readonly tree: Tree;
}

export interface MetadataServer {
  /** Serves one connection of this instance's guest. */
  accept(id: InstanceId, stream: Duplex): void;
}

export interface MetadataServerDeps {
  /** As things are at this moment; `undefined` for an instance that is gone. */
  view(id: InstanceId): Promise<MetadataView | undefined>;
  readonly clock: () => Date;
  readonly log: Log;
}

export function createMetadataServer({ view, clock, log }: MetadataServerDeps): MetadataServer {
  const tokens = createTokens(clock);
  const callers = new WeakMap<Duplex, InstanceId>();

  async function answer(request: IncomingMessage): Promise<Answer> {
    const id = callers.get(request.socket);
    const seen = id && (await view(id));
    if (!id || seen?.options.httpEndpoint !== 'enabled') return says(403);
    const path = (request.url ?? '').split('?', 1)[0]!;
    if (request.method === 'PUT') return path === '/latest/api/token' ? token(id, request) : says(405);
    if (request.method !== 'GET' && request.method !== 'HEAD') return says(405);
    const shown = request.headers[TOKEN_HEADER];
    if (shown === undefined ? seen.options.httpTokens === 'required' : !tokens.holds(id, String(shown))) {
      return says(401);
    }
    const found = await lookUp(seen.tree, path);
    return found === undefined ? says(404) : { status: 200, body: found };
  }

  function token(id: InstanceId, request: IncomingMessage): Answer {
    // A request that came through a proxy is not the guest's own.
    if (request.headers['x-forwarded-for'] !== undefined) return says(403);
    const asked = String(request.headers[TTL_HEADER] ?? '');
    const seconds = Number(asked);
    if (!/^\d{1,5}$/.test(asked) || seconds < 1 || seconds > TOKEN_SECONDS_MAX) return says(400);
    return { status: 200, body: tokens.issue(id, seconds), headers: { [TTL_HEADER]: asked } };
  }

  function serve(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    answer(request)
      .catch((error: unknown): Answer => {
        log.error({ instanceId: callers.get(request.socket), error }, 'the metadata service failed');
        return says(500);
      })
      .then(({ status, body, headers }) => {
        const bytes = Buffer.from(body, 'latin1');
        response.writeHead(status, {
          ...headers,
          'content-type': 'text/plain',
          'content-length': bytes.length,
          connection: 'close',
        });
        response.end(request.method === 'HEAD' ? undefined : bytes);
      });
  }

  const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, requireHostHeader: false }, serve);
  server.maxRequestsPerSocket = 1;
  server.on('clientError', (_error, socket) => socket.destroy());
  return {
    accept(id, stream) {
      callers.set(stream, id);
      const timer = setTimeout(() => stream.destroy(), CONNECTION_MS_MAX);
      stream.once('close', () => clearTimeout(timer));
      server.emit('connection', stream);
    },
  };
}

interface Answer {
  readonly status: number;
  /** Bytes as Latin-1: user data may be anything. */
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const WORDS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  500: 'Internal Server Error',
};

function says(status: number): Answer {
  return { status, body: `${status} - ${WORDS[status]}\n` };
}
