// SPDX-License-Identifier: Apache-2.0
import type {BufferName} from '../model/dma_buf.js';
import type {RawText} from '../model/text.js';
import {detachedSlice} from './scan.js';

/** A device that makes up ever new texts fills no more memory than this. */
const MOST_TEXTS = 4096;

type SettledName = BufferName & {readonly raw: RawText};

/**
 * Texts that come again and again, such as the names that an app gives all its
 * buffers: each is kept once, however often it was read.
 */
export class TextPool {
  private readonly texts = new Map<RawText, SettledName>();

  /** text.slice(start, end); it does not keep `text` alive. */
  slice(text: RawText, start: number, end: number): RawText {
    return this.name(text, start, end).raw;
  }

  /** The same as a name that is not in doubt. */
  name(text: RawText, start: number, end: number): SettledName {
    const known = this.texts.get(text.slice(start, end));
    if (known !== undefined) return known;
    if (this.texts.size >= MOST_TEXTS) this.texts.clear();
    const raw = detachedSlice(text, start, end);
    const name = {raw, doubtful: false};
    this.texts.set(raw, name);
    return name;
  }
}
