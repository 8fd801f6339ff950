// SPDX-License-Identifier: Apache-2.0
// What the simulated kernel keeps from one reading for the next must not show.
import {describe, expect, it} from 'vitest';
import {parseBufinfo} from '../../../src/core/formats/index.js';
import {
  SimulatedKernel,
  kernelProfile,
} from '../../../src/core/kernel/index.js';

const BUFINFO = '/sys/kernel/debug/dma_buf/bufinfo';

function newKernel(pidMax?: number): SimulatedKernel {
  return new SimulatedKernel({
    profile: kernelProfile('6.1'),
    seed: 1,
    ...(pidMax === undefined ? {} : {pidMax}),
  });
}

function oneBuffer() {
  const kernel = newKernel();
  const pid = kernel.spawn({executable: '/bin/holder'});
  const fd = kernel.exportBuffer(pid, {exporter: 'system', sizeBytes: 4096});
  return {kernel, pid, fd, buffer: kernel.bufferOf(pid, fd)};
}

/** What bufinfo says of the only buffer. */
function listed(kernel: SimulatedKernel) {
  const {objects, problems} = parseBufinfo(kernel.vfs.read(BUFINFO));
  expect(problems).toEqual([]);
  expect(objects).toHaveLength(1);
  const [object] = objects;
  return {
    count: object?.fileCount,
    name: object?.name.raw,
    attachments: object?.attachments,
    fences: object?.fences,
  };
}

describe('bufinfo read again', () => {
  const plain = {count: 1n, name: undefined, attachments: [], fences: []};

  it('is the same when nothing happened', () => {
    const {kernel} = oneBuffer();
    const text = kernel.vfs.read(BUFINFO);
    expect(kernel.vfs.read(BUFINFO)).toBe(text);
    expect(listed(kernel)).toEqual(plain);
  });

  it('follows the references, there and back', () => {
    const {kernel, pid, fd} = oneBuffer();
    expect(listed(kernel)).toEqual(plain);
    const other = kernel.dup(pid, fd);
    expect(listed(kernel)).toEqual({...plain, count: 2n});
    kernel.close(pid, other);
    expect(listed(kernel)).toEqual(plain);
  });

  it('follows the name, an empty one too', () => {
    const {kernel, pid, fd} = oneBuffer();
    expect(listed(kernel)).toEqual(plain);
    kernel.setName(pid, fd, 'first');
    expect(listed(kernel)).toEqual({...plain, name: 'first'});
    kernel.setName(pid, fd, 'other');
    expect(listed(kernel)).toEqual({...plain, name: 'other'});
    kernel.setName(pid, fd, '');
    expect(listed(kernel)).toEqual({...plain, name: ''});
  });

  it('follows devices and fences', () => {
    const {kernel, buffer} = oneBuffer();
    expect(listed(kernel)).toEqual(plain);
    const attachment = kernel.dmaBufs.attach(buffer, '1a000000.isp');
    expect(listed(kernel)).toEqual({...plain, attachments: ['1a000000.isp']});
    kernel.dmaBufs.detach(buffer, attachment);
    expect(listed(kernel)).toEqual(plain);
    const fence = {
      usage: 'write' as const,
      driver: 'mali',
      timeline: 'queue',
      context: 3n,
      seqno: 7n,
      signalled: false,
    };
    kernel.dmaBufs.addFence(buffer, fence);
    const [before] = listed(kernel).fences ?? [];
    expect(before).toMatch(/ unsignalled$/);
    fence.signalled = true;
    const [after] = listed(kernel).fences ?? [];
    expect(after).toMatch(/[^n]signalled$/);
  });

  it('leaves out what is gone, also from its total', () => {
    const {kernel, pid, fd} = oneBuffer();
    expect(listed(kernel)).toEqual(plain);
    kernel.close(pid, fd);
    expect(kernel.vfs.read(BUFINFO)).toMatch(/\nTotal 0 objects, 0 bytes\n$/);
  });

  it('knows no sysfs directory of a buffer that was released', () => {
    const {kernel, pid, fd, buffer} = oneBuffer();
    const folder = `/sys/kernel/dmabuf/buffers/${buffer.inode}`;
    expect(kernel.vfs.read(`${folder}/size`)).toBe('4096\n');
    kernel.close(pid, fd);
    expect(() => kernel.vfs.read(`${folder}/size`)).toThrow('ENOENT');
    expect(() => kernel.vfs.read(`${folder}/exporter_name`)).toThrow('ENOENT');
  });
});

describe('paths read again', () => {
  it('follow the descriptor table', () => {
    const {kernel, pid, fd, buffer} = oneBuffer();
    const path = `/proc/${pid}/fd/${fd}`;
    expect(kernel.vfs.stat(path).ino).toBe(buffer.inode);
    kernel.close(pid, fd);
    expect(() => kernel.vfs.stat(path)).toThrow('ENOENT');
    const next = kernel.exportBuffer(pid, {
      exporter: 'system',
      sizeBytes: 8192,
    });
    expect(next).toBe(fd);
    expect(kernel.vfs.stat(path)).toMatchObject({size: 8192n, mode: 0o600});
  });

  it('end with their process', () => {
    const {kernel, pid, fd} = oneBuffer();
    kernel.vfs.stat(`/proc/${pid}/fd/${fd}`);
    kernel.exit(pid);
    expect(() => kernel.vfs.stat(`/proc/${pid}/fd/${fd}`)).toThrow('ENOENT');
    expect(() => kernel.vfs.list(`/proc/${pid}/fd`)).toThrow('ENOENT');
  });

  it('are those of the process that has the pid now', () => {
    // init has the first of two numbers: the other one comes back at once.
    const kernel = newKernel(3);
    const first = kernel.spawn({executable: '/bin/first'});
    expect(kernel.vfs.read(`/proc/${first}/comm`)).toBe('first\n');
    kernel.exit(first);
    expect(kernel.spawn({executable: '/bin/second'})).toBe(first);
    expect(kernel.vfs.read(`/proc/${first}/comm`)).toBe('second\n');
  });

  it('are refused to another user after the owner read them', () => {
    const {kernel, pid, fd} = oneBuffer();
    const other = kernel.vfsAs(1000);
    kernel.identify(pid, {uid: 1000});
    const path = `/proc/${pid}/fd/${fd}`;
    expect(other.readlink(path)).toMatch(/^\/dmabuf:/);
    kernel.identify(pid, {uid: 2000});
    expect(() => other.readlink(path)).toThrow('EACCES');
    expect(() => other.read('/sys/kernel/debug/dma_buf/bufinfo')).toThrow(
      'EACCES',
    );
    // The same, with the directory below a guarded one looked into before.
    expect(() => other.stat('/sys/kernel/debug/dma_buf/bufinfo')).toThrow(
      'EACCES',
    );
  });

  it('need no directory to have been looked into before', () => {
    const {kernel, pid} = oneBuffer();
    kernel.vfs.read(`/proc/${pid}/comm`);
    expect(kernel.vfs.list(`/proc/${pid}/`)).toContain('comm');
    expect(kernel.vfs.list(`/proc/${pid}/.`)).toContain('comm');
    expect(kernel.vfs.list('/')).toEqual(['proc', 'sys']);
    expect(() => kernel.vfs.read(`/proc/${pid}/com`)).toThrow('ENOENT');
    expect(() => kernel.vfs.read(`/proc/${pid}/comm/x`)).toThrow('ENOTDIR');
  });
});
