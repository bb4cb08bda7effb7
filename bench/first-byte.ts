/** Waits for the volume of a launch to be served and reads its first bytes by NBD, as the machine of an instance would. */
import { readdir } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';

/** Paths of the NBD sockets in the data directory now. */
export async function servedVolumes(dataDir: string): Promise<string[]> {
  const names = await readdir(dataDir, { recursive: true });
  return names.filter((name) => name.endsWith('.nbd')).map((name) => join(dataDir, name));
}

/** The socket that is there and was not among `before`; looks again and again, for at most `seconds`. */
export async function nextServedVolume(dataDir: string, before: readonly string[], seconds = 60): Promise<string> {
  const deadline = performance.now() + seconds * 1000;
  while (performance.now() < deadline) {
    const found = (await servedVolumes(dataDir)).find((path) => !before.includes(path));
    if (found) return found;
    await turn();
  }
  throw new Error(`no volume was served within ${seconds} s`);
}

const GREETING_BYTES = 18;
const EXPORT_BYTES = 10;
const REPLY_BYTES = 16;

/** The first `length` bytes of the export at `path` (NBD protocol: fixed newstyle, EXPORT_NAME, one simple read). */
export function readFirstBytes(path: string, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    let received = Buffer.alloc(0);
    let asked = 0;
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the server closed the connection')));
    socket.on('data', (piece: Buffer) => {
      received = Buffer.concat([received, piece]);
      if (asked === 0 && received.length >= GREETING_BYTES) {
        asked = 1;
        socket.write(chooseExport());
      }
      if (asked === 1 && received.length >= GREETING_BYTES + EXPORT_BYTES) {
        asked = 2;
        socket.write(readRequest(length));
      }
      const at = GREETING_BYTES + EXPORT_BYTES + REPLY_BYTES;
      if (asked === 2 && received.length >= at + length) {
        socket.destroy();
        resolve(received.subarray(at, at + length));
      }
    });
  });
}

function chooseExport(): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32BE(3, 0); // fixed newstyle, no zeroes
  bytes.write('IHAVEOPT', 4, 'latin1');
  bytes.writeUInt32BE(1, 12); // NBD_OPT_EXPORT_NAME, with the default name of length 0
  return bytes;
}

function readRequest(length: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(0x25609513, 0);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}
