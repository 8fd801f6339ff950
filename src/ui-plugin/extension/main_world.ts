// SPDX-License-Identifier: Apache-2.0
// The content script. It runs in the page's own world before the page's scripts
// do; that takes no permission but to be there.
import DmaBufPlugin from '../org.kernel.DmaBuf';
import {tellsOfDmaBufs} from '../org.kernel.DmaBuf/trace_contents';
import {startExtension} from './start';

startExtension(window, {
  plugin: DmaBufPlugin,
  isOfUse: ({engine}) => tellsOfDmaBufs(engine),
});
