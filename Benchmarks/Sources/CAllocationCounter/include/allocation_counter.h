#ifndef SPINEKV_ALLOCATION_COUNTER_H
#define SPINEKV_ALLOCATION_COUNTER_H

#include <stdint.h>

// The number of heap allocations the calling thread has made since it began.
uint64_t spinekv_thread_allocations(void);

#endif
