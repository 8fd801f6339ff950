// SPDX-License-Identifier: Apache-2.0
import {
  processName,
  type BufferName,
  type Process,
  type RawText,
} from '../../../core/model/index.js';
import {escapeRaw} from '../output/terminal.js';
import {UNKNOWN} from '../output/units.js';

/** What stands for a name that was never given. */
export const UNSET = '(unset)';

/**
 * A buffer's name for people: `?` when no source told it, `(unset)` when it
 * never had one, else the escaped name, in quotes where it would look like
 * something else.
 */
export function nameLabel(name: BufferName | undefined): string {
  if (name === undefined) return UNKNOWN;
  const label = name.raw === undefined ? UNSET : textLabel(name.raw);
  return name.doubtful ? `${label} (doubtful)` : label;
}

/** `?` when no source told it. */
export function exporterLabel(exporter: RawText | undefined): string {
  return exporter === undefined ? UNKNOWN : textLabel(exporter);
}

export function processLabel(process: Process): string {
  return textLabel(processName(process));
}

function textLabel(raw: RawText): string {
  const text = escapeRaw(raw);
  return /^$|^[ "(?]| $/.test(text) ? `"${text.replaceAll('"', '\\"')}"` : text;
}
