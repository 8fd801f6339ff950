// SPDX-License-Identifier: Apache-2.0
//
// puppet.c: makes real dma-bufs, held in all the ways there are, as it is told.
//
//   puppet serve                 listens; the guest's init starts it as root
//   puppet do 'COMMAND'...       runs commands and prints an answer to each
//   puppet do -                  the same with commands from standard input
//   puppet as UID COMMAND ARGS   runs a program as another user
//
// An answer is a JSON object on a line of its own: `ok`, `before_ns` and
// `after_ns` (CLOCK_BOOTTIME: the command took effect between the two), `error`
// if it failed, and what belongs to the command. Inodes, sizes and times are
// decimal strings, names and comms are in hex. Lines that are blank or begin
// with '#' are passed over. The exit code is 1 if any command failed.
//
// ACTOR is a process, LABEL a buffer; both are of letters, digits, '_', '.',
// '-'. NAME and COMM are plain words, or any bytes as hex:6162.
//
//   spawn ACTOR [uid=N] [comm=COMM]
//   fork ACTOR CHILD [comm=COMM]     the child inherits fds and mappings
//   comm ACTOR COMM
//   exec ACTOR                       no books are kept of it from then on
//   exit|kill ACTOR                  ends it and waits until it has gone
//   zombie ACTOR, reap ACTOR
//   alloc ACTOR LABEL [exporter=system|udmabuf|vgem|auto] [size=BYTES]
//         [name=NAME] [access=r|w|rw]
//   name ACTOR LABEL NAME
//   dup ACTOR LABEL [fd=LOWEST] [cloexec=0]
//   dup2 ACTOR LABEL OVER            in place of the newest descriptor of OVER
//   ioctl ACTOR LABEL REQUEST [text=TEXT|flags=NUMBER] [fd=N]   else on NULL
//   seek ACTOR LABEL OFFSET set|current|end [fd=N]
//   send FROM TO LABEL               FROM keeps its own descriptor
//   sendhold FROM TO LABEL           stays in the queue of a socket of TO's
//   receive ACTOR LABEL              takes it out of there
//   map ACTOR LABEL [offset=BYTES] [length=BYTES] [protection=r|rw]
//   split ACTOR LABEL [page=N] [protection=none|r|rw]
//                                    makes three VMAs of a mapping that is
//                                    protected otherwise
//   punch ACTOR LABEL [page=N]       unmaps a page in the middle of a mapping
//   unmap ACTOR LABEL                all its mappings
//   close ACTOR LABEL [all|fd=N]     the newest descriptor, all, or that one
//   import ACTOR LABEL, drop-import ACTOR LABEL    a GEM handle of vgem
//   thread-private ACTOR LABEL       a thread with a descriptor table of its
//                                    own, in which there is only this buffer
//   thread-exit ACTOR LABEL
//   leak ACTOR [every_ms=] [size=] [count=] [exporter=]
//   pop PROCESSES BUFFERS SIZE SHARED OTHERS MAPONLY VMAS [exporter=]
//   churn RATE [exporter=]           replaces buffers of that population
//   storm RATE [life_ms=] [size=] [count=] [exporter=]   short-lived processes
//   fds COUNT [exporter=]            one process with COUNT buffers of a page
//   finish ACTOR                     waits until its leak or storm (ACTOR is
//                                    `storm`) has made as many as its count
//   stop [ACTOR]                     ends leak, churn and storm
//   manifest                         who holds what
//   events [clear]                   what leak, churn and storm did, with times
//   sleep MILLISECONDS, ping
//   reset                            ends all actors
#define _GNU_SOURCE
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actor.h"
#include "server.h"
#include "wire.h"

// The server may have been started but a moment ago.
static int connect_patiently(void) {
  for (int tries = 0; tries < 100; tries++) {
    int server = server_connect();
    if (server >= 0) return server;
    usleep(50000);
  }
  fprintf(stderr, "puppet: no server: start `puppet serve` first\n");
  exit(1);
}

static bool is_comment(const char *line) {
  line += strspn(line, " \t\r\n");
  return *line == '\0' || *line == '#';
}

// Runs one line, prints the answer, and returns whether it went well.
static bool run_line(int server, const char *line) {
  if (is_comment(line)) return true;
  size_t length = strcspn(line, "\n");
  char *answer = NULL;
  if (write_all(server, line, length) && write_all(server, "\n", 1)) {
    answer = read_line(server);
  }
  if (!answer) {
    fprintf(stderr, "puppet: the server has gone\n");
    exit(1);
  }
  puts(answer);
  fflush(stdout);
  bool done = !strncmp(answer, "{\"ok\":true", 10);
  free(answer);
  return done;
}

static bool run_input(int server) {
  char *line = NULL;
  size_t room = 0;
  bool done = true;
  while (getline(&line, &room, stdin) > 0) {
    done = run_line(server, line) && done;
  }
  free(line);
  return done;
}

static int run_as(char **arguments) {
  uid_t uid = (uid_t)strtoul(arguments[0], NULL, 10);
  if (setgroups(0, NULL) || setgid(uid) || setuid(uid)) {
    perror("puppet: as");
    return 1;
  }
  execvp(arguments[1], arguments + 1);
  perror(arguments[1]);
  return 127;
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "serve")) server_run();
  if (argc == 2 && !strcmp(argv[1], "go-on")) actor_go_on();
  if (argc > 3 && !strcmp(argv[1], "as")) return run_as(argv + 2);
  if (argc < 3 || strcmp(argv[1], "do")) {
    fprintf(stderr, "usage: puppet serve|do COMMAND...|do -|as UID ...\n");
    return 2;
  }
  int server = connect_patiently();
  bool done = true;
  for (int i = 2; i < argc; i++) {
    done = (strcmp(argv[i], "-") ? run_line(server, argv[i])
                                 : run_input(server)) &&
           done;
  }
  return done ? 0 : 1;
}
