// SPDX-License-Identifier: Apache-2.0
import {rgba} from './pixels.js';
import {onPhone} from './stage.js';
import {framePeriod, ms, seconds} from './time.js';

const TEXTURES = 40;

export const game = onPhone(
  {
    name: 'game-120hz',
    story:
      'A game draws 120 frames a second into three buffers and streams ' +
      'textures in and out; nothing is lost.',
    seed: 120,
    durationNs: seconds(15),
  },
  ({kernel, prng, phone}) => {
    kernel.after(ms(300), () => {
      const app = phone.app('com.example.game', {files: 140});
      const gpu = kernel.newImporter('28000000.mali');
      const swapchain = phone.window(app, 'SurfaceView[com.example.game]');
      for (const buffer of swapchain.fill()) gpu.import(buffer);
      swapchain.play(framePeriod(120));
      const textures: {fd: number; handle: number}[] = [];
      const load = (): void => {
        const side = 256 << prng.between(0, 3);
        const fd = phone.allocate(app, {
          exporter: 'system-uncached',
          sizeBytes: rgba(side, side),
          name: `texture ${side}x${side}`,
        });
        const handle = gpu.import(kernel.bufferOf(app.pid, fd));
        textures.push({fd, handle});
      };
      for (let i = 0; i < TEXTURES; i++) load();
      kernel.every(ms(110), () => {
        const oldest = textures.shift();
        if (oldest !== undefined) {
          gpu.release(oldest.handle);
          kernel.close(app.pid, oldest.fd);
        }
        load();
        return true;
      });
    });
  },
);
