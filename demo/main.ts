/**
 * `npm run demo`: the main job on real input, against a real server process, through the official SDK. Each step says
 * what it proves and with which figures; the first step that does not hold ends the demo with exit code 1.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureQemu } from '../scripts/ensure-qemu.ts';
import { startServer } from './server.ts';
import { bold, say, tell } from './story.ts';

const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;

class Interrupted extends Error {}

/** What the user gave cannot be used. */
class Unfit extends Error {}

const options = readOptions();

if (options.help) {
  process.stdout.write(`npm run demo -- [--image FILE] [--marker TEXT] [--machines none] [--keep]

  --image FILE   a raw disk image of your own that boots from BIOS and speaks on the first serial port
  --marker TEXT  text that stands in that image and must be found nowhere on Ingot's disk (and, if the image
                 prints it while it boots, on the console)
  --machines none  show every step but the boot, without QEMU
  --keep         keep the data directory and say where it is
`);
  process.exit(0);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        image: { type: 'string' },
        marker: { type: 'string' },
        machines: { type: 'string', default: 'auto' },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (!['auto', 'none'].includes(values.machines)) throw new TypeError('--machines is auto or none');
    if (values.marker !== undefined && !values.image) throw new TypeError('--marker goes with --image');
    return values;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(EXIT_USAGE);
  }
}

/** npm passes on the Ctrl-C that the terminal has sent already: what comes this soon is the same one. */
const ECHO_MS = 1000;

/** The first Ctrl-C or SIGTERM ends the demo and clears up; a later one ends the process. */
function whenInterrupted(): AbortSignal {
  const controller = new AbortController();
  let at = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (!controller.signal.aborted) at = performance.now();
      else if (performance.now() - at > ECHO_MS) process.exit(EXIT_INTERRUPTED);
      controller.abort(new Interrupted(`${signal}: stopping`));
    });
  }
  return controller.signal;
}

async function main(): Promise<void> {
  if (options.image) {
    const found = await stat(options.image).catch(() => undefined);
    if (!found?.isFile() || found.size === 0) throw new Unfit(`${options.image} is not a file that holds a disk image`);
  }
  const interrupted = whenInterrupted();
  const started = performance.now();
  const qemu = options.machines !== 'none' && (await ensureQemu());
  const workDir = await mkdtemp(join(tmpdir(), 'ingot-demo-'));
  const dataDir = join(workDir, 'data');
  try {
    const server = await startServer({ dataDir, machines: qemu ? 'qemu' : 'none', apart: true });
    say(`Ingot is listening on ${server.endpoint}, process ${server.pid}, data in ${dataDir}`);
    try {
      await tell({
        server,
        workDir,
        dataDir,
        canBoot: qemu,
        ownImage: options.image,
        ownMarker: options.marker,
        interrupted,
      });
    } finally {
      await server.stop();
    }
    say(`\n${bold('All of it holds')} (${((performance.now() - started) / 1000).toFixed(0)} s).`);
  } finally {
    if (options.keep) say(`Kept: ${workDir} (the data directory and the image)`);
    else await rm(workDir, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  if (error instanceof Interrupted) {
    process.stderr.write('\nStopped; no guest and no server is left.\n');
    process.exit(EXIT_INTERRUPTED);
  }
  const text = error instanceof Unfit ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`\nThe demo stops: ${text}\n`);
  process.exitCode = 1;
}
