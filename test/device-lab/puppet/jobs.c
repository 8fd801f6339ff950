// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "jobs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actor.h"
#include "exporter.h"

enum { kPage = 4096 };

enum Kind { kNone, kLeak, kChurn, kStorm };

static struct Job {
  enum Kind kind;
  char label[kLabelSize];
  char exporter[16];
  uint64_t size_bytes;
  uint64_t period_ns;
  uint64_t next_ns;
  uint64_t life_us;
  uint64_t count;  // how many more; 0 with `endless`
  bool endless;
  unsigned serial;  // numbers what the job makes
  bool owes;        // churn: one was freed and not yet replaced
} job;

static bool has_stormed;

static void copy(char *to, size_t size, const char *from) {
  snprintf(to, size, "%s", from);
}

static enum Kind kind_of(const char *verb) {
  if (!strcmp(verb, "leak")) return kLeak;
  if (!strcmp(verb, "churn")) return kChurn;
  if (!strcmp(verb, "storm")) return kStorm;
  return kNone;
}

static struct Holding *allocate_logged(const char *prefix);

// A population is as large after a churn as it was before.
static void job_stop(void) {
  if (job.kind == kChurn && job.owes) allocate_logged("churn");
  job_forget();
}

bool job_start(const struct Command *command) {
  if (!strcmp(command->words[0], "stop")) {
    job_stop();
    return true;
  }
  enum Kind kind = kind_of(command->words[0]);
  if (kind == kNone) return false;
  uint64_t period_us = command_number(command, "period_us", 1000000);
  job = (struct Job){
      .kind = kind,
      .size_bytes = command_number(command, "size", kPage),
      .period_ns = (period_us ? period_us : 1) * 1000,
      .life_us = command_number(command, "life_us", 10000),
      .count = command_number(command, "count", 0),
      .endless = command_number(command, "count", 0) == 0,
  };
  job.next_ns =
      boottime_ns() + command_number(command, "phase_us", period_us) * 1000;
  copy(job.exporter, sizeof job.exporter,
       command_option(command, "exporter", "auto"));
  copy(job.label, sizeof job.label,
       command->word_count > 1 ? command->words[1] : command->words[0]);
  if (kind == kStorm) {
    // The short-lived ones are nobody's zombies.
    signal(SIGCHLD, SIG_IGN);
    has_stormed = true;
  }
  return true;
}

int job_timeout_ms(void) {
  if (job.kind == kNone) return -1;
  uint64_t now = boottime_ns();
  return now >= job.next_ns ? 0 : (int)((job.next_ns - now + 999999) / 1000000);
}

void job_forget(void) { job.kind = kNone; }

bool job_complete(void) {
  if (job.kind != kNone && job.endless) return false;
  while (job.kind != kNone) {
    usleep((useconds_t)job_timeout_ms() * 1000);
    job_tick();
  }
  job_finish();
  return true;
}

void job_finish(void) {
  // With SIGCHLD ignored, wait returns when the last child has gone.
  while (has_stormed && wait(NULL) > 0) {
  }
}

// ---- the steps --------------------------------------------------------------

static struct Holding *allocate_logged(const char *prefix) {
  char name[kLabelSize];
  snprintf(name, sizeof name, "%.12s-%d-%u", prefix, getpid(), job.serial++);
  uint64_t before = boottime_ns();
  struct Holding *holding =
      actor_allocate(name, job.exporter, job.size_bytes, name, O_RDWR);
  if (!holding) {
    perror("puppet: job: alloc");
    return NULL;
  }
  event_log(kAllocated, holding->buffer->inode, holding->buffer->size_bytes,
            before, boottime_ns());
  holding->is_own = true;
  return holding;
}

static void free_logged(struct Holding *holding) {
  uint64_t inode = holding->buffer->inode;
  uint64_t size_bytes = holding->buffer->size_bytes;
  uint64_t before = boottime_ns();
  actor_close_fd(holding, 0);
  event_log(kFreed, inode, size_bytes, before, boottime_ns());
  actor_tidy();
}

// One that only we hold, and by one descriptor; a different one each time.
static int pick_own(void) {
  if (actor_holding_count == 0) return -1;
  int start = (int)(job.serial * 7919u % (unsigned)actor_holding_count);
  for (int i = 0; i < actor_holding_count; i++) {
    int index = (start + i) % actor_holding_count;
    const struct Holding *holding = &actor_holdings[index];
    if (holding->is_own && holding->fd_count == 1 &&
        atomic_load(&holding->buffer->references) == 1) {
      return index;
    }
  }
  return -1;
}

// Three ways by turns: the new one gets the descriptor number of the old; the
// new one is there before the old one goes; the old one goes now and the new
// one comes a period later.
static void churn_step(void) {
  if (job.owes) {
    job.owes = false;
    allocate_logged("churn");
    return;
  }
  int index = pick_own();
  if (index < 0) return;
  job.size_bytes = actor_holdings[index].buffer->size_bytes;
  switch (job.serial % 3) {
    case 0:
      free_logged(&actor_holdings[index]);
      allocate_logged("churn");
      break;
    case 1:
      allocate_logged("churn");
      free_logged(&actor_holdings[index]);
      break;
    default:
      free_logged(&actor_holdings[index]);
      job.owes = true;
      job.serial++;
  }
}

static void leak_step(void) {
  allocate_logged(job.label);
  if (!job.endless && --job.count == 0) job_forget();
}

// A process that holds one buffer for a while, and its accounts.
static _Noreturn void mayfly(void) {
  close(kControlFd);
  prctl(PR_SET_NAME, "mayfly");
  actor_holding_count = 0;
  struct Holding *holding = allocate_logged("mayfly");
  usleep((useconds_t)job.life_us);
  if (holding) free_logged(holding);
  _exit(0);
}

static void storm_step(void) {
  pid_t child = fork();
  if (child == 0) mayfly();
  if (child < 0) perror("puppet: storm: fork");
  if (!job.endless && --job.count == 0) job_forget();
}

void job_tick(void) {
  // Catches up with what was missed, but not without end when the machine is
  // too slow for the period.
  for (int steps = 0; steps < 16; steps++) {
    if (job.kind == kNone || boottime_ns() < job.next_ns) return;
    job.next_ns += job.period_ns;
    if (job.kind == kLeak) leak_step();
    if (job.kind == kChurn) churn_step();
    if (job.kind == kStorm) storm_step();
  }
}
