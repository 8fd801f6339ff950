// SPDX-License-Identifier: Apache-2.0
//
// su.c: the two ways in which a rooted Android device lets its shell become
// root. Setuid root in the guest when it was booted with lab.su:
//   su WHO COMMAND ARGS...   as on AOSP's userdebug builds (system/extras/su)
//   su -c COMMAND            as with Magisk and its like; a string for sh
// lab.su=aosp and lab.su=magisk leave only the one of them.
// As on AOSP, only root and the shell user (2000) may use it.
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHELL_UID = 2000 };

static _Noreturn void fail(const char *what) {
  fprintf(stderr, "su: %s: %s\n", what, strerror(errno));
  exit(1);
}

// Whether the guest was booted with this option.
static bool booted_with(const char *option) {
  char line[4096] = "";
  FILE *file = fopen("/proc/cmdline", "r");
  if (!file) return false;
  if (!fgets(line, sizeof line, file)) line[0] = '\0';
  fclose(file);
  for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
    if (!strcmp(word, option)) return true;
  }
  return false;
}

static uid_t parse_user(const char *who) {
  if (!strcmp(who, "root")) return 0;
  if (!strcmp(who, "shell")) return SHELL_UID;
  char *end;
  unsigned long uid = strtoul(who, &end, 10);
  if (*who == '\0' || *end != '\0') {
    fprintf(stderr, "su: invalid uid/gid '%s'\n", who);
    exit(1);
  }
  return (uid_t)uid;
}

static void become(uid_t uid) {
  if (setgroups(0, NULL)) fail("setgroups");
  if (setgid(uid)) fail("setgid");
  if (setuid(uid)) fail("setuid");
}

int main(int argc, char **argv) {
  uid_t caller = getuid();
  if (caller != 0 && caller != SHELL_UID) {
    fprintf(stderr, "su: uid %u not allowed to su\n", caller);
    return 1;
  }
  char *shell[] = {"/system/bin/sh", NULL};
  char **command = shell;
  uid_t uid = 0;
  if (argc > 1 && !strcmp(argv[1], "-c") && !booted_with("lab.su=aosp")) {
    if (argc < 3) {
      fprintf(stderr, "su: -c needs a command\n");
      return 2;
    }
    char *run[] = {"/system/bin/sh", "-c", argv[2], NULL};
    become(uid);
    execv(run[0], run);
    fail(run[0]);
  }
  if (argc > 1) {
    if (caller != 0 && booted_with("lab.su=magisk")) {
      fprintf(stderr, "su: only 'su' and 'su -c COMMAND'\n");
      return 1;
    }
    uid = parse_user(argv[1]);
    if (argc > 2) command = argv + 2;
  }
  become(uid);
  execvp(command[0], command);
  fail(command[0]);
}
