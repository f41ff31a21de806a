/* AVX2 with BMI and POPCNT: x86-64-v3, Haswell and Zen onwards. */
#if defined(__AVX2__)
#include "variant.h"

#include <immintrin.h>
#include <string.h>

typedef __m256i vec;

static inline vec vec_load(const uint8_t *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

static inline vec vec_fill(bool bit)
{
    return _mm256_set1_epi32(-(int)bit);
}

static inline bool vec_any(vec v)
{
    return !_mm256_testz_si256(v, v);
}

/* Bits set in each byte. */
static inline vec count_bytes(vec v)
{
    const __m256i bits_of =
        _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1,
                         2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    const __m256i low = _mm256_and_si256(v, nibble);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi64(v, 4), nibble);

    return _mm256_add_epi8(_mm256_shuffle_epi8(bits_of, low),
                           _mm256_shuffle_epi8(bits_of, high));
}

static inline vec vec_count(vec v)
{
    return _mm256_sad_epu8(count_bytes(v), _mm256_setzero_si256());
}

/* a + 2 b in each byte */
static inline vec add_twice(vec a, vec b)
{
    return _mm256_add_epi8(a, _mm256_add_epi8(b, b));
}

static inline vec vec_weigh(vec p0, vec p1, vec p2, vec p3)
{
    const vec low = add_twice(count_bytes(p0), count_bytes(p1));
    const vec high = add_twice(count_bytes(p2), count_bytes(p3));

    /* At most 8 * 15 in a byte. */
    return _mm256_sad_epu8(add_twice(low, _mm256_add_epi8(high, high)),
                           _mm256_setzero_si256());
}

static inline uint64_t vec_sum(vec v)
{
    const __m128i half =
        _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

    return (uint64_t)_mm_cvtsi128_si64(
        _mm_add_epi64(half, _mm_unpackhi_epi64(half, half)));
}

#include "planes_template.h"
#include "values_template.h"

#include "bytes16_x86.h"
#include "lz4_template.h"

const struct variant variant_avx2 = {"avx2", lz4_decode, reduce_planes, read_planes,
                                     add_values};
#endif
