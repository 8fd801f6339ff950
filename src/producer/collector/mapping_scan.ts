// SPDX-License-Identifier: Apache-2.0
import type {DeviceState} from './device_state.js';
import {MAPPING_FORM, ProcessLineReader} from './process_line_reader.js';
import type {ProcessWatch} from './process_watch.js';
import type {Mapping} from './sections.js';
import type {MapRefs, TrackedProcess} from './tracked_process.js';
import {WalkOutcome, type WalkState} from './walk_outcome.js';
import type {Work} from './work.js';

const NO_MAPS: ReadonlyMap<bigint, MapRefs> = new Map();

/** Reads the mappings of processes into the state. */
export class MappingScan {
  private readonly reader = new ProcessLineReader(MAPPING_FORM);
  private readonly sums = new WeakMap<
    readonly Mapping[],
    ReadonlyMap<bigint, MapRefs>
  >();
  /** What the state has learnt from already. */
  private readonly learnt = new WeakSet<readonly Mapping[]>();

  constructor(
    private readonly state: DeviceState,
    private readonly watch: ProcessWatch,
  ) {
    watch.readsWith(this.reader);
  }

  async read(
    work: Work,
    targets: readonly TrackedProcess[],
    nowNs: bigint,
    everyone: boolean,
  ): Promise<void> {
    if (targets.length === 0) return;
    const answers = await work.walk('maps', targets, everyone);
    const outcome = new WalkOutcome(answers);
    const byPid = new Map<number, readonly Mapping[]>();
    for (const {body} of answers) {
      const {processes, malformed} = this.reader.read(body);
      work.malformed(malformed, 'maps');
      for (const {pid, items} of processes) byPid.set(pid, items);
    }
    for (const tracked of targets) {
      const {pid} = tracked;
      if (!this.state.processes.has(pid)) continue;
      if (outcome.isGone(pid)) {
        work.vanished.add(pid);
        this.watch.remove(pid);
        continue;
      }
      const mappings = byPid.get(pid);
      const state = outcome.stateOf(pid, mappings !== undefined);
      if (state === undefined) continue;
      setState(tracked, state);
      this.state.setMaps(tracked, this.sumOf(mappings));
      tracked.asOfNs = nowNs;
      work.scanned.add(pid);
      work.mapped.add(pid);
    }
    for (const mappings of byPid.values()) {
      // Those that are as before were learnt from then.
      if (!everyone && this.learnt.has(mappings)) continue;
      this.learnt.add(mappings);
      for (const mapping of mappings) work.mappings.push(mapping);
    }
  }

  private sumOf(
    mappings: readonly Mapping[] | undefined,
  ): ReadonlyMap<bigint, MapRefs> {
    if (mappings === undefined) return NO_MAPS;
    let sum = this.sums.get(mappings);
    if (sum === undefined) {
      sum = sumMappings(mappings);
      this.sums.set(mappings, sum);
    }
    return sum;
  }
}

function setState(tracked: TrackedProcess, mappings: WalkState): void {
  if (mappings === 'as before' || tracked.mappings === mappings) return;
  tracked.mappings = mappings;
  tracked.stale = true;
}

function sumMappings(mappings: readonly Mapping[]): Map<bigint, MapRefs> {
  const sums = new Map<bigint, MapRefs>();
  for (const {inode, lengthBytes} of mappings) {
    const sum = sums.get(inode);
    sums.set(inode, {
      refs: (sum?.refs ?? 0) + 1,
      bytes: (sum?.bytes ?? 0n) + lengthBytes,
    });
  }
  return sums;
}
