// SPDX-License-Identifier: Apache-2.0
import {BinaryReader, WireType} from '@bufbuild/protobuf/wire';
import {inflateSync} from 'node:zlib';
import {readPackets, splitFrames, type Damage} from './packet_stream.js';
import {attribute} from './schema.js';

/** Two clocks of a device, read at one moment. */
export interface ClockPair {
  readonly bootNs: bigint;
  readonly realNs: bigint;
}

/** What tells by whom, where and when a trace was recorded. */
export interface TraceFacts {
  /** In the order of the file. */
  readonly clocks: readonly ClockPair[];
  /** BOOTTIME of the first reading of clocks; undefined: there is none. */
  readonly firstNs: bigint | undefined;
  /** The same of the last, or of what was recorded after it. */
  readonly lastNs: bigint | undefined;
  /** uname -r. */
  readonly kernelRelease: string | undefined;
  /** ro.build.fingerprint. */
  readonly buildFingerprint: string | undefined;
  /** Of our recordings only; Perfetto's own traces do not tell. */
  readonly bootId: string | undefined;
  /** It is a recording of ours. */
  readonly isOurs: boolean;
  /** It is one of ours, of the simulator. */
  readonly isSimulated: boolean;
  /** Processes have their dmabuf_rss in it. */
  readonly hasDmabufRss: boolean;
  /** Where it is cut or garbled; undefined: it is whole. */
  readonly damage: Damage | undefined;
}

/** Field numbers of protos/perfetto/trace/trace_packet.proto and below. */
const PACKET = {
  timestamp: 8,
  timestampClock: 58,
  clockSnapshot: 6,
  processStats: 9,
  systemInfo: 45,
  compressedPackets: 50,
  traceAttributes: 126,
} as const;
const CLOCKS = 1;
const CLOCK = {id: 1, timestamp: 2, unitNs: 4} as const;
const REALTIME = 1;
const BOOTTIME = 6;
const PROCESSES = 1;
const DMABUF_RSS_KB = 24;
const SYSTEM_INFO = {utsname: 1, fingerprint: 2} as const;
const UTSNAME_RELEASE = 3;
const ATTRIBUTES = 1;
const ATTRIBUTE = {key: 1, long: 2, text: 3} as const;

/** A traced has at most 32 MB of packets compressed at a time. */
const LARGEST_INFLATED = 1 << 26;
/** A snapshot each 10 s, for two weeks. */
const MOST_CLOCKS = 120_000;

/**
 * Reads a trace once, whatever its size, for what it tells of itself.
 *
 * @throws TraceReadError when it cannot be read or is no trace
 */
export async function readTraceFacts(path: string): Promise<TraceFacts> {
  const builder = new FactsBuilder();
  let damage: Damage | undefined;
  for await (const packet of readPackets(path)) {
    if ('kind' in packet) {
      damage = packet;
      break;
    }
    try {
      builder.add(packet.bytes);
    } catch {
      damage = {kind: 'garbled', offset: packet.offset};
      break;
    }
  }
  return builder.build(damage);
}

/** Whether a packet holds nothing but processes' dmabuf_rss of ours. */
export function isProcessStats(packet: Uint8Array): boolean {
  let found = false;
  eachField(packet, (field) => {
    found ||= field === PACKET.processStats;
  });
  return found;
}

class FactsBuilder {
  private readonly clocks: ClockPair[] = [];
  private readonly attributes = new Map<string, string | bigint>();
  private kernelRelease: string | undefined;
  private buildFingerprint: string | undefined;
  private hasDmabufRss = false;
  private lastStatsNs: bigint | undefined;
  private lastStampNs: bigint | undefined;

  add(packet: Uint8Array): void {
    let timestamp: bigint | undefined;
    let isStats = false;
    let isOtherClock = false;
    eachField(packet, (field, value) => {
      if (!(value instanceof Uint8Array)) {
        if (field === PACKET.timestamp) timestamp = value;
        if (field === PACKET.timestampClock) isOtherClock = true;
        return;
      }
      isStats ||= field === PACKET.processStats;
      switch (field) {
        case PACKET.clockSnapshot:
          this.addClocks(value);
          break;
        case PACKET.processStats:
          this.hasDmabufRss ||= hasRss(value);
          break;
        case PACKET.systemInfo:
          this.addSystemInfo(value);
          break;
        case PACKET.traceAttributes:
          this.addAttributes(value);
          break;
        case PACKET.compressedPackets:
          this.addCompressed(value);
          break;
      }
    });
    if (isOtherClock || timestamp === undefined) return;
    this.lastStampNs = timestamp;
    if (isStats) this.lastStatsNs = timestamp;
  }

  build(damage: Damage | undefined): TraceFacts {
    const {attributes} = this;
    const text = (key: string): string | undefined => {
      const value = attributes.get(key);
      return typeof value === 'string' ? value : undefined;
    };
    const boot = this.clocks.map(({bootNs}) => bootNs);
    const isOurs = attributes.has(attribute.schemaVersion);
    // Others' packets may count in other clocks without saying so; those of
    // ProcessStats never do.
    const lastNs = isOurs ? this.lastStampNs : this.lastStatsNs;
    return {
      clocks: this.clocks,
      firstNs: boot[0],
      lastNs: latest(boot.at(-1), lastNs),
      kernelRelease: text(attribute.kernelRelease) ?? this.kernelRelease,
      buildFingerprint:
        text(attribute.buildFingerprint) ?? this.buildFingerprint,
      bootId: text(attribute.bootId),
      isOurs,
      isSimulated: attributes.get(attribute.simulated) === 1n,
      hasDmabufRss: this.hasDmabufRss,
      damage,
    };
  }

  private addClocks(snapshot: Uint8Array): void {
    let bootNs: bigint | undefined;
    let realNs: bigint | undefined;
    eachField(snapshot, (field, clock) => {
      if (field !== CLOCKS || !(clock instanceof Uint8Array)) return;
      const numbers = numbersOf(clock);
      const id = numbers.get(CLOCK.id);
      const unitNs = numbers.get(CLOCK.unitNs) ?? 1n;
      const ns = (numbers.get(CLOCK.timestamp) ?? 0n) * unitNs;
      if (id === BigInt(BOOTTIME)) bootNs = ns;
      if (id === BigInt(REALTIME)) realNs = ns;
    });
    if (bootNs === undefined || realNs === undefined) return;
    if (this.clocks.length < MOST_CLOCKS) this.clocks.push({bootNs, realNs});
  }

  private addSystemInfo(info: Uint8Array): void {
    eachField(info, (field, value) => {
      if (!(value instanceof Uint8Array)) return;
      if (field === SYSTEM_INFO.fingerprint) {
        this.buildFingerprint = decode(value);
      }
      if (field !== SYSTEM_INFO.utsname) return;
      eachField(value, (part, text) => {
        if (part === UTSNAME_RELEASE && text instanceof Uint8Array) {
          this.kernelRelease = decode(text);
        }
      });
    });
  }

  private addAttributes(attributes: Uint8Array): void {
    eachField(attributes, (field, value) => {
      if (field !== ATTRIBUTES || !(value instanceof Uint8Array)) return;
      let key = '';
      let content: string | bigint | undefined;
      eachField(value, (part, found) => {
        if (typeof found === 'bigint') {
          if (part === ATTRIBUTE.long) content = found;
        } else if (part === ATTRIBUTE.key) key = decode(found);
        else if (part === ATTRIBUTE.text) content = decode(found);
      });
      if (content !== undefined) this.attributes.set(key, content);
    });
  }

  private addCompressed(packets: Uint8Array): void {
    const bytes = inflateSync(packets, {maxOutputLength: LARGEST_INFLATED});
    for (const packet of splitFrames(bytes)) this.add(packet);
  }
}

function latest(
  a: bigint | undefined,
  b: bigint | undefined,
): bigint | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a > b ? a : b;
}

function hasRss(stats: Uint8Array): boolean {
  let found = false;
  eachField(stats, (field, process) => {
    if (found || field !== PROCESSES || !(process instanceof Uint8Array))
      return;
    found = numbersOf(process).has(DMABUF_RSS_KB);
  });
  return found;
}

function numbersOf(message: Uint8Array): Map<number, bigint> {
  const numbers = new Map<number, bigint>();
  eachField(message, (field, value) => {
    if (typeof value === 'bigint') numbers.set(field, value);
  });
  return numbers;
}

/** Calls back with each varint, and each string of bytes, of a message. */
function eachField(
  message: Uint8Array,
  visit: (field: number, value: bigint | Uint8Array) => void,
): void {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.Varint) visit(field, BigInt(reader.uint64()));
    else if (wireType === WireType.LengthDelimited) {
      visit(field, reader.bytes());
    } else reader.skip(wireType, field);
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
