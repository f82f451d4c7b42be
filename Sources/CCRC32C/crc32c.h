// The CRC32C instruction of the processor, which Swift cannot name itself.
#ifndef SPINEKV_CRC32C_H
#define SPINEKV_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

typedef long long spinekv_v2di __attribute__((vector_size(16)));

// True with the CRC32 instruction (SSE 4.2) and carry-less multiplication (PCLMULQDQ).
static inline int spinekv_crc32c_available(void) {
  uint32_t eax = 1, ebx, ecx, edx;
  __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
  return ((ecx >> 20) & 1) && ((ecx >> 1) & 1);
}

#define SPINEKV_CRC32C_LANE 1024

static inline uint64_t spinekv_load64(const uint8_t *p) {
  uint64_t word;
  memcpy(&word, p, 8);
  return word;
}

// The register after as many zero bytes as `constant`, x^(8n - 33) reflected, stands for.
__attribute__((target("sse4.2,pclmul"))) static inline uint64_t spinekv_crc32c_shift(
    uint64_t crc, uint32_t constant) {
  spinekv_v2di product = __builtin_ia32_pclmulqdq128(
      (spinekv_v2di){(long long)crc, 0}, (spinekv_v2di){(long long)constant, 0}, 0);
  return __builtin_ia32_crc32di(0, (uint64_t)product[0]);
}

// Extends the raw (already inverted) register `crc` over `length` bytes.
//
// The instruction takes three cycles but can begin every cycle: long inputs go in three lanes side by
// side, whose registers are then put together.
__attribute__((target("sse4.2,pclmul"))) static inline uint32_t spinekv_crc32c_extend(
    uint32_t crc, const void *bytes, size_t length) {
  const uint8_t *p = (const uint8_t *)bytes;
  uint64_t c = crc;
  while (length >= 3 * SPINEKV_CRC32C_LANE) {
    uint64_t c1 = 0, c2 = 0;
    for (size_t i = 0; i < SPINEKV_CRC32C_LANE; i += 8) {
      c = __builtin_ia32_crc32di(c, spinekv_load64(p + i));
      c1 = __builtin_ia32_crc32di(c1, spinekv_load64(p + SPINEKV_CRC32C_LANE + i));
      c2 = __builtin_ia32_crc32di(c2, spinekv_load64(p + 2 * SPINEKV_CRC32C_LANE + i));
    }
    c = spinekv_crc32c_shift(c, 0xa51b6135u) ^ spinekv_crc32c_shift(c1, 0x170076fau) ^ c2;
    p += 3 * SPINEKV_CRC32C_LANE;
    length -= 3 * SPINEKV_CRC32C_LANE;
  }
  while (length >= 8) {
    c = __builtin_ia32_crc32di(c, spinekv_load64(p));
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
