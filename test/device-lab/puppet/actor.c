// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "actor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exporter.h"
#include "jobs.h"

enum { kPage = 4096 };

struct Holding *actor_holdings;
int actor_holding_count;
static int holding_room;

static struct Inbox *inboxes;
static int inbox_count;

struct PrivateThread {
  pthread_t thread;
  pid_t tid;
  int fd;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool ready, finish;
};

// ---- holdings ---------------------------------------------------------------

static struct Holding *add_holding(struct Buffer *buffer) {
  if (actor_holding_count == holding_room) {
    holding_room = holding_room ? 2 * holding_room : 16;
    actor_holdings =
        realloc(actor_holdings, (size_t)holding_room * sizeof *actor_holdings);
  }
  struct Holding *holding = &actor_holdings[actor_holding_count++];
  *holding = (struct Holding){.buffer = buffer};
  return holding;
}

static struct Holding *find_holding(const char *label) {
  for (int i = 0; i < actor_holding_count; i++) {
    if (!strcmp(actor_holdings[i].buffer->label, label)) {
      return &actor_holdings[i];
    }
  }
  return NULL;
}

static void append_fd(struct Holding *holding, int fd) {
  if (holding->fd_count == holding->fd_room) {
    holding->fd_room = holding->fd_room ? 2 * holding->fd_room : 1;
    holding->fds =
        realloc(holding->fds, (size_t)holding->fd_room * sizeof(int));
  }
  holding->fds[holding->fd_count++] = fd;
}

static bool holds_nothing(const struct Holding *holding) {
  return holding->fd_count == 0 && holding->mapping_count == 0 &&
         holding->import == 0 && !holding->thread;
}

void actor_tidy(void) {
  int kept = 0;
  for (int i = 0; i < actor_holding_count; i++) {
    if (holds_nothing(&actor_holdings[i])) {
      free(actor_holdings[i].fds);
      free(actor_holdings[i].mappings);
    } else {
      actor_holdings[kept++] = actor_holdings[i];
    }
  }
  actor_holding_count = kept;
}

// ---- operations -------------------------------------------------------------

struct Holding *actor_allocate(const char *label, const char *exporter,
                               uint64_t size_bytes, const char *name,
                               int access) {
  struct Export export = export_buffer(exporter, size_bytes, access);
  if (export.fd < 0) return NULL;
  struct stat status;
  if (fstat(export.fd, &status)) return NULL;
  struct Buffer *buffer =
      buffer_add(label, status.st_ino,
                 (size_bytes + kPage - 1) / kPage * kPage, export.exporter);
  struct Holding *holding = add_holding(buffer);
  append_fd(holding, export.fd);
  if (name) {
    if (set_buffer_name(export.fd, name)) {
      int error = errno;
      actor_close_fd(holding, 0);
      actor_tidy();
      errno = error;
      return NULL;
    }
    buffer_set_name(buffer, name);
  }
  return holding;
}

void actor_close_fd(struct Holding *holding, int index) {
  close(holding->fds[index]);
  holding->fd_count--;
  memmove(&holding->fds[index], &holding->fds[index + 1],
          (size_t)(holding->fd_count - index) * sizeof(int));
  buffer_add_fds(holding->buffer, -1);
}

// Maps between two pages of nothing: the kernel would join two mappings that
// happen to fit, and our count of VMAs would be wrong.
static void *map_apart(int fd, uint64_t length, uint64_t offset,
                       int protection) {
  char *room = mmap(NULL, length + 2 * kPage, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return MAP_FAILED;
  void *address = mmap(room + kPage, length, protection,
                       MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
  if (address == MAP_FAILED) {
    int error = errno;
    munmap(room, length + 2 * kPage);
    errno = error;
  }
  return address;
}

static bool map_buffer(struct Holding *holding, uint64_t length,
                       uint64_t offset, int protection) {
  void *address = map_apart(holding->fds[0], length, offset, protection);
  if (address == MAP_FAILED) return false;
  holding->mappings =
      realloc(holding->mappings, (size_t)(holding->mapping_count + 1) *
                                     sizeof *holding->mappings);
  holding->mappings[holding->mapping_count++] =
      (struct Mapping){.address = address, .length = length};
  buffer_add_vmas(holding->buffer, 1);
  return true;
}

static void unmap_all(struct Holding *holding) {
  int vmas = holding->mapping_count;
  for (int i = 0; i < holding->mapping_count; i++) {
    munmap((char *)holding->mappings[i].address - kPage,
           holding->mappings[i].length + 2 * kPage);
  }
  holding->mapping_count = 0;
  buffer_add_vmas(holding->buffer, -vmas);
}

// The first mapping that has pages on both sides of that one; -1 if none has.
static int find_splittable(const struct Holding *holding, uint64_t page) {
  for (int i = 0; page > 0 && i < holding->mapping_count; i++) {
    if (holding->mappings[i].length >= (page + 2) * kPage) return i;
  }
  errno = ENOENT;
  return -1;
}

// Has two mappings take the place of one: what is below the offset, and what
// begins at another one.
static void part_mapping(struct Holding *holding, int index, uint64_t below,
                         uint64_t from) {
  holding->mappings =
      realloc(holding->mappings, (size_t)(holding->mapping_count + 1) *
                                     sizeof *holding->mappings);
  struct Mapping *lower = &holding->mappings[index];
  memmove(lower + 1, lower,
          (size_t)(holding->mapping_count - index) * sizeof *lower);
  holding->mapping_count++;
  lower[1].address = (char *)lower->address + from;
  lower[1].length = lower->length - from;
  lower->length = below;
  buffer_add_vmas(holding->buffer, 1);
}

// Protects a page otherwise, which leaves three VMAs of the one.
static bool split_mapping(struct Holding *holding, uint64_t page,
                          int protection) {
  int index = find_splittable(holding, page);
  if (index < 0) return false;
  char *address = holding->mappings[index].address;
  if (mprotect(address + page * kPage, kPage, protection)) return false;
  part_mapping(holding, index, page * kPage, page * kPage);
  part_mapping(holding, index + 1, kPage, kPage);
  return true;
}

// Unmaps a page, which leaves two VMAs of the one.
static bool punch_mapping(struct Holding *holding, uint64_t page) {
  int index = find_splittable(holding, page);
  if (index < 0) return false;
  char *address = holding->mappings[index].address;
  if (munmap(address + page * kPage, kPage)) return false;
  part_mapping(holding, index, page * kPage, (page + 1) * kPage);
  return true;
}

// ---- a thread with its own descriptors --------------------------------------

// Leaves nothing open in this table but the one descriptor.
static void close_all_but(int fd) {
  if (fd > 0) syscall(SYS_close_range, 0, fd - 1, 0);
  syscall(SYS_close_range, fd + 1, ~0U, 0);
}

static void *private_thread_main(void *argument) {
  struct PrivateThread *thread = argument;
  prctl(PR_SET_NAME, "private-fds");
  if (unshare(CLONE_FILES)) abort();
  close_all_but(thread->fd);
  pthread_mutex_lock(&thread->lock);
  thread->tid = (pid_t)syscall(SYS_gettid);
  thread->ready = true;
  pthread_cond_broadcast(&thread->changed);
  while (!thread->finish) {
    pthread_cond_wait(&thread->changed, &thread->lock);
  }
  pthread_mutex_unlock(&thread->lock);
  // The table is the thread's alone: the descriptor must go before we say so.
  close(thread->fd);
  return NULL;
}

static bool start_private_thread(struct Holding *holding) {
  struct PrivateThread *thread = calloc(1, sizeof *thread);
  thread->fd = holding->fds[holding->fd_count - 1];
  pthread_mutex_init(&thread->lock, NULL);
  pthread_cond_init(&thread->changed, NULL);
  if (pthread_create(&thread->thread, NULL, private_thread_main, thread)) {
    free(thread);
    return false;
  }
  pthread_mutex_lock(&thread->lock);
  while (!thread->ready) pthread_cond_wait(&thread->changed, &thread->lock);
  pthread_mutex_unlock(&thread->lock);
  holding->thread = thread;
  buffer_add_fds(holding->buffer, 1);
  return true;
}

static void end_private_thread(struct Holding *holding) {
  struct PrivateThread *thread = holding->thread;
  pthread_mutex_lock(&thread->lock);
  thread->finish = true;
  pthread_cond_broadcast(&thread->changed);
  pthread_mutex_unlock(&thread->lock);
  pthread_join(thread->thread, NULL);
  free(thread);
  holding->thread = NULL;
  buffer_add_fds(holding->buffer, -1);
}

// ---- replies ----------------------------------------------------------------

// To the server: '+' and further fields for the JSON object it will answer
// with, or '-' and what went wrong.
static void succeed(const char *fields) {
  if (!write_all(kControlFd, "+", 1) ||
      !write_all(kControlFd, fields, strlen(fields)) ||
      !write_all(kControlFd, "\n", 1)) {
    _exit(1);
  }
}

static void fail(const char *why) {
  char text[200];
  int length = snprintf(text, sizeof text, "-%s\n", why);
  if (!write_all(kControlFd, text, (size_t)length)) _exit(1);
}

static void fail_with_errno(const char *what) {
  char text[160];
  snprintf(text, sizeof text, "%s: %s (%s)", what, strerror(errno),
           strerrorname_np(errno));
  fail(text);
}

// The answer to all commands that concern one holding.
static void succeed_with(const struct Holding *holding, int fd) {
  char text[160];
  int length =
      snprintf(text, sizeof text,
               ",\"pid\":%d,\"inode\":\"%llu\",\"size_bytes\":\"%llu\"",
               getpid(), (unsigned long long)holding->buffer->inode,
               (unsigned long long)holding->buffer->size_bytes);
  if (fd >= 0) {
    snprintf(text + length, sizeof text - (size_t)length, ",\"fd\":%d", fd);
  }
  succeed(text);
}

// ---- commands ---------------------------------------------------------------
// words[1] is the label of a buffer in all of those of a holding.

static void do_alloc(const struct Command *command) {
  char name[256];
  const char *wanted = command_option(command, "name", NULL);
  const char *access = command_option(command, "access", "rw");
  if (wanted && !decode_text(wanted, name, sizeof name)) {
    fail("name: not hex digits, or too long");
    return;
  }
  if (buffer_find(command->words[1])) {
    fail("a buffer of this label exists");
    return;
  }
  struct Holding *holding = actor_allocate(
      command->words[1], command_option(command, "exporter", "auto"),
      command_number(command, "size", kPage), wanted ? name : NULL,
      !strcmp(access, "r")   ? O_RDONLY
      : !strcmp(access, "w") ? O_WRONLY
                             : O_RDWR);
  if (holding) {
    succeed_with(holding, holding->fds[0]);
  } else {
    fail_with_errno("alloc");
  }
}

// Takes hold of a buffer whose descriptor comes next through the control socket
// ("take") or lies in an inbox.
static void take(struct Buffer *buffer, int fd) {
  struct Holding *holding = find_holding(buffer->label);
  if (!holding) holding = add_holding(buffer);
  append_fd(holding, fd);
  succeed_with(holding, fd);
}

static void do_receive_from(const struct Command *command) {
  int socket = receive_fd(kControlFd);
  int fd = receive_fd(socket);
  close(socket);
  struct Buffer *buffer = buffer_find(command->words[1]);
  if (fd < 0 || !buffer) {
    fail("nothing came");
    return;
  }
  buffer_add_fds(buffer, 1);
  take(buffer, fd);
}

static void do_keep_inbox(const struct Command *command) {
  int socket = receive_fd(kControlFd);
  struct Buffer *buffer = buffer_find(command->words[1]);
  if (!buffer) {
    close(socket);
    fail("no such buffer");
    return;
  }
  inboxes = realloc(inboxes, (size_t)(inbox_count + 1) * sizeof *inboxes);
  inboxes[inbox_count++] = (struct Inbox){socket, buffer};
  buffer_add_in_flight(buffer, 1);
  succeed("");
}

static void do_receive(const struct Command *command) {
  for (int i = 0; i < inbox_count; i++) {
    struct Buffer *buffer = inboxes[i].buffer;
    if (strcmp(buffer->label, command->words[1])) continue;
    int fd = receive_fd(inboxes[i].socket);
    close(inboxes[i].socket);
    inboxes[i] = inboxes[--inbox_count];
    buffer_add_fds(buffer, 1);
    buffer_add_in_flight(buffer, -1);
    take(buffer, fd);
    return;
  }
  fail("not in flight to this actor");
}

static void do_send(const struct Command *command, struct Holding *holding) {
  (void)command;
  int socket = receive_fd(kControlFd);
  bool sent = send_fd(socket, holding->fds[holding->fd_count - 1]);
  close(socket);
  if (sent) {
    succeed_with(holding, -1);
  } else {
    fail_with_errno("sendmsg");
  }
}

static void do_name(const struct Command *command, struct Holding *holding) {
  char name[256];
  if (command->word_count < 3 ||
      !decode_text(command->words[2], name, sizeof name)) {
    fail("name: not hex digits, or too long");
  } else if (set_buffer_name(holding->fds[0], name)) {
    fail_with_errno("DMA_BUF_SET_NAME");
  } else {
    buffer_set_name(holding->buffer, name);
    succeed_with(holding, -1);
  }
}

static void do_dup(const struct Command *command, struct Holding *holding) {
  int lowest = (int)command_number(command, "fd", 0);
  bool close_on_exec = command_number(command, "cloexec", 1) != 0;
  int fd = fcntl(holding->fds[0],
                 close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, lowest);
  if (fd < 0) {
    fail_with_errno("dup");
    return;
  }
  append_fd(holding, fd);
  buffer_add_fds(holding->buffer, 1);
  succeed_with(holding, fd);
}

// `dup2 ACTOR LABEL OVER`: the newest descriptor of another buffer becomes one
// of this.
static void do_dup2(const struct Command *command, struct Holding *holding) {
  struct Holding *over =
      command->word_count > 2 ? find_holding(command->words[2]) : NULL;
  if (!over || over->fd_count == 0) {
    fail("no descriptor to put it in the place of");
    return;
  }
  int fd = over->fds[over->fd_count - 1];
  if (dup2(holding->fds[0], fd) < 0) {
    fail_with_errno("dup2");
    return;
  }
  over->fd_count--;
  append_fd(holding, fd);
  buffer_add_fds(holding->buffer, 1);
  buffer_add_fds(over->buffer, -1);
  succeed_with(holding, fd);
}

// A request with a string, with flags or with a pointer to nothing, so that
// its refusals can be seen.
static void do_ioctl(const struct Command *command, struct Holding *holding) {
  unsigned long request = strtoul(command->words[2], NULL, 0);
  int fd = (int)command_number(command, "fd", (uint64_t)holding->fds[0]);
  const char *text = command_option(command, "text", NULL);
  const char *flags = command_option(command, "flags", NULL);
  char bytes[256];
  uint64_t number = flags ? strtoull(flags, NULL, 0) : 0;
  void *argument = NULL;
  if (flags) argument = &number;
  if (text) {
    if (!decode_text(text, bytes, sizeof bytes)) {
      fail("text: not hex digits, or too long");
      return;
    }
    argument = bytes;
  }
  if (ioctl(fd, request, argument)) {
    fail_with_errno("ioctl");
    return;
  }
  succeed_with(holding, -1);
}

static void do_seek(const struct Command *command, struct Holding *holding) {
  long long offset = strtoll(command->words[2], NULL, 0);
  int fd = (int)command_number(command, "fd", (uint64_t)holding->fds[0]);
  const char *from = command->words[3];
  int whence = !strcmp(from, "set")       ? SEEK_SET
               : !strcmp(from, "current") ? SEEK_CUR
                                          : SEEK_END;
  off_t position = lseek(fd, (off_t)offset, whence);
  if (position < 0) {
    fail_with_errno("lseek");
    return;
  }
  char text[48];
  snprintf(text, sizeof text, ",\"position\":\"%lld\"", (long long)position);
  succeed(text);
}

static void do_map(const struct Command *command, struct Holding *holding) {
  uint64_t offset = command_number(command, "offset", 0);
  uint64_t length = command_number(command, "length",
                                   holding->buffer->size_bytes - offset);
  const char *wanted = command_option(command, "protection", "rw");
  int protection =
      strcmp(wanted, "r") ? PROT_READ | PROT_WRITE : PROT_READ;
  if (map_buffer(holding, length, offset, protection)) {
    succeed_with(holding, -1);
  } else {
    fail_with_errno("mmap");
  }
}

static void do_split(const struct Command *command, struct Holding *holding) {
  const char *wanted = command_option(command, "protection", "r");
  int protection = !strcmp(wanted, "none") ? PROT_NONE
                   : !strcmp(wanted, "rw") ? PROT_READ | PROT_WRITE
                                           : PROT_READ;
  if (split_mapping(holding, command_number(command, "page", 1), protection)) {
    succeed_with(holding, -1);
  } else if (errno == ENOENT) {
    fail("no mapping with pages on both sides of that one");
  } else {
    fail_with_errno("mprotect");
  }
}

static void do_punch(const struct Command *command, struct Holding *holding) {
  if (punch_mapping(holding, command_number(command, "page", 1))) {
    succeed_with(holding, -1);
  } else {
    fail("no mapping with pages on both sides of that one");
  }
}

static void do_unmap(const struct Command *command, struct Holding *holding) {
  (void)command;
  unmap_all(holding);
  succeed_with(holding, -1);
}

// `close ACTOR LABEL`: the newest descriptor; `all`; or fd=N.
static void do_close(const struct Command *command, struct Holding *holding) {
  bool all = command->word_count > 2 && !strcmp(command->words[2], "all");
  int wanted = (int)command_number(command, "fd", 0);
  int closed = -1;
  for (int i = holding->fd_count - 1; i >= 0; i--) {
    if (wanted && holding->fds[i] != wanted) continue;
    closed = holding->fds[i];
    actor_close_fd(holding, i);
    if (!all) break;
  }
  if (closed < 0) {
    fail("no such descriptor");
  } else {
    succeed_with(holding, closed);
  }
}

static void do_import(const struct Command *command, struct Holding *holding) {
  (void)command;
  if (holding->import) {
    fail("imported already");
    return;
  }
  holding->import = import_buffer(holding->fds[0]);
  if (!holding->import) {
    fail_with_errno("import into vgem");
    return;
  }
  buffer_add_imports(holding->buffer, 1);
  succeed_with(holding, -1);
}

static void do_drop_import(const struct Command *command,
                           struct Holding *holding) {
  (void)command;
  if (!holding->import) {
    fail("not imported");
    return;
  }
  drop_import(holding->import);
  holding->import = 0;
  buffer_add_imports(holding->buffer, -1);
  succeed_with(holding, -1);
}

static void do_thread_private(const struct Command *command,
                              struct Holding *holding) {
  (void)command;
  if (holding->thread || !start_private_thread(holding)) {
    fail("no thread, or one already");
    return;
  }
  char text[40];
  snprintf(text, sizeof text, ",\"tid\":%d", holding->thread->tid);
  succeed(text);
}

static void do_thread_exit(const struct Command *command,
                           struct Holding *holding) {
  (void)command;
  if (!holding->thread) {
    fail("no such thread");
    return;
  }
  end_private_thread(holding);
  succeed_with(holding, -1);
}

// ---- commands that concern the process --------------------------------------

static void set_comm(const char *comm) { prctl(PR_SET_NAME, comm); }

static void do_comm(const struct Command *command) {
  char comm[64];
  if (!decode_text(command->words[1], comm, sizeof comm)) {
    fail("comm: not hex digits, or too long");
    return;
  }
  set_comm(comm);
  succeed("");
}

static void do_uid(const struct Command *command) {
  uid_t uid = (uid_t)strtoul(command->words[1], NULL, 10);
  if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)) {
    fail_with_errno("setuid");
    return;
  }
  // A change of user makes a process undumpable, and its /proc root's; a
  // program that was started as that user would not be.
  prctl(PR_SET_DUMPABLE, 1);
  succeed("");
}

// What a forked child holds besides its parent: the same descriptors and
// mappings; but no thread of it, none of its handles, none of its inboxes.
static void inherit_holdings(void) {
  job_forget();
  forget_imports();
  for (int i = 0; i < inbox_count; i++) close(inboxes[i].socket);
  inbox_count = 0;
  for (int i = 0; i < actor_holding_count; i++) {
    struct Holding *holding = &actor_holdings[i];
    holding->import = 0;
    holding->thread = NULL;
    buffer_add_fds(holding->buffer, holding->fd_count);
    buffer_add_vmas(holding->buffer, holding->mapping_count);
  }
  actor_tidy();
}

// The child's control socket comes through the parent's. The parent answers
// with the pid, the child with a '+' through its own socket when all is
// accounted.
static void do_fork(void) {
  int control = receive_fd(kControlFd);
  pid_t child = fork();
  if (child == 0) {
    dup2(control, kControlFd);
    close(control);
    inherit_holdings();
    succeed("");
    return;
  }
  close(control);
  if (child < 0) {
    fail_with_errno("fork");
    return;
  }
  char text[40];
  snprintf(text, sizeof text, ",\"pid\":%d", child);
  succeed(text);
}

static void do_reap(const struct Command *command) {
  if (waitpid(atoi(command->words[1]), NULL, 0) < 0) {
    fail_with_errno("waitpid");
  } else {
    succeed("");
  }
}

// Takes from the books all that the kernel takes back when we end.
static void release_accounts(void) {
  for (int i = 0; i < inbox_count; i++) {
    buffer_add_in_flight(inboxes[i].buffer, -1);
  }
  for (int i = 0; i < actor_holding_count; i++) {
    struct Holding *holding = &actor_holdings[i];
    struct Buffer *buffer = holding->buffer;
    if (holding->import) buffer_add_imports(buffer, -1);
    buffer_add_vmas(buffer, -holding->mapping_count);
    buffer_add_fds(buffer, -holding->fd_count - (holding->thread ? 1 : 0));
  }
}

static _Noreturn void do_exit(bool by_signal) {
  job_finish();
  succeed("");
  release_accounts();
  if (by_signal) raise(SIGKILL);
  _exit(0);
}

// The same program anew: what is not marked close-on-exec it still has. Books
// are kept of none of it any more.
static void do_exec(void) {
  job_finish();
  release_accounts();
  fcntl(kControlFd, F_SETFD, 0);
  execl("/proc/self/exe", "puppet", "go-on", NULL);
  _exit(1);
}

_Noreturn void actor_go_on(void) {
  truth_create();
  succeed("");
  actor_run(kControlFd);
}

static void do_finish(void) {
  if (job_complete()) {
    succeed("");
  } else {
    fail("its job has no end: no count was given");
  }
}

// `populate own= size= others= maponly= vmas=`: a process like those of a busy
// system: own buffers, some of them only mapped, other descriptors, other
// mappings.
static bool open_others(int count) {
  for (int i = 0; i < count; i += 3) {
    int ends[2];
    if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0 || pipe(ends)) return false;
  }
  return true;
}

static bool map_others(int count) {
  int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  bool mapped = file >= 0;
  for (int i = 0; mapped && i < count; i++) {
    // Protections in turn, so that the kernel does not join neighbours.
    int protection = i & 1 ? PROT_READ : PROT_READ | PROT_EXEC;
    mapped = mmap(NULL, kPage, protection, MAP_PRIVATE, file,
                  i % 64 * kPage) != MAP_FAILED;
  }
  close(file);
  return mapped;
}

static bool allocate_own(const struct Command *command) {
  int own = (int)command_number(command, "own", 0);
  int map_only = (int)command_number(command, "maponly", 0);
  uint64_t size_bytes = command_number(command, "size", kPage);
  const char *exporter = command_option(command, "exporter", "auto");
  for (int i = 0; i < own; i++) {
    char name[kNameSize];
    snprintf(name, sizeof name, "own-%d-%d", getpid(), i);
    struct Holding *holding =
        actor_allocate(name, exporter, size_bytes, name, O_RDWR);
    if (!holding) return false;
    holding->is_own = true;
    if (i < map_only) {
      if (!map_buffer(holding, size_bytes, 0, PROT_READ | PROT_WRITE)) {
        return false;
      }
      actor_close_fd(holding, 0);
    }
  }
  return true;
}

static void do_populate(const struct Command *command) {
  if (open_others((int)command_number(command, "others", 0)) &&
      map_others((int)command_number(command, "vmas", 0)) &&
      allocate_own(command)) {
    char text[40];
    snprintf(text, sizeof text, ",\"pid\":%d", getpid());
    succeed(text);
  } else {
    fail_with_errno("populate");
  }
}

// ---- manifest ---------------------------------------------------------------

static void print_holding(FILE *out, const struct Holding *holding) {
  uint64_t mapped = 0;
  for (int i = 0; i < holding->mapping_count; i++) {
    mapped += holding->mappings[i].length;
  }
  fprintf(out, "{\"inode\":\"%llu\",\"fds\":[",
          (unsigned long long)holding->buffer->inode);
  for (int i = 0; i < holding->fd_count; i++) {
    fprintf(out, "%s%d", i ? "," : "", holding->fds[i]);
  }
  fprintf(out, "],\"vmas\":%d,\"mapped_bytes\":\"%llu\",\"imported\":%s",
          holding->mapping_count, (unsigned long long)mapped,
          holding->import ? "true" : "false");
  if (holding->thread) {
    fprintf(out, ",\"private_thread\":{\"tid\":%d,\"fds\":[%d]}",
            holding->thread->tid, holding->thread->fd);
  }
  fprintf(out, "}");
}

static void print_report(FILE *out) {
  char comm[17] = "";
  prctl(PR_GET_NAME, comm);
  fprintf(out, ",\"pid\":%d,\"uid\":%u,\"comm_hex\":\"", getpid(), getuid());
  print_hex(out, comm);
  fprintf(out, "\",\"holdings\":[");
  for (int i = 0; i < actor_holding_count; i++) {
    fprintf(out, "%s", i ? "," : "");
    print_holding(out, &actor_holdings[i]);
  }
  fprintf(out, "],\"in_flight\":[");
  for (int i = 0; i < inbox_count; i++) {
    fprintf(out, "%s\"%llu\"", i ? "," : "",
            (unsigned long long)inboxes[i].buffer->inode);
  }
  fprintf(out, "]");
}

static void do_report(void) {
  char *text = NULL;
  size_t length = 0;
  FILE *out = open_memstream(&text, &length);
  print_report(out);
  fclose(out);
  succeed(text);
  free(text);
}

// ---- dispatch ---------------------------------------------------------------

static const struct {
  const char *verb;
  void (*run)(const struct Command *, struct Holding *);
  bool needs_fd;
} kHoldingCommands[] = {
    {"name", do_name, true},
    {"dup", do_dup, true},
    {"dup2", do_dup2, true},
    {"send", do_send, true},
    {"map", do_map, true},
    {"ioctl", do_ioctl, true},
    {"seek", do_seek, true},
    {"split", do_split, false},
    {"punch", do_punch, false},
    {"unmap", do_unmap, false},
    {"close", do_close, true},
    {"import", do_import, true},
    {"drop-import", do_drop_import, false},
    {"thread-private", do_thread_private, true},
    {"thread-exit", do_thread_exit, false},
};

// False if the verb is not one of a holding.
static bool run_holding_command(const struct Command *command) {
  for (size_t i = 0; i < sizeof kHoldingCommands / sizeof *kHoldingCommands;
       i++) {
    if (strcmp(kHoldingCommands[i].verb, command->words[0])) continue;
    struct Holding *holding =
        command->word_count > 1 ? find_holding(command->words[1]) : NULL;
    bool refused =
        !holding || (kHoldingCommands[i].needs_fd && holding->fd_count == 0);
    // What came along must not stay in the way of the next command.
    if (refused && !strcmp(command->words[0], "send")) {
      close(receive_fd(kControlFd));
    }
    if (!holding) {
      fail("this actor does not hold the buffer");
    } else if (kHoldingCommands[i].needs_fd && holding->fd_count == 0) {
      fail("this actor has no descriptor of the buffer");
    } else {
      kHoldingCommands[i].run(command, holding);
      actor_tidy();
    }
    return true;
  }
  return false;
}

static const struct {
  const char *verb;
  void (*run)(const struct Command *);
} kLabelCommands[] = {
    {"alloc", do_alloc},         {"receive-from", do_receive_from},
    {"keep-inbox", do_keep_inbox}, {"receive", do_receive},
    {"comm", do_comm},           {"uid", do_uid},
    {"reap", do_reap},
};

static bool run_label_command(const struct Command *command) {
  for (size_t i = 0; i < sizeof kLabelCommands / sizeof *kLabelCommands; i++) {
    if (strcmp(kLabelCommands[i].verb, command->words[0])) continue;
    if (command->word_count < 2) {
      fail("too few words");
    } else {
      kLabelCommands[i].run(command);
    }
    return true;
  }
  return false;
}

static void run_command(const struct Command *command) {
  const char *verb = command->words[0];
  if (run_holding_command(command) || run_label_command(command)) return;
  if (!strcmp(verb, "report")) {
    do_report();
  } else if (!strcmp(verb, "fork")) {
    do_fork();
  } else if (!strcmp(verb, "finish")) {
    do_finish();
  } else if (!strcmp(verb, "populate")) {
    do_populate(command);
  } else if (!strcmp(verb, "exec")) {
    do_exec();
  } else if (!strcmp(verb, "exit")) {
    do_exit(false);
  } else if (!strcmp(verb, "kill")) {
    do_exit(true);
  } else if (job_start(command)) {
    succeed("");
  } else {
    fail("unknown command");
  }
}

_Noreturn void actor_run(int control) {
  if (control != kControlFd) {
    dup2(control, kControlFd);
    close(control);
  }
  for (;;) {
    struct pollfd wait = {.fd = kControlFd, .events = POLLIN};
    int ready = poll(&wait, 1, job_timeout_ms());
    job_tick();
    if (ready <= 0) continue;
    char *line = read_line(kControlFd);
    struct Command command;
    // Without a server there is nobody to hold anything for.
    if (!line || !command_parse(&command, line) || !command.word_count) {
      _exit(1);
    }
    free(line);
    run_command(&command);
  }
}
