/** Compressed streams: gzip and zstd by Node.js itself, xz by the program of that name. */
import { spawn } from 'node:child_process';
import { PassThrough, pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { CliError } from '../error.ts';
import type { Compression } from './format.ts';

const CHUNK_BYTES = 1 << 20;

/** Fails as the stream is read where the data is damaged or cut short. */
export function decompressed(bytes: Readable, compression: Compression): Readable {
  if (compression === 'xz') return throughXz(bytes);
  const inflate =
    compression === 'gzip'
      ? createGunzip({ chunkSize: CHUNK_BYTES })
      : createZstdDecompress({ chunkSize: CHUNK_BYTES, rejectGarbageAfterEnd: true });
  // A failure of either side destroys the other with its error, which the reader sees.
  return Readable.from(
    told(
      pipeline(bytes, inflate, () => {}),
      compression,
    ),
    { objectMode: false },
  );
}

async function* told(bytes: Readable, compression: Compression): AsyncGenerator<Buffer> {
  try {
    yield* bytes;
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (!/^(Z|ZSTD)_/.test(code)) throw error;
    throw new CliError(`The ${compression} data is damaged or cut short: ${message}.`, { cause: error });
  }
}

function throughXz(bytes: Readable): Readable {
  const child = spawn('xz', ['--decompress', '--stdout'], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const out = new PassThrough({ highWaterMark: CHUNK_BYTES });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    said += piece;
  });
  child.once('error', (cause) => {
    out.destroy(new CliError('A disk in xz needs the program xz, which is not installed.', { cause }));
  });
  pipeline(bytes, child.stdin, (error) => {
    // When xz itself ended early, its own words are better than a broken pipe.
    if (error && (error as NodeJS.ErrnoException).code !== 'EPIPE') {
      child.kill();
      out.destroy(error);
    }
  });
  child.stdout.pipe(out, { end: false });
  child.once('close', (code) => {
    if (code === 0) out.end();
    else out.destroy(new CliError(said.trim() || `xz ended with code ${code}.`));
  });
  out.once('close', () => child.kill());
  return out;
}
