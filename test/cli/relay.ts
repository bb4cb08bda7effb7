/** Stands between a tool and the server, forwards bytes as they are (the Host header is signed), and does damage. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Passing {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}

export interface RelayRules {
  /** Awaited before the request goes on. */
  before?(passing: Passing, body: Buffer): Promise<void>;
  /** Changes a request's body on its way. */
  damageRequest?(passing: Passing, body: Buffer): Buffer;
  /** Changes an answer's body on its way. */
  damageAnswer?(passing: Passing, body: Buffer): Buffer;
  /** Requests for which this is true are never answered. */
  hold?(passing: Passing): boolean;
}

export class Relay implements AsyncDisposable {
  readonly endpoint: string;
  readonly seen: Passing[] = [];
  rules: RelayRules = {};
  readonly #server: Server;

  private constructor(server: Server, endpoint: string) {
    this.#server = server;
    this.endpoint = endpoint;
  }

  static async to(endpoint: string): Promise<Relay> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const relay = new Relay(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('request', async (incoming: IncomingMessage, outgoing) => {
      const passing = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers };
      let body = Buffer.concat(await Array.fromAsync(incoming as AsyncIterable<Buffer>));
      relay.seen.push(passing);
      if (relay.rules.hold?.(passing)) return;
      await relay.rules.before?.(passing, body);
      body = Buffer.from(relay.rules.damageRequest?.(passing, body) ?? body);
      const { method, path, headers } = passing;
      const forward = request(endpoint, { method, path, headers }, async (answer) => {
        const bytes = Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>));
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        outgoing.end(relay.rules.damageAnswer?.(passing, bytes) ?? bytes);
      });
      forward.on('error', () => outgoing.destroy());
      forward.end(body);
    });
    return relay;
  }

  /** Requests that put a block. */
  get puts(): Passing[] {
    return this.seen.filter(isPut);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export const isPut = ({ method, path }: Passing) => method === 'PUT' && /\/blocks\/\d+$/.test(path);
export const isGet = ({ method, path }: Passing) => method === 'GET' && /\/blocks\/\d+\?/.test(path);
