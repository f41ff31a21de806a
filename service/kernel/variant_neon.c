/* Advanced SIMD, which every AArch64 has. */
#if defined(__aarch64__)
#include "variant.h"

#include <arm_neon.h>
#include <string.h>

typedef uint64x2_t vec;

static inline vec vec_load(const uint8_t *from)
{
    return vreinterpretq_u64_u8(vld1q_u8(from));
}

static inline vec vec_fill(bool bit)
{
    return vdupq_n_u64(bit ? UINT64_MAX : 0);
}

static inline bool vec_any(vec v)
{
    return vmaxvq_u32(vreinterpretq_u32_u64(v)) != 0;
}

/* Bits set in each byte. */
static inline uint8x16_t count_bytes(vec v)
{
    return vcntq_u8(vreinterpretq_u8_u64(v));
}

static inline vec sum_bytes(uint8x16_t bytes)
{
    return vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(bytes)));
}

static inline vec vec_count(vec v)
{
    return sum_bytes(count_bytes(v));
}

static inline vec vec_weigh(vec p0, vec p1, vec p2, vec p3)
{
    /* At most 8 * 15 in a byte. */
    const uint8x16_t low = vaddq_u8(count_bytes(p0), vshlq_n_u8(count_bytes(p1), 1));
    const uint8x16_t high = vaddq_u8(count_bytes(p2), vshlq_n_u8(count_bytes(p3), 1));

    return sum_bytes(vaddq_u8(low, vshlq_n_u8(high, 2)));
}

static inline uint64_t vec_sum(vec v)
{
    return vaddvq_u64(v);
}

#include "planes_template.h"
#include "values_template.h"

#define BYTE_SHUFFLE

typedef uint8x16_t bytes16;

static inline bytes16 bytes16_load(const uint8_t *from)
{
    return vld1q_u8(from);
}

static inline void bytes16_store(uint8_t *to, bytes16 v)
{
    vst1q_u8(to, v);
}

static inline bytes16 bytes16_choose(bytes16 v, bytes16 places)
{
    return vqtbl1q_u8(v, places);
}

#include "lz4_template.h"

const struct variant variant_neon = {"neon", lz4_decode, reduce_planes, read_planes,
                                     add_values};
#endif
