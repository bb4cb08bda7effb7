/** The boot mode and size that the first sectors tell. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BIOS_BOOT, EFI_SYSTEM, putGpt } from '../../test/cli/disk-fixtures.ts';
import { type BootMode, bootModeOf, HEAD_FOR_PARTITIONS_BYTES, sizeByGpt } from './partitions.ts';

const LINUX = 'af3dc60f838472478e793d69d8477de4';
const disk = (types: readonly string[]) => putGpt(Buffer.alloc(HEAD_FOR_PARTITIONS_BYTES), types, 8 * 2 ** 30);
const CASES: readonly (readonly [string, Buffer, BootMode])[] = [
  ['an empty disk', Buffer.alloc(HEAD_FOR_PARTITIONS_BYTES), 'legacy-bios'],
  ['a disk shorter than its table', Buffer.alloc(10), 'legacy-bios'],
  ['a GPT without an EFI system partition', disk([LINUX, BIOS_BOOT]), 'legacy-bios'],
  ['a GPT with one', disk([LINUX, EFI_SYSTEM]), 'uefi'],
  ['a GPT with both ways to boot', disk([BIOS_BOOT, EFI_SYSTEM, LINUX]), 'uefi-preferred'],
];

describe('partition tables', () => {
  for (const [name, head, mode] of CASES) {
    it(`${name}: ${mode}`, () => assert.equal(bootModeOf(head), mode));
  }
  it('a GPT tells the size of its disk', () => {
    assert.equal(sizeByGpt(disk([])), 8 * 2 ** 30);
    assert.equal(sizeByGpt(Buffer.alloc(HEAD_FOR_PARTITIONS_BYTES)), undefined);
  });
});
