// SPDX-License-Identifier: Apache-2.0
import type {Answers, Capabilities} from '../collector/capabilities.js';

/** Something that cannot be seen on a device, and what to do about it. */
export interface Limit {
  readonly cannot: string;
  readonly fix: string;
}

const BECOME_ROOT =
  'use --root (userdebug and eng builds) or --su (where su is installed)';

/** Whether other users' processes can be read at all. */
export function seesHolders({fds, maps}: Capabilities): boolean {
  return fds === 'yes' || maps === 'yes';
}

/** Nothing but what processes of the collector's own user hold. */
export function seesOnlyItsOwn(found: Capabilities): boolean {
  return (
    !seesHolders(found) &&
    found.kernelList === undefined &&
    found.dmabufRss !== 'yes'
  );
}

/** What a recording of this device will not show; empty when nothing. */
export function limitsOf(found: Capabilities): Limit[] {
  return [
    ...holderLimits(found),
    ...listLimits(found),
    ...(seesOnlyItsOwn(found)
      ? [
          {
            cannot:
              `nothing is left to record but what processes of uid ` +
              `${found.uid ?? '?'} hold`,
            fix: isRoot(found) ? SELINUX : BECOME_ROOT,
          },
        ]
      : []),
  ];
}

function isRoot({uid}: Capabilities): boolean {
  return uid === 0;
}

const SELINUX =
  "root is refused, so ask SELinux ('adb shell dmesg | grep avc'; " +
  "'setenforce 0' on a test device) or the hidepid option of /proc";

function holderLimits(found: Capabilities): Limit[] {
  const {fds, maps, dmabufRss, dmabufPss} = found;
  const fix = isRoot(found) ? SELINUX : BECOME_ROOT;
  const limits: Limit[] = [];
  if (!seesHolders(found)) {
    const sums = [
      ...(dmabufRss === 'yes' ? ['RSS'] : []),
      ...(dmabufPss === 'yes' ? ['PSS'] : []),
    ];
    limits.push({
      cannot:
        `which buffers the processes of other users hold (this is ` +
        `${userOf(found)})` +
        (sums.length > 0
          ? `; only the kernel's sums for each process (${sums.join(' and ')}) ` +
            'are'
          : ', nor how much they hold'),
      fix,
    });
  } else if (fds !== 'yes') {
    limits.push({cannot: "descriptors of other users' processes", fix});
  } else if (maps !== 'yes') {
    limits.push({
      cannot: "mappings of other users' processes, and buffers only mapped",
      fix,
    });
  }
  return limits;
}

export function userOf({uid}: Capabilities): string {
  if (uid === undefined) return 'uid ?';
  if (uid === 0) return 'uid 0 (root)';
  return uid === 2000 ? 'uid 2000 (shell)' : `uid ${uid}`;
}

function listLimits(found: Capabilities): Limit[] {
  if (found.kernelList === undefined) {
    return [
      {
        cannot:
          'the total, and buffers that no process holds: no list of all ' +
          'buffers can be read',
        fix: bufinfoFix(found),
      },
    ];
  }
  if (found.kernelList !== 'bufinfo') {
    return [
      {
        cannot:
          'references to a buffer that no process explains: only bufinfo ' +
          'counts them',
        fix: bufinfoFix(found),
      },
    ];
  }
  return [];
}

/** How to get debugfs' bufinfo. */
export function bufinfoFix(found: Capabilities): string {
  if (found.bufinfo === 'no permission' && !isRoot(found)) return BECOME_ROOT;
  if (!found.debugfsMounted) {
    const mount =
      "as root run 'mount -t debugfs none /sys/kernel/debug' (the kernel needs " +
      'CONFIG_DEBUG_FS)';
    return isRoot(found) ? mount : `${BECOME_ROOT}; ${mount}`;
  }
  return found.bufinfo === 'no permission'
    ? SELINUX
    : 'build the kernel with CONFIG_DEBUG_FS and CONFIG_DMA_SHARED_BUFFER';
}

/** A source of facts on a device, for the table of `doctor`. */
export interface SourceState {
  readonly source: string;
  readonly answers: string;
  /** What it is good for. */
  readonly gives: string;
  /** How to get it; undefined when it answers or nobody needs it. */
  readonly fix: string | undefined;
}

export function sourceStates(found: Capabilities): SourceState[] {
  const rootFix = isRoot(found) ? SELINUX : BECOME_ROOT;
  const state = (
    source: string,
    answers: Answers,
    gives: string,
    absentFix: string,
  ): SourceState => ({
    source,
    answers,
    gives,
    fix:
      answers === 'yes'
        ? undefined
        : answers === 'no permission'
          ? rootFix
          : absentFix,
  });
  return [
    state(
      '/proc/PID/fdinfo',
      found.fds,
      'holders by descriptor; names, sizes, exporters',
      'the probe came back damaged: check the cable and try again',
    ),
    state(
      '/proc/PID/maps',
      found.maps,
      'holders by mapping',
      'the probe came back damaged: check the cable and try again',
    ),
    {
      ...state(
        'debugfs dma_buf/bufinfo',
        found.bufinfo,
        'all buffers, with their numbers of references',
        '',
      ),
      fix: found.bufinfo === 'yes' ? undefined : bufinfoFix(found),
    },
    state(
      'BPF iterator (pinned)',
      found.bpf,
      'all buffers',
      'Android pins it on kernels from 6.16 on that have CONFIG_BPF_SYSCALL ' +
        'and CONFIG_DEBUG_INFO_BTF',
    ),
    state(
      '/sys/kernel/dmabuf/buffers',
      found.sysfs,
      'all buffers, without names',
      'kernels from 5.13 to 6.19 have it with CONFIG_DMABUF_SYSFS_STATS',
    ),
    state(
      '/proc/PID/dmabuf_rss',
      found.dmabufRss,
      'RSS of each process, without root',
      'newer Android common kernels (6.1 to 6.12 and later) have it',
    ),
    state(
      '/proc/PID/dmabuf_pss',
      found.dmabufPss,
      'PSS of each process, without root',
      'newer Android common kernels (6.1 to 6.12 and later) have it',
    ),
    {
      source: 'size of /proc/PID/fd',
      answers: found.fdCounts ? 'yes' : 'absent',
      gives: 'numbers of descriptors: changes are seen cheaply',
      fix: found.fdCounts
        ? undefined
        : 'kernels from 6.2 on give it; without it samples cost more',
    },
  ];
}

/** What a recording of this device will show, a line each. */
export function showsOf(found: Capabilities): string[] {
  const {fds, maps, kernelList, dmabufRss, dmabufPss} = found;
  const shows: string[] = [];
  if (fds === 'yes') {
    shows.push('who holds which buffer by descriptor, its name and exporter');
  }
  if (maps === 'yes') shows.push('who maps which buffer, descriptor or not');
  if (fds === 'yes' && maps === 'yes') {
    shows.push('RSS and PSS of each process');
  } else {
    if (dmabufRss === 'yes') shows.push('RSS of each process');
    if (dmabufPss === 'yes') shows.push('PSS of each process');
  }
  if (kernelList !== undefined) {
    shows.push(`all buffers and their total (from ${kernelList})`);
  }
  if (kernelList === 'bufinfo') {
    shows.push('references that no process explains');
  }
  if (!seesHolders(found)) {
    shows.push(`buffers held by processes of uid ${found.uid ?? '?'} itself`);
  }
  return shows;
}
