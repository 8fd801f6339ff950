// SPDX-License-Identifier: Apache-2.0
import type {RawText} from '../model/text.js';
import {
  AddressSpace,
  PAGE_SIZE,
  PROT_READ,
  PROT_READ_WRITE,
} from './address_space.js';
import type {Holdings} from './holdings.js';
import type {OpenFile} from './open_file.js';
import type {Prng} from './prng.js';
import type {KernelProfile} from './profile.js';

const PROT_READ_EXECUTE = {read: true, write: false, execute: true};

/**
 * Of the user half: 39-bit addresses on phones, 47-bit on PCs. `taskSize` is
 * TASK_SIZE; stacks lie below `top`.
 */
const LAYOUTS = {
  arm64: {
    taskSize: 0x80_0000_0000,
    top: 0x7f_ffff_f000,
    binary: 0x55_0000_0000,
    binarySpread: 0xff_ffff,
  },
  x86_64: {
    taskSize: 0x7fff_ffff_f000,
    top: 0x7fff_ffff_f000,
    binary: 0x5500_0000_0000,
    binarySpread: 0xff_ffff,
  },
} as const;

const LIBRARIES: readonly RawText[] = [
  '/apex/com.android.runtime/bin/linker64',
  '/apex/com.android.runtime/lib64/bionic/libc.so',
  '/system/lib64/libbinder.so',
  '/system/lib64/libutils.so',
];

/**
 * The mappings a program starts with: binary, heap, libraries, vdso, stack.
 *
 * @param openLibrary gives the open file of a path
 */
export function newProgramMemory(
  profile: KernelProfile,
  prng: Prng,
  holdings: Holdings,
  executable: RawText,
  openLibrary: (path: RawText) => OpenFile,
): AddressSpace {
  const layout = LAYOUTS[profile.arch];
  const stackTop = layout.top - prng.between(0x1000, 0xffff) * PAGE_SIZE;
  const base = stackTop - prng.between(0x2_0000, 0x4_0000) * PAGE_SIZE;
  const memory = new AddressSpace(holdings, base, layout.taskSize);
  memory.map({
    address: stackTop - 0x21 * PAGE_SIZE,
    length: 0x21 * PAGE_SIZE,
    protection: PROT_READ_WRITE,
    shared: false,
    label: '[stack]',
  });
  anonymous(memory, 2, PROT_READ_EXECUTE, '[vdso]');
  anonymous(memory, 4, PROT_READ, '[vvar]');
  for (const library of LIBRARIES) {
    mapSegments(memory, openLibrary(library), undefined);
  }
  const binary =
    layout.binary + prng.between(0, layout.binarySpread) * PAGE_SIZE;
  const end = mapSegments(memory, openLibrary(executable), binary);
  memory.map({
    address: end + prng.between(1, 0x1000) * PAGE_SIZE,
    length: prng.between(8, 64) * PAGE_SIZE,
    protection: PROT_READ_WRITE,
    shared: false,
    label: '[heap]',
  });
  return memory;
}

function anonymous(
  memory: AddressSpace,
  pages: number,
  protection: typeof PROT_READ,
  label: RawText,
): void {
  const length = pages * PAGE_SIZE;
  memory.map({length, protection, shared: false, label});
}

/** @returns where the segments end */
function mapSegments(
  memory: AddressSpace,
  file: OpenFile,
  address: number | undefined,
): number {
  const text = Math.max(1, Math.floor(file.sizeBytes / 2 / PAGE_SIZE));
  const segments = [
    {pages: 1, protection: PROT_READ},
    {pages: text, protection: PROT_READ_EXECUTE},
    {pages: 2, protection: PROT_READ},
    {pages: 1, protection: PROT_READ_WRITE},
  ];
  const pages = segments.reduce((sum, segment) => sum + segment.pages, 0);
  // The loader reserves the whole range, then maps the segments into it.
  const start = memory.map({
    length: pages * PAGE_SIZE,
    protection: PROT_READ,
    shared: false,
    ...(address === undefined ? {} : {address}),
  });
  memory.unmap(start, pages * PAGE_SIZE);
  let at = start;
  for (const segment of segments) {
    const length = segment.pages * PAGE_SIZE;
    memory.map({
      address: at,
      length,
      protection: segment.protection,
      shared: false,
      offset: at - start,
      file,
    });
    at += length;
  }
  return at;
}
