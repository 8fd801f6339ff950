// SPDX-License-Identifier: Apache-2.0
// Whole bug reports in the layout of each generation of Android, made by hand
// from dumpstate's own format strings; what stands in the sections is what the
// real tools printed (test/fixtures/bugreport).
import {readFileSync} from 'node:fs';
import {createWriteStream} from 'node:fs';
import {pipeline} from 'node:stream/promises';
import {ZipFile} from 'yazl';

export function fixture(folder: string, name: string): Buffer {
  return readFileSync(
    new URL(`../../fixtures/${folder}/${name}`, import.meta.url),
  );
}

const RULE = '========================================================\n';
const DASHES = `${'-'.repeat(79)}\n`;

/** 23:50:35 in Berlin: 21:50:35 UTC. */
export const REPORT_REAL_NS =
  BigInt(Date.UTC(2023, 3, 27, 21, 50, 35)) * 1_000_000n;
/** As of the alarm clock below. */
export const REPORT_BOOT_NS = ((2n * 60n + 51n) * 60n + 7n) * 1_000_000_000n;

export interface HeaderOptions {
  readonly sdk?: number;
  readonly uptime?: string | undefined;
}

export function header({sdk = 34, uptime}: HeaderOptions = {}): string {
  return (
    `${RULE}== dumpstate: 2023-04-27 23:50:35\n${RULE}\n` +
    'Build: UQ1A.240105.004\n' +
    "Build fingerprint: 'google/oriole/oriole:14/UQ1A.240105.004/1:userdebug/dev-keys'\n" +
    'Bootloader: slider-14.1\n' +
    'Radio: g5123b\n' +
    'Network: (unknown)\n' +
    (sdk >= 30 ? `Android SDK version: ${sdk}\n` : '') +
    'Kernel: Linux version 5.10.157-android13-4-00003-gf5b12 (build-user@build-host) #1 SMP PREEMPT\n' +
    'Command line: console=null\n' +
    (uptime === undefined ? '' : `Uptime: ${uptime}\n`) +
    'Bugreport format version: 2.0\n' +
    'Dumpstate info: id=1 pid=4711 dry_run=0 parallel_run=1 args=/system/bin/dumpstate -S\n\n'
  );
}

/** What RunCommand prints. */
export function command(title: string, source: string, output: string): string {
  return (
    `------ ${title} (${source}) ------\n${output}` +
    (output === '' || output.endsWith('\n') ? '' : '\n') +
    `------ 0.051s was the duration of '${title}' ------\n\n`
  );
}

/** What dumpsys prints in a report. */
export function service(
  name: string,
  output: string,
  end = '2023-04-27 23:50:50',
): string {
  return (
    `${DASHES}DUMP OF SERVICE HIGH ${name}:\n${output}` +
    `--------- 5.000s was the duration of dumpsys ${name}` +
    `${end === '' ? '' : `, ending at: ${end}`}\n`
  );
}

export const PROPERTIES = command(
  'SYSTEM PROPERTIES',
  'getprop',
  '[persist.sys.timezone]: [Europe/Berlin]\n' +
    '[ro.product.model]: [Pixel 6]\n' +
    '[ro.serialno]: [1A2B3C]\n',
);

export const ALARM = service(
  'alarm',
  'Current Alarm Manager state:\n' +
    '  nowRTC=1682632247123=2023-04-27 23:50:47.123 nowELAPSED=+2h51m19s123ms\n',
);

export const MEMINFO = service(
  'meminfo',
  'Applications Memory Usage (in Kilobytes):\n' +
    'Uptime: 10277000 Realtime: 10277000\n\n' +
    'Total RAM: 7,698,860K (status normal)\n' +
    'DMA-BUF:   817,715K (      152K mapped +   817,563K unmapped)\n' +
    'DMA-BUF Heaps:    24,844K\n' +
    'DMA-BUF Heaps pool:         0K\n' +
    '      GPU:   258,796K (  258,796K dmabuf +         0K private)\n',
);

export const DONE = `${RULE}== dumpstate: done (id 1)\n${RULE}`;

/** Binary text: one character for each byte. */
export function bytesOf(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

function tool(name: string): string {
  return fixture('bugreport', `dmabuf_dump-15-${name}.txt`).toString('latin1');
}

/** Android 14 and 15: dmabuf_dump and -b; of a kernel with sysfs. */
export function android14(): string {
  const output = tool('sysfs');
  const rest = output.indexOf('Total DMA-BUF count');
  const end = output.indexOf('\n', rest) + 1;
  return [
    header({
      uptime: 'up 0 weeks, 0 days, 2 hours, 51 minutes,  load average: 1',
    }),
    command('UPTIME', 'uptime', ' 23:50:35 up 2:51,  0 users\n'),
    command('Dmabuf dump', 'dmabuf_dump', output.slice(end)),
    command(
      'Dmabuf per-buffer/per-exporter/per-device stats',
      'dmabuf_dump -b',
      output.slice(0, end),
    ),
    PROPERTIES,
    MEMINFO,
    ALARM,
    DONE,
  ].join('');
}

/** Android 10 and 11: no dmabuf_dump, ION, and meminfo's ION line. */
export function android10(): string {
  return [
    header({sdk: 29, uptime: 'up 0 weeks, 0 days, 2 hours, 51 minutes,  load'}),
    PROPERTIES,
    service(
      'meminfo',
      'Applications Memory Usage (in Kilobytes):\n' +
        'Uptime: 10277000 Realtime: 10277000\n' +
        'Total RAM: 3,486,196K (status moderate)\n' +
        '      ION:   132,124K (  6,924K mapped +   125,200K unmapped +   0K pools)\n' +
        '      GPU:   194,788K\n',
      '',
    ),
    DONE,
  ].join('');
}

/** A vendor's part of then: ION's heaps and bufinfo. */
export function board10(): string {
  return [
    '------ ION HEAPS (/vendor/bin/sh -c for d in $(ls -d /d/ion/*); do cat $d; done) ------\n',
    '--- /d/ion/heaps/system\n',
    '          client              pid             size\n',
    '----------------------------------------------------\n',
    '  surfaceflinger              403         16588800\n',
    '----------------------------------------------------\n',
    'orphaned allocations (info is from last known client):\n',
    '----------------------------------------------------\n',
    '  total orphaned                0\n',
    '          total          16588800\n',
    '------ dmabuf info (/d/dma_buf/bufinfo) ------\n',
    fixture('5.10', 'bufinfo.txt').toString('latin1'),
    '\n------ dmabuf process info (/d/dma_buf/dmaprocs) ------\n',
    '*** /d/dma_buf/dmaprocs: No such file or directory\n',
  ].join('');
}

export interface ZipMember {
  readonly name: string;
  readonly data: Buffer;
}

export const ENTRY = 'bugreport-oriole-UQ1A.240105.004-2023-04-27-23-50-35.txt';

/** The zip that dumpstate makes around a text. */
export function members(
  text: string,
  extra: readonly ZipMember[] = [],
): ZipMember[] {
  return [
    {name: 'version.txt', data: Buffer.from('2.0')},
    {name: 'FS/proc/1/mountinfo', data: Buffer.from('mounts\n')},
    ...extra,
    {name: ENTRY, data: bytesOf(text)},
    {name: 'main_entry.txt', data: Buffer.from(ENTRY)},
  ];
}

/** Writes a zip as dumpstate does: deflated, one entry after the other. */
export async function writeZip(
  path: string,
  all: readonly ZipMember[],
): Promise<string> {
  const zip = new ZipFile();
  for (const {name, data} of all) zip.addBuffer(data, name);
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}
