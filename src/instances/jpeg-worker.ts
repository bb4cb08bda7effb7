/** A thread that makes one JPEG of one screen, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import jpeg from 'jpeg-js';
import type { Screen } from './machine.ts';

const QUALITY = 80;

const { width, height, pixels } = workerData as Screen;
const data = new Uint8Array(width * height * 4);
for (let pixel = 0; pixel < width * height; pixel++) {
  data.set(pixels.subarray(pixel * 3, pixel * 3 + 3), pixel * 4);
}
parentPort!.postMessage(Uint8Array.from(jpeg.encode({ width, height, data }, QUALITY).data));
