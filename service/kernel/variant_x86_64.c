/* SSE2, which every x86-64 has. */
#if defined(__x86_64__)
#include "variant.h"

#include <immintrin.h>
#include <string.h>

typedef __m128i vec;

static inline vec vec_load(const uint8_t *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

static inline vec vec_fill(bool bit)
{
    return _mm_set1_epi32(-(int)bit);
}

static inline bool vec_any(vec v)
{
    return _mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128())) != 0xffff;
}

/* Bits set in each byte. */
static inline vec count_bytes(vec v)
{
    const __m128i ones = _mm_set1_epi8(0x55);
    const __m128i pairs = _mm_set1_epi8(0x33);
    const __m128i nibbles = _mm_set1_epi8(0x0f);

    v = _mm_sub_epi8(v, _mm_and_si128(_mm_srli_epi64(v, 1), ones));
    v = _mm_add_epi8(_mm_and_si128(v, pairs),
                     _mm_and_si128(_mm_srli_epi64(v, 2), pairs));
    return _mm_and_si128(_mm_add_epi8(v, _mm_srli_epi64(v, 4)), nibbles);
}

static inline vec vec_count(vec v)
{
    return _mm_sad_epu8(count_bytes(v), _mm_setzero_si128());
}

/* a + 2 b in each byte */
static inline vec add_twice(vec a, vec b)
{
    return _mm_add_epi8(a, _mm_add_epi8(b, b));
}

static inline vec vec_weigh(vec p0, vec p1, vec p2, vec p3)
{
    const vec low = add_twice(count_bytes(p0), count_bytes(p1));
    const vec high = add_twice(count_bytes(p2), count_bytes(p3));

    /* At most 8 * 15 in a byte. */
    return _mm_sad_epu8(add_twice(low, _mm_add_epi8(high, high)), _mm_setzero_si128());
}

static inline uint64_t vec_sum(vec v)
{
    return (uint64_t)_mm_cvtsi128_si64(_mm_add_epi64(v, _mm_unpackhi_epi64(v, v)));
}

#include "planes_template.h"
#include "values_template.h"

#if defined(__SSSE3__) /* where the whole build may use it */
#include "bytes16_x86.h"
#endif
#include "lz4_template.h"

const struct variant variant_x86_64 = {"x86-64", lz4_decode, reduce_planes, read_planes,
                                       add_values};
#endif
