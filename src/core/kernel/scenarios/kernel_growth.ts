// SPDX-License-Identifier: Apache-2.0
import {MEDIA_UIDS} from './android_phone.js';
import {nv12} from './pixels.js';
import {onPhone} from './stage.js';
import {ms, seconds} from './time.js';

export const kernelGrowth = onPhone(
  {
    name: 'kernel-growth',
    story:
      'A camera driver keeps one noise-reduction frame in three: no process ' +
      'holds them, and memory still goes.',
    seed: 13,
    durationNs: seconds(20),
  },
  ({kernel, phone, truth}) => {
    const provider = phone.daemon(
      '/vendor/bin/hw/android.hardware.camera.provider@2.7-service',
      MEDIA_UIDS.camera,
      44,
    );
    const isp = kernel.newImporter('1a000000.isp');
    let count = 0;
    kernel.every(ms(200), () => {
      const fd = phone.allocate(provider, {
        exporter: 'camera',
        sizeBytes: nv12(1920, 1080),
        name: 'isp-tnr',
      });
      const buffer = kernel.bufferOf(provider.pid, fd);
      const handle = isp.import(buffer);
      const forgotten = ++count % 3 === 0;
      kernel.after(ms(120), () => {
        kernel.close(provider.pid, fd);
        if (forgotten) {
          truth.leaked(
            {cause: 'kernel', culprit: undefined, holders: []},
            buffer,
          );
        } else {
          isp.release(handle);
        }
      });
      return true;
    });
  },
);
