/** `ingot serve`: reads the configuration, builds the app, listens, and stops cleanly. */
import { Command } from 'commander';
import { createApp } from './app.ts';
import { ConfigError, readConfig, SERVE_DEFAULTS, type ServeOptions } from './config.ts';
import { RootKeyError } from './crypto/root-key.ts';
import { DataDirError } from './data-dir.ts';
import { createLog } from './log.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

const program = new Command('ingot');
// Before the commands are made: they inherit it.
program.exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE));
program
  .command('serve')
  .description('run the server')
  .option('--data <dir>', 'data directory', SERVE_DEFAULTS.data)
  .option('--listen <host:port>', 'address to listen on; port 0 takes a free one', SERVE_DEFAULTS.listen)
  .option('--machines <driver>', 'how instances run: qemu, none, auto', SERVE_DEFAULTS.machines)
  .option('--guest-network <kind>', 'who reaches guests: isolated, forward', SERVE_DEFAULTS.guestNetwork)
  .option('--guest-ssh-port <port>', 'port at which forward shows port 22 of guests', SERVE_DEFAULTS.guestSshPort)
  .option('--root-passphrase-file <file>', 'seal the root key under the passphrase in this file')
  .option('--root-key-command <command>', 'seal the root key under the key this shell command prints')
  .option('--root-previous-passphrase-file <file>', 'what the root key was sealed under, to change it')
  .option('--root-previous-key-command <command>', 'what the root key was sealed under, to change it')
  .action(serve);
await program.parseAsync();

async function serve(options: ServeOptions): Promise<void> {
  try {
    await run(options);
  } catch (error) {
    const expected = error instanceof ConfigError || error instanceof DataDirError || error instanceof RootKeyError;
    if (expected) process.stderr.write(`${error.message}\n`);
    else if (isListenError(error)) process.stderr.write(`Ingot cannot listen on ${options.listen}: ${error.code}.\n`);
    else createLog('error').error({ error }, 'Ingot could not start');
    process.exit(error instanceof ConfigError ? EXIT_USAGE : EXIT_FAILURE);
  }
}

async function run(options: ServeOptions): Promise<void> {
  const config = readConfig(options);
  const log = createLog(config.logLevel);
  process.on('uncaughtException', (error, origin) => {
    log.error(
      { error, origin },
      'an error that nobody expected; the server ends, and takes up its work at the next start',
    );
    process.exit(EXIT_FAILURE);
  });
  const app = await createApp(config, log);
  const stop = stopOnce(() => app.close());
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      stop().then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ error }, 'Ingot could not stop cleanly');
          process.exit(EXIT_FAILURE);
        },
      );
    });
  }
  process.on('SIGUSR2', () => void app.rotateRootKey());
  const { endpoint } = await app.listen().catch(async (error: unknown) => {
    await app.close();
    throw error;
  });
  process.stdout.write(`Ingot is listening on ${endpoint}\n`);
}

/** A second signal finds the first one's stop under way. */
function stopOnce(stop: () => Promise<void>): () => Promise<void> {
  let stopping: Promise<void> | undefined;
  return () => {
    stopping ??= stop();
    return stopping;
  };
}

function isListenError(error: unknown): error is NodeJS.ErrnoException {
  return (
    error instanceof Error && 'syscall' in error && (error.syscall === 'listen' || error.syscall === 'getaddrinfo')
  );
}
