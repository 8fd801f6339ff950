// SPDX-License-Identifier: Apache-2.0
//
// wire.h: commands as lines of words, and descriptors beside them, over Unix
// sockets.
#ifndef DEVICE_LAB_WIRE_H
#define DEVICE_LAB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { kMaxWords = 32, kMaxLine = 4096 };

// "alloc camera frame size=4096" : words[0] is the verb, what has a '=' is an
// option and stands apart from the words.
struct Command {
  char text[kMaxLine];
  int word_count;
  char *words[kMaxWords];
  int option_count;
  char *options[kMaxWords];
};

// Splits a line at blanks. False if it is too long or has too many words.
bool command_parse(struct Command *command, const char *line);
// The value of KEY=VALUE, or `otherwise`.
const char *command_option(const struct Command *command, const char *key,
                           const char *otherwise);
uint64_t command_number(const struct Command *command, const char *key,
                        uint64_t otherwise);

// "hex:6162" as bytes, any other text as it is. False if the digits are wrong
// or it does not fit.
bool decode_text(const char *text, char *bytes, size_t size);

bool write_all(int fd, const void *bytes, size_t length);

// Sends or receives one byte with a descriptor. receive_fd gives -1 at the end
// of the stream.
bool send_fd(int socket, int fd);
int receive_fd(int socket);

// Reads up to and without the newline, into memory that the caller frees. NULL
// at the end of the stream. Reads nothing beyond the newline.
char *read_line(int fd);

#endif
