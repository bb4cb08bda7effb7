/**
 * Associated data as a list of named fields, in one unambiguous byte string:
 *
 *     u32 field count, then per field: u32 length of the name, name, u32 length of the value, value
 *
 * Numbers are big-endian, text is UTF-8. Every part carries its length, so no two lists share an encoding. The order
 * of the list counts; where an order has no meaning (an encryption context) the caller sorts first.
 */

/** Name and value. */
export type Field = readonly [name: string, value: string | Uint8Array];
export type Fields = readonly Field[];

const utf8 = new TextEncoder();

/** @throws {TypeError} for text with a lone surrogate, which UTF-8 cannot tell from U+FFFD. */
function bytesOf(part: string | Uint8Array): Uint8Array {
  if (typeof part !== 'string') return part;
  if (!part.isWellFormed()) throw new TypeError('a field of associated data is not well-formed text');
  return utf8.encode(part);
}

export function encodeFields(fields: Fields): Uint8Array<ArrayBuffer> {
  const parts = fields.flatMap(([name, value]) => [bytesOf(name), bytesOf(value)]);
  const encoded = new Uint8Array(4 + parts.reduce((sum, part) => sum + 4 + part.byteLength, 0));
  const view = new DataView(encoded.buffer);
  view.setUint32(0, fields.length);
  let at = 4;
  for (const part of parts) {
    view.setUint32(at, part.byteLength);
    encoded.set(part, at + 4);
    at += 4 + part.byteLength;
  }
  return encoded;
}
