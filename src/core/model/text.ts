// SPDX-License-Identifier: Apache-2.0

/**
 * Text as the kernel wrote it: one UTF-16 unit per byte, 0 to 255 ("binary
 * string"). A buffer's name is up to 31 arbitrary bytes, so decoding as UTF-8
 * before parsing would destroy it. Decode for display only, with
 * {@link toDisplay}.
 */
export type RawText = string;

const CHUNK = 8192;

/** Bytes to {@link RawText}, each byte one unit. */
export function rawFromBytes(bytes: Uint8Array): RawText {
  let text = '';
  for (let i = 0; i < bytes.length; i += CHUNK) {
    text += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
  }
  return text;
}

/** {@link RawText} back to the bytes it stands for. */
export function bytesFromRaw(text: RawText): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const NON_ASCII = /[^\x00-\x7f]/;
/** Made when first needed: the simulator runs where there is none, too. */
let utf8: InstanceType<typeof TextDecoder> | undefined;

/**
 * Raw kernel text as Unicode: UTF-8 decoded, invalid bytes as U+FFFD. Control
 * characters stay; whoever prints to a terminal escapes them.
 */
export function toDisplay(text: RawText): string {
  if (!NON_ASCII.test(text)) return text;
  utf8 ??= new TextDecoder('utf-8', {fatal: false, ignoreBOM: true});
  return utf8.decode(bytesFromRaw(text));
}

/** Unicode to the raw text of its UTF-8 bytes. */
export function toRaw(text: string): RawText {
  return NON_ASCII.test(text)
    ? rawFromBytes(new TextEncoder().encode(text))
    : text;
}
