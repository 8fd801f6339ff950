// SPDX-License-Identifier: Apache-2.0
import {BinaryWriter} from '@bufbuild/protobuf/wire';

const FIRST_CAPACITY = 256;
/** Longest UTF-8 form of one UTF-16 unit. */
const MAX_UTF8_BYTES = 3;
/** Longest varint. */
const MAX_VARINT_BYTES = 10;
/** Up to here a loop copies faster than a call of `set`. */
const SHORT_COPY = 48;

const utf8 = new TextEncoder();

/**
 * A BinaryWriter, to the byte, that writes into one growing typed array. The
 * original collects numbers in an array, and copies them into a new typed
 * array at each string, fixed64 and nested message: for short messages that,
 * and the garbage of it, is nearly all of the work.
 */
export class WireWriter extends BinaryWriter {
  private bytesWritten = new Uint8Array(FIRST_CAPACITY);
  private view = new DataView(this.bytesWritten.buffer);
  private end = 0;
  /** Where the forks that are open begin. */
  private readonly forks: number[] = [];

  /** Bytes written so far. */
  get length(): number {
    return this.end;
  }

  override finish(): Uint8Array<ArrayBuffer> {
    const bytes = this.bytesWritten.slice(0, this.end);
    this.end = 0;
    return bytes;
  }

  /** Leaves a byte for the length; most nested messages are short. */
  override fork(): this {
    this.reserve(1);
    this.forks.push(++this.end);
    return this;
  }

  override join(): this {
    const begin = this.forks.pop();
    if (begin === undefined) throw new Error('invalid state, no open fork');
    const {end} = this;
    const length = end - begin;
    if (length <= 0x7f) {
      this.bytesWritten[begin - 1] = length;
      return this;
    }
    const more = varintLength(length) - 1;
    this.reserve(more);
    this.bytesWritten.copyWithin(begin + more, begin, end);
    this.end = begin - 1;
    this.uint32(length);
    this.end = end + more;
    return this;
  }

  override raw(chunk: Uint8Array): this {
    const {length} = chunk;
    this.reserve(length);
    const {bytesWritten, end} = this;
    if (length > SHORT_COPY) {
      bytesWritten.set(chunk, end);
    } else {
      for (let i = 0; i < length; i++) {
        bytesWritten[end + i] = chunk[i] as number;
      }
    }
    this.end = end + length;
    return this;
  }

  override uint32(value: number): this {
    // The base class refuses what is no unsigned 32 bit number.
    if (value < 0 || value > 0xffffffff || !Number.isInteger(value)) {
      throw new Error(`invalid uint32: ${value}`);
    }
    this.reserve(MAX_VARINT_BYTES);
    const {bytesWritten} = this;
    let {end} = this;
    while (value > 0x7f) {
      bytesWritten[end++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    }
    bytesWritten[end++] = value;
    this.end = end;
    return this;
  }

  override int32(value: number): this {
    return value >= 0 ? this.uint32(value) : this.int64(value);
  }

  override sint32(value: number): this {
    return this.uint32(((value << 1) ^ (value >> 31)) >>> 0);
  }

  override bool(value: boolean): this {
    this.reserve(1);
    this.bytesWritten[this.end++] = value ? 1 : 0;
    return this;
  }

  override uint64(value: bigint | number | string): this {
    // The same varint, without the detour over 64 bits.
    const number = Number(value);
    if (number >= 0 && number <= 0x7fffffff) return this.uint32(number);
    return this.varint64(BigInt(value));
  }

  override int64(value: bigint | number | string): this {
    const number = Number(value);
    if (number >= 0 && number <= 0x7fffffff) return this.uint32(number);
    return this.varint64(BigInt.asUintN(64, BigInt(value)));
  }

  override sint64(value: bigint | number | string): this {
    const number = BigInt(value);
    return this.int64((number << 1n) ^ (number >> 63n));
  }

  override fixed64(value: bigint | number | string): this {
    this.reserve(8);
    this.view.setBigUint64(this.end, BigInt(value), true);
    this.end += 8;
    return this;
  }

  override double(value: number): this {
    this.reserve(8);
    this.view.setFloat64(this.end, value, true);
    this.end += 8;
    return this;
  }

  override string(value: string): this {
    const {length} = value;
    this.reserve(length * MAX_UTF8_BYTES + MAX_VARINT_BYTES);
    const {bytesWritten} = this;
    const begin = this.end + varintLength(length);
    for (let i = 0; i < length; i++) {
      const unit = value.charCodeAt(i);
      // What is not ASCII needs the encoder, and a length not known yet.
      if (unit > 0x7f) return this.bytes(utf8.encode(value));
      bytesWritten[begin + i] = unit;
    }
    this.uint32(length);
    this.end = begin + length;
    return this;
  }

  private varint64(value: bigint): this {
    this.reserve(MAX_VARINT_BYTES);
    const {bytesWritten, view} = this;
    let {end} = this;
    // In two halves: arithmetic on bigint is many times slower.
    view.setBigUint64(end, value, true);
    let low = view.getUint32(end, true);
    let high = view.getUint32(end + 4, true);
    while (high > 0 || low > 0x7f) {
      bytesWritten[end++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    bytesWritten[end++] = low;
    this.end = end;
    return this;
  }

  private reserve(more: number): void {
    const needed = this.end + more;
    const {length} = this.bytesWritten;
    if (needed <= length) return;
    const grown = new Uint8Array(Math.max(needed, length * 2));
    grown.set(this.bytesWritten.subarray(0, this.end));
    this.bytesWritten = grown;
    this.view = new DataView(grown.buffer);
  }
}

/** Bytes of an unsigned 32 bit varint. */
function varintLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  return value < 0x10000000 ? 4 : 5;
}
