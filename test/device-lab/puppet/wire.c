// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool command_parse(struct Command *command, const char *line) {
  memset(command, 0, sizeof *command);
  if (strlen(line) >= sizeof command->text) return false;
  strcpy(command->text, line);
  char *rest = command->text;
  for (char *word; (word = strsep(&rest, " \t\r"));) {
    if (*word == '\0') continue;
    if (command->word_count == kMaxWords || command->option_count == kMaxWords)
      return false;
    if (command->word_count > 0 && strchr(word, '=')) {
      command->options[command->option_count++] = word;
    } else {
      command->words[command->word_count++] = word;
    }
  }
  return true;
}

const char *command_option(const struct Command *command, const char *key,
                           const char *otherwise) {
  size_t length = strlen(key);
  for (int i = 0; i < command->option_count; i++) {
    const char *option = command->options[i];
    if (!strncmp(option, key, length) && option[length] == '=') {
      return option + length + 1;
    }
  }
  return otherwise;
}

uint64_t command_number(const struct Command *command, const char *key,
                        uint64_t otherwise) {
  const char *value = command_option(command, key, NULL);
  return value ? strtoull(value, NULL, 0) : otherwise;
}

bool decode_text(const char *text, char *bytes, size_t size) {
  if (strncmp(text, "hex:", 4)) {
    return (size_t)snprintf(bytes, size, "%s", text) < size;
  }
  text += 4;
  size_t length = strlen(text) / 2;
  if (strlen(text) % 2 || length >= size) return false;
  for (size_t i = 0; i < length; i++) {
    char digits[] = {text[2 * i], text[2 * i + 1], '\0'};
    char *end;
    bytes[i] = (char)strtoul(digits, &end, 16);
    if (*end != '\0') return false;
  }
  bytes[length] = '\0';
  return true;
}

bool write_all(int fd, const void *bytes, size_t length) {
  const char *rest = bytes;
  while (length > 0) {
    ssize_t written = write(fd, rest, length);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    rest += written;
    length -= (size_t)written;
  }
  return true;
}

bool send_fd(int socket, int fd) {
  char byte = 'f';
  struct iovec data = {&byte, 1};
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

int receive_fd(int socket) {
  char byte;
  struct iovec data = {&byte, 1};
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  ssize_t length;
  do {
    length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  if (!header) return -1;
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

// Looks at what has come, then takes only as much of it as belongs to the line:
// a descriptor may follow right behind.
char *read_line(int fd) {
  size_t length = 0, room = 256;
  char *line = malloc(room);
  while (line) {
    ssize_t seen = recv(fd, line + length, room - length - 1, MSG_PEEK);
    if (seen < 0 && errno == EINTR) continue;
    if (seen <= 0) break;
    char *newline = memchr(line + length, '\n', (size_t)seen);
    size_t wanted =
        newline ? (size_t)(newline - (line + length)) + 1 : (size_t)seen;
    ssize_t taken = recv(fd, line + length, wanted, 0);
    if (taken != (ssize_t)wanted) break;
    length += wanted;
    if (newline) {
      line[length - 1] = '\0';
      return line;
    }
    if (room - length < 2) {
      room *= 2;
      line = realloc(line, room);
    }
  }
  free(line);
  return NULL;
}
