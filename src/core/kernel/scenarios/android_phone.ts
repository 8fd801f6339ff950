// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../../model/text.js';
import {O_RDONLY, O_RDWR} from '../open_file.js';
import {COMM_BYTES} from '../process_table.js';
import type {Prng} from '../prng.js';
import type {ExportOptions, SimulatedKernel} from '../simulated_kernel.js';
import {BufferQueue} from './buffer_queue.js';
import {PANEL, PANEL_RGBA, rgba} from './pixels.js';
import type {ProcessRef} from './scenario.js';
import {framePeriod, ms} from './time.js';

const SYSTEM_UID = 1000;
const FIRST_APP_UID = 10100;

const KERNEL_THREADS: readonly RawText[] = [
  'kthreadd',
  'rcu_gp',
  'kworker/0:0H',
  'ksoftirqd/0',
  'kswapd0',
  'irq/112-isp',
  'crtc_commit:116',
];

/** Executable, user id and number of files it keeps open. */
const DAEMONS: readonly (readonly [RawText, number, number])[] = [
  ['/system/bin/ueventd', 0, 6],
  ['/system/bin/logd', 1036, 22],
  ['/system/bin/servicemanager', SYSTEM_UID, 10],
  ['/vendor/bin/hw/android.hardware.power-service', SYSTEM_UID, 14],
  ['/system/bin/vold', 0, 18],
  ['/system/bin/netd', 0, 45],
  ['/system/bin/audioserver', 1041, 38],
  ['/system/bin/lmkd', 1069, 20],
  ['/apex/com.android.adbd/bin/adbd', 2000, 25],
];

const BACKGROUND_APPS: readonly RawText[] = [
  'com.android.phone',
  'com.android.chrome',
  'com.example.mail',
  'com.example.maps',
  'com.example.music',
  'com.example.chat',
  'com.example.gallery',
  'com.example.keyboard',
];

/**
 * An Android phone at rest: init's daemons, zygote, the processes that draw,
 * and a few apps in the background, each with what it has open.
 */
export class AndroidPhone {
  readonly surfaceFlinger: ProcessRef;
  /** The process that talks to the display. */
  readonly composer: ProcessRef;
  /** gralloc's allocator: it allocates for others and keeps nothing. */
  readonly allocator: ProcessRef;
  readonly systemServer: ProcessRef;
  readonly systemUi: ProcessRef;
  readonly launcher: ProcessRef;

  private readonly zygote: number;
  private readonly bootedAtNs: bigint;
  private apps = 0;

  constructor(
    readonly kernel: SimulatedKernel,
    private readonly prng: Prng,
    scale: number,
  ) {
    // Long ago: the recording starts in the middle of a phone's day.
    this.bootedAtNs = kernel.now / 8n;
    const kthreadd = this.kernelThread('kthreadd', 0);
    for (const comm of KERNEL_THREADS.slice(1)) {
      this.kernelThread(comm, kthreadd);
    }
    for (const [executable, uid, files] of DAEMONS) {
      this.daemon(executable, uid, files);
    }
    this.allocator = this.daemon(
      '/vendor/bin/hw/android.hardware.graphics.allocator-V2-service',
      SYSTEM_UID,
      12,
    );
    this.composer = this.daemon(
      '/vendor/bin/hw/android.hardware.composer.hwc3-service',
      SYSTEM_UID,
      30,
    );
    this.surfaceFlinger = this.daemon(
      '/system/bin/surfaceflinger',
      SYSTEM_UID,
      60,
    );
    this.zygote = this.daemon('/system/bin/app_process64', 0, 24).pid;
    kernel.identify(this.zygote, {comm: 'main', args: ['zygote64']});
    this.systemServer = this.app('system_server', {
      uid: SYSTEM_UID,
      files: 180,
    });
    this.systemUi = this.app('com.android.systemui', {files: 90});
    this.launcher = this.app('com.android.launcher3', {files: 70});
    this.drawDesktop();
    const background = Math.max(1, Math.round(BACKGROUND_APPS.length * scale));
    for (let i = 0; i < background; i++) this.backgroundApp(i);
  }

  /** A process that init starts. */
  daemon(
    executable: RawText,
    uid: number,
    files: number,
    args: readonly RawText[] = [executable],
  ): ProcessRef {
    const pid = this.kernel.spawn({
      executable,
      args,
      uid,
      startNs: this.bootedAtNs,
    });
    this.openFiles(pid, files);
    return {pid, name: args[0] ?? executable};
  }

  /** An app, forked from zygote. */
  app(name: RawText, options: {uid?: number; files?: number} = {}): ProcessRef {
    const {kernel} = this;
    const pid = kernel.fork(this.zygote);
    kernel.identify(pid, {
      // An app shows its name's end.
      comm: name.slice(-COMM_BYTES),
      args: [name],
      uid: options.uid ?? FIRST_APP_UID + this.apps++,
    });
    this.openFiles(pid, options.files ?? 40);
    return {pid, name};
  }

  /**
   * Has gralloc allocate a buffer for a process.
   *
   * @returns the process's descriptor
   */
  allocate(owner: ProcessRef, options: ExportOptions): number {
    const {kernel, allocator} = this;
    const made = kernel.exportBuffer(allocator.pid, options);
    const fd = kernel.transfer(allocator.pid, made, owner.pid);
    kernel.close(allocator.pid, made);
    return fd;
  }

  /** Buffers that go from `producer` to `consumers`, allocated by gralloc. */
  queue(
    producer: ProcessRef,
    consumers: readonly ProcessRef[],
    options: ExportOptions & {readonly slots: number},
  ): BufferQueue {
    return new BufferQueue(this, producer, consumers, options);
  }

  /** A window's buffers: the app draws, surfaceflinger and the display show. */
  window(
    owner: ProcessRef,
    name: RawText,
    sizeBytes = PANEL_RGBA,
  ): BufferQueue {
    return this.queue(owner, [this.surfaceFlinger, this.composer], {
      name,
      exporter: 'system-uncached',
      sizeBytes,
      slots: 3,
    });
  }

  private kernelThread(comm: RawText, parent: number): number {
    return this.kernel.spawn({
      comm,
      parent,
      kernelThread: true,
      startNs: 0n,
    });
  }

  /** What every process has open, and what it has beyond. */
  private openFiles(pid: number, count: number): void {
    const {kernel, prng} = this;
    for (let fd = 0; fd < 3; fd++) {
      kernel.open(pid, '/dev/null', {flags: O_RDWR, closeOnExec: false});
    }
    kernel.open(pid, '/dev/binderfs/binder', {flags: O_RDWR});
    kernel.openAnonymous(pid, '[eventpoll]');
    for (let i = 5; i < count; i++) {
      switch (prng.between(0, 4)) {
        case 0:
          kernel.openAnonymous(
            pid,
            '[eventfd]',
            'eventfd-count:                0\n',
          );
          break;
        case 1:
          kernel.openAnonymous(pid, '[timerfd]');
          break;
        case 2:
          kernel.open(pid, `/system/framework/part${prng.between(1, 40)}.jar`, {
            flags: O_RDONLY,
            sizeBytes: 4096 * prng.between(20, 2000),
          });
          break;
        case 3:
          kernel.open(pid, '/dev/ashmem', {flags: O_RDWR});
          break;
        default:
          kernel.close(pid, kernel.socketPair(pid)[1]);
      }
    }
  }

  private drawDesktop(): void {
    this.queue(this.surfaceFlinger, [this.composer], {
      name: 'FramebufferSurface',
      exporter: 'system-uncached',
      sizeBytes: PANEL_RGBA,
      slots: 3,
    }).play(framePeriod(60));
    this.window(this.systemUi, 'StatusBar#72', rgba(PANEL.width, 120)).play(
      ms(1000),
    );
    // What does not move drew its buffers once.
    for (const window of [
      this.window(this.systemUi, 'NavigationBar0#74', rgba(PANEL.width, 132)),
      this.window(this.launcher, 'com.android.launcher3/Launcher'),
      this.window(this.systemUi, 'ImageWallpaper#58', rgba(1440, 2400)),
    ]) {
      window.fill();
    }
  }

  /** Bitmaps that an app keeps, and changes one of every now and then. */
  private backgroundApp(index: number): void {
    const {kernel, prng} = this;
    const base = BACKGROUND_APPS[index % BACKGROUND_APPS.length] ?? 'app';
    const round = Math.floor(index / BACKGROUND_APPS.length);
    const app = this.app(round === 0 ? base : `${base}${round + 1}`);
    const bitmaps: number[] = [];
    const add = (): void => {
      const side = 64 * prng.between(1, 12);
      bitmaps.push(
        this.allocate(app, {
          exporter: 'system',
          sizeBytes: rgba(side, side),
          name: 'hwui bitmap',
        }),
      );
    };
    for (let i = prng.between(6, 18); i > 0; i--) add();
    kernel.every(
      ms(prng.between(700, 1900)),
      () => {
        const [oldest] = bitmaps.splice(prng.between(0, bitmaps.length - 1), 1);
        if (oldest !== undefined) kernel.close(app.pid, oldest);
        add();
        return true;
      },
      ms(prng.between(0, 1900)),
    );
  }
}

/** User ids of the media processes. */
export const MEDIA_UIDS = {camera: 1047, codec: 1046} as const;
