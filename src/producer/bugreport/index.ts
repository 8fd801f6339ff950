// SPDX-License-Identifier: Apache-2.0
export {BugReportError} from './errors.js';
export {
  readBugReport,
  type BugReport,
  type ReportSection,
  type ReportTime,
  type ReportTrace,
} from './read_bug_report.js';
export type {ReportHeader, SectionDamage, SectionKind} from './sections.js';
