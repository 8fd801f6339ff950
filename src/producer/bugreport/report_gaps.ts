// SPDX-License-Identifier: Apache-2.0
// What a person has to know of a report before trusting what it shows. Nothing
// raw of the report is in it.
import {quoteRaw} from '../../core/formats/index.js';
import type {BugReport, ReportTime} from './read_bug_report.js';
import {isRecordingEntry} from './report_entries.js';
import type {Section, SectionDamage} from './sections.js';

export function describeTime({
  realNs,
  isBootKnown,
  clock,
}: ReportTime): string[] {
  if (realNs === undefined)
    return ['the report does not say when it was taken'];
  const {zoneMs, accuracyMs} = clock;
  return [
    ...(zoneMs === undefined
      ? ['the report does not tell its time zone: its times are taken for UTC']
      : []),
    ...(isBootKnown
      ? []
      : [
          'the report does not tell how long the device was up: times are ' +
            'those of the clock, not since boot',
        ]),
    ...(isBootKnown && accuracyMs !== undefined && accuracyMs > 1000
      ? [`the time since boot is known to within ${accuracyMs / 1000} s`]
      : []),
  ];
}

const DAMAGES: Readonly<Record<SectionDamage['why'], string>> = {
  'timed-out': 'timed out on the device and is cut',
  failed: 'failed on the device',
  missing: 'could not be read on the device',
  cut: 'is cut, for the report ends in it',
  'too-long': 'is too long, and its end is left out',
};

export function describeDamage(
  file: string,
  {title, kind, line, damage}: Section,
): string[] {
  if (damage === undefined) return [];
  const name = title === '' ? kind : quoteRaw(title);
  const said = damage.text === undefined ? '' : ` (${quoteRaw(damage.text)})`;
  return [`${name}, ${file} line ${line}, ${DAMAGES[damage.why]}${said}`];
}

/** Apps can make their dumps look like anything. */
export function describeDoubles(sections: readonly Section[]): string[] {
  const counts = new Map<string, number>();
  for (const {kind, title, isByLooks, text} of sections) {
    if (isByLooks || kind !== 'dmabuf_dump' || text === '') continue;
    counts.set(title, (counts.get(title) ?? 0) + 1);
  }
  return [...counts]
    .filter(([, count]) => count > 1)
    .map(
      ([title, count]) =>
        `there are ${count} sections ${quoteRaw(title)}; one may be forged by ` +
        'an app, and all are put together',
    );
}

/** What the report does not contain. */
export function absentOf(
  report: Omit<BugReport, 'absent'>,
  sections: readonly Section[],
): string[] {
  const {snapshot, graphics, ionHeaps, traces, path} = report;
  const {coverage, processes} = snapshot ?? {};
  const hasDump = sections.some(({kind}) => kind === 'dmabuf_dump');
  const isCounted = [...(snapshot?.buffers.values() ?? [])].every(
    ({refsKnown}) => refsKnown !== 'holders',
  );
  return [
    ...(processes === undefined || processes.size === 0
      ? [
          'who holds which buffer' +
            (hasDump
              ? ''
              : ': dumpstate runs dmabuf_dump from Android 13 on, and only ' +
                'where the build has it'),
        ]
      : isCounted
        ? []
        : ['by how many descriptors and mappings a buffer is held']),
    ...(coverage?.kernelList === undefined
      ? [
          "the kernel's list of all buffers (dmabuf_dump -b, or bufinfo)" +
            (processes === undefined || processes.size === 0
              ? ''
              : ': without it, the size of one that is only mapped may be ' +
                'that of the mapping'),
        ]
      : []),
    ...(coverage?.fileCounts === true
      ? []
      : [
          "references of drivers and messages in flight (the kernel's bufinfo)",
        ]),
    ...(graphics === undefined && ionHeaps.length === 0
      ? ['sums of DMA-BUF, heaps and GPU (dumpsys meminfo)']
      : []),
    ...(path.endsWith('.zip') &&
    !traces.some(({entry}) => !isRecordingEntry(entry))
      ? ['a system trace']
      : []),
  ];
}
