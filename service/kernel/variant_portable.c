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

/* Bits set in each byte. */
static inline vec count_bytes(vec v)
{
    v -= v >> 1 & UINT64_C(0x5555555555555555);
    v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
    return (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
}

static inline vec vec_count(vec v)
{
    return count_bytes(v) * UINT64_C(0x0101010101010101) >> 56;
}

static inline vec vec_weigh(vec p0, vec p1, vec p2, vec p3)
{
    /* At most 8 * 15 in a byte, and so twice that in two bytes. */
    const vec bytes = count_bytes(p0) + 2 * count_bytes(p1) + 4 * count_bytes(p2) +
                      8 * count_bytes(p3);
    const vec halves = (bytes & UINT64_C(0x00ff00ff00ff00ff)) +
                       (bytes >> 8 & UINT64_C(0x00ff00ff00ff00ff));

    return halves * UINT64_C(0x0001000100010001) >> 48;
}

static inline uint64_t vec_sum(vec v)
{
    return v;
}

#include "planes_template.h"
#include "values_template.h"

#include "lz4_template.h"

const struct variant variant_portable = {"portable", lz4_decode, reduce_planes,
                                         read_planes, add_values};
