/* Bits of one 64-bit word. */
#ifndef EIGERWATCH_BITS_H
#define EIGERWATCH_BITS_H

#include <stdint.h>
#include <string.h>

/* Bit j of byte i becomes bit i of byte j: the 8 x 8 transpose, its own inverse, that
 * bitshuffle is made of. */
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

/* Number of bits set in x. */
static inline uint64_t count_bits(uint64_t x)
{
#if defined(__POPCNT__) || defined(__aarch64__)
    return (uint64_t)__builtin_popcountll(x);
#else
    x -= x >> 1 & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return x * UINT64_C(0x0101010101010101) >> 56;
#endif
}

/* Word i of an array of 64-bit words that may be of any type. */
static inline uint64_t load_word(const void *words, size_t i)
{
    uint64_t word;

    memcpy(&word, (const uint8_t *)words + sizeof(word) * i, sizeof(word));
    return word;
}

#endif
