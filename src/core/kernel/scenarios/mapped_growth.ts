// SPDX-License-Identifier: Apache-2.0
import {onPhone} from './stage.js';
import {ms, seconds} from './time.js';

const TENSOR_BYTES = 5 << 20;

export const mappedGrowth = onPhone(
  {
    name: 'mapped-growth',
    story:
      'A translator maps a tensor for each sentence, closes it and never ' +
      'unmaps it: no descriptor shows what it holds.',
    seed: 31,
    durationNs: seconds(20),
  },
  ({kernel, phone, truth}) => {
    kernel.after(ms(400), () => {
      const app = phone.app('com.example.translate', {files: 58});
      kernel.every(ms(600), () => {
        const fd = phone.allocate(app, {
          exporter: 'system',
          sizeBytes: TENSOR_BYTES,
          name: 'nn-tensor',
        });
        const buffer = kernel.bufferOf(app.pid, fd);
        const address = kernel.mmap(app.pid, fd);
        kernel.close(app.pid, fd);
        kernel.after(ms(250), () => {
          // It gives back the scratch half in front, which splits nothing off
          // the buffer: all of its memory stays.
          kernel.munmap(app.pid, address, TENSOR_BYTES / 2);
          truth.leaked(
            {cause: 'mapping', culprit: app, holders: [app]},
            buffer,
          );
        });
        return true;
      });
    });
  },
);
