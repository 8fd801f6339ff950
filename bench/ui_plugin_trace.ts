// SPDX-License-Identifier: Apache-2.0
// Traces for the UI plugin's benches: a recording of ours, and as much stock
// data to measure it against.
import {WireWriter} from '../src/producer/trace/wire_writer.js';
import {record, Scene} from '../test/producer/trace/scene.js';

export const PROCESSES = 1000;
export const HOLDINGS = 100_000;

const SAMPLES = 200;
const BUFFERS_PER_SAMPLE = 200;
/** Holders of a buffer, by its number modulo 4: 2.5 on average. */
const HOLDERS = [1, 2, 3, 4] as const;
/** Samples that a buffer lives. */
const LIFE = 10;
const NAMES = 50;
const EXPORTERS = ['system', 'system-uncached', 'camera', 'i915'] as const;

/** 1,000 processes, 40,000 buffers, 100,000 holdings in 200 samples. */
export function bigRecording(): Uint8Array {
  const scene = new Scene();
  for (let i = 0; i < PROCESSES; i++) {
    scene.start(1000 + i, {name: `com.example.app${i}`});
  }
  let count = 0;
  for (let sample = 0; sample < SAMPLES; sample++) {
    const old = (sample - LIFE) * BUFFERS_PER_SAMPLE;
    for (let i = 0; i < BUFFERS_PER_SAMPLE; i++, count++) {
      if (old >= 0) scene.free(BigInt(old + i + 1));
      const inode = BigInt(count + 1);
      scene.alloc(inode, {
        sizeBytes: BigInt(4096 * (1 + (count % 2048))),
        exporter: EXPORTERS[count % EXPORTERS.length] ?? '',
        name: {raw: `buffer ${count % NAMES}`, doubtful: false},
      });
      const holders = HOLDERS[count % HOLDERS.length] ?? 1;
      for (let k = 0; k < holders; k++) {
        scene.hold(1000 + ((count * 7 + k * 131) % PROCESSES), inode);
      }
    }
    scene.sample();
  }
  return Buffer.concat(record(scene.snapshots));
}

/** Field numbers of Perfetto's schema. */
const PACKET = 1;
const FTRACE_EVENTS = 1;
const PROCESS_TREE = 2;
const DMA_HEAP_STAT = 351;

const START_NS = 1_000_000_000_000n;
const EVENT_NS = 500_000n;
/** Events from an allocation to its free. */
const HEAP_LIFE = 2000;
/** Events of one packet. */
const BUNDLE = 1000;

/**
 * 100,000 dma_heap_stat events of 1,000 processes: what Perfetto's own plugin
 * for dma-bufs, com.android.AndroidDmabuf, shows.
 */
export function bigHeapTrace(events = HOLDINGS): Uint8Array {
  const writer = new WireWriter();
  writer.uint32(tag(PACKET)).fork();
  writer.uint32(varintTag(10)).uint32(1);
  writer.uint32(tag(PROCESS_TREE)).fork();
  for (let i = 0; i < PROCESSES; i++) {
    writer.uint32(tag(1)).fork();
    writer.uint32(varintTag(1)).int32(1000 + i);
    writer.uint32(tag(3)).string(`com.example.app${i}`);
    writer.join();
  }
  writer.join().join();
  let allocated = 0;
  let freed = 0;
  let total = 0;
  for (let first = 0; first < events; first += BUNDLE) {
    writer.uint32(tag(PACKET)).fork();
    writer.uint32(varintTag(10)).uint32(1);
    writer.uint32(tag(FTRACE_EVENTS)).fork();
    writer.uint32(varintTag(1)).uint32(0);
    for (let i = first; i < Math.min(first + BUNDLE, events); i++) {
      // Allocations first, then each with the free of an old one.
      const isFree = i >= HEAP_LIFE && i % 2 === 1;
      const inode = isFree ? ++freed : ++allocated;
      const length = 4096 * (1 + (inode % 2048)) * (isFree ? -1 : 1);
      total += length;
      writer.uint32(tag(2)).fork();
      writer.uint32(varintTag(1)).uint64(START_NS + BigInt(i) * EVENT_NS);
      writer.uint32(varintTag(2)).uint32(1000 + (inode % PROCESSES));
      writer.uint32(tag(DMA_HEAP_STAT)).fork();
      writer.uint32(varintTag(1)).uint64(inode);
      writer.uint32(varintTag(2)).int64(length);
      writer.uint32(varintTag(3)).uint64(Math.max(total, 0));
      writer.join().join();
    }
    writer.join().join();
  }
  return writer.finish();
}

/** Wire tag of a length-delimited field. */
function tag(field: number): number {
  return (field << 3) | 2;
}

function varintTag(field: number): number {
  return field << 3;
}
