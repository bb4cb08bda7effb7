/**
 * The smallest image that boots: a boot sector of 16-bit code that reads the next sector by BIOS interrupt 13h (that
 * is, from the disk itself), prints its text to the first serial port, and stays up until the power button is pressed.
 *
 * There is no assembler in the way: {@link bootSectorCode} lists the bytes beside what they mean.
 */
import { SECTOR } from './mbr.ts';

/** Where the text is loaded: just behind the boot sector, which the BIOS puts at 0x7c00. */
const TEXT_ADDRESS = 0x7e00;
const TEXT_BYTES_MAX = SECTOR - 1;

/** Size of the image: the smallest that every tool takes for a disk. */
export const BOOT_SECTOR_IMAGE_BYTES = 1024 * 1024;

/** Collects machine code, with short jumps to labels. */
export function assembler() {
  const code: number[] = [];
  const labels = new Map<string, number>();
  const jumps: { at: number; to: string }[] = [];
  return {
    emit: (...bytes: number[]) => code.push(...bytes),
    label: (name: string) => labels.set(name, code.length),
    jump(opcode: number, to: string) {
      jumps.push({ at: code.push(opcode, 0) - 1, to });
    },
    code(): Uint8Array {
      for (const { at, to } of jumps) {
        const offset = labels.get(to)! - (at + 1);
        if (offset < -128 || offset > 127) throw new RangeError(`the jump to ${to} is too far`);
        code[at] = offset & 0xff;
      }
      return Uint8Array.from(code);
    },
  };
}

/** The two bytes of an address or number. */
export const word = (value: number) => [value & 0xff, value >> 8];

/** The machine code of the boot sector, without padding and signature. */
export function bootSectorCode(): Uint8Array {
  const { emit, label, jump, code } = assembler();

  emit(0xfa); //                              cli
  emit(0x31, 0xc0); //                        xor ax, ax
  emit(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0); // mov ds, ax; mov es, ax; mov ss, ax
  emit(0xbc, ...word(0x7c00)); //             mov sp, 0x7c00
  emit(0xfb); //                              sti
  label('read');
  emit(0xb8, ...word(0x0201)); //             mov ax, 0x0201      read one sector
  emit(0xb9, ...word(0x0002)); //             mov cx, 0x0002      cylinder 0, sector 2
  emit(0xb6, 0x00); //                        mov dh, 0           head 0; dl holds the boot drive
  emit(0xbb, ...word(TEXT_ADDRESS)); //       mov bx, TEXT_ADDRESS
  emit(0xcd, 0x13); //                        int 0x13
  jump(0x72, 'read'); //                      jc read             try again until the disk answers
  // 115200 baud, 8 data bits, no parity, one stop bit
  for (const [port, value] of [
    [0x3f9, 0x00],
    [0x3fb, 0x80],
    [0x3f8, 0x01],
    [0x3f9, 0x00],
    [0x3fb, 0x03],
  ] as const) {
    emit(0xba, ...word(port), 0xb0, value, 0xee); // mov dx, port; mov al, value; out dx, al
  }
  emit(0xbe, ...word(TEXT_ADDRESS)); //       mov si, TEXT_ADDRESS
  label('next');
  emit(0xac); //                              lodsb
  emit(0x84, 0xc0); //                        test al, al
  jump(0x74, 'stay'); //                      jz stay
  emit(0x88, 0xc4); //                        mov ah, al
  emit(0xba, ...word(0x3fd)); //              mov dx, 0x3fd       line status
  label('wait');
  emit(0xec); //                              in al, dx
  emit(0xa8, 0x20); //                        test al, 0x20       transmitter empty
  jump(0x74, 'wait'); //                      jz wait
  emit(0xba, ...word(0x3f8)); //              mov dx, 0x3f8
  emit(0x88, 0xe0); //                        mov al, ah
  emit(0xee); //                              out dx, al
  jump(0xeb, 'next'); //                      jmp next
  label('stay');
  emit(0xf4); //                              hlt
  jump(0xeb, 'stay'); //                      jmp stay

  return code();
}

/** The first bytes of the image: boot sector, then the sector with the text. The rest of the image is zeros. */
export function bootSectorImageHead(text: string): Uint8Array {
  const bytes = Buffer.from(`\r\n${text}\r\n`, 'latin1');
  if (bytes.length > TEXT_BYTES_MAX) throw new RangeError(`a marker of ${text.length} characters is too long`);
  const head = Buffer.alloc(2 * SECTOR);
  head.set(bootSectorCode(), 0);
  head.writeUInt16LE(0xaa55, 510);
  head.set(bytes, SECTOR);
  return head;
}
