// SPDX-License-Identifier: Apache-2.0
//
// server.c: takes commands from clients and has actors carry them out, one at a
// time, so that commands have an order and their times do not overlap.
#define _GNU_SOURCE
#include "server.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actor.h"
#include "truth.h"
#include "wire.h"

enum { kMaxActors = 4096, kMaxClients = 32, kMaxDescriptors = 1 << 20 };

// An actor as the server sees it.
struct Player {
  char name[32];  // empty: a free entry
  pid_t pid;
  int control;
  // Who has to reap it: another player, or the server if there is none (any
  // more).
  struct Player *parent;
  bool is_zombie;
};

static struct Player players[kMaxActors];
static int clients[kMaxClients];

// Why the command at hand failed; empty if it did not.
static char failure[256];

__attribute__((format(printf, 1, 2))) static bool refuse(const char *format,
                                                         ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(failure, sizeof failure, format, arguments);
  va_end(arguments);
  return false;
}

// ---- players ----------------------------------------------------------------

static struct Player *find_player(const char *name) {
  for (int i = 0; i < kMaxActors; i++) {
    if (players[i].name[0] && !strcmp(players[i].name, name)) {
      return &players[i];
    }
  }
  return NULL;
}

// Names and labels go into JSON and into command lines as they are.
static bool is_plain(const char *name) {
  for (const char *c = name; *c; c++) {
    if (!isalnum((unsigned char)*c) && !strchr("_.-", *c)) return false;
  }
  return *name != '\0' && strlen(name) < sizeof players->name;
}

static struct Player *add_player(const char *name) {
  if (!is_plain(name)) {
    refuse("an actor's name is of letters, digits, '_', '.' and '-'");
    return NULL;
  }
  if (find_player(name)) {
    refuse("there is an actor %s already", name);
    return NULL;
  }
  for (int i = 0; i < kMaxActors; i++) {
    if (players[i].name[0]) continue;
    players[i] = (struct Player){.control = -1};
    strcpy(players[i].name, name);
    return &players[i];
  }
  refuse("more than %d actors", kMaxActors);
  return NULL;
}

static void remove_player(struct Player *player) {
  if (player->control >= 0) close(player->control);
  for (int i = 0; i < kMaxActors; i++) {
    if (players[i].parent == player) players[i].parent = NULL;
  }
  player->name[0] = '\0';
}

static struct Player *live_player(const char *name) {
  struct Player *player = find_player(name);
  if (player && !player->is_zombie) return player;
  refuse("there is no living actor %s", is_plain(name) ? name : "of this name");
  return NULL;
}

// Has an actor carry out a command, with a descriptor for it to take if
// passed_fd is not -1. Returns what it answers, to be freed, or NULL after
// refuse().
static char *ask(struct Player *player, int passed_fd, const char *format,
                 ...) {
  char line[kMaxLine + 64];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  line[length++] = '\n';
  char *answer = NULL;
  if (write_all(player->control, line, (size_t)length) &&
      (passed_fd < 0 || send_fd(player->control, passed_fd))) {
    answer = read_line(player->control);
  }
  if (!answer) {
    refuse("actor %s has died", player->name);
    remove_player(player);
  } else if (*answer != '+') {
    refuse("%s", answer + 1);
    free(answer);
    answer = NULL;
  }
  return answer;
}

// The same where only success counts.
#define TELL(...) tell_freeing(ask(__VA_ARGS__))
static bool tell_freeing(char *answer) {
  free(answer);
  return answer != NULL;
}

// Puts the fields an actor answered with into our own answer.
static bool pass_on(char *answer, FILE *fields) {
  if (!answer) return false;
  fprintf(fields, "%s", answer + 1);
  free(answer);
  return true;
}

// ---- birth and death --------------------------------------------------------

// In the child: nothing is left of the server but the control socket.
static _Noreturn void become_actor(int control) {
  if (control != kControlFd) dup2(control, kControlFd);
  syscall(SYS_close_range, kControlFd + 1, ~0U, 0);
  signal(SIGCHLD, SIG_DFL);
  actor_run(kControlFd);
}

static bool dress(struct Player *player, const struct Command *command) {
  const char *uid = command_option(command, "uid", NULL);
  return TELL(player, -1, "comm %s",
              command_option(command, "comm", player->name)) &&
         (!uid || TELL(player, -1, "uid %s", uid));
}

static struct Player *spawn(const char *name) {
  int ends[2];
  struct Player *player = add_player(name);
  if (!player) return NULL;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
    player->name[0] = '\0';
    refuse("socketpair: %s", strerror(errno));
    return NULL;
  }
  player->pid = fork();
  if (player->pid == 0) become_actor(ends[1]);
  close(ends[1]);
  player->control = ends[0];
  if (player->pid > 0) return player;
  remove_player(player);
  refuse("fork: %s", strerror(errno));
  return NULL;
}

static bool fork_player(struct Player *parent, const char *name) {
  int ends[2];
  struct Player *child = add_player(name);
  if (!child) return false;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
    child->name[0] = '\0';
    return refuse("socketpair: %s", strerror(errno));
  }
  child->control = ends[0];
  char *answer = ask(parent, ends[1], "fork");
  close(ends[1]);
  // The child says when it has put its share into the books.
  char *ready = answer ? read_line(child->control) : NULL;
  if (!ready) {
    free(answer);
    remove_player(child);
    return refuse("fork failed");
  }
  sscanf(answer, "+,\"pid\":%d", &child->pid);
  child->parent = parent;
  free(answer);
  free(ready);
  return true;
}

// The third field of /proc/PID/stat; the second may hold anything.
static char process_state(pid_t pid) {
  char path[40];
  char text[512] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return '\0';
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  char *end = length > 0 ? strrchr(text, ')') : NULL;
  return end ? end[2] : '\0';
}

static void await_zombie(pid_t pid) {
  while (process_state(pid) != 'Z' && process_state(pid) != '\0') usleep(500);
}

// Ends an actor ("exit" or "kill") and leaves it as a zombie.
static bool end_player(struct Player *player, const char *how) {
  if (!TELL(player, -1, "%s", how)) return false;
  await_zombie(player->pid);
  close(player->control);
  player->control = -1;
  player->is_zombie = true;
  // Orphans come to us: PR_SET_CHILD_SUBREAPER.
  for (int i = 0; i < kMaxActors; i++) {
    if (players[i].parent == player) players[i].parent = NULL;
  }
  return true;
}

static bool reap_player(struct Player *player) {
  if (player->parent) {
    if (!TELL(player->parent, -1, "reap %d", player->pid)) return false;
  } else if (waitpid(player->pid, NULL, 0) < 0) {
    return refuse("waitpid: %s", strerror(errno));
  }
  remove_player(player);
  return true;
}

// ---- commands ---------------------------------------------------------------

static bool do_spawn(const struct Command *command, FILE *fields) {
  struct Player *player = spawn(command->words[1]);
  if (!player || !dress(player, command)) return false;
  fprintf(fields, ",\"pid\":%d", player->pid);
  return true;
}

static bool do_fork(const struct Command *command, FILE *fields) {
  struct Player *parent = live_player(command->words[1]);
  if (!parent || !fork_player(parent, command->words[2])) return false;
  struct Player *child = find_player(command->words[2]);
  fprintf(fields, ",\"pid\":%d", child->pid);
  return dress(child, command);
}

static bool do_exit(const struct Command *command, FILE *fields) {
  struct Player *player = live_player(command->words[1]);
  if (!player) return false;
  fprintf(fields, ",\"pid\":%d", player->pid);
  return end_player(player, command->words[0]) && reap_player(player);
}

static bool do_zombie(const struct Command *command, FILE *fields) {
  struct Player *player = live_player(command->words[1]);
  if (!player) return false;
  fprintf(fields, ",\"pid\":%d", player->pid);
  return end_player(player, "exit");
}

static bool do_reap(const struct Command *command, FILE *fields) {
  (void)fields;
  struct Player *player = find_player(command->words[1]);
  if (!player || !player->is_zombie) return refuse("there is no such zombie");
  return reap_player(player);
}

// Lets one actor send what another receives, without taking part in it.
static bool transfer(struct Player *from, struct Player *to, const char *label,
                     const char *receive, FILE *fields) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) {
    return refuse("socketpair: %s", strerror(errno));
  }
  bool done = TELL(from, ends[0], "send %s", label);
  close(ends[0]);
  done = done && pass_on(ask(to, ends[1], "%s %s", receive, label), fields);
  close(ends[1]);
  return done;
}

static bool do_send(const struct Command *command, FILE *fields) {
  struct Player *from = live_player(command->words[1]);
  struct Player *to = from ? live_player(command->words[2]) : NULL;
  bool hold = !strcmp(command->words[0], "sendhold");
  return to && transfer(from, to, command->words[3],
                        hold ? "keep-inbox" : "receive-from", fields);
}

// All else that names an actor: the line goes to the actor without the name.
static bool do_delegate(const struct Command *command, FILE *fields) {
  struct Player *player = live_player(command->words[1]);
  char line[kMaxLine];
  int length = snprintf(line, sizeof line, "%s", command->words[0]);
  if (!player) return false;
  if (command->word_count > 2 && !is_plain(command->words[2]) &&
      strcmp(command->words[0], "comm")) {
    return refuse("a label is of letters, digits, '_', '.' and '-'");
  }
  for (int i = 2; i < command->word_count; i++) {
    length += snprintf(line + length, sizeof line - (size_t)length, " %s",
                       command->words[i]);
  }
  for (int i = 0; i < command->option_count; i++) {
    length += snprintf(line + length, sizeof line - (size_t)length, " %s",
                       command->options[i]);
  }
  return pass_on(ask(player, -1, "%s", line), fields);
}

// ---- populations ------------------------------------------------------------

static uint64_t word_number(const struct Command *command, int index,
                            uint64_t otherwise) {
  return index < command->word_count
             ? strtoull(command->words[index], NULL, 0)
             : otherwise;
}

static struct Player *holder(int index) {
  char name[32];
  snprintf(name, sizeof name, "holder-%d", index);
  return find_player(name);
}

static bool spawn_holders(int count) {
  for (int i = 0; i < count; i++) {
    struct Command plain = {0};
    char name[32];
    snprintf(name, sizeof name, "holder-%d", i);
    struct Player *player = spawn(name);
    if (!player || !dress(player, &plain)) return false;
  }
  return true;
}

// Each of these is held by two neighbours.
static bool share_buffers(int holders, int count, uint64_t size_bytes,
                          const char *exporter) {
  for (int i = 0; i < count; i++) {
    struct Player *from = holder(i % holders);
    struct Player *to = holder((i + 1) % holders);
    char label[32];
    char *ignored = NULL;
    size_t length;
    snprintf(label, sizeof label, "shared-%d", i);
    if (!TELL(from, -1, "alloc %s name=%s size=%llu exporter=%s", label, label,
              (unsigned long long)size_bytes, exporter)) {
      return false;
    }
    FILE *fields = open_memstream(&ignored, &length);
    bool done = to == from || transfer(from, to, label, "receive-from", fields);
    fclose(fields);
    free(ignored);
    if (!done) return false;
  }
  return true;
}

// pop PROCESSES BUFFERS SIZE SHARED OTHERS MAPONLY VMAS [exporter=]: BUFFERS
// own buffers of SIZE bytes over all processes and SHARED more that two
// neighbours hold each; and in each process OTHERS descriptors that are no
// dma-bufs, MAPONLY own buffers without a descriptor, VMAS mappings of a file.
static bool do_pop(const struct Command *command, FILE *fields) {
  int holders = (int)word_number(command, 1, 200);
  int own = (int)word_number(command, 2, 5000) / (holders ? holders : 1);
  uint64_t size_bytes = word_number(command, 3, 4096);
  int shared = (int)word_number(command, 4, 0);
  const char *exporter = command_option(command, "exporter", "auto");
  if (holders < 1 || holder(0)) return refuse("no processes, or some already");
  if (!spawn_holders(holders) ||
      !share_buffers(holders, shared, size_bytes, exporter)) {
    return false;
  }
  for (int i = 0; i < holders; i++) {
    if (!TELL(holder(i), -1,
              "populate own=%d size=%llu others=%llu maponly=%llu vmas=%llu "
              "exporter=%s",
              own, (unsigned long long)size_bytes,
              (unsigned long long)word_number(command, 5, 0),
              (unsigned long long)word_number(command, 6, 0),
              (unsigned long long)word_number(command, 7, 0), exporter)) {
      return false;
    }
  }
  fprintf(fields, ",\"processes\":%d,\"buffers\":%d", holders,
          holders * own + shared);
  return true;
}

// churn RATE: so many buffers of the population replaced in a second, all
// processes taking turns.
static bool do_churn(const struct Command *command, FILE *fields) {
  (void)fields;
  double rate = strtod(command->words[1], NULL);
  int holders = 0;
  while (holder(holders)) holders++;
  if (holders == 0) return refuse("churn needs a population: pop first");
  if (rate <= 0) return refuse("a rate is a number per second over 0");
  double period_us = holders * 1e6 / rate;
  for (int i = 0; i < holders; i++) {
    if (!TELL(holder(i), -1, "churn period_us=%.0f phase_us=%.0f exporter=%s",
              period_us, period_us * (i + 1) / holders,
              command_option(command, "exporter", "auto"))) {
      return false;
    }
  }
  return true;
}

// storm RATE [life_ms=] [size=] [count=]: so many processes a second that hold
// one buffer for so long and end.
static bool do_storm(const struct Command *command, FILE *fields) {
  double rate = strtod(command->words[1], NULL);
  if (rate <= 0) return refuse("a rate is a number per second over 0");
  struct Player *storm = find_player("storm");
  struct Command plain = {0};
  if (!storm && (!(storm = spawn("storm")) || !dress(storm, &plain))) {
    return false;
  }
  fprintf(fields, ",\"pid\":%d", storm->pid);
  return TELL(storm, -1,
              "storm period_us=%.0f life_us=%llu size=%llu count=%llu "
              "exporter=%s",
              1e6 / rate,
              (unsigned long long)command_number(command, "life_ms", 20) * 1000,
              (unsigned long long)command_number(command, "size", 4096),
              (unsigned long long)command_number(command, "count", 0),
              command_option(command, "exporter", "auto"));
}

// leak ACTOR [every_ms=] [size=] [count=] [exporter=]
static bool do_leak(const struct Command *command, FILE *fields) {
  struct Player *player = live_player(command->words[1]);
  if (!player) return false;
  fprintf(fields, ",\"pid\":%d", player->pid);
  return TELL(
      player, -1, "leak leak period_us=%llu size=%llu count=%llu exporter=%s",
      (unsigned long long)command_number(command, "every_ms", 1000) * 1000,
      (unsigned long long)command_number(command, "size", 4096),
      (unsigned long long)command_number(command, "count", 0),
      command_option(command, "exporter", "auto"));
}

// fds COUNT [exporter=]: one process, `hoarder`, with so many buffers of one
// page.
static bool do_fds(const struct Command *command, FILE *fields) {
  struct Command plain = {0};
  struct Player *hoarder = spawn("hoarder");
  return hoarder && dress(hoarder, &plain) &&
         pass_on(ask(hoarder, -1, "populate own=%llu exporter=%s",
                     (unsigned long long)word_number(command, 1, 1000),
                     command_option(command, "exporter", "auto")),
                 fields);
}

// stop [ACTOR]: ends the jobs; what they have made stays.
static bool do_stop(const struct Command *command, FILE *fields) {
  (void)fields;
  for (int i = 0; i < kMaxActors; i++) {
    struct Player *player = &players[i];
    if (!player->name[0] || player->is_zombie) continue;
    if (command->word_count > 1 && strcmp(player->name, command->words[1])) {
      continue;
    }
    if (!TELL(player, -1, "stop")) return false;
  }
  return true;
}

static bool do_reset(const struct Command *command, FILE *fields) {
  (void)command;
  (void)fields;
  for (int i = 0; i < kMaxActors; i++) {
    struct Player *player = &players[i];
    if (player->name[0] && !player->is_zombie && !end_player(player, "exit")) {
      return false;
    }
  }
  // By now all of them are our own children.
  for (int i = 0; i < kMaxActors; i++) {
    if (players[i].name[0] && !reap_player(&players[i])) return false;
  }
  events_clear();
  return true;
}

// ---- what is true -----------------------------------------------------------

// While jobs run, this is not one instant: see `events`.
static bool do_manifest(const struct Command *command, FILE *fields) {
  (void)command;
  fprintf(fields, ",\"buffers\":");
  buffers_print(fields);
  fprintf(fields, ",\"processes\":[");
  const char *separator = "";
  for (int i = 0; i < kMaxActors; i++) {
    struct Player *player = &players[i];
    if (!player->name[0]) continue;
    fprintf(fields, "%s{\"actor\":\"%s\",\"zombie\":%s", separator,
            player->name, player->is_zombie ? "true" : "false");
    if (player->is_zombie) {
      fprintf(fields, ",\"pid\":%d", player->pid);
    } else if (!pass_on(ask(player, -1, "report"), fields)) {
      return false;
    }
    fprintf(fields, "}");
    separator = ",";
  }
  fprintf(fields, "]");
  return true;
}

static bool do_events(const struct Command *command, FILE *fields) {
  fprintf(fields, ",\"lost\":%u,\"events\":", events_lost());
  events_print(fields);
  if (command->word_count > 1 && !strcmp(command->words[1], "clear")) {
    events_clear();
  }
  return true;
}

static bool do_sleep(const struct Command *command, FILE *fields) {
  (void)fields;
  usleep((useconds_t)word_number(command, 1, 0) * 1000);
  return true;
}

static bool do_ping(const struct Command *command, FILE *fields) {
  (void)command;
  fprintf(fields, ",\"pid\":%d", getpid());
  return true;
}

// ---- dispatch ---------------------------------------------------------------

static const struct {
  const char *verb;
  int words;  // at least, the verb included
  bool (*run)(const struct Command *, FILE *fields);
} kCommands[] = {
    {"spawn", 2, do_spawn},
    {"fork", 3, do_fork},
    {"exit", 2, do_exit},
    {"kill", 2, do_exit},
    {"zombie", 2, do_zombie},
    {"reap", 2, do_reap},
    {"alloc", 3, do_delegate},
    {"name", 4, do_delegate},
    {"dup", 3, do_delegate},
    {"dup2", 4, do_delegate},
    {"map", 3, do_delegate},
    {"split", 3, do_delegate},
    {"punch", 3, do_delegate},
    {"ioctl", 4, do_delegate},
    {"seek", 5, do_delegate},
    {"exec", 2, do_delegate},
    {"unmap", 3, do_delegate},
    {"close", 3, do_delegate},
    {"import", 3, do_delegate},
    {"drop-import", 3, do_delegate},
    {"thread-private", 3, do_delegate},
    {"thread-exit", 3, do_delegate},
    {"receive", 3, do_delegate},
    {"comm", 3, do_delegate},
    {"finish", 2, do_delegate},
    {"send", 4, do_send},
    {"sendhold", 4, do_send},
    {"pop", 1, do_pop},
    {"churn", 2, do_churn},
    {"storm", 2, do_storm},
    {"leak", 2, do_leak},
    {"fds", 2, do_fds},
    {"stop", 1, do_stop},
    {"reset", 1, do_reset},
    {"manifest", 1, do_manifest},
    {"events", 1, do_events},
    {"sleep", 2, do_sleep},
    {"ping", 1, do_ping},
};

static bool run_command(const struct Command *command, FILE *fields) {
  for (size_t i = 0; i < sizeof kCommands / sizeof *kCommands; i++) {
    if (strcmp(kCommands[i].verb, command->words[0])) continue;
    if (command->word_count < kCommands[i].words) {
      return refuse("too few words");
    }
    return kCommands[i].run(command, fields);
  }
  return refuse("unknown command");
}

// Error messages may quote what a client wrote.
static void print_json_text(FILE *out, const char *text) {
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    fputc(c < 32 || c > 126 || c == '"' || c == '\\' ? '?' : c, out);
  }
}

// Runs a line and writes the answer to it: one JSON object on one line.
static bool answer_line(int client, const char *line) {
  struct Command command;
  char *fields_text = NULL, *text = NULL;
  size_t length;
  FILE *fields = open_memstream(&fields_text, &length);
  failure[0] = '\0';
  uint64_t before = boottime_ns();
  bool done = command_parse(&command, line) && command.word_count > 0
                  ? run_command(&command, fields)
                  : refuse("empty or too long");
  uint64_t after = boottime_ns();
  fclose(fields);
  FILE *out = open_memstream(&text, &length);
  fprintf(out, "{\"ok\":%s,\"before_ns\":\"%llu\",\"after_ns\":\"%llu\"",
          done ? "true" : "false", (unsigned long long)before,
          (unsigned long long)after);
  if (done) {
    fprintf(out, "%s", fields_text);
  } else {
    fprintf(out, ",\"error\":\"");
    print_json_text(out, failure);
    fprintf(out, "\"");
  }
  fprintf(out, "}\n");
  fclose(out);
  bool written = write_all(client, text, length);
  free(fields_text);
  free(text);
  return written;
}

// ---- clients ----------------------------------------------------------------

static struct sockaddr_un address(socklen_t *length) {
  static const char kName[] = "dmabuf-lab-puppet";
  struct sockaddr_un result = {.sun_family = AF_UNIX};
  // Abstract: there is no file to own, so that every user of the guest may ask.
  memcpy(result.sun_path + 1, kName, sizeof kName - 1);
  *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof kName);
  return result;
}

int server_connect(void) {
  socklen_t length;
  struct sockaddr_un where = address(&length);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && !connect(fd, (struct sockaddr *)&where, length)) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

static int listen_for_clients(void) {
  socklen_t length;
  struct sockaddr_un where = address(&length);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&where, length) || listen(fd, 8)) {
    perror("puppet: serve");
    exit(1);
  }
  return fd;
}

static void accept_client(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  for (int i = 0; fd >= 0 && i < kMaxClients; i++) {
    if (clients[i] < 0) {
      clients[i] = fd;
      return;
    }
  }
  if (fd >= 0) close(fd);
}

static void serve_client(int *client) {
  char *line = read_line(*client);
  if (!line || !answer_line(*client, line)) {
    close(*client);
    *client = -1;
  }
  free(line);
}

static void allow_many_descriptors(void) {
  struct rlimit limit = {kMaxDescriptors, kMaxDescriptors};
  if (!setrlimit(RLIMIT_NOFILE, &limit)) return;
  FILE *file = fopen("/proc/sys/fs/nr_open", "w");
  if (file) {
    fprintf(file, "%d\n", kMaxDescriptors);
    fclose(file);
  }
  if (setrlimit(RLIMIT_NOFILE, &limit)) perror("puppet: RLIMIT_NOFILE");
}

_Noreturn void server_run(void) {
  int listener = listen_for_clients();
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  allow_many_descriptors();
  truth_create();
  for (int i = 0; i < kMaxClients; i++) clients[i] = -1;
  for (;;) {
    struct pollfd wait[kMaxClients + 1] = {{.fd = listener, .events = POLLIN}};
    for (int i = 0; i < kMaxClients; i++) {
      wait[i + 1] = (struct pollfd){.fd = clients[i], .events = POLLIN};
    }
    if (poll(wait, kMaxClients + 1, -1) < 0) continue;
    if (wait[0].revents) accept_client(listener);
    for (int i = 0; i < kMaxClients; i++) {
      if (wait[i + 1].revents) serve_client(&clients[i]);
    }
  }
}
