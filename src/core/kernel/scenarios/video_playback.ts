// SPDX-License-Identifier: Apache-2.0
import {MEDIA_UIDS} from './android_phone.js';
import {nv12} from './pixels.js';
import type {ProcessRef} from './scenario.js';
import type {Stage} from './stage.js';
import {onPhone} from './stage.js';
import {framePeriod, ms, seconds} from './time.js';

const FRAME_NS = framePeriod(24);
const SWITCH_NS = seconds(3);

/** Widths and heights that an adaptive stream goes through. */
const STEPS = [
  [1280, 720],
  [1920, 1080],
  [3840, 2160],
  [1920, 1080],
] as const;

export const videoPlayback = onPhone(
  {
    name: 'video-playback',
    story:
      'A film plays from protected memory; at each change of resolution the ' +
      'decoder keeps one of its old frames.',
    seed: 24,
    durationNs: seconds(20),
  },
  (stage) => {
    const codec = stage.phone.daemon(
      '/vendor/bin/hw/android.hardware.media.c2@1.2-service',
      MEDIA_UIDS.codec,
      40,
    );
    stage.kernel.after(ms(500), () => {
      const app = stage.phone.app('com.example.video', {files: 75});
      stage.phone.window(app, 'com.example.video/Player').play(seconds(1));
      feed(stage, app, codec);
      decode(stage, codec, 0);
    });
  },
);

/** The encrypted stream, from the app to the decoder. */
function feed({phone}: Stage, app: ProcessRef, codec: ProcessRef): void {
  phone
    .queue(app, [codec], {
      name: 'c2-secure-input',
      exporter: 'vstream-secure',
      sizeBytes: 3 << 20,
      slots: 4,
    })
    .play(FRAME_NS);
}

/** A pool of frames of one size, until the next change of size. */
function decode(stage: Stage, codec: ProcessRef, step: number): void {
  const {kernel, phone, truth} = stage;
  const [width, height] = STEPS[step % STEPS.length] ?? STEPS[0];
  const options = {
    name: `c2-secure-${width}x${height}`,
    exporter: 'vframe-secure',
    sizeBytes: nv12(width, height),
  };
  const {surfaceFlinger, composer} = phone;
  const display = kernel.newImporter('1c300000.drmdecon');
  const pool = phone.queue(codec, [surfaceFlinger, composer], {
    ...options,
    slots: 10,
  });
  for (const buffer of pool.fill()) display.import(buffer);
  pool.play(FRAME_NS);
  // The frame on the screen while the decoder switches.
  const last = phone.allocate(codec, options);
  kernel.after(SWITCH_NS, () => {
    display.releaseAll();
    pool.free();
    truth.leaked(
      {cause: 'descriptor', culprit: codec, holders: [codec]},
      kernel.bufferOf(codec.pid, last),
    );
    decode(stage, codec, step + 1);
  });
}
