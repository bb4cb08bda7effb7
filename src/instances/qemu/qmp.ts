/**
 * A client of the QEMU Machine Protocol: one JSON document a line over a unix socket, commands answered in the order
 * in which they were sent, events in between. See https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
import { connect, type Socket } from 'node:net';

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export class QmpError extends Error {
  override readonly name = 'QmpError';
  /** QEMU's error class, for example `GenericError` or `DeviceNotFound`. */
  readonly kind: string;
  constructor(command: string, kind: string, description: string) {
    super(`QEMU refused ${command}: ${description}`);
    this.kind = kind;
  }
}

/** Longest line taken; a read of the whole console ring is below 100 KB. */
const LINE_BYTES_MAX = 1024 * 1024;

export class Qmp {
  readonly #socket: Socket;
  readonly #waiting: { command: string; resolve(value: unknown): void; reject(error: Error): void }[] = [];
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  /** Resolves when the connection has ended, for whatever reason. */
  readonly closed: Promise<void>;
  #partial = '';
  #greeted: (() => void) | undefined;
  #ended = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', () => {});
    socket.once('close', () => this.#end());
  }

  /** Connects and takes the monitor into command mode. */
  static async connect(path: string, timeoutMs: number): Promise<Qmp> {
    const socket = await new Promise<Socket>((resolve, reject) => {
      const opening = connect(path);
      opening.once('connect', () => resolve(opening.off('error', reject)));
      opening.once('error', reject);
    });
    const qmp = new Qmp(socket);
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    try {
      const greeting = new Promise<void>((resolve) => {
        qmp.#greeted = resolve;
      });
      await Promise.race([greeting, qmp.closed.then(() => Promise.reject(new Error('QEMU did not greet')))]);
      await qmp.execute('qmp_capabilities');
      return qmp;
    } catch (cause) {
      socket.destroy();
      throw cause;
    } finally {
      clearTimeout(timer);
    }
  }

  execute<Result = unknown>(command: string, args?: object): Promise<Result> {
    if (this.#ended) return Promise.reject(new Error(`QEMU is gone: ${command} was not sent`));
    return new Promise<Result>((resolve, reject) => {
      this.#waiting.push({ command, resolve: resolve as (value: unknown) => void, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
  }

  /** Hears every event; the returned function ends it. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    if (this.#partial.length > LINE_BYTES_MAX) this.#socket.destroy();
    for (const line of lines) {
      if (line.trim() !== '') this.#message(line);
    }
  }

  #message(line: string): void {
    let message: {
      QMP?: object;
      event?: string;
      data?: Record<string, unknown>;
      return?: unknown;
      error?: { class: string; desc: string };
    };
    try {
      message = JSON.parse(line);
    } catch {
      this.#socket.destroy();
      return;
    }
    if (message.QMP) this.#greeted?.();
    else if (message.event !== undefined) {
      const event = { event: message.event, data: message.data ?? {} };
      for (const listener of this.#listeners) listener(event);
    } else {
      const answered = this.#waiting.shift();
      if (message.error) {
        answered?.reject(new QmpError(answered.command, message.error.class, message.error.desc));
      } else answered?.resolve(message.return);
    }
  }

  #end(): void {
    this.#ended = true;
    for (const { command, reject } of this.#waiting.splice(0)) {
      reject(new Error(`QEMU is gone: ${command} was not answered`));
    }
  }
}
