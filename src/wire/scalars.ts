/** Scalars as text, the same in every protocol. `undefined` means that the text is none. */

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const NUMBER = /^[+-]?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?$/;
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/i;

/** Standard padded base64, nothing else. */
export function base64ToBytes(text: string): Uint8Array | undefined {
  return BASE64.test(text) ? Buffer.from(text, 'base64') : undefined;
}

export function bytesToBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

export function textToNumber(text: string, integer: boolean): number | undefined {
  if (!NUMBER.test(text)) return undefined;
  return checkNumber(Number(text), integer);
}

export function checkNumber(value: number, integer: boolean): number | undefined {
  if (integer ? Number.isSafeInteger(value) : Number.isFinite(value)) return value === 0 ? 0 : value;
  return undefined;
}

export function textToDate(text: string): Date | undefined {
  if (!DATE_TIME.test(text)) return undefined;
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

export function secondsToDate(seconds: number): Date | undefined {
  const date = new Date(Math.round(seconds * 1000));
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** ISO 8601 in UTC; milliseconds only where there are some. */
export function dateToText(date: Date): string {
  return date.toISOString().replace('.000Z', 'Z');
}
