// SPDX-License-Identifier: Apache-2.0
import {onPhone} from './stage.js';
import {ms, seconds} from './time.js';

export const processStorm = onPhone(
  {
    name: 'process-storm',
    story:
      'A test runner starts process after process; each allocates, maps, ' +
      'hands a buffer back and is gone within milliseconds.',
    seed: 99,
    durationNs: seconds(10),
  },
  ({kernel, prng, phone}) => {
    const runner = phone.daemon('/data/local/tmp/gralloc_vts', 2000, 16);
    const shared = kernel.exportBuffer(runner.pid, {
      exporter: 'system',
      sizeBytes: 1 << 20,
      name: 'vts-shared',
    });
    kernel.mmap(runner.pid, shared);
    kernel.every(ms(15), () => {
      const child = kernel.fork(runner.pid);
      kernel.identify(child, {comm: 'vts-case'});
      const fd = kernel.exportBuffer(child, {
        exporter: prng.pick(['system', 'system-uncached']),
        sizeBytes: 4096 * prng.between(1, 256),
        name: `vts-${child}`,
      });
      kernel.mmap(child, fd);
      const back = kernel.transfer(child, fd, runner.pid);
      kernel.after(ms(prng.between(1, 60)), () => {
        kernel.exit(child, {reap: false});
      });
      kernel.after(ms(prng.between(61, 120)), () => {
        kernel.reap(child);
        kernel.close(runner.pid, back);
      });
      return true;
    });
  },
);
