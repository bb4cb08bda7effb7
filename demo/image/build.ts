/** The image of the demonstration and of the boot tests: a small Linux where it can be built, else a boot sector. */
import { mkdir, open, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BOOT_SECTOR_IMAGE_BYTES, bootSectorImageHead } from './boot-sector.ts';
import { buildLinuxImage, whyNoLinuxImage } from './linux.ts';

export interface BootImage {
  /** A raw disk image. */
  readonly path: string;
  readonly kind: 'linux' | 'boot-sector';
  readonly sizeBytes: number;
  /** Why it is not the Linux one, in a sentence. */
  readonly because?: string;
}

export interface BootImageRequest {
  /** Where the image is put, as `<kind>.img`; a folder in `cacheDir` unless given. */
  readonly dir?: string;
  /** Printed by the guest on its serial console; printable ASCII, at most 200 characters. */
  readonly marker: string;
  /** The only kind to build; by default Linux where that works. */
  readonly kind?: BootImage['kind'];
  /** Keeps fetched packages between runs. */
  readonly cacheDir?: string;
}

type Place = BootImageRequest & { readonly dir: string; readonly cacheDir: string };

/** Builds a bootable disk image that prints `marker`, which it holds on its disk. */
export async function buildBootImage(request: BootImageRequest): Promise<BootImage> {
  if (!/^[\x20-\x7e]{1,200}$/.test(request.marker)) {
    throw new RangeError('a marker is 1 to 200 printable ASCII characters');
  }
  const cacheDir = request.cacheDir ?? join(tmpdir(), 'ingot-image-cache');
  const place: Place = { ...request, cacheDir, dir: request.dir ?? join(cacheDir, 'images') };
  await mkdir(place.dir, { recursive: true });
  if (request.kind === 'boot-sector') return bootSectorImage(place);
  const because = await whyNoLinuxImage();
  if (because === undefined) {
    try {
      return await linuxImage(place);
    } catch (cause) {
      if (request.kind === 'linux') throw cause;
      const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
      return { ...(await bootSectorImage(place)), because: `the Linux image could not be built: ${reason}` };
    }
  }
  if (request.kind === 'linux') throw new Error(because);
  return { ...(await bootSectorImage(place)), because };
}

async function linuxImage(request: Place): Promise<BootImage> {
  const path = join(request.dir, 'linux.img');
  await buildLinuxImage(path, request.marker, request.cacheDir);
  return { path, kind: 'linux', sizeBytes: (await stat(path)).size };
}

async function bootSectorImage(request: Place): Promise<BootImage> {
  const path = join(request.dir, 'boot-sector.img');
  const file = await open(path, 'w');
  try {
    await file.truncate(BOOT_SECTOR_IMAGE_BYTES);
    const head = bootSectorImageHead(`ingot-marker: ${request.marker}`);
    await file.write(head, 0, head.length, 0);
  } finally {
    await file.close();
  }
  return { path, kind: 'boot-sector', sizeBytes: BOOT_SECTOR_IMAGE_BYTES };
}
