// Preloaded into another process: counts the allocations of all its threads where the benchmark can read
// them. The file named by SPINEKV_ALLOCATIONS holds one number of 8 bytes. Not part of the benchmark's own
// program (see Package.swift).
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static uint64_t unread;
static uint64_t *total = &unread;

// Each thread tells of its allocations in lots, so that they do not fight for one cache line.
static __thread uint64_t lot __attribute__((tls_model("initial-exec")));

static void note(void) {
  if (++lot == 64) {
    __atomic_fetch_add(total, lot, __ATOMIC_RELAXED);
    lot = 0;
  }
}

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SPINEKV_ALLOCATIONS");
  int file = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
  if (file < 0 || ftruncate(file, sizeof *total) != 0) return;
  void *page = mmap(0, sizeof *total, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) total = page;
  close(file);
}

void *malloc(size_t size) {
  note();
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  note();
  return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
  note();
  return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
  note();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **result, size_t alignment, size_t size) {
  void *memory = memalign(alignment, size);
  if (!memory) return ENOMEM;
  *result = memory;
  return 0;
}
