// SPDX-License-Identifier: Apache-2.0
// The content script. It runs in the page's own world before the page's scripts
// do; that takes no permission but to be there.
import DmaBufPlugin from '../org.kernel.DmaBuf';
import {startExtension} from './start';

startExtension(window, DmaBufPlugin);
