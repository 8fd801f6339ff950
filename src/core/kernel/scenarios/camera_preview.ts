// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../../model/text.js';
import {PROT_READ} from '../address_space.js';
import type {Prng} from '../prng.js';
import type {SimulatedKernel} from '../simulated_kernel.js';
import type {AndroidPhone} from './android_phone.js';
import {MEDIA_UIDS} from './android_phone.js';
import type {BufferQueue} from './buffer_queue.js';
import {nv12} from './pixels.js';
import type {ProcessRef} from './scenario.js';
import type {Stage} from './stage.js';
import {onPhone} from './stage.js';
import {framePeriod, ms, seconds} from './time.js';
import type {TruthRecorder} from './truth_recorder.js';

const FRAME_NS = framePeriod(30);
const JPEG_BYTES = 4032 * 3024;

/** The camera app takes a picture; each time one buffer stays behind. */
const SNAPSHOT_PERIOD_NS = ms(1500);
const RECORDING_STARTS_NS = seconds(4);
const RECORDING_ENDS_NS = seconds(9);

export const cameraPreview = onPhone(
  {
    name: 'camera-preview',
    story:
      'A camera app shows a preview, records a video and takes pictures; ' +
      'each picture leaves one JPEG buffer open in the app.',
    seed: 2019,
    durationNs: seconds(20),
  },
  (stage) => {
    const story = new CameraStory(stage);
    stage.kernel.after(ms(400), () => {
      story.startApp();
    });
  },
);

class CameraStory {
  private readonly provider: ProcessRef;
  private readonly cameraServer: ProcessRef;
  private readonly codec: ProcessRef;
  /** From the provider to the app: pictures and analysis frames. */
  private channel: {provider: number; app: number} | undefined = undefined;

  private readonly kernel: SimulatedKernel;
  private readonly prng: Prng;
  private readonly phone: AndroidPhone;
  private readonly truth: TruthRecorder;

  constructor({kernel, prng, phone, truth}: Stage) {
    this.kernel = kernel;
    this.prng = prng;
    this.phone = phone;
    this.truth = truth;
    this.provider = phone.daemon(
      '/vendor/bin/hw/android.hardware.camera.provider@2.7-service',
      MEDIA_UIDS.camera,
      48,
    );
    this.cameraServer = phone.daemon(
      '/system/bin/cameraserver',
      MEDIA_UIDS.camera,
      36,
    );
    // Its init script renames it so.
    this.codec = phone.daemon(
      '/vendor/bin/hw/android.hardware.media.omx@1.0-service',
      MEDIA_UIDS.codec,
      32,
      ['media.codec', 'hw/android.hardware.media.omx@1.0-service'],
    );
    this.loadFirmware();
  }

  startApp(): void {
    const {kernel, phone} = this;
    const app = phone.app('com.example.camera', {files: 85});
    phone.window(app, 'com.example.camera/Main').play(framePeriod(60));
    kernel.after(ms(350), () => {
      this.openCamera(app);
    });
  }

  private openCamera(app: ProcessRef): void {
    const {kernel, provider} = this;
    const [providerEnd, appEnd] = kernel.socketPair(provider.pid, app.pid);
    this.channel = {provider: providerEnd, app: appEnd};
    this.startPreview();
    this.startZeroShutterLag();
    this.startFaceUnlock();
    this.shareGyroscope();
    this.startAnalysis(app);
    this.renameThumbnail(app);
    kernel.after(RECORDING_STARTS_NS, () => {
      this.recordVideo(app);
    });
    kernel.every(SNAPSHOT_PERIOD_NS, () => {
      this.takePicture(app, 'JPEG-4032x3024', true);
      return true;
    });
    // Pictures for the thumbnail, which the app does give back.
    kernel.every(ms(500), () => {
      this.takePicture(app, 'YUV-thumbnail', false);
      return true;
    });
  }

  /** Four 1080p frames that everybody on the way to the display holds. */
  private startPreview(): void {
    const {kernel, prng, phone} = this;
    const preview = this.queue('SurfaceView[com.example.camera]', {
      exporter: 'system-uncached',
      sizeBytes: nv12(1920, 1080),
      slots: 4,
      consumers: [this.cameraServer, phone.surfaceFlinger, phone.composer],
    }).play(FRAME_NS);
    kernel.every(ms(650), () => {
      if (prng.next() < 0.6) preview.recycle();
      return true;
    });
  }

  /** Full-resolution frames for pictures; the image processor holds them too. */
  private startZeroShutterLag(): void {
    const isp = this.kernel.newImporter('1a000000.isp');
    const ring = this.queue('camera-zsl-4032x3024', {
      exporter: 'camera',
      sizeBytes: nv12(4032, 3024),
      slots: 6,
      consumers: [this.cameraServer],
    });
    for (const buffer of ring.fill()) isp.import(buffer);
  }

  /** Secure memory: nobody can map it. */
  private startFaceUnlock(): void {
    const unit = this.kernel.newImporter('1ce00000.edgetpu');
    const frames = this.queue('faceauth-ir', {
      exporter: 'vframe-secure',
      sizeBytes: nv12(640, 480),
      slots: 3,
      consumers: [],
    });
    for (const buffer of frames.fill()) unit.import(buffer);
  }

  /** A ring that two processes have mapped and nobody has open. */
  private shareGyroscope(): void {
    const {kernel, provider, cameraServer, truth} = this;
    const fd = kernel.exportBuffer(provider.pid, {
      exporter: 'system',
      sizeBytes: 256 * 1024,
      name: 'gyro-ring',
    });
    const buffer = kernel.bufferOf(provider.pid, fd);
    kernel.mmap(provider.pid, fd);
    const sent = kernel.transfer(provider.pid, fd, cameraServer.pid);
    kernel.close(provider.pid, fd);
    kernel.mmap(cameraServer.pid, sent, {
      length: 64 * 1024,
      protection: PROT_READ,
    });
    kernel.close(cameraServer.pid, sent);
    truth.landmark('mapped-only', buffer, [provider, cameraServer]);
  }

  /** The image processor's firmware and statistics: only the driver's. */
  private loadFirmware(): void {
    const {kernel, truth} = this;
    const isp = kernel.newImporter('1a000000.isp');
    for (const [name, sizeBytes] of [
      ['isp-firmware', 8 << 20],
      ['isp-stats', 768 << 10],
      ['isp-stats', 768 << 10],
    ] as const) {
      kernel.exportToDriver(isp, {exporter: 'camera', sizeBytes, name});
      const [newest] = kernel.dmaBufs.newestFirst();
      if (newest !== undefined) truth.landmark('kernel-only', newest, []);
    }
  }

  /** Small frames the app looks at, one after the other, and gives back. */
  private startAnalysis(app: ProcessRef): void {
    const {kernel} = this;
    const frames = this.queue('ImageReader-640x480f23m5', {
      exporter: 'system',
      sizeBytes: nv12(640, 480),
      slots: 5,
      consumers: [],
    });
    let count = 0;
    kernel.every(FRAME_NS, () => {
      if (++count % 12 === 0) frames.recycle();
      this.pass(app, frames.nextFd(), (fd) => {
        const address = kernel.mmap(app.pid, fd, {protection: PROT_READ});
        const {sizeBytes} = kernel.bufferOf(app.pid, fd);
        kernel.after(ms(52), () => {
          kernel.munmap(app.pid, address, sizeBytes);
          kernel.close(app.pid, fd);
        });
      });
      frames.frame();
      return true;
    });
  }

  private renameThumbnail(app: ProcessRef): void {
    const {kernel, truth} = this;
    const fd = kernel.exportBuffer(app.pid, {
      exporter: 'system',
      sizeBytes: 2 << 20,
      name: 'ImageReader',
    });
    kernel.after(ms(1700), () => {
      kernel.setName(app.pid, fd, 'thumbnail-strip');
      truth.landmark('renamed', kernel.bufferOf(app.pid, fd), [app]);
    });
  }

  /** 4K frames to the encoder, and the encoder's output to the app. */
  private recordVideo(app: ProcessRef): void {
    const {kernel, codec, phone} = this;
    const frames = this.queue('c2-input-3840x2160', {
      exporter: 'system-uncached',
      sizeBytes: nv12(3840, 2160),
      slots: 4,
      consumers: [codec],
    }).play(FRAME_NS);
    const bitstream = phone
      .queue(codec, [app], {
        name: 'c2-output-bitstream',
        exporter: 'system',
        sizeBytes: 2 << 20,
        slots: 4,
      })
      .play(FRAME_NS);
    kernel.after(RECORDING_ENDS_NS - RECORDING_STARTS_NS, () => {
      frames.free();
      bitstream.free();
    });
  }

  /**
   * The provider fills a buffer and sends it to the app, which saves it and
   * closes it, or forgets to.
   */
  private takePicture(app: ProcessRef, name: RawText, forgets: boolean): void {
    const {kernel, prng, provider, truth} = this;
    const sizeBytes = forgets
      ? JPEG_BYTES + 4096 * prng.between(0, 64)
      : nv12(1024, 768);
    const made = kernel.exportBuffer(provider.pid, {
      exporter: 'system',
      sizeBytes,
      name,
    });
    const address = kernel.mmap(provider.pid, made);
    kernel.after(ms(prng.between(40, 90)), () => {
      kernel.munmap(provider.pid, address, sizeBytes);
      this.pass(app, made, (fd) => {
        const mapped = kernel.mmap(app.pid, fd, {protection: PROT_READ});
        kernel.after(ms(prng.between(120, 280)), () => {
          kernel.munmap(app.pid, mapped, sizeBytes);
          if (forgets) {
            const buffer = kernel.bufferOf(app.pid, fd);
            truth.leaked(
              {cause: 'descriptor', culprit: app, holders: [app]},
              buffer,
            );
          } else {
            kernel.close(app.pid, fd);
          }
        });
      });
      kernel.close(provider.pid, made);
    });
  }

  /** Sends a descriptor to the app, which takes it from the socket later. */
  private pass(
    app: ProcessRef,
    fd: number,
    received: (fd: number) => void,
  ): void {
    const {kernel, provider, channel} = this;
    if (channel === undefined) return;
    kernel.sendFds(provider.pid, channel.provider, [fd]);
    kernel.after(ms(2), () => {
      for (const got of kernel.receiveFds(app.pid, channel.app)) received(got);
    });
  }

  private queue(
    name: RawText,
    options: {
      exporter: RawText;
      sizeBytes: number;
      slots: number;
      consumers: readonly ProcessRef[];
    },
  ): BufferQueue {
    const {consumers} = options;
    return this.phone.queue(this.provider, consumers, {...options, name});
  }
}
