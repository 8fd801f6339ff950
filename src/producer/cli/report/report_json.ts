// SPDX-License-Identifier: Apache-2.0
import type {
  BufferRow,
  CounterSummary,
  GrowthRow,
  LeakCandidate,
  Recording,
  Report,
} from '../../trace/index.js';
import {renderJson} from '../output/json.js';
import {knownBuffersAtEnd} from './report_text.js';

export const REPORT_FORMAT = 'perfetto-dmabuf.report';
/** Grows when a reader of the older one would misread it. */
export const REPORT_VERSION = 1;

export interface ReportJsonOptions {
  /** Rows of each list. */
  readonly top: number;
}

/**
 * A report as JSON, by the rules of dump_json.ts: what is not known is left
 * out; sizes, inodes and times are decimal digits in a string. Values of
 * counters are numbers: a trace has them as doubles. Times are ns since the
 * first sample, but for those that say `boot`.
 */
export function renderReportJson(
  recording: Recording,
  report: Report,
  {top}: ReportJsonOptions,
): string {
  const {provenance, clock, beginNs, endNs, ended, samples} = recording;
  const counter = (summary: CounterSummary | undefined): object | undefined =>
    counterOut(summary, beginNs);
  return renderJson({
    format: REPORT_FORMAT,
    version: REPORT_VERSION,
    provenance,
    time: {
      bootBeginNs: String(beginNs),
      bootEndNs: String(endNs),
      durationNs: String(report.durationNs),
      realOffsetNs:
        clock === undefined ? undefined : String(clock.realNs - clock.bootNs),
    },
    ended,
    warnings: recording.warnings,
    samples: {
      ...samples,
      longestGapNs: String(samples.longestGapNs),
      deviceCpuNs: text(samples.deviceCpuNs),
      problems: [...samples.problems].map(([problem, count]) => ({
        problem,
        samples: count,
      })),
    },
    memory: {
      total: counter(report.total),
      held: counter(report.held),
      kernelOnly: counter(report.kernelOnly),
      kernelOnlyIsUpperBound: report.kernelOnlyIsUpperBound,
      mappedOnly: counter(report.mappedOnly),
      bufferCount: counter(report.bufferCount),
      exporters: [...report.exporters].map(([exporter, summary]) => ({
        exporter,
        ...counter(summary),
      })),
    },
    topHolders: report.topHolders.slice(0, top).map((row) => ({
      pid: row.pid,
      process: row.process,
      rssBytes: counter(row.rss),
      pssBytes: counter(row.pss),
      buffersAtEnd: knownBuffersAtEnd(row),
    })),
    biggestBuffers: report.biggestBuffers.slice(0, top).map(bufferOut),
    growthByProcess: report.growthByProcess.slice(0, top).map(growthOut),
    growthByName: report.growthByName.slice(0, top).map(growthOut),
    growthByExporter: report.growthByExporter.slice(0, top).map(growthOut),
    leakCandidates: report.leakCandidates.slice(0, top).map(leakOut),
    heldAtEnd: report.heldAtEnd.slice(0, top).map(bufferOut),
  });
}

function counterOut(
  summary: CounterSummary | undefined,
  beginNs: bigint,
): object | undefined {
  if (summary === undefined) return undefined;
  const {firstNs, first, peakNs, peak, lastNs, last} = summary;
  return {
    firstNs: String(firstNs - beginNs),
    first,
    peakNs: String(peakNs - beginNs),
    peak,
    lastNs: String(lastNs - beginNs),
    last,
  };
}

function bufferOut(row: BufferRow): object {
  return {
    ...row,
    inode: String(row.inode),
    sizeBytes: text(row.sizeBytes),
    beginNs: String(row.beginNs),
    endNs: text(row.endNs),
  };
}

function growthOut(row: GrowthRow): object {
  return {
    ...row,
    firstBytes: String(row.firstBytes),
    lastBytes: String(row.lastBytes),
  };
}

function leakOut(candidate: LeakCandidate): object {
  return {
    ...candidate,
    bytes: String(candidate.bytes),
    oldestNs: String(candidate.oldestNs),
    freedAfterNs: text(candidate.freedAfterNs),
  };
}

function text(value: bigint | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}
