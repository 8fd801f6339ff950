// SPDX-License-Identifier: Apache-2.0
import type {DmaBuf} from '../dma_buf.js';
import {MAX_OPEN_FILES} from '../fd_table.js';
import {rgba} from './pixels.js';
import {onPhone} from './stage.js';
import {framePeriod, ms, seconds} from './time.js';

export const fdLeak = onPhone(
  {
    name: 'fd-leak',
    story:
      'A scanner app clones the handle of each frame and closes no clone: ' +
      'descriptors run out, and old frames stay.',
    seed: 1024,
    durationNs: seconds(20),
  },
  ({kernel, phone, truth}) => {
    kernel.after(ms(400), () => {
      const app = phone.app('com.example.scanner', {files: 62});
      phone.window(app, 'com.example.scanner/Main').play(framePeriod(60));
      const frames = phone.queue(app, [], {
        name: 'ImageReader-1024x768f1',
        exporter: 'system',
        sizeBytes: rgba(1024, 768),
        slots: 3,
      });
      const current: (DmaBuf | undefined)[] = [undefined, undefined, undefined];
      let count = 0;
      kernel.every(framePeriod(15), () => {
        // With the table full a real one would crash; this one stands still.
        if (count >= MAX_OPEN_FILES / 2) return false;
        const slot = count++ % current.length;
        const old = current[slot];
        // The app gives each frame's buffer up after some rounds.
        if (count % 10 < current.length && old !== undefined) {
          frames.recycle();
          truth.leaked(
            {cause: 'descriptor', culprit: app, holders: [app]},
            old,
          );
        }
        kernel.dup(app.pid, frames.nextFd(), {closeOnExec: true});
        current[slot] = frames.frame();
        return true;
      });
    });
  },
);
