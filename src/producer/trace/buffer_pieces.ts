// SPDX-License-Identifier: Apache-2.0
import {
  bufferKey,
  bytesFromRaw,
  sameName,
  toDisplay,
  toRaw,
  type DmaBuf,
} from '../../core/model/index.js';
import {
  dmaBufFields,
  sliceFields,
  type DmaBufFields,
  type Fields,
  type InternedName,
} from './packet_writer.js';
import {category, flowId} from './schema.js';

/** What a slice of a buffer is called: its name, else exporter, and inode. */
export function bufferTitle(buffer: DmaBuf): string {
  const name = buffer.name?.raw ?? '';
  const label = name === '' ? (buffer.exporter ?? 'dma-buf') : name;
  return `${toDisplay(label)} ${buffer.inode}`;
}

/**
 * The encoded pieces that all slices of one buffer have in common. Made when
 * the buffer appears, made anew only when something about it changes.
 */
export class BufferPieces {
  readonly key: string;
  private current: DmaBuf;
  private nameIid = 0;
  private unsaid: InternedName | undefined;
  private lifetimeSlice!: Fields;
  private holdingSlice: Fields | undefined;
  private extension!: Fields;

  /** @param nextNameIid yields an iid that no other name has. */
  constructor(
    buffer: DmaBuf,
    private readonly simulated: boolean,
    private readonly nextNameIid: () => number,
  ) {
    this.key = bufferKey(buffer);
    this.current = buffer;
    this.encode();
  }

  get buffer(): DmaBuf {
    return this.current;
  }

  /** Slice on the `Buffers` track. */
  get lifetime(): Fields {
    return this.lifetimeSlice;
  }

  /** Slice of a holder: a flow ties them. */
  get holding(): Fields {
    this.holdingSlice ??= this.slice(flowId(this.key));
    return this.holdingSlice;
  }

  /** DmaBufEvent fields of the buffer itself. */
  get fields(): Fields {
    return this.extension;
  }

  /** The interned title, for the first packet that refers to it. */
  takeInterned(): InternedName | undefined {
    const {unsaid} = this;
    this.unsaid = undefined;
    return unsaid;
  }

  /** Takes note of what is now known of the buffer. */
  update(buffer: DmaBuf): void {
    const before = this.current;
    if (buffer === before) return;
    this.current = buffer;
    if (someFields(changedFields(before, buffer)) !== undefined) this.encode();
  }

  private slice(flow: bigint | undefined): Fields {
    return sliceFields({
      categoryIid: category.buffer.iid,
      nameIid: this.nameIid,
      correlationId: this.key,
      flowId: flow,
    });
  }

  private encode(): void {
    const {current: buffer} = this;
    this.nameIid = this.nextNameIid();
    this.unsaid = {iid: this.nameIid, name: bufferTitle(buffer)};
    this.lifetimeSlice = this.slice(undefined);
    this.holdingSlice = undefined;
    const {name, nameDoubtful, nameRaw} = nameFields(buffer);
    this.extension = dmaBufFields({
      inode: buffer.inode,
      size: buffer.sizeBytes,
      name,
      exporter: display(buffer.exporter),
      generation: buffer.generation,
      nameDoubtful,
      simulated: this.simulated || undefined,
      nameRaw,
    });
  }
}

/** What `after` says that `before` did not say; {} when nothing. */
export function changedFields(before: DmaBuf, after: DmaBuf): DmaBufFields {
  if (before === after) return {};
  return {
    ...(before.sizeBytes === after.sizeBytes ? {} : {size: after.sizeBytes}),
    ...(before.exporter === after.exporter
      ? {}
      : {exporter: display(after.exporter)}),
    ...(sameName(before.name, after.name) ? {} : nameFields(after)),
  };
}

/** The fields, or undefined when none is set. */
export function someFields(fields: DmaBufFields): DmaBufFields | undefined {
  const isEmpty = Object.values(fields).every((value) => value === undefined);
  return isEmpty ? undefined : fields;
}

/** The name as text, and as bytes where text cannot carry it. */
function nameFields({name}: DmaBuf): DmaBufFields {
  const raw = name?.raw;
  if (raw === undefined) return {};
  const text = toDisplay(raw);
  const isExact = text === raw || toRaw(text) === raw;
  return {
    name: text,
    nameDoubtful: name?.doubtful || undefined,
    nameRaw: isExact ? undefined : bytesFromRaw(raw),
  };
}

function display(text: string | undefined): string | undefined {
  return text === undefined ? undefined : toDisplay(text);
}
