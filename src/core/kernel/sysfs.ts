// SPDX-License-Identifier: Apache-2.0
import {renderBpfIter} from '../formats/bpf_iter.js';
import type {BufinfoDialect, BufinfoFields} from '../formats/bufinfo.js';
import {
  renderBufinfoHeader,
  renderBufinfoObject,
  renderBufinfoTotal,
  renderFence,
} from '../formats/bufinfo.js';
import {renderSysfsExporter, renderSysfsSize} from '../formats/sysfs_stats.js';
import type {RawText} from '../model/text.js';
import type {DmaBuf} from './dma_buf.js';
import type {BufferBlock} from './dma_buf_subsystem.js';
import {KernelError} from './kernel_error.js';
import {fencesFor} from './reservation.js';
import type {SimulatedKernel} from './simulated_kernel.js';
import type {DirectoryNode, FileNode} from './vfs_node.js';
import {directory, file} from './vfs_node.js';

const INODE = /^[1-9][0-9]{0,19}$/;
const SYSFS_FILE_SIZE = 4096;

/** /sys, as a reader with that user id sees it. */
export function sysDirectory(
  kernel: SimulatedKernel,
  uid: number,
): DirectoryNode {
  const {profile} = kernel;
  const bufinfo = new BufinfoRenderer(kernel);
  const rootOnly = (): void => {
    if (uid !== 0) throw new KernelError('EACCES', 'only root may look');
  };
  const debug = profile.debugfs
    ? directory(
        {dma_buf: directory({bufinfo: bufinfo.file()})},
        {mode: 0o700, check: rootOnly},
      )
    : directory({});
  const pins = directory(
    {
      dmabuf: directory({
        prog_dmabufIter_iter_dmabuf: file(() => renderBpf(kernel), 0o440),
      }),
    },
    {mode: 0o700, check: rootOnly},
  );
  return directory({
    fs: directory({bpf: profile.bpfIterator ? pins : directory({})}),
    kernel: directory({
      debug,
      dmabuf: profile.sysfsStats
        ? directory({buffers: buffersDirectory(kernel)})
        : undefined,
    }),
  });
}

/** /sys/kernel/dmabuf/buffers. */
function buffersDirectory(kernel: SimulatedKernel): DirectoryNode {
  return {
    kind: 'directory',
    mode: 0o755,
    list: () =>
      [...kernel.dmaBufs.oldestFirst()].map(({inode}) => `${inode}`).sort(),
    child: (name) => {
      const buffer = INODE.test(name)
        ? kernel.dmaBufs.find(BigInt(name))
        : undefined;
      return buffer === undefined ? undefined : bufferDirectory(buffer);
    },
  };
}

function bufferDirectory(buffer: DmaBuf): DirectoryNode {
  const size = (): number => SYSFS_FILE_SIZE;
  return directory(
    {
      exporter_name: {
        ...file(() => renderSysfsExporter(buffer.exporter)),
        size,
      },
      size: {...file(() => renderSysfsSize(BigInt(buffer.sizeBytes))), size},
    },
    {mode: 0o755},
  );
}

/** What was printed of a block of buffers. */
interface PrintedBlock {
  readonly changes: number;
  readonly text: RawText;
  /** Of those that were not skipped. */
  readonly count: number;
  readonly bytes: number;
}

/**
 * bufinfo, newest buffer first. Most blocks of buffers are as they were at the
 * last reading: their text is kept.
 */
class BufinfoRenderer {
  private readonly printed = new WeakMap<BufferBlock, PrintedBlock>();

  constructor(private readonly kernel: SimulatedKernel) {}

  file(): FileNode {
    return {
      ...file(() => this.pieces().join('')),
      pieces: () => this.pieces(),
    };
  }

  private pieces(): RawText[] {
    const {bufinfo: dialect} = this.kernel.profile;
    const texts: RawText[] = [];
    let count = 0;
    let bytes = 0;
    for (const block of this.kernel.dmaBufs.inBlocks()) {
      const printed = this.print(block);
      texts.push(printed.text);
      count += printed.count;
      bytes += printed.bytes;
    }
    texts.push(renderBufinfoHeader(dialect));
    texts.reverse();
    texts.push(renderBufinfoTotal(count, BigInt(bytes)));
    return texts;
  }

  private print(block: BufferBlock): PrintedBlock {
    const known = this.printed.get(block);
    const changes = block.changes.count;
    if (known?.changes === changes) return known;
    const {bufinfo: dialect} = this.kernel.profile;
    const texts: RawText[] = [];
    let count = 0;
    let bytes = 0;
    for (const buffer of block.buffers) {
      const object = bufinfoObject(this.kernel, buffer);
      texts.push(renderBufinfoObject(object, dialect));
      if (buffer.locked && dialect.lockErrors) continue;
      count++;
      bytes += buffer.sizeBytes;
    }
    const text = texts.reverse().join('');
    const printed = {changes, text, count, bytes};
    // Fences signal unseen: not kept.
    if (block.buffers.every(({fences}) => fences.length === 0)) {
      this.printed.set(block, printed);
    }
    return printed;
  }
}

function bufinfoObject(kernel: SimulatedKernel, buffer: DmaBuf): BufinfoFields {
  const {profile, dmaBufs} = kernel;
  return {
    sizeBytes: buffer.sizeBytes,
    flags: buffer.statusFlags,
    mode: dmaBufs.fileMode(buffer),
    fileCount: buffer.refCount,
    exporter: buffer.exporter,
    inode: buffer.inode,
    name: {raw: buffer.name},
    attachments: devicesOf(buffer),
    fences: fenceLines(buffer, profile.bufinfo),
    lockError: buffer.locked,
  };
}

const NONE: readonly never[] = [];

function devicesOf({attachments}: DmaBuf): readonly RawText[] {
  if (attachments.size === 0) return NONE;
  // dma_buf_attach() adds at the head of the list.
  return [...attachments].map(({device}) => device).reverse();
}

function fenceLines(
  {fences}: DmaBuf,
  dialect: BufinfoDialect,
): readonly RawText[] {
  if (fences.length === 0) return NONE;
  // dma_resv_describe() asks for those that a reader has to wait for.
  return fencesFor(fences, 'read').map((fence) => renderFence(fence, dialect));
}

function renderBpf(kernel: SimulatedKernel): RawText {
  return renderBpfIter(
    kernel.dmaBufs.newestFirst().map((buffer) => ({
      inode: buffer.inode,
      sizeBytes: BigInt(buffer.sizeBytes),
      name: {raw: buffer.name, doubtful: false},
      exporter: buffer.exporter,
    })),
  );
}
