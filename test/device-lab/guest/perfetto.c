// SPDX-License-Identifier: Apache-2.0
//
// perfetto.c: a STAND-IN for Android's `perfetto`, for guests that have none. It
// has the real one's command line (of which it knows the part that records) and
// manners: the configuration is read to the end of stdin, a field it does not
// know is refused as the real parser does, the output is opened before anything
// is recorded, SIGINT and SIGTERM have it write out what it has and end with 0,
// SIGHUP kills it. There is no tracing service behind it: it records itself, by
// reading /proc.
//
// What it writes is a small system trace of this very kernel: clock snapshots,
// the processes, and their RSS twice a second, in the wire format of
// protos/perfetto/trace/trace_packet.proto. Its --version, and the
// tracing_service_version in its traces, say that it is a stand-in.
//
// A comment in the configuration asks for trouble:
//   # stand-in: deaf        does not hear SIGINT and SIGTERM
//   # stand-in: refused     the service refuses the session
//   # stand-in: pad BYTES   the trace is larger by so much

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define VERSION "Perfetto v56.0 (stand-in of the device lab, not Perfetto)"

static volatile sig_atomic_t stopped;

static void on_signal(int number) {
  (void)number;
  stopped = 1;
}

static uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  va_list arguments;
  fprintf(stderr, "[%03u.000]    stand_in.c:1 ",
          (unsigned)(clock_ns(CLOCK_BOOTTIME) / 1000000000u % 1000));
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
}

// ---- the configuration ------------------------------------------------------

static const char *const FIELDS[] = {
    "buffers",        "data_sources",         "duration_ms",
    "write_into_file", "file_write_period_ms", "flush_period_ms",
    "max_file_size_bytes", "unique_session_name", NULL,
};

static int is_field(const char *name, size_t length) {
  for (int i = 0; FIELDS[i]; i++) {
    if (strlen(FIELDS[i]) == length && !memcmp(FIELDS[i], name, length)) {
      return 1;
    }
  }
  return 0;
}

// Looks at the names of the outermost fields and at the braces.
static int check_config(const char *config) {
  int depth = 0, line = 1, is_value = 0;
  const char *line_start = config;
  for (const char *at = config; *at; at++) {
    if (*at == '\n') {
      line++;
      line_start = at + 1;
      is_value = 0;
    } else if (*at == '#') {
      at += strcspn(at, "\n") - 1;
    } else if (*at == '"') {
      at += 1 + strcspn(at + 1, "\"\n");
      if (*at != '"') return say("-:%d: error: unterminated string", line), 1;
    } else if (*at == '{') {
      depth++;
    } else if (*at == '}') {
      depth--;
      is_value = 0;
      if (depth < 0) return say("-:%d: error: Unmatched }", line), 1;
    } else if (*at == ':') {
      is_value = 1;
    } else if (isalpha((unsigned char)*at) || *at == '_') {
      size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
      if (depth == 0 && !is_value && !is_field(at, length)) {
        fprintf(stderr,
                "-:%d:%d error: No field named \"%.*s\" in proto TraceConfig\n",
                line, (int)(at - line_start) + 1, (int)length, at);
        return 1;
      }
      at += length - 1;
    }
  }
  if (depth != 0) return say("-:%d: error: Nested message not closed", line), 1;
  return 0;
}

static unsigned long number_after(const char *config, const char *words) {
  const char *found = strstr(config, words);
  return found ? strtoul(found + strlen(words), NULL, 10) : 0;
}

static char *read_all(FILE *in) {
  size_t size = 0, room = 1 << 16;
  char *text = malloc(room);
  for (size_t n; text && (n = fread(text + size, 1, room - size - 1, in));) {
    size += n;
    if (size + 1 == room) text = realloc(text, room *= 2);
  }
  if (!text) abort();
  text[size] = 0;
  return text;
}

// ---- the wire format --------------------------------------------------------

struct buffer {
  unsigned char *bytes;
  size_t size, room;
};

static void add(struct buffer *to, const void *bytes, size_t size) {
  if (to->size + size > to->room) {
    to->room = (to->size + size) * 2;
    to->bytes = realloc(to->bytes, to->room);
    if (!to->bytes) abort();
  }
  memcpy(to->bytes + to->size, bytes, size);
  to->size += size;
}

static void add_varint(struct buffer *to, uint64_t value) {
  do {
    unsigned char byte = (value & 0x7f) | (value > 0x7f ? 0x80 : 0);
    add(to, &byte, 1);
    value >>= 7;
  } while (value);
}

static void add_number(struct buffer *to, int field, uint64_t value) {
  add_varint(to, (uint64_t)field << 3);
  add_varint(to, value);
}

static void add_bytes(struct buffer *to, int field, const void *bytes,
                      size_t size) {
  add_varint(to, (uint64_t)field << 3 | 2);
  add_varint(to, size);
  add(to, bytes, size);
}

static void add_text(struct buffer *to, int field, const char *text) {
  add_bytes(to, field, text, strlen(text));
}

// Adds a nested message, and forgets what was in it.
static void add_message(struct buffer *to, int field, struct buffer *message) {
  add_bytes(to, field, message->bytes, message->size);
  message->size = 0;
}

// ---- what is recorded -------------------------------------------------------

static int out = -1;

static void write_all(const struct buffer *from) {
  for (size_t done = 0; done < from->size;) {
    ssize_t n = write(out, from->bytes + done, from->size - done);
    if (n < 0 && errno != EINTR) {
      say("Failed to write packets");
      exit(1);
    }
    if (n > 0) done += (size_t)n;
  }
}

// Ends a packet: the sequence of the service, and into the file with it.
static void write_packet(struct buffer *packet) {
  static struct buffer framed;
  add_number(packet, 3, getuid());
  add_number(packet, 10, 1);
  add_message(&framed, 1, packet);
  write_all(&framed);
  framed.size = 0;
}

static void write_clocks(void) {
  static const struct {
    int id;
    clockid_t clock;
  } CLOCKS[] = {{6, CLOCK_BOOTTIME},
                {2, CLOCK_REALTIME_COARSE},
                {4, CLOCK_MONOTONIC_COARSE},
                {1, CLOCK_REALTIME},
                {3, CLOCK_MONOTONIC},
                {5, CLOCK_MONOTONIC_RAW}};
  static struct buffer clock, snapshot, packet;
  for (size_t i = 0; i < sizeof CLOCKS / sizeof *CLOCKS; i++) {
    add_number(&clock, 1, (uint64_t)CLOCKS[i].id);
    add_number(&clock, 2, clock_ns(CLOCKS[i].clock));
    add_message(&snapshot, 1, &clock);
  }
  add_number(&snapshot, 2, 6);
  add_message(&packet, 6, &snapshot);
  write_packet(&packet);
}

static void write_system_info(void) {
  static struct buffer name, info, packet;
  struct utsname host;
  uname(&host);
  add_text(&name, 1, host.sysname);
  add_text(&name, 2, host.version);
  add_text(&name, 3, host.release);
  add_text(&name, 4, host.machine);
  add_message(&info, 1, &name);
  add_text(&info, 4, VERSION);
  add_message(&packet, 45, &info);
  write_packet(&packet);
}

static int read_proc(const char *pid, const char *file, char *text, int room) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%.20s/%s", pid, file);
  int in = open(path, O_RDONLY | O_CLOEXEC);
  if (in < 0) return -1;
  ssize_t n = read(in, text, (size_t)room - 1);
  close(in);
  if (n < 0) return -1;
  text[n] = 0;
  return (int)n;
}

static unsigned long status_of(const char *status, const char *name) {
  const char *found = strstr(status, name);
  return found ? strtoul(found + strlen(name), NULL, 10) : 0;
}

// All processes: who they are, or how large they are.
static void write_processes(int is_tree) {
  static struct buffer process, all, packet;
  static char status[8192], cmdline[4096];
  DIR *folder = opendir("/proc");
  if (!folder) return;
  add_number(&packet, 8, clock_ns(CLOCK_BOOTTIME));
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (!isdigit((unsigned char)*entry->d_name)) continue;
    if (read_proc(entry->d_name, "status", status, sizeof status) < 0) continue;
    unsigned long pid = strtoul(entry->d_name, NULL, 10);
    add_number(&process, 1, pid);
    if (is_tree) {
      add_number(&process, 2, status_of(status, "\nPPid:"));
      int n = read_proc(entry->d_name, "cmdline", cmdline, sizeof cmdline);
      for (int at = 0; at < n; at += (int)strlen(cmdline + at) + 1) {
        add_text(&process, 3, cmdline + at);
      }
      if (n <= 0) {
        char *name = status + strcspn(status, "\t") + 1;
        name[strcspn(name, "\n")] = 0;
        add_text(&process, 3, name);
      }
    } else {
      add_number(&process, 3, status_of(status, "\nVmRSS:"));
    }
    add_message(&all, 1, &process);
  }
  closedir(folder);
  add_message(&packet, is_tree ? 2 : 9, &all);
  write_packet(&packet);
}

// Packets of a field that no reader knows.
static void write_padding(size_t size) {
  static struct buffer packet;
  static unsigned char zeros[1 << 16];
  for (size_t done = 0; done < size; done += sizeof zeros) {
    add_bytes(&packet, 536870911, zeros, sizeof zeros);
    write_packet(&packet);
  }
}

static void record(const char *config) {
  unsigned long limit_ms = number_after(config, "duration_ms:");
  uint64_t start = clock_ns(CLOCK_BOOTTIME);
  write_clocks();
  write_system_info();
  write_processes(1);
  write_padding(number_after(config, "# stand-in: pad"));
  while (!stopped) {
    write_processes(0);
    for (int i = 0; i < 10 && !stopped; i++) usleep(50000);
    uint64_t ms = (clock_ns(CLOCK_BOOTTIME) - start) / 1000000;
    if (limit_ms && ms >= limit_ms) break;
  }
  if (stopped) say("SIGINT/SIGTERM received: disabling tracing.");
  write_processes(0);
  write_clocks();
}

int main(int argc, char **argv) {
  enum { TXT = 1000, NOTIFY, PRINT_VERSION };
  static const struct option OPTIONS[] = {
      {"help", no_argument, NULL, 'h'},
      {"config", required_argument, NULL, 'c'},
      {"out", required_argument, NULL, 'o'},
      {"txt", no_argument, NULL, TXT},
      {"notify-fd", required_argument, NULL, NOTIFY},
      {"version", no_argument, NULL, PRINT_VERSION},
      {NULL, 0, NULL, 0}};
  const char *path = NULL;
  char *config = NULL;
  int is_text = 0, notify = -1;
  umask(0);
  for (int option;
       (option = getopt_long(argc, argv, "hc:o:", OPTIONS, NULL)) != -1;) {
    switch (option) {
      case 'c':
        config = strcmp(optarg, "-") ? NULL : read_all(stdin);
        break;
      case 'o':
        path = optarg;
        break;
      case TXT:
        is_text = 1;
        break;
      case NOTIFY:
        notify = atoi(optarg);
        break;
      case PRINT_VERSION:
        puts(VERSION);
        return 0;
      default:
        fprintf(stderr,
                "Usage: perfetto (stand-in of the device lab, not Perfetto)\n"
                "  --notify-fd FD\n  --config -c -\n  --out -o FILE\n"
                "  --txt\n  --version\n");
        return 1;
    }
  }
  if (!config || !is_text || check_config(config)) {
    say("The trace config is invalid, bailing out.");
    return 1;
  }
  if (!path) {
    say("Either --out or --upload is required");
    return 1;
  }
  out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0) {
    say("Failed to open %s. (errno: %d, %s)", path, errno, strerror(errno));
    return 1;
  }
  say("Connected to the Perfetto traced service, starting tracing");
  if (strstr(config, "# stand-in: refused")) {
    say("Service error: refused, as the configuration asks");
    remove(path);
    return 0;
  }
  struct sigaction action = {.sa_handler = on_signal};
  if (strstr(config, "# stand-in: deaf")) action.sa_handler = SIG_IGN;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  if (notify >= 0) {
    if (write(notify, "", 1) < 0) say("nobody to notify");
    close(notify);
  }
  record(config);
  say("Trace written into the output file");
  return 0;
}
