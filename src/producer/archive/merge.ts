// SPDX-License-Identifier: Apache-2.0
import {BinaryWriter} from '@bufbuild/protobuf/wire';
import {stat} from 'node:fs/promises';
import {Readable} from 'node:stream';
import {oneLine} from '../device/device.js';
import {readPackets, TraceReadError} from '../trace/packet_stream.js';
import {
  isProcessStats,
  readTraceFacts,
  type ClockPair,
  type TraceFacts,
} from '../trace/trace_facts.js';
import {memberName} from './combined.js';
import {fileMember, writeTarArchive, type TarMember} from './tar_archive.js';

/** Traces that do not belong together, or are not what they should be. */
export class MergeError extends TraceReadError {}

export interface Merged {
  /**
   * How far the wall clocks at boot differ that the two traces tell of, ns.
   * What was recorded is placed by the time since boot, which it does not move.
   */
  readonly clocksDifferNs: bigint;
  /** Both know the boot they were recorded in, and it is the same. */
  readonly sameBootId: boolean;
  /** The two were recorded one after the other; how long after, ns. */
  readonly apartNs: bigint | undefined;
  /** Our dmabuf_rss was left out, for the kernel's own is in the system trace. */
  readonly rssLeftOut: boolean;
  /** Traces that are cut or garbled at some place; they are in as they are. */
  readonly damaged: readonly string[];
}

/**
 * Wall clocks of one boot differ by what the network corrected in between; a
 * device takes longer than this to boot again.
 */
const SAME_BOOT_NS = 5_000_000_000n;
/** A tracing service reads the clocks every 10 s. */
const BETWEEN_SNAPSHOTS_NS = 10_000_000_000n;

/**
 * Puts a system trace and a recording of ours, taken apart, into one archive
 * that opens as one.
 *
 * @throws MergeError when they are of different boots or devices
 * @throws TraceReadError, TraceWriteError
 */
export async function mergeTraces(
  systemPath: string,
  oursPath: string,
  output: string,
): Promise<Merged> {
  await refuseSameFile([systemPath, oursPath], output);
  const system = await readTraceFacts(systemPath);
  const ours = await readTraceFacts(oursPath);
  checkKinds(systemPath, system, oursPath, ours);
  checkDevice(systemPath, system, oursPath, ours);
  const nearest = checkClocks(systemPath, system, oursPath, ours);
  const rssLeftOut = system.hasDmabufRss && ours.hasDmabufRss;
  await writeTarArchive(output, [
    await fileMember(memberName.system, systemPath),
    rssLeftOut
      ? await memberWithoutRss(oursPath)
      : await fileMember(memberName.ours, oursPath),
  ]);
  return {
    ...nearest,
    sameBootId: isSameBoot(system, ours),
    rssLeftOut,
    damaged: [
      ...(system.damage === undefined ? [] : [systemPath]),
      ...(ours.damage === undefined ? [] : [oursPath]),
    ],
  };
}

async function refuseSameFile(
  inputs: readonly string[],
  output: string,
): Promise<void> {
  const [first, second, third] = await Promise.all(
    [...inputs, output].map((path) => stat(path).catch(() => undefined)),
  );
  const same = (a: typeof first, b: typeof first): boolean =>
    a !== undefined && b !== undefined && a.ino === b.ino && a.dev === b.dev;
  if (same(first, second)) {
    throw new MergeError(
      `${inputs[0] ?? ''} and ${inputs[1] ?? ''} are the same file: give the ` +
        'system trace first, then the recording of perfetto-dmabuf',
    );
  }
  if (!same(first, third) && !same(second, third)) return;
  throw new MergeError(
    `${output} is one of the traces to merge: choose another file with -o`,
  );
}

function checkKinds(
  systemPath: string,
  system: TraceFacts,
  oursPath: string,
  ours: TraceFacts,
): void {
  if (!ours.isOurs && system.isOurs) {
    throw new MergeError(
      `${systemPath} is the recording of perfetto-dmabuf: give the system ` +
        'trace first, then the recording',
    );
  }
  if (!ours.isOurs) {
    throw new MergeError(
      `${oursPath} holds nothing recorded by perfetto-dmabuf: give the system ` +
        'trace first, then a recording',
    );
  }
  if (system.isOurs) {
    throw new MergeError(
      `${systemPath} is a recording of perfetto-dmabuf too: give a trace that ` +
        "the device's perfetto recorded",
    );
  }
  if (ours.isSimulated) {
    throw new MergeError(
      `${oursPath} is simulated: there is no system trace of that`,
    );
  }
}

function checkDevice(
  systemPath: string,
  system: TraceFacts,
  oursPath: string,
  ours: TraceFacts,
): void {
  const differ = (
    what: string,
    ofSystem: string | undefined,
    ofOurs: string | undefined,
  ): void => {
    if (ofSystem === undefined || ofOurs === undefined) return;
    if (ofSystem === ofOurs) return;
    throw new MergeError(
      `${systemPath} and ${oursPath} are of different boots (${what} ` +
        `${oneLine(ofSystem)} and ${oneLine(ofOurs)}): their times do not ` +
        'compare, so open them one by one',
    );
  };
  differ('boot id', system.bootId, ours.bootId);
  differ('build', system.buildFingerprint, ours.buildFingerprint);
  differ('kernel', system.kernelRelease, ours.kernelRelease);
}

function checkClocks(
  systemPath: string,
  system: TraceFacts,
  oursPath: string,
  ours: TraceFacts,
): Pick<Merged, 'clocksDifferNs' | 'apartNs'> {
  const ofOurs = ours.clocks[0];
  if (ofOurs === undefined) throw noClocks(oursPath, ours);
  const ofSystem = nearestTo(system.clocks, ofOurs.bootNs);
  if (ofSystem === undefined) throw noClocks(systemPath, system);
  const clocksDifferNs = abs(bootedAt(ofSystem) - bootedAt(ofOurs));
  if (clocksDifferNs > SAME_BOOT_NS && !isSameBoot(system, ours)) {
    throw new MergeError(
      `${systemPath} and ${oursPath} are of different boots (the device ` +
        `booted at ${isoTime(bootedAt(ofSystem))} and at ` +
        `${isoTime(bootedAt(ofOurs))}), or its wall clock was set in between: ` +
        'their times do not compare, so open them one by one',
    );
  }
  return {clocksDifferNs, apartNs: apart(system, ours)};
}

/** By their ids; a clock that was set in between does not matter then. */
function isSameBoot(a: TraceFacts, b: TraceFacts): boolean {
  return a.bootId !== undefined && a.bootId === b.bootId;
}

/** How long lies between the two; undefined when they overlap. */
function apart(system: TraceFacts, ours: TraceFacts): bigint | undefined {
  const a = span(system);
  const b = span(ours);
  if (a === undefined || b === undefined) return undefined;
  const gap = max(b.first - a.last, a.first - b.last);
  return gap > BETWEEN_SNAPSHOTS_NS ? gap : undefined;
}

function span(facts: TraceFacts): {first: bigint; last: bigint} | undefined {
  const {firstNs, lastNs} = facts;
  if (firstNs === undefined || lastNs === undefined) return undefined;
  return {first: firstNs, last: lastNs};
}

function noClocks(path: string, {damage}: TraceFacts): MergeError {
  return new MergeError(
    `${path} has no reading of BOOTTIME and REALTIME` +
      (damage === undefined
        ? ''
        : ` (it is damaged at byte ${damage.offset})`) +
      ', so nobody can tell whether the two are of one boot: record it again',
  );
}

function nearestTo(
  clocks: readonly ClockPair[],
  bootNs: bigint,
): ClockPair | undefined {
  let nearest: ClockPair | undefined;
  for (const pair of clocks) {
    const isNearer =
      nearest === undefined ||
      abs(pair.bootNs - bootNs) < abs(nearest.bootNs - bootNs);
    if (isNearer) nearest = pair;
  }
  return nearest;
}

/** REALTIME at BOOTTIME 0, which stays the same while a device is up. */
function bootedAt({bootNs, realNs}: ClockPair): bigint {
  return realNs - bootNs;
}

function isoTime(realNs: bigint): string {
  const date = new Date(Number(realNs / 1_000_000n));
  return Number.isNaN(date.getTime()) ? '?' : date.toISOString();
}

/** Our recording, without the packets of processes' dmabuf_rss. */
async function memberWithoutRss(path: string): Promise<TarMember> {
  let sizeBytes = 0;
  for await (const framed of withoutRss(path)) sizeBytes += framed.length;
  return {
    name: memberName.ours,
    sizeBytes,
    open: () => Readable.from(withoutRss(path), {objectMode: false}),
  };
}

async function* withoutRss(path: string): AsyncGenerator<Uint8Array, void> {
  for await (const packet of readPackets(path)) {
    if ('kind' in packet) return;
    if (isProcessStats(packet.bytes)) continue;
    yield new BinaryWriter().uint32(0x0a).bytes(packet.bytes).finish();
  }
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
