// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';

/** UTC of a simulated kernel's boot: a Sunday nobody takes for a recording. */
export const BOOT_REALTIME_NS = 946_728_000_000_000_000n;

const TICK_NS = 10_000_000n;
const SECOND_NS = 1_000_000_000n;

/** Share of a CPU's time that it is idle: in fifths. */
const IDLE_FIFTHS = 4n;

/** Time that all CPUs together were idle, ns. */
export function idleNs(upNs: bigint, cpus: number): bigint {
  return (upNs * BigInt(cpus) * IDLE_FIFTHS) / 5n;
}

/**
 * /proc/stat, of whose lines those about CPU time and `btime` (seconds since
 * 1970 at boot): whoever wants the time at which a process started needs it.
 */
export function renderSystemStat(upNs: bigint, cpus: number): RawText {
  const line = (name: string, of: number): RawText => {
    const all = (upNs * BigInt(of)) / TICK_NS;
    const idle = idleNs(upNs, of) / TICK_NS;
    return `${name} ${all - idle} 0 0 ${idle} 0 0 0 0 0 0\n`;
  };
  // The first label is padded.
  let text = line('cpu ', cpus);
  for (let cpu = 0; cpu < cpus; cpu++) text += line(`cpu${cpu}`, 1);
  return `${text}btime ${BOOT_REALTIME_NS / SECOND_NS}\n`;
}
