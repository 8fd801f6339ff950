// SPDX-License-Identifier: Apache-2.0
import {PANEL, rgba} from './pixels.js';
import {onPhone} from './stage.js';
import {framePeriod, ms, seconds} from './time.js';

const APPS = [
  'com.example.news',
  'com.example.shop',
  'com.example.bank',
  'com.example.travel',
];

export const appSwitching = onPhone(
  {
    name: 'app-switching',
    story:
      'One app after the other comes to the front and ends; system_server ' +
      'keeps a snapshot of each for good.',
    seed: 42,
    durationNs: seconds(20),
  },
  ({kernel, prng, phone, truth}) => {
    const server = phone.systemServer;
    let count = 0;
    const bringUp = (): void => {
      const name = APPS[count++ % APPS.length] ?? '';
      const app = phone.app(name, {files: prng.between(50, 90)});
      const window = phone.window(app, name).play(framePeriod(60));
      kernel.after(ms(1100), () => {
        const snapshot = phone.allocate(server, {
          exporter: 'system',
          sizeBytes: rgba(PANEL.width / 2, PANEL.height / 2),
          name: 'TaskSnapshot',
        });
        truth.leaked(
          {cause: 'descriptor', culprit: server, holders: [server]},
          kernel.bufferOf(server.pid, snapshot),
        );
        window.free();
      });
      kernel.after(ms(prng.between(1200, 2600)), () => {
        kernel.exit(app.pid);
      });
    };
    kernel.every(
      ms(1300),
      () => {
        bringUp();
        return true;
      },
      ms(500),
    );
  },
);
