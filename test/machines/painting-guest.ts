/** A guest with a screen: 16-bit code that paints it red and says `R`, and once shift is pressed, green and `G`. */
import { assembler, word } from '../../demo/image/boot-sector.ts';

const IMAGE_BYTES = 1024 * 1024;
const KEYBOARD_FLAGS = 0x417;
const RED = 4;
const GREEN = 2;

export function paintingGuest(): Uint8Array {
  const { emit, label, jump, code } = assembler();
  const paint = (color: number, letter: string) => {
    emit(0xb8, ...word(0xa000), 0x8e, 0xc0); // mov ax, 0xa000; mov es, ax
    emit(0x31, 0xff); //                        xor di, di
    emit(0xb9, ...word(320 * 200)); //          mov cx, 64000
    emit(0xb0, color, 0xf3, 0xaa); //           mov al, color; rep stosb
    emit(0xba, ...word(0x3f8)); //              mov dx, 0x3f8
    emit(0xb0, letter.charCodeAt(0), 0xee); //  mov al, letter; out dx, al
  };
  emit(0xfa, 0x31, 0xc0); //                    cli; xor ax, ax
  emit(0x8e, 0xd8, 0x8e, 0xd0); //              mov ds, ax; mov ss, ax
  emit(0xbc, ...word(0x7c00), 0xfb); //         mov sp, 0x7c00; sti
  emit(0xb8, ...word(0x0013), 0xcd, 0x10); //   mov ax, 0x0013; int 0x10   320 by 200 in 256 colors
  paint(RED, 'R');
  label('asleep');
  emit(0xf6, 0x06, ...word(KEYBOARD_FLAGS), 3); // test byte [KEYBOARD_FLAGS], 3
  jump(0x74, 'asleep'); //                      jz asleep
  paint(GREEN, 'G');
  label('stay');
  emit(0xf4); //                                hlt
  jump(0xeb, 'stay'); //                        jmp stay
  const image = Buffer.alloc(IMAGE_BYTES);
  image.set(code(), 0);
  image.writeUInt16LE(0xaa55, 510);
  return image;
}
