// SPDX-License-Identifier: Apache-2.0
// The address under which the UI fetches a file and shows our tracks at once;
// docs/visualization/deep-linking-to-perfetto-ui.md of Perfetto. Of the UI's
// commands only those of ui/src/core/startup_command_allowlist.ts may stand in
// an address.
import {EXPORTER_PREFIX, trackName} from '../trace/schema.js';
import {OpenError} from './open_error.js';

export const PERFETTO_UI = 'https://ui.perfetto.dev';

/** Where a UI is, which may be somebody's own. */
export interface Ui {
  /** Without a slash at the end. */
  readonly address: string;
  /** As browsers send it in the header Origin. */
  readonly origin: string;
}

/** @throws OpenError when it is no address of a page */
export function parseUi(address: string): Ui {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new OpenError(
      `${address} is no address of a UI: give one such as ${PERFETTO_UI}`,
    );
  }
  const {origin, pathname} = url;
  return {origin, address: origin + pathname.replace(/\/+$/, '')};
}

/** One of the UI's commands; all its arguments are text. */
interface StartupCommand {
  readonly id: string;
  readonly args: readonly string[];
}

/** Under the root of a recording, real or simulated. */
const ROOT_COUNTERS = [
  trackName.total,
  trackName.held,
  trackName.kernelOnly,
  trackName.kernelOnlyUpperBound,
  trackName.mappedOnly,
  trackName.bufferCount,
];

/** Processes whose PSS is shown at once. */
const PROCESSES_SHOWN = 5;

/** Puts our tracks where they are seen. */
export function startupCommands(): readonly StartupCommand[] {
  const roots = anyOf([trackName.root, trackName.simulatedRoot]);
  const counters = anyOf(ROOT_COUNTERS);
  const exporters = `${escape(EXPORTER_PREFIX)}.*`;
  return [
    pin(`(^| > )${roots} > (${counters}|${exporters})$`),
    {
      // The pinned copy of a process's track would not say which process.
      id: 'dev.perfetto.AddDebugCounterTrackWithPivot',
      args: [pssOfBiggest(PROCESSES_SHOWN), 'process', trackName.pss],
    },
  ];
}

/** SQL for the PSS of the processes that had the most at any time. */
function pssOfBiggest(limit: number): string {
  const named = `t.name = '${trackName.pss}'`;
  // Without the folders of its program, as the UI names processes too.
  const program =
    "replace(p.name, rtrim(p.name, replace(p.name, '/', '')), '')";
  return (
    `SELECT c.ts, c.value, ${program} || ' ' || p.pid AS process ` +
    'FROM counter c ' +
    'JOIN process_counter_track t ON c.track_id = t.id ' +
    'JOIN process p USING (upid) ' +
    'WHERE t.id IN (SELECT t.id FROM counter c ' +
    `JOIN process_counter_track t ON c.track_id = t.id WHERE ${named} ` +
    `GROUP BY t.id ORDER BY max(c.value) DESC LIMIT ${limit})`
  );
}

/** @param pattern of the names from the root on, joined by ` > `. */
function pin(pattern: string): StartupCommand {
  return {id: 'dev.perfetto.PinTracksByRegex', args: [pattern, 'path']};
}

function anyOf(names: readonly string[]): string {
  return `(${names.map(escape).join('|')})`;
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** The link that makes the UI fetch `fileUrl`. */
export function linkTo({address}: Ui, fileUrl: string): string {
  const commands = JSON.stringify(startupCommands());
  return (
    `${address}/#!/?url=${encode(fileUrl)}` +
    `&startupCommands=${encode(commands)}`
  );
}

/** As encodeURIComponent, and fit for terminals that find links in text. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
