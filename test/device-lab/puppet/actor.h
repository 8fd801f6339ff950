// SPDX-License-Identifier: Apache-2.0
//
// actor.h: a process that holds dma-bufs as it is told to.
#ifndef DEVICE_LAB_ACTOR_H
#define DEVICE_LAB_ACTOR_H

#include <stdint.h>

#include "truth.h"
#include "wire.h"

// Where an actor listens: the only descriptor it has besides 0, 1, 2 and what
// it is told to hold.
enum { kControlFd = 3 };

struct Mapping {
  void *address;
  uint64_t length;
};

// A thread with a descriptor table of its own, with one descriptor in it.
struct PrivateThread;

// One buffer in one process. A mapping is one VMA: split, it is several.
struct Holding {
  struct Buffer *buffer;
  int fd_count, fd_room;
  int *fds;  // oldest first
  int mapping_count;
  struct Mapping *mappings;
  uint32_t import;  // GEM handle, 0: none
  struct PrivateThread *thread;
  bool is_own;  // made by a job or `populate`, so that a job may end it
};

// A socket whose queue holds a message with a descriptor that nobody has taken.
struct Inbox {
  int socket;
  struct Buffer *buffer;
};

extern struct Holding *actor_holdings;
extern int actor_holding_count;

// Becomes an actor, in the process that has just been forked for it: obeys the
// commands that come through `control` until it is told to exit or the socket
// ends. Never returns.
_Noreturn void actor_run(int control);

// What an actor that was told to exec does in its new program.
_Noreturn void actor_go_on(void);

// The operations that jobs share with commands. NULL or false with errno set if
// the kernel refuses.
struct Holding *actor_allocate(const char *label, const char *exporter,
                               uint64_t size_bytes, const char *name,
                               int access);
void actor_close_fd(struct Holding *holding, int index);
// Forgets holdings that hold nothing any more.
void actor_tidy(void);

#endif
