// SPDX-License-Identifier: Apache-2.0
// The trace processor was built for a browser's worker. Here its glue runs in a
// function that hands it a worker's globals, and a channel takes the worker's
// place. Every edit of the foreign text fails loudly when its anchor is gone.
import {compileFunction} from 'node:vm';
import {MessageChannel, type MessagePort} from 'node:worker_threads';
import type {TraceProcessorFiles} from './download.js';

export type Cell = string | number | bigint | Uint8Array | undefined;
export type Row = Readonly<Record<string, Cell>>;

/** One instance of the trace processor; see the UI's EngineBase. */
export interface Engine {
  /** At most 32 MiB at a time. */
  parse(data: Uint8Array): Promise<void>;
  notifyEof(): Promise<void>;
  query(sql: string): Promise<QueryResult>;
  /** So that INCLUDE PERFETTO MODULE finds them. */
  registerSqlPackages(sqlPackage: SqlPackage): Promise<void>;
  dispose(): void;
}

/** A PerfettoSQL package: modules whose names begin with the package's. */
export interface SqlPackage {
  readonly name: string;
  readonly modules: ReadonlyArray<{
    readonly name: string;
    readonly sql: string;
  }>;
}

interface QueryResult {
  columns(): string[];
  iter(spec: object): RowIterator;
}

interface RowIterator {
  valid(): boolean;
  next(): void;
  get(column: string): unknown;
}

interface Bridge {
  initialize(port: MessagePort): void;
}

/** What the glue prints; kept, because a crash is explained there. */
type Console = Record<'log' | 'warn' | 'error', (...text: unknown[]) => void>;

/** Starts an instance of the trace processor. */
export function startTraceProcessor(files: TraceProcessorFiles): Engine {
  const log: string[] = [];
  const print = (...text: unknown[]): void => {
    log.push(text.map(String).join(' '));
  };
  const quiet: Console = {log: print, warn: print, error: print};
  return startEngine(files.engine, startBridge(files, quiet), quiet);
}

function startBridge(files: TraceProcessorFiles, quiet: Console): Bridge {
  const text = edit(files.glue, [
    ['locateFile: (s) => s,', 'locateFile: (s) => s, wasmBinary: $wasmBinary,'],
    ['this.useMemory64 = hasMemory64Support();', 'this.useMemory64 = false;'],
    [
      'const wasmBridge = new wasm_bridge_1.WasmBridge();',
      'const wasmBridge = new wasm_bridge_1.WasmBridge(); ' +
        '$expose(wasmBridge);',
    ],
  ]);
  let bridge: Bridge | undefined;
  const self = {location: {href: 'file:///trace_processor/'}};
  const globals = {
    self,
    location: self.location,
    WorkerGlobalScope: Object,
    console: quiet,
    $wasmBinary: files.wasm,
    $expose: (made: Bridge) => (bridge = made),
  };
  compileFunction(text, Object.keys(globals))(...Object.values(globals));
  if (bridge === undefined) throw new Error('the glue made no WasmBridge');
  return bridge;
}

function startEngine(source: string, bridge: Bridge, quiet: Console): Engine {
  const text = edit(source, [
    ['export {\n  EngineBase,\n  EngineProxy\n};', 'return EngineBase;'],
  ]);
  const EngineBase = compileFunction(text, ['console'])(
    quiet,
  ) as new () => Omit<Engine, 'dispose'> & {
    onRpcResponseBytes(bytes: Uint8Array): void;
  };
  const {port1, port2} = new MessageChannel();

  class ChannelEngine extends EngineBase implements Engine {
    readonly id = 'test';
    readonly mode = 'WASM';

    rpcSendRequestBytes(bytes: Uint8Array): void {
      port1.postMessage(bytes);
    }

    dispose(): void {
      port1.close();
    }
  }

  const engine = new ChannelEngine();
  port1.on('message', (bytes: Uint8Array) => engine.onRpcResponseBytes(bytes));
  bridge.initialize(port2);
  return engine;
}

function edit(
  text: string,
  edits: ReadonlyArray<readonly [anchor: string, replacement: string]>,
): string {
  for (const [anchor, replacement] of edits) {
    const parts = text.split(anchor);
    if (parts.length < 2) {
      throw new Error(`the trace processor's glue has no "${anchor}"`);
    }
    text = parts.join(replacement);
  }
  return text;
}

/** Rows with NULL as undefined and integers as numbers where they fit. */
export async function readRows(engine: Engine, sql: string): Promise<Row[]> {
  const result = await engine.query(sql);
  const columns = result.columns();
  const rows: Row[] = [];
  for (const it = result.iter({}); it.valid(); it.next()) {
    rows.push(
      Object.fromEntries(columns.map((name) => [name, toCell(it.get(name))])),
    );
  }
  return rows;
}

function toCell(value: unknown): Cell {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  return (value ?? undefined) as Cell;
}
