/* 16 bytes and a choice among them, for lz4_template.h: SSSE3. */
#define BYTE_SHUFFLE

typedef __m128i bytes16;

static inline bytes16 bytes16_load(const uint8_t *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

static inline void bytes16_store(uint8_t *to, bytes16 v)
{
    _mm_storeu_si128((__m128i *)to, v);
}

static inline bytes16 bytes16_choose(bytes16 v, bytes16 places)
{
    return _mm_shuffle_epi8(v, places);
}
