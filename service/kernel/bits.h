/* The 8 x 8 bit transpose, its own inverse, that bitshuffle is made of. */
#ifndef EIGERWATCH_BITS_H
#define EIGERWATCH_BITS_H

#include <stdint.h>

/* Bit j of byte i becomes bit i of byte j. */
static inline uint64_t transpose_bits(uint64_t x)
{
    uint64_t t;

    t = (x ^ (x >> 7)) & UINT64_C(0x00AA00AA00AA00AA);
    x = x ^ t ^ (t << 7);
    t = (x ^ (x >> 14)) & UINT64_C(0x0000CCCC0000CCCC);
    x = x ^ t ^ (t << 14);
    t = (x ^ (x >> 28)) & UINT64_C(0x00000000F0F0F0F0);
    return x ^ t ^ (t << 28);
}

#endif
