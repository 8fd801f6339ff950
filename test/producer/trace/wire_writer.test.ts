// SPDX-License-Identifier: Apache-2.0
import {BinaryWriter} from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import {expect, test} from 'vitest';
import {WireWriter} from '../../../src/producer/trace/wire_writer.js';

type Write = (writer: BinaryWriter) => void;

const int32 = fc.integer({min: -(2 ** 31), max: 2 ** 31 - 1});
const uint32 = fc.oneof(
  fc.nat({max: 0xffffffff}),
  fc.constantFrom(0x7f, 0x80, 0x3fff, 0x4000, 0x7fffffff, 0x80000000),
);
const int64 = fc.oneof(
  fc.bigInt({min: -(2n ** 63n), max: 2n ** 63n - 1n}),
  fc.maxSafeInteger(),
);
const uint64 = fc.oneof(
  fc.bigInt({min: 0n, max: 2n ** 64n - 1n}),
  fc.nat({max: 63}).map((bit) => 1n << BigInt(bit)),
  fc.nat({max: 63}).map((bit) => (1n << BigInt(bit)) - 1n),
  fc.maxSafeNat(),
);
const bytes = fc.uint8Array({maxLength: 400});

function call<T>(
  arbitrary: fc.Arbitrary<T>,
  write: (writer: BinaryWriter, value: T) => void,
): fc.Arbitrary<Write> {
  return arbitrary.map((value) => (writer) => write(writer, value));
}

const {writes} = fc.letrec<{writes: Write[]; write: Write}>((tie) => ({
  writes: fc.array(tie('write'), {maxLength: 12}),
  write: fc.oneof(
    {depthSize: 'small', withCrossShrink: true},
    call(uint32, (w, v) => w.uint32(v)),
    call(int32, (w, v) => w.int32(v)),
    call(int32, (w, v) => w.sint32(v)),
    call(int64, (w, v) => w.int64(v)),
    call(int64, (w, v) => w.sint64(v)),
    call(uint64, (w, v) => w.uint64(v)),
    call(uint64, (w, v) => w.fixed64(v)),
    call(int64, (w, v) => w.sfixed64(v)),
    call(uint32, (w, v) => w.fixed32(v)),
    call(int32, (w, v) => w.sfixed32(v)),
    call(fc.double(), (w, v) => w.double(v)),
    call(fc.float(), (w, v) => w.float(v)),
    call(fc.boolean(), (w, v) => w.bool(v)),
    call(bytes, (w, v) => w.bytes(v)),
    call(bytes, (w, v) => w.raw(v)),
    call(fc.string({unit: 'binary', maxLength: 300}), (w, v) => w.string(v)),
    call(fc.string({maxLength: 300}), (w, v) => w.string(v)),
    tie('writes').map((inner) => (writer: BinaryWriter) => {
      writer.fork();
      for (const write of inner) write(writer);
      writer.join();
    }),
  ),
}));

test('writes the very bytes that BinaryWriter writes, again and again', () => {
  fc.assert(
    fc.property(fc.array(writes, {maxLength: 3}), (messages) => {
      const ours = new WireWriter();
      const theirs = new BinaryWriter();
      for (const message of messages) {
        for (const write of message) {
          write(ours);
          write(theirs);
        }
        const expected = theirs.finish();
        expect(ours.length).toBe(expected.length);
        expect(ours.finish()).toEqual(expected);
      }
    }),
    {numRuns: 500},
  );
});

test('writes nested messages of any size', () => {
  for (const size of [0, 127, 128, 16_383, 16_384, 2_097_152]) {
    const write = (writer: BinaryWriter): Uint8Array =>
      writer
        .fork()
        .fork()
        .raw(new Uint8Array(size).fill(7))
        .join()
        .join()
        .finish();
    expect(
      Buffer.compare(write(new WireWriter()), write(new BinaryWriter())),
    ).toBe(0);
  }
});

test.each([-1, 2 ** 32, 1.5, NaN])('refuses %d as a uint32', (value) => {
  expect(() => new WireWriter().uint32(value)).toThrow('invalid uint32');
});

test('refuses a join without a fork', () => {
  expect(() => new WireWriter().join()).toThrow('no open fork');
});
