// SPDX-License-Identifier: Apache-2.0
// The content script. It runs in the page's own world before the page's scripts
// do, waits for the UI's app object, and hands it the plugin. Whatever goes
// wrong ends here: the UI must never be worse off than without the extension.
import DmaBufPlugin from '../org.kernel.DmaBuf';
import {whenAppIsSet} from './app_trap';
import {guardPlugin} from './guarded_plugin';
import {installPlugin} from './install_plugin';
import {explain, offerAgain, showNotice, uiVersion} from './notice';
import {asUiApp} from './ui_app';

whenAppIsSet(window, (app) => {
  let isOffered = false;
  const report = (error: unknown): void => {
    try {
      const text = explain(error, uiVersion(document));
      const show = (): void => showNotice(document, text);
      show();
      if (!isOffered) offerAgain(app, show);
      isOffered = true;
    } catch {
      // Not even a notice; the UI goes on.
    }
  };
  try {
    installPlugin(asUiApp(app), guardPlugin(DmaBufPlugin, report), report);
  } catch (error) {
    report(error);
  }
});
