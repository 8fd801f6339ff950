// SPDX-License-Identifier: Apache-2.0
// One script for each operation and for what the kernel refuses.
import type {ExporterName, MachineUnderTest} from './machines.js';
import {parseScript, type Script} from './script.js';

export interface FixedScript {
  readonly title: string;
  readonly script: Script;
}

/** In these, each exporter of the kernel takes the place of `auto`. */
const ON_EACH_EXPORTER: Readonly<Record<string, string>> = {
  'export, and again after all have gone': `
    spawn a
    alloc a x exporter=auto size=4096
    alloc a y exporter=auto size=65536 name=frame
    alloc a odd exporter=auto size=5000
    close a x
    alloc a again exporter=auto size=12288
    close a y
    close a odd`,
  'export: sizes that no exporter has': `
    spawn a
    alloc a none exporter=auto size=0
    alloc a x exporter=auto size=4096`,
  'descriptors: duplicates, the lowest free one, close-on-exec': `
    spawn a
    alloc a x exporter=auto size=8192 name=x
    dup a x
    dup a x fd=100
    dup a x fd=100
    dup a x cloexec=0
    alloc a y exporter=auto size=4096
    close a x fd=7
    alloc a z exporter=auto size=4096
    dup a y
    dup a y fd=-1
    close a x fd=99
    close a z all`,
  names: `
    spawn a
    alloc a x exporter=auto size=4096 name=first
    name a x second
    alloc a never exporter=auto size=4096
    alloc a empty exporter=auto size=4096 name=hex:
    alloc a cleared exporter=auto size=4096 name=set
    name a cleared hex:
    alloc a longest exporter=auto size=4096 name=1234567890123456789012345678901
    alloc a shared exporter=auto size=4096
    dup a shared
    fork a b
    name b shared of-all`,
  'names: what the kernel refuses': `
    spawn a
    alloc a long exporter=auto size=4096 name=12345678901234567890123456789012
    alloc a x exporter=auto size=4096 name=kept
    name a x 12345678901234567890123456789012
    name a x 1234567890123456789012345678901234567890123456789012345678901234
    ioctl a x 0x40086201
    ioctl a x 0x40086201 text=by-ioctl
    ioctl a x 0x40046201 text=by-the-other-number
    ioctl a x 0x40086201 fd=77 text=nobody
    ioctl a x 0x40086201 fd=0 text=nobody`,
  'ioctls: sync, and numbers that no kernel or another one knows': `
    spawn a
    alloc a x exporter=auto size=4096
    ioctl a x 0x40086200 flags=1
    ioctl a x 0x40086200 flags=2
    ioctl a x 0x40086200 flags=3
    ioctl a x 0x40086200 flags=5
    ioctl a x 0x40086200 flags=7
    ioctl a x 0x40086200 flags=0
    ioctl a x 0x40086200 flags=4
    ioctl a x 0x40086200 flags=8
    ioctl a x 0x40086200 flags=9
    ioctl a x 0x40086200
    ioctl a x 0x80086202 text=room
    ioctl a x 0x40086205 text=name
    ioctl a x 0x1234`,
  'descriptors: one put in the place of another': `
    spawn a
    alloc a x exporter=auto size=8192 name=x
    alloc a y exporter=auto size=4096 name=y
    dup2 a x y
    dup2 a x x
    dup a x fd=20
    alloc a z exporter=auto size=4096
    dup2 a z x
    exec a`,
  'access: read only, write only': `
    spawn a
    alloc a r exporter=auto size=16384 access=r name=r
    map a r
    map a r protection=r
    split a r protection=none
    split a r protection=rw
    import a r
    alloc a w exporter=auto size=8192 access=w
    map a w protection=r
    map a w`,
  'map: several holes and protections': `
    spawn a
    alloc a x exporter=auto size=65536
    map a x
    punch a x page=3
    punch a x page=4
    split a x page=2 protection=none
    split a x page=2 protection=rw
    split a x
    fork a b
    unmap b x
    map a x offset=4096 protection=r
    split a x page=5 protection=rw
    unmap a x
    map a x`,
  'import: several devices attached to one buffer': `
    spawn a
    spawn b
    spawn c
    alloc a x exporter=auto size=8192
    send a b x
    send a c x
    import a x
    import b x
    import c x
    drop-import b x
    import b x
    exit a`,
  'ioctls: the end of an access that never began': `
    spawn a
    alloc a x exporter=auto size=4096
    ioctl a x 0x40086200 flags=6
    ioctl a x 0x40086200 flags=1
    ioctl a x 0x40086200 flags=6
    ioctl a x 0x40086200 flags=6`,
  seek: `
    spawn a
    alloc a x exporter=auto size=20480
    seek a x 0 end
    seek a x 0 set
    seek a x 0 current
    seek a x 1 set
    seek a x 4096 set
    seek a x -1 end
    seek a x -4096 set
    seek a x 0 end fd=77
    seek a x 0 end`,
  'map: whole, part, twice, read-only, only mapped': `
    spawn a
    alloc a x exporter=auto size=65536 name=mapped
    map a x
    map a x
    map a x offset=8192 length=4096
    map a x offset=8192
    map a x length=5000
    map a x protection=r
    close a x
    alloc a y exporter=auto size=4096
    map a y
    unmap a x
    map a y`,
  'map: what the kernel refuses': `
    spawn a
    alloc a x exporter=auto size=8192
    map a x length=12288
    map a x offset=8192 length=4096
    map a x offset=4096 length=8192
    map a x offset=100 length=4096
    map a x offset=1048576
    map a x length=0
    map a x offset=1099511627776 length=4096
    map a x`,
  'map: split by a protection, punched by a hole': `
    spawn a
    alloc a x exporter=auto size=45056 name=three
    map a x
    split a x
    alloc a y exporter=auto size=12288 name=hole
    map a y
    punch a y
    map a y protection=r
    split a y
    alloc a short exporter=auto size=8192
    map a short
    split a short
    close a x
    close a y
    unmap a x`,
  'fork: descriptors and mappings are inherited': `
    spawn a
    alloc a x exporter=auto size=16384 name=inherited
    map a x
    split a x
    dup a x fd=20
    fork a b
    fork b c comm=grandchild
    close a x all
    unmap b x
    alloc c y exporter=auto size=4096
    fork c d
    exit c`,
  'sockets: sent, received, in flight, lost': `
    spawn a
    spawn b
    alloc a x exporter=auto size=4096 name=sent
    send a b x
    send a b x
    send a a x
    alloc a flying exporter=auto size=8192 name=in-flight
    sendhold a b flying
    close a flying
    alloc a taken exporter=auto size=12288
    sendhold a b taken
    sendhold a b taken
    close a taken
    receive b taken
    alloc a lost exporter=auto size=16384
    sendhold a b lost
    close a lost
    fork b c
    receive b lost
    receive c lost
    send a b nothing
    sendhold a b x`,
  'sockets: an unread message ends with its socket': `
    spawn a
    spawn b
    alloc a x exporter=auto size=4096 name=lost
    sendhold a b x
    exit a
    kill b
    spawn c
    alloc c y exporter=auto size=4096`,
  'import into vgem and its end': `
    spawn a
    alloc a x exporter=auto size=8192 name=imported
    import a x
    name a x renamed-attached
    dup a x
    close a x all
    alloc a y exporter=auto size=4096
    import a y
    import a y
    drop-import a y
    drop-import a y
    import a y
    fork a b
    import b y
    drop-import a y
    alloc a z exporter=auto size=4096
    import a z
    map a z
    close a z
    drop-import a z`,
  'import: the process ends': `
    spawn a
    spawn b
    alloc a x exporter=auto size=8192
    send a b x
    import a x
    import b x
    close b x
    exit a
    alloc b y exporter=auto size=4096
    import b y
    exec b`,
  'threads with descriptors of their own': `
    spawn a
    alloc a x exporter=auto size=4096 name=private
    dup a x
    alloc a y exporter=auto size=8192
    thread-private a x
    close a x all
    thread-private a y
    thread-exit a y
    thread-private a y
    fork a b
    alloc b z exporter=auto size=4096
    thread-private b z
    exit b`,
  'exec: close-on-exec, mappings, threads': `
    spawn a
    alloc a x exporter=auto size=16384 name=kept
    dup a x cloexec=0
    map a x
    alloc a gone exporter=auto size=4096
    thread-private a gone
    alloc a only-mapped exporter=auto size=8192
    map a only-mapped
    close a only-mapped
    import a gone
    exec a
    comm a afterwards`,
  'processes end: exit, kill, zombie, reap': `
    spawn a
    alloc a x exporter=auto size=4096
    map a x
    fork a b
    fork a c
    fork b d
    zombie a
    kill b
    zombie c
    reap c
    reap c
    comm a nobody
    alloc d y exporter=auto size=4096
    exit a`,
};

/** Names that bite, as C writes them. */
const ODD_NAMES = [
  'tab\there',
  'nl\nhere',
  'nl-end\n',
  ' lead and trail ',
  'colon:here',
  'back\\slash',
  '\ncount:\t99',
  'x (deleted)',
  '/dmabuf:fake',
  '<none>',
  'esc\x1b[31m',
  'bad\xff\xfeutf8',
  'quote"apostrophe\'',
  '\x01\x7f\r',
  '%s%n',
];

function oddNames(): string {
  const lines = ODD_NAMES.flatMap((name, i) => {
    const hex = Buffer.from(name, 'latin1').toString('hex');
    return [
      `alloc a n${i} exporter=auto size=4096 name=hex:${hex}`,
      `map a n${i}`,
    ];
  });
  return ['spawn a', ...lines].join('\n');
}

/** Cut at 15 bytes; escaped in status, and not in comm and stat. */
function oddComms(): string {
  const comms = [
    'a b) S 1',
    'tab\t',
    'nl\nnl',
    'b\\s',
    '\xff\x80',
    '123456789012345678',
  ];
  return comms
    .map((comm, i) => {
      const hex = Buffer.from(comm, 'latin1').toString('hex');
      return `spawn a${i} comm=hex:${hex}`;
    })
    .join('\n');
}

const WHATEVER_THE_EXPORTER: Readonly<Record<string, string>> = {
  'comms that bite': oddComms(),
  users: `
    spawn a uid=2000
    spawn b uid=10123 comm=app
    alloc a x exporter=vgem size=4096
    send a b x
    fork b c`,
  'an exporter that is not there': `
    spawn a
    alloc a x exporter=nothing
    alloc a y exporter=vgem`,
  'whatever exporter there is': `
    spawn a
    alloc a x`,
  'vgem: sizes of 32 bits': `
    spawn a
    alloc a x exporter=vgem size=4294963200
    alloc a y exporter=vgem size=4294967296
    alloc a z exporter=vgem size=4096
    map a z
    close a x
    alloc a w exporter=vgem size=8192
    map a w`,
  'vgem: fake offsets are given again': `
    spawn a
    alloc a x exporter=vgem size=8192
    alloc a y exporter=vgem size=4096
    alloc a z exporter=vgem size=16384
    map a y
    map a z
    close a x
    alloc a small exporter=vgem size=4096
    map a small
    alloc a large exporter=vgem size=12288
    map a large
    alloc a w exporter=vgem size=4096
    map a w`,
  'vgem: a buffer it exported itself comes back': `
    spawn a
    spawn b
    alloc a x exporter=vgem size=8192
    import a x
    send a b x
    import b x
    map b x
    close a x
    close b x
    drop-import a x
    unmap b x`,
};

const UDMABUF_LIMIT: FixedScript = {
  title: 'udmabuf: more than 64 MiB',
  script: parseScript(`
    spawn a
    alloc a x exporter=udmabuf size=67112960
    alloc a y exporter=udmabuf size=67108864
    alloc a z exporter=udmabuf size=4096`),
};

function on(exporter: ExporterName, title: string, text: string): FixedScript {
  return {
    title: `${exporter}: ${title}`,
    script: parseScript(
      text.replaceAll('exporter=auto', `exporter=${exporter}`),
    ),
  };
}

/** All fixed scripts for a kernel. */
export function fixedScripts({exporters}: MachineUnderTest): FixedScript[] {
  const onEach = {...ON_EACH_EXPORTER, 'names that bite': oddNames()};
  const mixed = Object.entries(WHATEVER_THE_EXPORTER).map(([title, text]) => ({
    title,
    script: parseScript(text),
  }));
  return [
    ...exporters.flatMap((exporter) =>
      Object.entries(onEach).map(([title, text]) => on(exporter, title, text)),
    ),
    ...mixed,
    ...(exporters.includes('udmabuf') ? [UDMABUF_LIMIT] : []),
  ];
}
