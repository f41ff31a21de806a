/* From a payload to the pixels of its blocks, every length checked. */
#ifndef EIGERWATCH_BLOCKS_H
#define EIGERWATCH_BLOCKS_H

#include "variant.h"

/* What the pixels of an image go to, in their order. */
struct sink {
    /* Take the bit planes of 8 * plane_bytes pixels, the first of which is pixel
     * `first`. Planes from `distinct` on repeat the one below and are not written.
     * The planes are scratch memory with BLOCK_PADDING bytes behind them. */
    void (*take_planes)(void *context, uint8_t *planes, size_t plane_bytes,
                        unsigned distinct, size_t first);
    /* Take n pixels as they are; `first` is a multiple of 8. */
    void (*take_pixels)(void *context, const uint8_t *pixels, size_t n, size_t first);
    void *context;
};

/* Decode the image into the sink: bitshuffled blocks one at a time, while they are in
 * the L1 cache; LZ4 data may be cut anywhere, so that goes when it is complete. On
 * error, the sink has seen a part of the image. */
enum reduce_status read_blocks(const struct variant *variant, const struct image *image,
                               const struct sink *sink, uint8_t *scratch,
                               size_t scratch_size, struct reduce_fault *fault);

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

#endif
