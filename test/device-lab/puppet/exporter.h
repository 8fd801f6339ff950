// SPDX-License-Identifier: Apache-2.0
//
// exporter.h: the kernel's ways to make a dma-buf that a plain Debian kernel
// offers to userspace, and to import one into a driver.
#ifndef DEVICE_LAB_EXPORTER_H
#define DEVICE_LAB_EXPORTER_H

#include <stddef.h>
#include <stdint.h>

struct Export {
  int fd;
  const char *exporter;  // as the kernel will print it
};

// Allocates from `system` (dma-heap), `udmabuf`, `vgem`, or with `auto` from
// the first of these that the kernel has. The size is rounded up to pages.
// Returns fd -1 with errno set if it cannot; ENODEV if the kernel has no such
// exporter.
// The descriptor is opened with `access` (O_RDONLY, O_WRONLY, O_RDWR); udmabuf
// gives O_RDWR always.
struct Export export_buffer(const char *exporter, size_t size_bytes,
                            int access);

// DMA_BUF_SET_NAME_B; -1 with errno (EINVAL: over 31 bytes).
int set_buffer_name(int fd, const char *name);

// Imports a dma-buf into this process's vgem device file. Returns the GEM
// handle, or 0 with errno set.
uint32_t import_buffer(int fd);
int drop_import(uint32_t handle);

// Lets go of a vgem device file that came with fork: its handles stay with the
// parent.
void forget_imports(void);

#endif
