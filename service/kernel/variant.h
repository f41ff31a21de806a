/* The code that exists once per instruction set.
 *
 * A variant is a few functions that know nothing of each other: an entropy decoder,
 * which fills a block, and readers of the bit planes of a block. Another entropy coder
 * is another member here, or decodes elsewhere (ENCODING_PLANES), and leaves the
 * readers alone.
 */
#ifndef EIGERWATCH_VARIANT_H
#define EIGERWATCH_VARIANT_H

#include "reduce.h"

#include <stdbool.h>

/* Decoders may write, and readers of planes read, this many bytes beyond a block. */
#define BLOCK_PADDING ((size_t)128)

/* A reader of planes is given at most this many bytes of each plane at once. */
#define SLICE_BYTES ((size_t)512)
#define SLICE_PIXELS (8 * SLICE_BYTES)

/* Running sums of one image. */
struct tally {
    uint64_t total;
    uint64_t below;
    uint64_t above;
    uint64_t sentinel;
    uint64_t used; /* pixels that are not masked */
    uint32_t max_kept;
    size_t edges; /* passed so far */
};

static inline uint32_t tally_kept(const struct tally *tally)
{
    return (uint32_t)(tally->used - tally->sentinel - tally->below - tally->above);
}

/* Sum and number of kept pixels, and the number of sentinels, of a region or from the
 * first pixel up to some place. In modulo arithmetic: what a region has too little
 * when it is entered, it gets back when it is left. */
struct passed {
    uint64_t total;
    uint64_t pixels; /* kept + 2^32 sentinels */
};

static inline struct passed passed_by(const struct tally *tally)
{
    return (struct passed){tally->total, tally_kept(tally) + (tally->sentinel << 32)};
}

/* Enter or leave a region. */
static inline void pass_edge(const struct edge *edge, struct passed passed,
                             struct passed *regions)
{
    struct passed *const region = &regions[edge->region];
    const uint64_t minus = -(uint64_t)edge->enters;

    region->total += (passed.total ^ minus) - minus;
    region->pixels += (passed.pixels ^ minus) - minus;
}

/* The same pixels of every plane of a block. */
struct slice {
    const uint8_t *planes; /* first byte of the slice in plane 0 */
    size_t stride;         /* from plane to plane [bytes] */
    unsigned distinct;     /* planes there are; those above repeat the last, 1 ... n */
    size_t pixels;         /* 1 ... SLICE_PIXELS */
    size_t first;          /* pixel of the image, a multiple of 8 */
};

/* Bytes of the slice in each plane. */
static inline size_t slice_bytes(const struct slice *slice)
{
    return (slice->pixels + 7) / 8;
}

/* Decode one LZ4 block to exactly out_size bytes; false if it does not hold that.
 * Reads in[0 ... in_size) and, never acting on it, up to `readable`; writes
 * out[0 ... out_size + BLOCK_PADDING).
 *
 * The upper planes of X-ray data are mostly all alike (empty, or the sentinel pixels
 * in each), and the end of a block is one long repetition. That is not written out:
 * with n = *written, a multiple of period or else out_size, the block goes on with
 * out[i] = out[i - period] for all i >= n. With NO_PERIOD, all is written. */
typedef bool lz4_decode_fn(const uint8_t *in, size_t in_size, const uint8_t *readable,
                           uint8_t *out, size_t out_size, size_t period,
                           size_t *written);

#define NO_PERIOD SIZE_MAX

/* Add one slice to the tally and to the regions, which are complete when the last edge
 * has been passed. Slices come in the order of their pixels. */
typedef void reduce_planes_fn(const struct slice *slice, unsigned itemsize,
                              const struct selection *selection, struct tally *tally,
                              struct passed *regions);

/* Write the values of a slice's pixels. */
typedef void read_planes_fn(const struct slice *slice, unsigned itemsize,
                            uint32_t *values);

/* Add values with low <= value <= high, each at most `most`, to sums, and count them.
 */
typedef void add_values_fn(const uint32_t *values, size_t n, uint32_t low,
                           uint32_t high, uint32_t most, uint32_t *sums,
                           uint32_t *kept);

struct variant {
    const char *name;
    lz4_decode_fn *lz4_decode;
    reduce_planes_fn *reduce_planes;
    read_planes_fn *read_planes;
    add_values_fn *add_values;
};

/* The variants of this build that this CPU can run, best first. */
size_t variants_supported(const struct variant *supported[], size_t capacity);

extern const struct variant variant_portable;
extern const struct variant variant_x86_64;
extern const struct variant variant_avx2;
extern const struct variant variant_avx512;
extern const struct variant variant_neon;

#endif
