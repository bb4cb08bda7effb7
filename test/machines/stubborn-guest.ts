/**
 * Guests that let go of nothing, as disk images of 16-bit code. One counts in the first sector of its second disk, some
 * eighteen times a second, and says `.` for every write that succeeded and `E` for every one that failed on its serial
 * console; the other says `S` as often as it reads a count there.
 */
import { assembler, word } from '../../demo/image/boot-sector.ts';

const BUFFER = 0x8000;
const IMAGE_BYTES = 1024 * 1024;
const WRITE = 0x0301;
const READ = 0x0201;

type Assembler = ReturnType<typeof assembler>;

/** The count is the first four bytes of the second disk, least significant first. */
export function stubbornGuest(): Uint8Array {
  const parts = begin();
  const { emit, jump, label } = parts;
  emit(0xff, 0x06, ...word(BUFFER)); //       inc word [BUFFER]
  firstSector(parts, WRITE);
  jump(0x72, 'failed'); //                    jc failed
  say(parts, '.');
  jump(0xeb, 'again'); //                     jmp again
  label('failed');
  say(parts, 'E');
  jump(0xeb, 'again'); //                     jmp again
  return imageOf(parts);
}

export function watchingGuest(): Uint8Array {
  const parts = begin();
  firstSector(parts, READ);
  parts.jump(0x72, 'again'); //               jc again
  parts.emit(0x83, 0x3e, ...word(BUFFER), 0); // cmp word [BUFFER], 0
  parts.jump(0x74, 'again'); //               jz again
  say(parts, 'S');
  parts.jump(0xeb, 'again'); //               jmp again
  return imageOf(parts);
}

/** The buffer is zero, and every turn waits for a tick of the timer. */
function begin(): Assembler {
  const parts = assembler();
  const { emit, label } = parts;
  emit(0xfa, 0x31, 0xc0); //                  cli; xor ax, ax
  emit(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0); // mov ds, ax; mov es, ax; mov ss, ax
  emit(0xbc, ...word(0x7c00), 0xfb); //       mov sp, 0x7c00; sti
  emit(0xa3, ...word(BUFFER)); //             mov [BUFFER], ax
  emit(0xa3, ...word(BUFFER + 2)); //         mov [BUFFER + 2], ax
  label('again');
  emit(0xf4); //                              hlt
  return parts;
}

function firstSector({ emit }: Assembler, how: number): void {
  emit(0xb8, ...word(how)); //                mov ax, how         one sector
  emit(0xb9, ...word(0x0001)); //             mov cx, 0x0001      cylinder 0, sector 1
  emit(0xba, ...word(0x0081)); //             mov dx, 0x0081      head 0, second disk
  emit(0xbb, ...word(BUFFER)); //             mov bx, BUFFER
  emit(0xcd, 0x13); //                        int 0x13
}

function say({ emit, label, jump }: Assembler, character: string): void {
  const name = `say ${character}`;
  emit(0xba, ...word(0x3fd)); //              mov dx, 0x3fd       line status
  label(name);
  emit(0xec, 0xa8, 0x20); //                  in al, dx; test al, 0x20
  jump(0x74, name); //                        jz name
  emit(0xba, ...word(0x3f8)); //              mov dx, 0x3f8
  emit(0xb0, character.charCodeAt(0), 0xee); // mov al, character; out dx, al
}

function imageOf({ code }: Assembler): Uint8Array {
  const image = Buffer.alloc(IMAGE_BYTES);
  image.set(code(), 0);
  image.writeUInt16LE(0xaa55, 510);
  return image;
}
