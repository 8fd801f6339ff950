// SPDX-License-Identifier: Apache-2.0
export * from './bpf_iter.js';
export * from './bufinfo.js';
export * from './cmdline.js';
export * from './dmabuf_dump.js';
export * from './dmabuf_rss.js';
export * from './dumpstate.js';
export * from './dumpsys_meminfo.js';
export * from './fdinfo.js';
export * from './format_error.js';
export * from './ion_heaps.js';
export * from './maps.js';
export * from './proc_stat.js';
export * from './proc_status.js';
export * from './proc_uptime.js';
export * from './sysfs_stats.js';
