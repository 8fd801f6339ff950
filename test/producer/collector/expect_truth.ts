// SPDX-License-Identifier: Apache-2.0
// Compares what a collector found with what the kernel knows.
import {expect} from 'vitest';
import {account} from '../../../src/core/accounting/index.js';
import type {
  BufferName,
  Holding,
  Snapshot,
} from '../../../src/core/model/index.js';
import {
  truthOf,
  type Setting,
  type TrueHolding,
  type TrueProcess,
} from './kernel_world.js';
import type {Observer} from './observer.js';

/** What a snapshot says of who holds what. */
function holdingsIn(snapshot: Snapshot, pid: number): TrueHolding[] {
  const {holdings = new Map<bigint, Holding>()} =
    snapshot.processes.get(pid) ?? {};
  return [...holdings.values()]
    .map(({buffer, fdRefs, mapRefs, mappedBytes}) => ({
      inode: buffer.inode,
      fdRefs,
      mapRefs,
      mappedBytes,
    }))
    .sort((a, b) => (a.inode < b.inode ? -1 : 1));
}

/** A name that no source can tell apart from the true one. */
function isLike(name: BufferName | undefined, truth: string | undefined) {
  if (name === undefined) return true;
  if (!name.doubtful) return name.raw === truth;
  const printed = truth ?? '';
  return (
    (name.raw ?? '') === printed ||
    (name.raw === undefined && ['', '<none>'].includes(printed)) ||
    // maps print a newline as \012, the BPF iterator as a blank.
    name.raw === printed.replaceAll('\\012', '\n') ||
    name.raw === printed.replaceAll('\n', ' ')
  );
}

/** Names that some bufinfo prints alike. */
function isBare(name: string | undefined): boolean {
  return name === undefined || name === '' || name === '<none>';
}

/** The variant that was found, or the likeliest to compare with. */
function variantOf({variants}: TrueProcess, found: TrueHolding[]) {
  const texts = variants.map(textOf);
  return variants[Math.max(0, texts.indexOf(textOf(found)))] ?? [];
}

function textOf(holdings: TrueHolding[]): string {
  return holdings
    .map(
      ({inode, fdRefs, mapRefs, mappedBytes}) =>
        `${inode} ${fdRefs} ${mapRefs} ${mappedBytes}`,
    )
    .join();
}

/** Compares a snapshot with the truth as far as the sources tell it. */
export function expectTruth(
  {world, pid}: Observer,
  snapshot: Snapshot,
  {profile}: Setting,
): void {
  const bufinfo = profile.debugfs;
  const listed = bufinfo || profile.sysfsStats || profile.bpfIterator;
  const truth = truthOf(world, pid);
  const byFd = new Set<bigint>();
  const references = new Map<bigint, bigint>();
  expect([...snapshot.processes.keys()].sort((a, b) => a - b)).toEqual(
    truth.processes.map(({pid}) => pid),
  );
  for (const process of truth.processes) {
    const found = holdingsIn(snapshot, process.pid);
    const holdings = variantOf(process, found);
    expect(found).toEqual(holdings);
    expect(snapshot.processes.get(process.pid)).toMatchObject({
      readState: 'complete',
      process: {startTicks: process.startTicks},
    });
    for (const {inode, fdRefs, mapRefs} of holdings) {
      if (fdRefs > 0) byFd.add(inode);
      const refs = references.get(inode) ?? 0n;
      references.set(inode, refs + BigInt(fdRefs + mapRefs));
    }
  }
  const visible = truth.buffers.filter(
    ({inode}) => listed || references.has(inode),
  );
  expect([...snapshot.buffers.keys()].sort((a, b) => Number(a - b))).toEqual(
    visible.map(({inode}) => inode),
  );
  const accounts = account(snapshot).buffers;
  for (const {inode, sizeBytes, exporter, name, refs} of visible) {
    const buffer = snapshot.buffers.get(inode);
    expect(buffer).toMatchObject({inode, sizeBytes});
    expect(accounts.get(inode)?.kernelRefs).toBe(
      bufinfo ? refs - (references.get(inode) ?? 0n) : undefined,
    );
    // Nothing but a list or an fd tells the exporter.
    if (listed || byFd.has(inode) || buffer?.exporter !== undefined) {
      expect(buffer?.exporter).toBe(exporter);
    }
    const told = buffer?.name;
    const how = `${inode}: ${JSON.stringify(told)} for ${JSON.stringify(name)}`;
    if (byFd.has(inode)) {
      // fdinfo settles every name.
      expect(told, how).toEqual({raw: name, doubtful: false});
    } else {
      // Where no text tells of a new name, the last one that did stays.
      const ever = [...(world.everNamed.get(inode) ?? [])];
      const names = ever.filter(
        (each) => !bufinfo || each === name || (isBare(each) && isBare(name)),
      );
      expect(
        names.some((each) => isLike(told, each)),
        how,
      ).toBe(true);
      if (bufinfo || references.has(inode)) expect(told, how).toBeDefined();
    }
  }
  expect(snapshot.coverage).toMatchObject({
    processesSeen: truth.processes.length,
    processesUnreadable: 0,
    problems: [],
  });
}

/** No buffer is shown in a process that never held it. */
export function expectPossible({world}: Observer, snapshot: Snapshot): void {
  for (const {process, holdings} of snapshot.processes.values()) {
    const key = `${process.pid}.${String(process.startTicks)}`;
    const held = world.everHeld.get(key);
    for (const inode of holdings.keys()) {
      expect(held?.has(inode), `${key} never held ${inode}`).toBe(true);
    }
  }
}
