// SPDX-License-Identifier: Apache-2.0
// The UI's own mithril: only that one draws when the UI draws.
import type m from 'mithril';
import {property} from '../ui_app';
import {lazy} from '../lazy';

export default lazy<typeof m>(() => {
  const found = property(globalThis, 'm');
  if (typeof found !== 'function') throw new TypeError('window.m is missing');
  return found as typeof m;
});
