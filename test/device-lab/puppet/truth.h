// SPDX-License-Identifier: Apache-2.0
//
// truth.h: what really is, kept by those who make it so. Every process of the
// puppet sees one shared table of all its dma-bufs and one log of what its
// running jobs did. It is kept by hand, operation by operation, and never read
// back from /proc or debugfs: it is there to check what is read from those.
#ifndef DEVICE_LAB_TRUTH_H
#define DEVICE_LAB_TRUTH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
  kMaxBuffers = 1 << 19,
  kMaxEvents = 1 << 18,
  kLabelSize = 48,
  // DMA_BUF_NAME_LEN: 31 bytes and the NUL.
  kNameSize = 32,
};

// A dma-buf, for as long as anything holds it.
struct Buffer {
  atomic_bool used;
  char label[kLabelSize];
  uint64_t inode;
  uint64_t size_bytes;
  char exporter[16];  // as the kernel prints it in exp_name
  bool named;         // false: SET_NAME was never called
  char name[kNameSize];
  atomic_int references;  // the sum of the following
  // References to its struct file. Those of imports come on top and are the
  // kernel's affair: an import takes more than one.
  atomic_int fds;
  atomic_int vmas;
  atomic_int in_flight;
  atomic_int imports;
};

enum EventKind { kAllocated, kFreed };

// Maps the shared table; to be called once, before the first fork.
void truth_create(void);

// CLOCK_BOOTTIME in ns: the clock of Perfetto's traces.
uint64_t boottime_ns(void);

// A fresh entry that one descriptor refers to. Exits if the table is full.
struct Buffer *buffer_add(const char *label, uint64_t inode,
                          uint64_t size_bytes, const char *exporter);
// Undefined (NULL) when no live buffer has the label.
struct Buffer *buffer_find(const char *label);
void buffer_set_name(struct Buffer *buffer, const char *name);

// Adds (or takes away, when negative) references of one kind. The entry is
// given back when the last of all kinds goes.
void buffer_add_fds(struct Buffer *buffer, int count);
void buffer_add_vmas(struct Buffer *buffer, int count);
void buffer_add_in_flight(struct Buffer *buffer, int count);
void buffer_add_imports(struct Buffer *buffer, int count);

// Notes that this process allocated or freed a buffer between two moments.
void event_log(enum EventKind kind, uint64_t inode, uint64_t size_bytes,
               uint64_t before_ns, uint64_t after_ns);
void events_clear(void);

// JSON: an array of the live buffers; an array of the events, in the order they
// were logged, and the number of those that the log had no room for.
void buffers_print(FILE *out);
void events_print(FILE *out);
unsigned events_lost(void);

void print_hex(FILE *out, const char *text);

#endif
