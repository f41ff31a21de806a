/* AVX-512 with VBMI and VPOPCNTDQ: Ice Lake and Zen 4 onwards. */
#if defined(__AVX512VBMI__) && defined(__AVX512VPOPCNTDQ__) && defined(__AVX512VL__)
#include "variant.h"

#include <immintrin.h>
#include <string.h>

typedef __m512i vec;

static inline vec vec_load(const uint8_t *from)
{
    return _mm512_loadu_si512(from);
}

static inline vec vec_fill(bool bit)
{
    return _mm512_set1_epi32(-(int)bit);
}

static inline bool vec_any(vec v)
{
    return _mm512_test_epi64_mask(v, v) != 0;
}

static inline vec vec_count(vec v)
{
    return _mm512_popcnt_epi64(v);
}

static inline vec vec_weigh(vec p0, vec p1, vec p2, vec p3)
{
    const vec low = vec_count(p0) + (vec_count(p1) << 1);
    const vec high = vec_count(p2) + (vec_count(p3) << 1);

    return low + (high << 2);
}

static inline uint64_t vec_sum(vec v)
{
    return (uint64_t)_mm512_reduce_add_epi64(v);
}

#include "planes_template.h"
#include "values_template.h"

#include "bytes16_x86.h"
#include "lz4_template.h"

const struct variant variant_avx512 = {"avx512", lz4_decode, reduce_planes, read_planes,
                                       add_values};
#endif
