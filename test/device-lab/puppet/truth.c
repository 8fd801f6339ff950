// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "truth.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct Event {
  atomic_bool complete;
  enum EventKind kind;
  pid_t pid;
  uint64_t inode;
  uint64_t size_bytes;
  uint64_t before_ns;
  uint64_t after_ns;
};

static struct Truth {
  atomic_uint next_buffer;      // where the search for a free entry goes on
  atomic_uint buffer_high_water;
  atomic_uint event_count;
  struct Buffer buffers[kMaxBuffers];
  struct Event events[kMaxEvents];
} *truth;

void truth_create(void) {
  truth = mmap(NULL, sizeof *truth, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (truth == MAP_FAILED) {
    perror("puppet: mmap");
    exit(1);
  }
}

uint64_t boottime_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_BOOTTIME, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// Takes a free entry. The search is circular, so that it is short as long as
// most of the table is free.
static struct Buffer *take_entry(void) {
  for (unsigned tries = 0; tries < kMaxBuffers; tries++) {
    unsigned index = atomic_fetch_add(&truth->next_buffer, 1) % kMaxBuffers;
    bool expected = false;
    if (atomic_compare_exchange_strong(&truth->buffers[index].used, &expected,
                                       true)) {
      unsigned high = atomic_load(&truth->buffer_high_water);
      while (high < index + 1 &&
             !atomic_compare_exchange_weak(&truth->buffer_high_water, &high,
                                           index + 1)) {
      }
      return &truth->buffers[index];
    }
  }
  fprintf(stderr, "puppet: more than %d buffers\n", kMaxBuffers);
  exit(1);
}

static bool is_live(const struct Buffer *buffer) {
  return atomic_load(&buffer->references) > 0;
}

struct Buffer *buffer_add(const char *label, uint64_t inode,
                          uint64_t size_bytes, const char *exporter) {
  struct Buffer *buffer = take_entry();
  snprintf(buffer->label, sizeof buffer->label, "%s", label);
  snprintf(buffer->exporter, sizeof buffer->exporter, "%s", exporter);
  buffer->inode = inode;
  buffer->size_bytes = size_bytes;
  buffer->named = false;
  buffer_add_fds(buffer, 1);
  return buffer;
}

struct Buffer *buffer_find(const char *label) {
  unsigned high = atomic_load(&truth->buffer_high_water);
  for (unsigned i = 0; i < high; i++) {
    struct Buffer *buffer = &truth->buffers[i];
    if (is_live(buffer) && !strcmp(buffer->label, label)) return buffer;
  }
  return NULL;
}

void buffer_set_name(struct Buffer *buffer, const char *name) {
  snprintf(buffer->name, sizeof buffer->name, "%s", name);
  buffer->named = true;
}

// Only the one who takes the last reference gives the entry back.
static void add(struct Buffer *buffer, atomic_int *kind, int count) {
  if (count == 0) return;
  atomic_fetch_add(kind, count);
  if (atomic_fetch_add(&buffer->references, count) + count == 0) {
    atomic_store(&buffer->used, false);
  }
}

void buffer_add_fds(struct Buffer *buffer, int count) {
  add(buffer, &buffer->fds, count);
}

void buffer_add_vmas(struct Buffer *buffer, int count) {
  add(buffer, &buffer->vmas, count);
}

void buffer_add_in_flight(struct Buffer *buffer, int count) {
  add(buffer, &buffer->in_flight, count);
}

void buffer_add_imports(struct Buffer *buffer, int count) {
  add(buffer, &buffer->imports, count);
}

void event_log(enum EventKind kind, uint64_t inode, uint64_t size_bytes,
               uint64_t before_ns, uint64_t after_ns) {
  unsigned index = atomic_fetch_add(&truth->event_count, 1);
  if (index >= kMaxEvents) return;
  struct Event *event = &truth->events[index];
  event->kind = kind;
  event->pid = getpid();
  event->inode = inode;
  event->size_bytes = size_bytes;
  event->before_ns = before_ns;
  event->after_ns = after_ns;
  atomic_store(&event->complete, true);
}

static unsigned events_kept(void) {
  unsigned count = atomic_load(&truth->event_count);
  return count < kMaxEvents ? count : kMaxEvents;
}

unsigned events_lost(void) {
  return atomic_load(&truth->event_count) - events_kept();
}

void events_clear(void) {
  unsigned kept = events_kept();
  for (unsigned i = 0; i < kept; i++) {
    atomic_store(&truth->events[i].complete, false);
  }
  atomic_store(&truth->event_count, 0);
}

void print_hex(FILE *out, const char *text) {
  for (; *text; text++) fprintf(out, "%02x", (unsigned char)*text);
}

static void buffer_print(FILE *out, struct Buffer *buffer) {
  fprintf(out,
          "{\"label\":\"%s\",\"inode\":\"%llu\",\"size_bytes\":\"%llu\","
          "\"exporter\":\"%s\",\"fds\":%d,\"vmas\":%d,\"in_flight\":%d,"
          "\"imports\":%d",
          buffer->label, (unsigned long long)buffer->inode,
          (unsigned long long)buffer->size_bytes, buffer->exporter,
          atomic_load(&buffer->fds), atomic_load(&buffer->vmas),
          atomic_load(&buffer->in_flight), atomic_load(&buffer->imports));
  if (buffer->named) {
    fprintf(out, ",\"name_hex\":\"");
    print_hex(out, buffer->name);
    fprintf(out, "\"");
  }
  fprintf(out, "}");
}

void buffers_print(FILE *out) {
  unsigned high = atomic_load(&truth->buffer_high_water);
  const char *separator = "";
  fprintf(out, "[");
  for (unsigned i = 0; i < high; i++) {
    if (!is_live(&truth->buffers[i])) continue;
    fprintf(out, "%s", separator);
    buffer_print(out, &truth->buffers[i]);
    separator = ",";
  }
  fprintf(out, "]");
}

static void event_print(FILE *out, const struct Event *event) {
  fprintf(out,
          "{\"kind\":\"%s\",\"pid\":%d,\"inode\":\"%llu\","
          "\"size_bytes\":\"%llu\",\"before_ns\":\"%llu\","
          "\"after_ns\":\"%llu\"}",
          event->kind == kAllocated ? "allocated" : "freed", event->pid,
          (unsigned long long)event->inode,
          (unsigned long long)event->size_bytes,
          (unsigned long long)event->before_ns,
          (unsigned long long)event->after_ns);
}

void events_print(FILE *out) {
  unsigned kept = events_kept();
  const char *separator = "";
  fprintf(out, "[");
  for (unsigned i = 0; i < kept; i++) {
    // One that is being written by another process just now.
    if (!atomic_load(&truth->events[i].complete)) continue;
    fprintf(out, "%s", separator);
    event_print(out, &truth->events[i]);
    separator = ",";
  }
  fprintf(out, "]");
}
