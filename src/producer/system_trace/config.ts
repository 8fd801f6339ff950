// SPDX-License-Identifier: Apache-2.0
// What the device's own tracing service is asked to record, as the text form of
// protos/perfetto/config/trace_config.proto. The device's `perfetto` parses it,
// and refuses a field that it does not know.
import {open} from 'node:fs/promises';
import {toReadError, TraceReadError} from '../trace/packet_stream.js';

/** Major version of a device's perfetto; undefined where it does not tell. */
export type PerfettoVersion = number | undefined;

/** First versions of perfetto's config that know a field. */
const SINCE = {
  compactSched: 9,
  surfaceFlingerModes: 36,
  dmabufRss: 52,
} as const;

/** `Perfetto v47.0-4ab18f6e4 (...)` */
export function parseVersion(text: string): PerfettoVersion {
  const found = /\bv(\d{1,4})\.\d/.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** A day: a session whose every leash broke ends by then. */
const LAST_RESORT_MS = 24 * 60 * 60 * 1000;
/** Time for starting, flushing and stopping beyond the recording's own. */
const MARGIN_MS = 60_000;
/** uint32 */
const LONGEST_MS = 2 ** 32 - 1;
/** Perfetto's reader in a browser has 4 GiB for a trace and its tables. */
const LARGEST_FILE_BYTES = 2 ** 31;

/** Events that allocate, free, share or account graphics memory. */
const MEMORY_EVENTS = [
  'dmabuf_heap/dma_heap_stat',
  'kmem/dmabuf_rss_stat',
  // Before the heaps.
  'ion/ion_stat',
  'kmem/ion_heap_grow',
  'kmem/ion_heap_shrink',
  // Linux 7.0.
  'dma_buf/dma_buf_export',
  'dma_buf/dma_buf_fd',
  'dma_buf/dma_buf_get',
  'dma_buf/dma_buf_put',
  'dma_buf/dma_buf_mmap',
  'dma_buf/dma_buf_mmap_internal',
  'dma_buf/dma_buf_dynamic_attach',
  'dma_buf/dma_buf_detach',
  'gpu_mem/gpu_mem_total',
];

/** Who ran, and who called whom. */
const SCHEDULING_EVENTS = [
  'sched/sched_switch',
  'sched/sched_waking',
  'sched/sched_process_exit',
  'sched/sched_process_free',
  'task/task_newtask',
  'task/task_rename',
  'power/gpu_frequency',
  'power/suspend_resume',
  'binder/binder_transaction',
  'binder/binder_transaction_received',
];

/** Where surfaces, codecs and cameras tell what they do. */
const ATRACE_CATEGORIES = ['gfx', 'view', 'video', 'camera'];

export interface BuiltInOptions {
  readonly version: PerfettoVersion;
  /** How long is recorded, ms; undefined: until it is stopped. */
  readonly durationMs: number | undefined;
}

/**
 * A configuration for work on graphics memory. What a device does not have, an
 * event or a data source, its service passes over.
 */
export function builtInConfig({version, durationMs}: BuiltInOptions): string {
  const knows = (feature: keyof typeof SINCE): boolean =>
    (version ?? 0) >= SINCE[feature];
  const limitMs =
    durationMs === undefined
      ? LAST_RESORT_MS
      : Math.min(Math.ceil(durationMs) + MARGIN_MS, LONGEST_MS);
  return `
# The host stops it earlier.
duration_ms: ${limitMs}
write_into_file: true
file_write_period_ms: 2500
flush_period_ms: 5000
max_file_size_bytes: ${LARGEST_FILE_BYTES}
# Of events, by far the most.
buffers { size_kb: 65536 fill_policy: RING_BUFFER }
# Of what is polled; events cannot push it out.
buffers { size_kb: 8192 fill_policy: RING_BUFFER }
# Of surfaces and frames.
buffers { size_kb: 32768 fill_policy: RING_BUFFER }
data_sources { config {
  name: "linux.ftrace"
  target_buffer: 0
  ftrace_config {
${list('ftrace_events', [...MEMORY_EVENTS, ...SCHEDULING_EVENTS])}
${list('atrace_categories', ATRACE_CATEGORIES)}
    buffer_size_kb: 8192
    drain_period_ms: 250
    ${knows('compactSched') ? 'compact_sched { enabled: true }' : ''}
  }
} }
data_sources { config {
  name: "linux.process_stats"
  target_buffer: 1
  process_stats_config {
    scan_all_processes_on_start: true
    proc_stats_poll_ms: 1000
    ${knows('dmabufRss') ? 'record_process_dmabuf_rss: true' : ''}
  }
} }
data_sources { config {
  name: "linux.sys_stats"
  target_buffer: 1
  sys_stats_config {
    meminfo_period_ms: 1000
    meminfo_counters: MEMINFO_MEM_TOTAL
    meminfo_counters: MEMINFO_MEM_FREE
    meminfo_counters: MEMINFO_MEM_AVAILABLE
  }
} }
data_sources { config { name: "android.gpu.memory" target_buffer: 1 } }
data_sources { config {
  name: "android.surfaceflinger.frametimeline"
  target_buffer: 2
} }
${knows('surfaceFlingerModes') ? SURFACE_FLINGER : ''}`.trim();
}

/** One picture of all layers, then each change: not each frame's layers. */
const SURFACE_FLINGER = `
data_sources { config {
  name: "android.surfaceflinger.layers"
  target_buffer: 2
  surfaceflinger_layers_config { mode: MODE_DUMP }
} }
data_sources { config {
  name: "android.surfaceflinger.transactions"
  target_buffer: 2
  surfaceflinger_transactions_config { mode: MODE_ACTIVE }
} }`;

function list(field: string, values: readonly string[]): string {
  return values.map((value) => `    ${field}: "${value}"`).join('\n');
}

/**
 * Whether a configuration has the service poll /proc/PID/dmabuf_rss, which fills
 * the same counters as our own ProcessStats.
 */
export function pollsDmabufRss(config: string): boolean {
  const withoutStringsAndComments = config.replace(
    /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|#[^\n]*/g,
    ' ',
  );
  return /\brecord_process_dmabuf_rss\s*:\s*(true|t|1)\b/i.test(
    withoutStringsAndComments,
  );
}

/** A configuration that somebody wrote is some kilobytes. */
const LARGEST_CONFIG_BYTES = 1 << 20;

/**
 * The text of somebody's own configuration. What is in it the device judges.
 *
 * @throws TraceReadError when it cannot be read, or is no text
 */
export async function readConfig(path: string): Promise<string> {
  const bytes = await readSome(path, LARGEST_CONFIG_BYTES + 1);
  const refuse = (why: string): TraceReadError =>
    new TraceReadError(
      `${path} is no configuration for perfetto: ${why}: give it in its text ` +
        'form (.pbtx)',
    );
  if (bytes.length > LARGEST_CONFIG_BYTES) throw refuse('it is over 1 MiB');
  let text: string;
  try {
    text = new TextDecoder('utf-8', {fatal: true}).decode(bytes);
  } catch {
    throw refuse('it is no text');
  }
  if (/[\x00-\x08\x0e-\x1f\x7f]/.test(text)) throw refuse('it is no text');
  if (text.trim() === '') throw refuse('it is empty');
  return text;
}

async function readSome(path: string, length: number): Promise<Uint8Array> {
  try {
    const file = await open(path, 'r');
    try {
      const buffer = Buffer.alloc(length);
      let end = 0;
      while (end < length) {
        const {bytesRead} = await file.read(buffer, end, length - end);
        if (bytesRead === 0) break;
        end += bytesRead;
      }
      return buffer.subarray(0, end);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw toReadError(path, error);
  }
}
