// SPDX-License-Identifier: Apache-2.0
#ifndef DEVICE_LAB_SERVER_H
#define DEVICE_LAB_SERVER_H

// The abstract Unix socket the server listens on; returned connected or
// listening.
int server_connect(void);

// Obeys clients until it is killed; the actors end with it.
_Noreturn void server_run(void);

#endif
