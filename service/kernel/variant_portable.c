/* Plain C11: any CPU. */
#include "variant.h"

#include <string.h>

typedef uint64_t vec;

static inline vec vec_load(const uint8_t *from)
{
    vec v;

    memcpy(&v, from, sizeof(v));
    return v;
}

static inline vec vec_fill(bool bit)
{
    return bit ? UINT64_MAX : 0;
}

static inline bool vec_any(vec v)
{
    return v != 0;
}

static inline vec vec_count(vec v)
{
    v -= v >> 1 & UINT64_C(0x5555555555555555);
    v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
    v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return v * UINT64_C(0x0101010101010101) >> 56;
}

static inline uint64_t vec_sum(vec v)
{
    return v;
}

#include "planes_template.h"

#include "lz4_template.h"

const struct variant variant_portable = {"portable", lz4_decode, reduce_planes};
