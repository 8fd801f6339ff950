// SPDX-License-Identifier: Apache-2.0
//
// meter.c: what a command costs the guest. Runs it, counts and drops what it
// prints, and says as one JSON line on standard output:
//   wall_ns, user_us, system_us   (children that were waited for included)
//   bytes, lines                  of its standard output
//   exit                          its exit code, or minus the signal's number
//   switches                      voluntary context switches
//   max_rss_kib                   of the largest of its processes
//
// usage: meter COMMAND ARGS...
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long microseconds(struct timeval time) {
  return time.tv_sec * 1000000LL + time.tv_usec;
}

// Starts the command with its standard output in a pipe; returns the pipe.
static int start(char **command, pid_t *pid) {
  int ends[2];
  if (pipe(ends)) {
    perror("meter: pipe");
    exit(127);
  }
  *pid = fork();
  if (*pid < 0) {
    perror("meter: fork");
    exit(127);
  }
  if (*pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execvp(command[0], command);
    perror(command[0]);
    _exit(127);
  }
  close(ends[1]);
  return ends[0];
}

int main(int argc, char **argv) {
  static char text[1 << 16];
  if (argc < 2) {
    fprintf(stderr, "usage: meter COMMAND ARGS...\n");
    return 2;
  }
  long long begin = now_ns();
  pid_t pid;
  int output = start(argv + 1, &pid);
  long long bytes = 0, lines = 0;
  ssize_t length;
  while ((length = read(output, text, sizeof text)) > 0) {
    bytes += length;
    for (ssize_t i = 0; i < length; i++) lines += text[i] == '\n';
  }
  int status;
  waitpid(pid, &status, 0);
  long long wall = now_ns() - begin;
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  printf("{\"wall_ns\":%lld,\"user_us\":%lld,\"system_us\":%lld,\"bytes\":%lld,"
         "\"lines\":%lld,\"exit\":%d,\"switches\":%ld,\"max_rss_kib\":%ld}\n",
         wall, microseconds(usage.ru_utime), microseconds(usage.ru_stime),
         bytes, lines,
         WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
         usage.ru_nvcsw, usage.ru_maxrss);
  return 0;
}
