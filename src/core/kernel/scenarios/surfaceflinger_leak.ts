// SPDX-License-Identifier: Apache-2.0
import {rgba} from './pixels.js';
import {onPhone} from './stage.js';
import {framePeriod, ms, seconds} from './time.js';

export const surfaceFlingerLeak = onPhone(
  {
    name: 'surfaceflinger-leak',
    story:
      'A chat app opens and closes video bubbles and forgets their layers: ' +
      'it holds nothing any more, but surfaceflinger does.',
    seed: 7,
    durationNs: seconds(20),
  },
  ({kernel, phone, truth}) => {
    const {surfaceFlinger} = phone;
    kernel.after(ms(400), () => {
      const app = phone.app('com.example.chat.video', {files: 66});
      phone.window(app, 'com.example.chat.video/Main').play(framePeriod(60));
      kernel.every(ms(1200), () => {
        const bubble = phone
          .window(app, 'Bubble', rgba(480, 640))
          .play(framePeriod(30));
        kernel.after(ms(800), () => {
          for (const buffer of bubble.free(surfaceFlinger)) {
            truth.leaked(
              {cause: 'descriptor', culprit: app, holders: [surfaceFlinger]},
              buffer,
            );
          }
        });
        return true;
      });
    });
  },
);
