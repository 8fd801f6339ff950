// SPDX-License-Identifier: Apache-2.0
export {mayHaveBrowser, openInBrowser} from './browser.js';
export {linkTo, parseUi, PERFETTO_UI, type Ui} from './link.js';
export {OpenError} from './open_error.js';
export {
  serveFile,
  UI_PORT,
  type ServedFile,
  type ServeOptions,
} from './server.js';
export {openUiFile, type UiFile} from './ui_file.js';
