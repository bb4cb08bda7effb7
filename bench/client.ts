/**
 * A lean AWS client for measuring: it signs and sends and does as little else as it can, so that the clock measures
 * the server. Signature V4 with a cached signing key (authorization-and-wire 10).
 */
import { createHash, createHmac } from 'node:crypto';
import { Agent, request } from 'node:http';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

export class LeanClient {
  readonly #endpoint: URL;
  readonly #credentials: Credentials;
  readonly #region: string;
  readonly #service: string;
  readonly #agent: Agent;
  #signingKey: { day: string; key: Buffer } | undefined;

  constructor(options: {
    endpoint: string;
    credentials: Credentials;
    region: string;
    service: string;
    connections: number;
  }) {
    this.#endpoint = new URL(options.endpoint);
    this.#credentials = options.credentials;
    this.#region = options.region;
    this.#service = options.service;
    this.#agent = new Agent({ keepAlive: true, maxSockets: options.connections });
  }

  close(): void {
    this.#agent.destroy();
  }

  send(
    method: string,
    path: string,
    headers: Record<string, string>,
    body: Uint8Array,
    unsigned = false,
  ): Promise<Answer> {
    const date = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
    const scope = `${date.slice(0, 8)}/${this.#region}/${this.#service}/aws4_request`;
    const hash = unsigned ? 'UNSIGNED-PAYLOAD' : sha256(body);
    const all: Record<string, string> = {
      ...headers,
      host: this.#endpoint.host,
      'x-amz-date': date,
      'x-amz-content-sha256': hash,
      ...(this.#credentials.sessionToken ? { 'x-amz-security-token': this.#credentials.sessionToken } : {}),
    };
    const names = Object.keys(all).sort();
    const [pathname = '/', query = ''] = path.split('?');
    const canonical = [
      method,
      pathname,
      query,
      ...names.map((name) => `${name}:${all[name]}`),
      '',
      names.join(';'),
      hash,
    ].join('\n');
    const signature = createHmac('sha256', this.#key(date.slice(0, 8)))
      .update(`AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`)
      .digest('hex');
    all.authorization = `AWS4-HMAC-SHA256 Credential=${this.#credentials.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
    all['content-length'] = String(body.byteLength);
    return new Promise((resolve, reject) => {
      const outgoing = request(this.#endpoint, { method, path, headers: all, agent: this.#agent }, (incoming) => {
        const pieces: Buffer[] = [];
        incoming.on('data', (piece: Buffer) => pieces.push(piece));
        incoming.on('end', () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(pieces) }),
        );
        incoming.on('error', reject);
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  #key(day: string): Buffer {
    if (this.#signingKey?.day !== day) {
      const step = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest();
      const key = step(
        step(step(step(`AWS4${this.#credentials.secretAccessKey}`, day), this.#region), this.#service),
        'aws4_request',
      );
      this.#signingKey = { day, key };
    }
    return this.#signingKey.key;
  }
}

/** Runs `count` calls of `work`, at most `lanes` at once. */
export async function inLanes(count: number, lanes: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
