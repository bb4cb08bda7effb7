/**
 * `npm run demo`: the main job on real input, against a real server process, through the official SDK. Each step says
 * what it proves and with which figures; the first step that does not hold ends the demo with exit code 1.
 */
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureQemu } from '../scripts/ensure-qemu.ts';
import { startServer } from './server.ts';
import { bold, say, tell } from './story.ts';

const { values: options } = parseArgs({
  options: {
    image: { type: 'string' },
    marker: { type: 'string' },
    machines: { type: 'string', default: 'auto' },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

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

async function main(): Promise<void> {
  if (options.image) await access(options.image);
  const started = performance.now();
  const qemu = options.machines !== 'none' && (await ensureQemu());
  const workDir = await mkdtemp(join(tmpdir(), 'ingot-demo-'));
  const dataDir = join(workDir, 'data');
  try {
    const server = await startServer({ dataDir, machines: qemu ? 'qemu' : 'none' });
    say(`Ingot is listening on ${server.endpoint}, process ${server.pid}, data in ${dataDir}`);
    try {
      await tell({
        server,
        workDir,
        dataDir,
        canBoot: qemu,
        ownImage: options.image,
        ownMarker: options.marker,
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
  process.stderr.write(
    `\nThe demo stops: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exitCode = 1;
}
