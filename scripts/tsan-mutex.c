// Lets ThreadSanitizer see the contended path of Swift's Synchronization.Mutex; used by scripts/check.
//
// The fast path of Mutex is inlined and instrumented. The slow path runs in libswiftSynchronization,
// which is not, and the kernel passes the lock on (FUTEX_LOCK_PI), so ThreadSanitizer takes every
// access behind a contended Mutex for a race. Preloaded, this tells it where the lock was handed over.
// Nothing is suppressed: real races, behind a Mutex or not, are still reported.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef __attribute__((swiftcall)) void (*lock_function)(
    uint32_t, __attribute__((swift_context)) void *);
typedef __attribute__((swiftcall)) void (*unlock_function)(
    __attribute__((swift_context)) void *);

extern void __tsan_acquire(void *);
extern void __tsan_release(void *);

static void *original(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (!found) abort();
  return found;
}

__attribute__((swiftcall)) void lock_slow(
    uint32_t thread, __attribute__((swift_context)) void *handle) __asm__(LOCK);
__attribute__((swiftcall)) void lock_slow(
    uint32_t thread, __attribute__((swift_context)) void *handle) {
  static lock_function next;
  if (!next) next = (lock_function)original(LOCK);
  next(thread, handle);
  __tsan_acquire(handle);
}

__attribute__((swiftcall)) void unlock_slow(
    __attribute__((swift_context)) void *handle) __asm__(UNLOCK);
__attribute__((swiftcall)) void unlock_slow(__attribute__((swift_context)) void *handle) {
  static unlock_function next;
  if (!next) next = (unlock_function)original(UNLOCK);
  __tsan_release(handle);
  next(handle);
}
