// SPDX-License-Identifier: Apache-2.0

/** Text that a process chose, as opposed to a number or a word of ours. */
export interface CsvText {
  readonly text: string;
}

/** Undefined, an empty cell, is what is not known. */
export type CsvCell = string | number | bigint | boolean | CsvText | undefined;

/** RFC 4180, with a line of titles and CRLF at the end of each line. */
export function renderCsv(
  titles: readonly string[],
  rows: Iterable<readonly CsvCell[]>,
): string {
  let csv = '';
  for (const row of [titles, ...rows]) csv += `${row.map(cell).join(',')}\r\n`;
  return csv;
}

function cell(value: CsvCell): string {
  if (value === undefined) return '';
  if (typeof value !== 'object') return quote(String(value));
  return quote(guard(value.text));
}

/** A spreadsheet takes text that begins like this for a formula. */
function guard(text: string): string {
  return /^\s*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

function quote(text: string): string {
  return /[",\r\n]|^\s|\s$/.test(text)
    ? `"${text.replaceAll('"', '""')}"`
    : text;
}
