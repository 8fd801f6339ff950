// SPDX-License-Identifier: Apache-2.0
// Which of the names that sources tell of one buffer is to be believed.
import {sameName, type BufferName} from '../../core/model/index.js';

/**
 * The name after the kernel's list told one.
 *
 * @param listed what the list printed the last time
 */
export function listedName(
  known: BufferName | undefined,
  listed: BufferName | undefined,
  told: BufferName | undefined,
): BufferName | undefined {
  if (told?.doubtful !== true || listed === undefined) {
    return toldName(known, told);
  }
  // What is printed as before tells nothing new. If not, somebody renamed it.
  return sameName(told, listed) ? known : told;
}

/** A name that cannot be doubted beats one that can. */
export function toldName(
  known: BufferName | undefined,
  told: BufferName | undefined,
): BufferName | undefined {
  if (told === undefined) return known;
  if (known === undefined || !told.doubtful) return told;
  // A doubtful text that may be the known name tells nothing new.
  if (!known.doubtful && mayBeSame(known, told)) return known;
  return sameName(known, told) ? known : told;
}

/** Whether a name that cannot be doubted is not the one a list printed. */
export function contradicts(
  listed: BufferName | undefined,
  told: BufferName | undefined,
): boolean {
  if (listed === undefined || told === undefined || told.doubtful) return false;
  return !mayBeSame(told, listed);
}

/** Whether a name can have been printed as that, cut at a newline or not. */
function mayBeSame(settled: BufferName, doubtful: BufferName): boolean {
  const text = settled.raw ?? '';
  const told = doubtful.raw;
  if (told === undefined) return text === '' || text === '<none>';
  return (
    text === told ||
    text.startsWith(`${told}\n`) ||
    told.startsWith(`${text}\n`) ||
    // As maps and as the BPF iterator print it.
    text.replaceAll('\\012', '\n') === told ||
    text.replaceAll('\n', ' ') === told
  );
}
