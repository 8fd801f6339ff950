// SPDX-License-Identifier: Apache-2.0
// A text that comes into the kernel has one character a byte.
import {describe, expect, it} from 'vitest';
import {DMA_BUF_SET_NAME_A} from '../../../src/core/kernel/dma_buf_ioctl.js';
import {
  SimulatedKernel,
  kernelProfile,
  toDisplay,
  toRaw,
} from '../../../src/core/simulator.js';
import {dumpKernel} from './kernel_dump.js';

const EURO = '€uro';

function stage(): {kernel: SimulatedKernel; pid: number; fd: number} {
  const kernel = new SimulatedKernel({
    profile: kernelProfile('6.12'),
    seed: 1,
  });
  const pid = kernel.spawn({});
  const fd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 1});
  return {kernel, pid, fd};
}

type Call = (s: ReturnType<typeof stage>, text: string) => unknown;

describe('a character above 255', () => {
  const cases: [string, Call][] = [
    ['comm', ({kernel}, comm) => kernel.spawn({comm})],
    ['executable', ({kernel}, executable) => kernel.spawn({executable})],
    ['args', ({kernel}, arg) => kernel.spawn({args: ['/bin/x', arg]})],
    ['exec', ({kernel, pid}, path) => kernel.exec(pid, path)],
    ['exec args', ({kernel, pid}, arg) => kernel.exec(pid, '/bin/x', [arg])],
    ['thread', ({kernel, pid}, comm) => kernel.startThread(pid, {comm})],
    ['identify comm', ({kernel, pid}, comm) => kernel.identify(pid, {comm})],
    [
      'identify args',
      ({kernel, pid}, arg) => kernel.identify(pid, {uid: 5, args: [arg]}),
    ],
    ['open', ({kernel, pid}, path) => kernel.open(pid, path)],
    ['anonymous', ({kernel, pid}, label) => kernel.openAnonymous(pid, label)],
    [
      'fdinfo',
      ({kernel, pid}, tail) => kernel.openAnonymous(pid, '[eventfd]', tail),
    ],
    [
      'exporter',
      ({kernel, pid}, exporter) =>
        kernel.exportBuffer(pid, {exporter, sizeBytes: 1}),
    ],
    [
      'name',
      ({kernel, pid}, name) =>
        kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 1, name}),
    ],
    ['SET_NAME', ({kernel, pid, fd}, name) => kernel.setName(pid, fd, name)],
    [
      'SET_NAME_A',
      ({kernel, pid, fd}, name) =>
        kernel.ioctl(pid, fd, DMA_BUF_SET_NAME_A, name),
    ],
    ['importer', ({kernel}, device) => kernel.newImporter(device)],
    [
      'attachment',
      ({kernel, pid, fd}, device) =>
        kernel.dmaBufs.attach(kernel.bufferOf(pid, fd), device),
    ],
    [
      'fence',
      ({kernel, pid, fd}, driver) => {
        kernel.dmaBufs.addFence(kernel.bufferOf(pid, fd), {
          usage: 'read',
          driver,
          timeline: '',
          context: 1n,
          seqno: 1n,
          signalled: false,
        });
      },
    ],
  ];

  it.each(cases)('is refused in %s, and nothing changes', (_, call) => {
    const s = stage();
    const before = dumpKernel(s.kernel);
    expect(() => call(s, EURO)).toThrow(TypeError);
    expect(() => call(s, EURO)).toThrow(
      /^.* has a character that is no byte: give toRaw\(text\) instead$/,
    );
    expect(dumpKernel(s.kernel)).toBe(before);
  });

  it.each(cases)('may be in %s once it is encoded', (_, call) => {
    expect(() => call(stage(), toRaw(EURO))).not.toThrow();
  });

  it('comes back when what the kernel prints is decoded', () => {
    const {kernel, pid, fd} = stage();
    kernel.setName(pid, fd, toRaw(EURO));
    const link = kernel.vfs.readlink(`/proc/${pid}/fd/${fd}`);
    expect(link).toBe('/dmabuf:\xe2\x82\xacuro');
    expect(toDisplay(link)).toBe('/dmabuf:€uro');
    // The kernel counts bytes.
    expect(() => {
      kernel.setName(pid, fd, toRaw('€'.repeat(11)));
    }).toThrow(/^EINVAL: /);
  });
});
