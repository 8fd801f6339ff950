// SPDX-License-Identifier: Apache-2.0
// The format `perfetto-dmabuf.diff`, written only. docs/diff.schema.json is its
// JSON Schema. What perfetto-dmabuf.dump says of numbers and text holds here
// too: what is not known is left out, 64-bit numbers are digits in a string,
// sizes are bytes.
import type {
  GroupChange,
  Growth,
  HeldBuffer,
  NewHolders,
  NewName,
  ProcessChange,
  ProcessSide,
  SumChange,
} from '../../../core/changes/index.js';
import {
  processName,
  type DmaBuf,
  type Process,
} from '../../../core/model/index.js';
import {nameOut, rawOut, sumOut} from '../dump/dump_json.js';
import {renderJson} from '../output/json.js';
import type {Diff} from './diff.js';
import type {LabelledState} from './state.js';
import type {Verdict} from './verdict.js';

export const DIFF_FORMAT = 'perfetto-dmabuf.diff';
/** Grows when a reader of the older one would misread it. */
export const DIFF_VERSION = 1;

/** @param verdict where a limit was given. */
export function renderDiffJson(diff: Diff, verdict?: Verdict): string {
  const {before, after, kinship, difference} = diff;
  const {comparability, buffers} = difference;
  return renderJson({
    format: DIFF_FORMAT,
    version: DIFF_VERSION,
    before: stateOut(before),
    after: stateOut(after),
    comparison: {
      identity: comparability.identity,
      reason: kinship.reason,
      apartNs: text(kinship.apartNs),
      holdersKnown: difference.holdersKnown,
    },
    verdict: verdict === undefined ? undefined : verdictOut(verdict),
    totals: {
      total: changeOut(difference.total),
      held: changeOut(difference.held),
      kernelOnly: changeOut(difference.kernelOnly),
    },
    processes: difference.processes.map(processOut),
    scope: difference.scope,
    names: difference.names.map((group) => ({
      ...nameOut(
        group.key === undefined && !group.isUnset
          ? undefined
          : {raw: group.key, doubtful: false},
      ),
      ...groupOut(group),
    })),
    exporters: difference.exporters.map((group) => ({
      ...rawOut('exporter', group.key),
      ...groupOut(group),
    })),
    buffers:
      buffers === undefined
        ? undefined
        : {
            kept: buffers.kept,
            allocated: buffers.allocated.map(heldOut),
            freed: buffers.freed.map(heldOut),
            appeared: buffers.appeared.map(heldOut),
            vanished: buffers.vanished.map(heldOut),
            renamed: buffers.renamed.map(renamedOut),
            changedHands: buffers.changedHands.map(handsOut),
          },
  });
}

function stateOut(state: LabelledState): object {
  const {label, provenance, snapshot, realOffsetNs, recordedNs} = state;
  return {
    label,
    provenance,
    time: {
      bootNs: state.isTimed ? text(snapshot.endNs) : undefined,
      realOffsetNs: text(realOffsetNs),
      recordedNs: text(recordedNs),
    },
    coverage: snapshot.coverage,
    listsAllBuffers: state.listsAllBuffers,
    listsAllProcesses: state.listsAllProcesses,
    warnings: state.warnings,
  };
}

function verdictOut({limitBytes, measure, growth, result}: Verdict): object {
  return {
    limitBytes: String(limitBytes),
    measure,
    growth: growthOut(growth),
    result,
  };
}

function changeOut({before, after, growth}: SumChange): object {
  return {
    before: sumOut(before),
    after: sumOut(after),
    growth: growthOut(growth),
  };
}

function growthOut(growth: Growth | undefined): object | undefined {
  if (growth === undefined) return undefined;
  return {...growth, bytes: String(growth.bytes)};
}

function groupOut({came, went, ...change}: GroupChange): object {
  return {...changeOut(change), came, went};
}

function processOut(change: ProcessChange): object {
  const {before, after, growth, acquired, released} = change;
  const [known] = [...after.processes, ...before.processes];
  return {
    ...(known === undefined ? {} : rawOut('process', processName(known))),
    before: sideOut(before),
    after: sideOut(after),
    growth: growthOut(growth),
    acquired: inodesOut(acquired),
    released: inodesOut(released),
  };
}

function sideOut({
  processes,
  rssBytes,
  pssBytes,
  buffers,
}: ProcessSide): object {
  return {
    processes: processes.map(({pid, startTicks}) => ({
      pid,
      startTicks: text(startTicks),
    })),
    rssBytes: text(rssBytes),
    pssBytes,
    buffers,
  };
}

function inodesOut(
  buffers: readonly DmaBuf[] | undefined,
): string[] | undefined {
  return buffers?.map(({inode}) => String(inode));
}

function heldOut({buffer, holders}: HeldBuffer): object {
  return {...bufferOut(buffer), holders: holders.map(holderOut)};
}

function renamedOut({buffer, before}: NewName): object {
  return {...bufferOut(buffer), before: nameOut(before)};
}

function handsOut(change: NewHolders): object {
  return {
    ...bufferOut(change.buffer),
    acquiredBy: change.acquiredBy.map(holderOut),
    releasedBy: change.releasedBy.map(holderOut),
    holders: change.holders.map(holderOut),
  };
}

function bufferOut(buffer: DmaBuf): object {
  return {
    inode: String(buffer.inode),
    sizeBytes: text(buffer.sizeBytes),
    ...nameOut(buffer.name),
    ...rawOut('exporter', buffer.exporter),
  };
}

function holderOut(process: Process): object {
  return {pid: process.pid, ...rawOut('process', processName(process))};
}

function text(value: bigint | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}
