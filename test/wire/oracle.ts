/** The official SDK clients as oracle: what they send, and what they read from an answer. */
import { Readable } from 'node:stream';
import { HttpResponse } from '@smithy/core/protocols';
import type { WireRequest, WireResponse } from '../../src/wire/message.ts';
import { REGISTRY } from '../../src/wire/registry.ts';

/** What the SDK's request handlers are given, as far as it matters here. */
interface SentRequest {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

interface SdkClient {
  send(command: object): Promise<unknown>;
  destroy(): void;
}
type ClientClass = new (config: object) => SdkClient;
type CommandClass = new (input: object) => object;

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function toWire(sent: SentRequest): WireRequest {
  const query = Object.entries(sent.query ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((each) => `${encode(name)}=${encode(String(each ?? ''))}`),
  );
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(sent.headers)) headers[name.toLowerCase()] = value;
  const body = typeof sent.body === 'string' ? Buffer.from(sent.body) : (sent.body ?? new Uint8Array());
  return { method: sent.method, path: sent.path, query: query.join('&'), headers, body };
}

/** A client of one service whose requests reach `answer` and no network. */
export class Oracle {
  readonly #client: SdkClient;
  readonly #schemas: Readonly<Record<string, unknown>>;
  #answer: (request: WireRequest) => WireResponse = () => ({ status: 200, headers: {}, body: '' });

  constructor(service: string) {
    const entry = REGISTRY.find(({ name }) => name === service);
    if (!entry) throw new Error(`no service ${service}`);
    this.#schemas = entry.schemas;
    const [, Client] = Object.entries(entry.schemas).find(([name]) => /^[A-Z]\w*[a-z0-9A-Z]Client$/.test(name)) ?? [];
    this.#client = new (Client as ClientClass)({
      region: 'us-east-1',
      endpoint: 'http://127.0.0.1:1',
      credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
      maxAttempts: 1,
      requestHandler: {
        metadata: { handlerProtocol: 'http/1.1' },
        handle: async (sent: SentRequest) => {
          const { status, headers, body } = this.#answer(toWire(sent));
          const bytes = typeof body === 'string' ? Buffer.from(body) : body;
          return {
            response: new HttpResponse({
              statusCode: status,
              headers: { ...headers },
              body: Readable.from([bytes], { objectMode: false }),
            }),
          };
        },
      },
    });
  }

  /** Sends one command and gives what the SDK makes of the answer; rejects with the SDK's error. */
  async call(operation: string, input: object, answer: (request: WireRequest) => WireResponse): Promise<object> {
    this.#answer = answer;
    const Command = this.#schemas[`${operation}Command`] as CommandClass;
    const { $metadata: _, ...output } = (await this.#client.send(new Command(input))) as { $metadata: unknown };
    return output;
  }

  close(): void {
    this.#client.destroy();
  }
}
