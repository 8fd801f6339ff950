// SPDX-License-Identifier: Apache-2.0

/** A file that cannot be served to the UI; the message is `what: fix`. */
export class OpenError extends Error {
  override readonly name = 'OpenError';
}
