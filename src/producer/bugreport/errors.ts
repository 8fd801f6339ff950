// SPDX-License-Identifier: Apache-2.0

/** A bug report that cannot be used; the message is `what: fix` in one line. */
export class BugReportError extends Error {
  override readonly name = 'BugReportError';
}
