/* Sum the pixels of one compressed detector image, without writing the image.
 *
 * Bitshuffle stores a block of pixels as bit planes: plane b holds bit b of every
 * pixel, eight pixels to a byte. A block is decoded into scratch memory that stays
 * in the L1 cache, and classified, counted and summed there, on the planes.
 *
 * Every pixel falls into exactly one class, the first of these that fits:
 *
 *   masked    its bit in the mask is 0
 *   sentinel  value 2^n - 1 of the n-bit image: gaps, dead or saturated pixels
 *   below     value < low
 *   above     value > high
 *   kept      all others; total and max_kept are about these
 *
 * Regions are sets of pixels that are summed in the same pass. A region is given by
 * its edges: where, in the order of the pixels, it is entered and left. The sum over
 * a region is the sum of what had been passed at each exit minus that at each entry,
 * so a pass costs a little per edge and nothing per region.
 *
 * Buffers
 *   The mask is a bitmap in pixel order, eight pixels to a byte, first pixel in the
 *   lowest bit, (pixels + 7) / 8 bytes. Bits beyond the last pixel are ignored.
 *   Payload and mask are only read, and only inside their sizes. Nothing but the
 *   arrays of structures needs alignment. Scratch must not overlap any other buffer;
 *   its contents before and after a call mean nothing.
 *
 * Errors
 *   Functions return a reduce_status and fill *fault with where and how much. Unless
 *   the status is REDUCE_OK, results are left unmodified, where not said otherwise.
 *   The payload may be hostile: no length is used before it was checked. The other
 *   arguments are the caller's duty, as stated at each structure.
 *
 * No function allocates, prints or keeps state; all may run in parallel.
 */
#ifndef EIGERWATCH_REDUCE_H
#define EIGERWATCH_REDUCE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records and bitmaps are little-endian, as every CPU beside a detector"
#endif

enum encoding {
    ENCODING_NONE = 0,
    ENCODING_LZ4_BLOCK = 1, /* one raw LZ4 block, no sizes: stream v1 "lz4<" */
    ENCODING_LZ4 = 2,       /* HDF5 framing of LZ4 blocks */
    ENCODING_BSLZ4 = 3,     /* bitshuffle, same framing, raw tail of n mod 8 pixels */
    ENCODING_PLANES = 4,    /* bitshuffle only: same header, then blocks and tail */
};

enum reduce_status {
    REDUCE_OK = 0,
    REDUCE_PAYLOAD_SIZE,    /* not compressed: length is not expected */
    REDUCE_SHORT_HEADER,    /* length of the payload, less than a header */
    REDUCE_DECLARED_SIZE,   /* length bytes declared, expected by geometry */
    REDUCE_BLOCK_SIZE,      /* length is no legal block size */
    REDUCE_TRUNCATED_FRAME, /* the payload ends inside the length of a block */
    REDUCE_TRUNCATED_BLOCK, /* block of length bytes, expected are left */
    REDUCE_CORRUPT_BLOCK,   /* block of length bytes does not decode to expected */
    REDUCE_TRUNCATED_TAIL,  /* length bytes left for a raw tail of expected */
    REDUCE_TRAILING_BYTES,  /* length bytes left after the image was full */
    REDUCE_SMALL_SCRATCH,   /* length bytes given, expected needed */
};

/* Where a payload is wrong; the meaning of the sizes depends on the status. */
struct reduce_fault {
    size_t block;  /* index of the block concerned */
    size_t blocks; /* number of blocks by geometry */
    uint64_t length;
    uint64_t expected;
};

struct image {
    const uint8_t *payload;
    size_t size; /* bytes of the payload */
    enum encoding encoding;
    unsigned itemsize; /* 1, 2 or 4 bytes, little-endian */
    size_t pixels;     /* 1 ... REDUCE_MAX_PIXELS */
};

/* Here a region begins, or it ends before this pixel. */
struct edge {
    uint32_t pixel; /* 0 ... pixels of the image */
    uint16_t region;
    uint16_t enters; /* 1, or 0: leaves */
};

struct selection {
    uint32_t low; /* low <= high, both inclusive */
    uint32_t high;
    const uint8_t *mask; /* NULL: all pixels are used */
    /* By pixel; each region's enter and leave in turn, and it is left in the end. */
    const struct edge *edges;
    size_t n_edges;
    size_t n_regions; /* 0 ... REDUCE_MAX_REGIONS */
};

/* The first 32 bytes of a frame record. */
struct counts {
    uint64_t total;
    uint32_t kept;
    uint32_t below;
    uint32_t above;
    uint32_t sentinel;
    uint32_t masked;
    uint32_t max_kept;
};

struct region_row {
    uint64_t total;
    uint32_t kept;
    uint32_t sentinel;
};

/* Squares of pixels, for an image that is smaller: bins of factor x factor pixels,
 * fewer where the image ends, row by row. */
struct bins {
    size_t width;   /* pixels in a row of the image, of which pixels is a multiple */
    size_t factor;  /* 1 ... REDUCE_MAX_FACTOR */
    uint64_t *sums; /* of the kept pixels of each bin [counts] */
    uint32_t *kept; /* how many they are */
    uint32_t *row_sums; /* 2 x width, scratch */
};

#define REDUCE_MAX_PIXELS ((size_t)1 << 31)
#define REDUCE_MAX_REGIONS ((size_t)1024)
#define REDUCE_MAX_FACTOR ((size_t)256)
#define REDUCE_MAX_BLOCK ((size_t)1 << 20) /* bytes, bitshuffle only */

struct variant; /* one instruction set's code, see variant.h */

/* Bytes of scratch that the functions below need for this image. Depends on nothing
 * of the payload but its header; 0 for uncompressed data. */
size_t reduce_scratch_size(const struct image *image);

/* Classify, count and sum. counts points to one, rows to n_regions elements. */
enum reduce_status reduce_image(const struct variant *variant,
                                const struct image *image,
                                const struct selection *selection,
                                struct counts *counts, struct region_row *rows,
                                uint8_t *scratch, size_t scratch_size,
                                struct reduce_fault *fault);

/* Write the image itself, pixels * itemsize bytes, to out. On error, out is partly
 * written. */
enum reduce_status decode_image(const struct variant *variant,
                                const struct image *image, uint8_t *out,
                                uint8_t *scratch, size_t scratch_size,
                                struct reduce_fault *fault);

/* Sum the kept pixels of each bin; the edges of regions are not looked at. A value
 * beyond 2^32 / factor counts as that. On error, the bins are partly written. */
enum reduce_status bin_image(const struct variant *variant, const struct image *image,
                             const struct selection *selection, const struct bins *bins,
                             uint8_t *scratch, size_t scratch_size,
                             struct reduce_fault *fault);

#endif
