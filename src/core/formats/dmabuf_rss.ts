// SPDX-License-Identifier: Apache-2.0
/**
 * /proc/PID/dmabuf_rss, dmabuf_pss and dmabuf_rss_hwm of Android's common
 * kernels (fs/proc/base.c): "%lu\n", bytes. Empty for a task without
 * accounting (kernel threads).
 */
import type {RawText} from '../model/text.js';
import {FormatError, quoteRaw} from './format_error.js';
import {asDecimal} from './scan.js';

export type DmabufRssFile = 'dmabuf_rss' | 'dmabuf_pss' | 'dmabuf_rss_hwm';

/**
 * Bytes; undefined when the file was empty (unknown, not zero).
 * @throws FormatError when the text is cut or no number.
 */
export function parseDmabufRss(
  text: RawText,
  file: DmabufRssFile = 'dmabuf_rss',
): bigint | undefined {
  if (text === '') return undefined;
  const value = text.endsWith('\n') ? asDecimal(text.slice(0, -1)) : undefined;
  if (value === undefined) {
    throw new FormatError(
      `/proc/PID/${file}`,
      1,
      `expected a number of bytes and a newline, found ${quoteRaw(text)}`,
    );
  }
  return value;
}

export function renderDmabufRss(bytes: bigint | undefined): RawText {
  return bytes === undefined ? '' : `${bytes}\n`;
}
