// The CRC32C instruction of the processor, which Swift cannot name itself.
#ifndef SPINEKV_CRC32C_H
#define SPINEKV_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

static inline int spinekv_crc32c_available(void) {
  uint32_t eax = 1, ebx, ecx, edx;
  __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
  return (ecx >> 20) & 1;
}

// Extends the raw (already inverted) register `crc` over `length` bytes.
__attribute__((target("sse4.2"))) static inline uint32_t spinekv_crc32c_extend(
    uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = (const uint8_t *)bytes;
  uint64_t c = crc;
  while (length >= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    c = __builtin_ia32_crc32di(c, word);
    p += 8;
    length -= 8;
  }
  uint32_t r = (uint32_t)c;
  while (length--) r = __builtin_ia32_crc32qi(r, *p++);
  return r;
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

static inline int spinekv_crc32c_available(void) { return 1; }

static inline uint32_t spinekv_crc32c_extend(uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = (const uint8_t *)bytes;
  while (length >= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    crc = __crc32cd(crc, word);
    p += 8;
    length -= 8;
  }
  while (length--) crc = __crc32cb(crc, *p++);
  return crc;
}

#else

static inline int spinekv_crc32c_available(void) { return 0; }

static inline uint32_t spinekv_crc32c_extend(uint32_t crc, const void *bytes, size_t length) {
  (void)bytes;
  (void)length;
  return crc;
}

#endif
#endif
