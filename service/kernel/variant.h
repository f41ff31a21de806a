/* The code that exists once per instruction set.
 *
 * A variant is two functions that know nothing of each other: an entropy decoder,
 * which fills a block, and a reducer, which reads the bit planes of a block. Another
 * entropy coder is another member here and leaves the reducers alone.
 */
#ifndef EIGERWATCH_VARIANT_H
#define EIGERWATCH_VARIANT_H

#include "reduce.h"

#include <stdbool.h>

/* Decoders may write, and reducers read, this many bytes beyond a block. */
#define BLOCK_PADDING ((size_t)128)

/* A reducer is given at most this many bytes of each plane at once. */
#define SLICE_BYTES ((size_t)512)

/* Running sums of one image. */
struct tally {
    uint64_t total;
    uint64_t below;
    uint64_t above;
    uint64_t sentinel;
    uint64_t used; /* pixels that are not masked */
    uint32_t max_kept;
};

/* The same pixels of every plane of a block. */
struct slice {
    const uint8_t *planes; /* first byte of the slice in plane 0 */
    size_t stride;         /* from plane to plane [bytes] */
    unsigned distinct;     /* planes there are; those above repeat the last, 1 ... n */
    size_t pixels;         /* 1 ... 8 * SLICE_BYTES */
    size_t position;       /* first byte of the slice in a bitmap of the image */
    size_t bitmap_bytes;   /* of the image */
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

/* Add one slice to the tally and to the regions' rows. Reads up to
 * BLOCK_PADDING bytes beyond the end of the last plane. */
typedef void reduce_planes_fn(const struct slice *slice, unsigned itemsize,
                              const struct selection *selection, struct tally *tally,
                              struct region_row *region_rows);

struct variant {
    const char *name;
    lz4_decode_fn *lz4_decode;
    reduce_planes_fn *reduce_planes;
};

/* The variants of this build that this CPU can run, best first. */
size_t variants_supported(const struct variant *supported[], size_t capacity);

extern const struct variant variant_portable;
extern const struct variant variant_x86_64;
extern const struct variant variant_avx2;
extern const struct variant variant_avx512;

#endif
