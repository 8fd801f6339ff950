// SPDX-License-Identifier: Apache-2.0
// A page for Mithril in a test that runs in Node: the trace processor does not
// start inside of vitest's own jsdom. To be imported before anything of the
// plugin.
import {JSDOM} from 'jsdom';

const {window} = new JSDOM('<body></body>');

Object.assign(globalThis, {
  window,
  document: window.document,
  HTMLInputElement: window.HTMLInputElement,
  requestAnimationFrame: (draw: () => void) => setTimeout(draw),
});
