/**
 * An NBD server for one device on a unix socket: what a machine's disk talks to. It knows neither volumes nor keys; the
 * device is handed in. Everything a client can make it hold is bounded by `NBD_LIMITS`.
 */
import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { ByteReader } from './byte-reader.ts';
import { shakeHands } from './handshake.ts';
import { type BlockDevice, NBD_LIMITS } from './protocol.ts';
import { transmit } from './transmission.ts';

export interface NbdServerOptions {
  readonly socketPath: string;
  readonly exportName: string;
  readonly device: BlockDevice;
  /** A request that failed; the client has EIO. */
  readonly onError: (error: unknown) => void;
}

export class NbdServer {
  readonly #server: Server;
  readonly #options: NbdServerOptions;
  readonly #connections = new Map<Socket, Promise<void>>();

  private constructor(options: NbdServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Listens, taking the place of a socket that an earlier process left behind. */
  static async listen(options: NbdServerOptions): Promise<NbdServer> {
    const nbd = new NbdServer(options);
    await rm(options.socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      nbd.#server.once('error', reject);
      nbd.#server.listen(options.socketPath, () => {
        nbd.#server.off('error', reject);
        resolve();
      });
    });
    await chmod(options.socketPath, 0o600);
    return nbd;
  }

  /** Stops listening, ends the connections and waits for the requests under way. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#connections.keys()) socket.destroy();
    await Promise.all(this.#connections.values());
    await closed;
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    if (this.#connections.size >= NBD_LIMITS.connectionsMax) {
      socket.destroy();
      return;
    }
    const serving = this.#serve(socket)
      .catch(this.#options.onError)
      .finally(() => {
        socket.destroySoon();
        this.#connections.delete(socket);
      });
    this.#connections.set(socket, serving);
  }

  async #serve(socket: Socket): Promise<void> {
    const { device, exportName, onError } = this.#options;
    const reader = new ByteReader(socket);
    const late = setTimeout(() => socket.destroy(), NBD_LIMITS.handshakeMs);
    const agreed = await shakeHands(socket, reader, { name: exportName, sizeBytes: device.sizeBytes }).finally(() =>
      clearTimeout(late),
    );
    if (agreed) await transmit(socket, reader, device, onError);
  }
}
