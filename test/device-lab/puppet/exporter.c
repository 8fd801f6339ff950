// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "exporter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kPage = 4096 };

// From include/uapi/drm/drm.h and drm_mode.h, which Debian keeps in libdrm.
struct DrmVersion {
  int major, minor, patch;
  size_t name_length;
  char *name;
  size_t date_length;
  char *date;
  size_t description_length;
  char *description;
};
struct DrmCreateDumb {
  uint32_t height, width, bits_per_pixel, flags, handle, pitch;
  uint64_t size;
};
struct DrmPrimeHandle {
  uint32_t handle, flags;
  int32_t fd;
};
struct DrmGemClose {
  uint32_t handle, padding;
};
#define kDrmVersion _IOWR('d', 0x00, struct DrmVersion)
#define kDrmGemClose _IOW('d', 0x09, struct DrmGemClose)
#define kDrmPrimeHandleToFd _IOWR('d', 0x2d, struct DrmPrimeHandle)
#define kDrmPrimeFdToHandle _IOWR('d', 0x2e, struct DrmPrimeHandle)
#define kDrmCreateDumb _IOWR('d', 0xb2, struct DrmCreateDumb)

static int vgem_file = -1;

// Closes without losing the errno of what went before.
static void close_quietly(int fd) {
  int error = errno;
  close(fd);
  errno = error;
}

static int is_vgem(int fd) {
  char name[16] = "";
  struct DrmVersion version = {.name = name, .name_length = sizeof name - 1};
  return !ioctl(fd, kDrmVersion, &version) && !strcmp(name, "vgem");
}

static int open_vgem(void) {
  for (int i = 0; i < 8; i++) {
    char path[32];
    snprintf(path, sizeof path, "/dev/dri/card%d", i);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) continue;
    if (is_vgem(fd)) return fd;
    close(fd);
  }
  errno = ENODEV;
  return -1;
}

// One device file for all of a process's GEM handles.
static int vgem(void) {
  if (vgem_file < 0) vgem_file = open_vgem();
  return vgem_file;
}

static int open_device(const char *path) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) errno = ENODEV;
  return fd;
}

static int export_from_heap(const char *heap, size_t size_bytes, int access) {
  char path[64];
  snprintf(path, sizeof path, "/dev/dma_heap/%s", heap);
  int device = open_device(path);
  if (device < 0) return -1;
  struct dma_heap_allocation_data data = {
      .len = size_bytes, .fd_flags = (uint32_t)access | O_CLOEXEC};
  int failed = ioctl(device, DMA_HEAP_IOCTL_ALLOC, &data);
  close_quietly(device);
  return failed ? -1 : (int)data.fd;
}

static int export_from_udmabuf(size_t size_bytes) {
  int device = open_device("/dev/udmabuf");
  if (device < 0) return -1;
  int fd = -1;
  int memory =
      memfd_create("puppet-udmabuf", MFD_ALLOW_SEALING | MFD_CLOEXEC);
  if (memory >= 0 && !ftruncate(memory, (off_t)size_bytes) &&
      !fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK)) {
    struct udmabuf_create create = {.memfd = (uint32_t)memory,
                                    .flags = UDMABUF_FLAGS_CLOEXEC,
                                    .size = size_bytes};
    fd = ioctl(device, UDMABUF_CREATE, &create);
  }
  if (memory >= 0) close_quietly(memory);
  close_quietly(device);
  return fd;
}

int drop_import(uint32_t handle) {
  struct DrmGemClose close_handle = {.handle = handle};
  return ioctl(vgem(), kDrmGemClose, &close_handle);
}

// A dumb framebuffer 1024 pixels wide, a page for each line of it. Its GEM
// handle is closed again, so that only the descriptor holds the buffer.
static int export_from_vgem(size_t size_bytes, int access) {
  if (vgem() < 0) return -1;
  struct DrmCreateDumb dumb = {.height = (uint32_t)(size_bytes / kPage),
                               .width = 1024,
                               .bits_per_pixel = 32};
  if (ioctl(vgem(), kDrmCreateDumb, &dumb)) return -1;
  struct DrmPrimeHandle prime = {.handle = dumb.handle,
                                 .flags = (uint32_t)access | O_CLOEXEC};
  int failed = ioctl(vgem(), kDrmPrimeHandleToFd, &prime);
  int error = errno;
  drop_import(dumb.handle);
  errno = error;
  return failed ? -1 : prime.fd;
}

struct Export export_buffer(const char *exporter, size_t size_bytes,
                            int access) {
  size_bytes = (size_bytes + kPage - 1) / kPage * kPage;
  if (!strcmp(exporter, "system")) {
    return (struct Export){export_from_heap("system", size_bytes, access),
                           "system"};
  }
  if (!strcmp(exporter, "udmabuf")) {
    return (struct Export){export_from_udmabuf(size_bytes), "udmabuf"};
  }
  if (!strcmp(exporter, "vgem")) {
    // The kernel names the exporter after drm_prime's module, not the driver's.
    return (struct Export){export_from_vgem(size_bytes, access), "drm"};
  }
  if (!strcmp(exporter, "auto")) {
    static const char *const kOrder[] = {"system", "udmabuf", "vgem"};
    struct Export result = {-1, ""};
    for (size_t i = 0; i < 3; i++) {
      result = export_buffer(kOrder[i], size_bytes, access);
      if (result.fd >= 0 || errno != ENODEV) return result;
    }
    return result;
  }
  errno = ENODEV;
  return (struct Export){-1, ""};
}

int set_buffer_name(int fd, const char *name) {
  return ioctl(fd, DMA_BUF_SET_NAME_B, name);
}

uint32_t import_buffer(int fd) {
  if (vgem() < 0) return 0;
  struct DrmPrimeHandle prime = {.fd = fd};
  return ioctl(vgem(), kDrmPrimeFdToHandle, &prime) ? 0 : prime.handle;
}

void forget_imports(void) {
  if (vgem_file >= 0) close(vgem_file);
  vgem_file = -1;
}
