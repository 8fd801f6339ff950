// SPDX-License-Identifier: Apache-2.0
//
// scanner.c: the fastest way we know of to read who holds which dma-buf from
// /proc: a static native program. The benches hold the project's collector,
// which has only a shell and toybox to work with, against it.
//
// usage: scanner [fd] [stat] [fdinfo] [maps]      (default: fdinfo maps)
//   fd       a line "PID FD NAME" for each dma-buf descriptor, from its link
//   stat     the same with inode and size: "PID FD INODE SIZE NAME"
//   fdinfo   "== PID FD" and the text of its fdinfo
//   maps     "M PID LINE" for each mapping of a dma-buf
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char kLinkPrefix[] = "/dmabuf:";

enum FdMode { kNoFds, kLinks, kStat, kFdinfo };

static bool is_number(const char *text) {
  if (*text == '\0') return false;
  for (; *text; text++) {
    if (!isdigit((unsigned char)*text)) return false;
  }
  return true;
}

static void print_fdinfo(int proc, const char *pid, const char *fd) {
  char path[600];
  char text[8192];
  snprintf(path, sizeof path, "%s/fdinfo/%s", pid, fd);
  int file = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ssize_t length = read(file, text, sizeof text);
  close(file);
  if (length <= 0) return;
  printf("== %s %s\n", pid, fd);
  fwrite(text, 1, (size_t)length, stdout);
}

static void print_stat(int fds, const char *pid, const char *fd,
                       const char *name) {
  struct stat status;
  if (fstatat(fds, fd, &status, 0)) return;
  printf("%s %s %lu %lld %s\n", pid, fd, status.st_ino,
         (long long)status.st_size, name);
}

static void scan_fd(int proc, int fds, const char *pid, const char *fd,
                    enum FdMode mode) {
  char target[256];
  const size_t prefix = sizeof kLinkPrefix - 1;
  ssize_t length = readlinkat(fds, fd, target, sizeof target - 1);
  if (length < (ssize_t)prefix || memcmp(target, kLinkPrefix, prefix)) return;
  target[length] = '\0';
  if (mode == kFdinfo) {
    print_fdinfo(proc, pid, fd);
  } else if (mode == kStat) {
    print_stat(fds, pid, fd, target + prefix);
  } else {
    printf("%s %s %s\n", pid, fd, target + prefix);
  }
}

static void scan_fds(int proc, const char *pid, enum FdMode mode) {
  char path[300];
  snprintf(path, sizeof path, "%s/fd", pid);
  int fds = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fds < 0) return;
  DIR *directory = fdopendir(fds);
  struct dirent *entry;
  while ((entry = readdir(directory))) {
    if (is_number(entry->d_name)) {
      scan_fd(proc, fds, pid, entry->d_name, mode);
    }
  }
  closedir(directory);
}

static void scan_maps(int proc, const char *pid) {
  static char buffer[1 << 16];
  char path[300];
  char line[8192];
  snprintf(path, sizeof path, "%s/maps", pid);
  int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  FILE *file = fdopen(fd, "r");
  setvbuf(file, buffer, _IOFBF, sizeof buffer);
  while (fgets(line, sizeof line, file)) {
    if (strstr(line, " /dmabuf:")) printf("M %s %s", pid, line);
  }
  fclose(file);
}

int main(int argc, char **argv) {
  static char buffer[1 << 16];
  enum FdMode mode = argc > 1 ? kNoFds : kFdinfo;
  bool maps = argc <= 1;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "fd")) mode = kLinks;
    if (!strcmp(argv[i], "stat")) mode = kStat;
    if (!strcmp(argv[i], "fdinfo")) mode = kFdinfo;
    if (!strcmp(argv[i], "maps")) maps = true;
  }
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  DIR *processes = opendir("/proc");
  if (!processes) {
    perror("scanner: /proc");
    return 1;
  }
  int proc = dirfd(processes);
  struct dirent *entry;
  while ((entry = readdir(processes))) {
    if (!is_number(entry->d_name)) continue;
    if (mode != kNoFds) scan_fds(proc, entry->d_name, mode);
    if (maps) scan_maps(proc, entry->d_name);
  }
  closedir(processes);
  return 0;
}
