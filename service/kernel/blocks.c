/* Framing: the header, the lengths of the blocks, the raw tail. */
#include "blocks.h"

#include <stdbool.h>
#include <string.h>

#define HEADER_BYTES 12 /* u64 size, u32 block size, big-endian */
#define LENGTH_BYTES 4  /* u32, big-endian */
#define DEFAULT_BLOCK 8192

/* How an image is cut into blocks, and where the first one is. */
struct framing {
    const uint8_t *first;
    size_t block_bytes;
    size_t blocks;
    size_t tail_bytes; /* raw, after the last block */
};

static uint32_t load_be32(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 |
           from[3];
}

static uint64_t load_be64(const uint8_t *from)
{
    return (uint64_t)load_be32(from) << 32 | load_be32(from + 4);
}

static size_t image_bytes(const struct image *image)
{
    return image->pixels * image->itemsize;
}

static bool is_shuffled(const struct image *image)
{
    return image->encoding == ENCODING_BSLZ4 || image->encoding == ENCODING_PLANES;
}

/* Bytes that are in blocks: bitshuffle leaves the last n mod 8 pixels out. */
static size_t blocked_bytes(const struct image *image)
{
    return is_shuffled(image) ? image->pixels / 8 * 8 * image->itemsize
                              : image_bytes(image);
}

static bool legal_block(const struct image *image, size_t block_bytes)
{
    if (is_shuffled(image))
        return block_bytes > 0 && block_bytes % (8 * image->itemsize) == 0 &&
               block_bytes <= REDUCE_MAX_BLOCK;
    return block_bytes > 0;
}

static void cut_blocks(const struct image *image, const uint8_t *first,
                       size_t block_bytes, struct framing *framing)
{
    const size_t bytes = blocked_bytes(image);

    framing->first = first;
    framing->block_bytes = block_bytes;
    framing->blocks = bytes / block_bytes + (bytes % block_bytes != 0);
    framing->tail_bytes = image_bytes(image) - bytes;
}

/* Do the lengths lead exactly to the end of the payload? */
static bool lengths_fit(const struct image *image, const struct framing *framing)
{
    const uint8_t *at = framing->first;
    const uint8_t *const end = image->payload + image->size;

    for (size_t block = 0; block < framing->blocks; block++) {
        uint32_t length;

        if ((size_t)(end - at) < LENGTH_BYTES)
            return false;
        length = load_be32(at);
        at += LENGTH_BYTES;
        if (length == 0 || length > (size_t)(end - at))
            return false;
        at += length;
    }
    return (size_t)(end - at) == framing->tail_bytes;
}

/* Some simulators send bitshuffled data with the header all zero, or without one.
 * Geometry tells: the default blocks must fit, to the byte. A payload that has a
 * header cannot pass for one that has none, because its first length would be 0. */
static bool find_headerless(const struct image *image, struct framing *framing)
{
    static const uint8_t zeros[HEADER_BYTES];

    if (image->encoding != ENCODING_BSLZ4)
        return false;
    if (image->size >= HEADER_BYTES &&
        memcmp(image->payload, zeros, HEADER_BYTES) == 0) {
        cut_blocks(image, image->payload + HEADER_BYTES, DEFAULT_BLOCK, framing);
        if (lengths_fit(image, framing))
            return true;
    }
    cut_blocks(image, image->payload, DEFAULT_BLOCK, framing);
    return lengths_fit(image, framing);
}

static enum reduce_status find_framing(const struct image *image,
                                       struct framing *framing,
                                       struct reduce_fault *fault)
{
    const size_t expected = image_bytes(image);
    uint64_t declared;
    uint32_t block_bytes;

    if (image->size < HEADER_BYTES) {
        if (find_headerless(image, framing))
            return REDUCE_OK;
        fault->length = image->size;
        fault->expected = HEADER_BYTES;
        return REDUCE_SHORT_HEADER;
    }
    declared = load_be64(image->payload);
    block_bytes = load_be32(image->payload + 8);
    if (declared != expected) {
        if (find_headerless(image, framing))
            return REDUCE_OK;
        fault->length = declared;
        fault->expected = expected;
        return REDUCE_DECLARED_SIZE;
    }
    if (!legal_block(image, block_bytes)) {
        fault->length = block_bytes;
        return REDUCE_BLOCK_SIZE;
    }
    cut_blocks(image, image->payload + HEADER_BYTES, block_bytes, framing);
    return REDUCE_OK;
}

/* Find the bytes of the block at *at: for planes, the block itself; otherwise what
 * follows its length. */
static enum reduce_status find_block(const struct image *image, const uint8_t **at,
                                     size_t expected, size_t *length,
                                     struct reduce_fault *fault)
{
    const uint8_t *const end = image->payload + image->size;

    if (image->encoding == ENCODING_PLANES) {
        *length = expected;
    } else {
        if ((size_t)(end - *at) < LENGTH_BYTES)
            return REDUCE_TRUNCATED_FRAME;
        *length = load_be32(*at);
        *at += LENGTH_BYTES;
    }
    fault->length = *length;
    if (*length > (size_t)(end - *at)) {
        fault->expected = (size_t)(end - *at);
        return REDUCE_TRUNCATED_BLOCK;
    }
    return REDUCE_OK;
}

/* Decode one block of planes that starts at pixel `first` into `block` and on. */
static bool read_planes_block(const struct variant *variant, const struct image *image,
                              const uint8_t *in, size_t in_size, uint8_t *block,
                              size_t bytes, const struct sink *sink, size_t first)
{
    const size_t plane_bytes = bytes / (8 * image->itemsize);
    size_t written = bytes;

    if (image->encoding == ENCODING_PLANES)
        memcpy(block, in, bytes);
    else if (!variant->lz4_decode(in, in_size, image->payload + image->size, block,
                                  bytes, plane_bytes, &written))
        return false;
    sink->take_planes(sink->context, block, plane_bytes,
                      (unsigned)(written / plane_bytes), first);
    return true;
}

/* Decode one block of LZ4 data that is not bitshuffled. */
static bool read_lz4_block(const struct variant *variant, const struct image *image,
                           const uint8_t *in, size_t in_size, uint8_t *out,
                           size_t bytes)
{
    size_t written;

    if (image->encoding == ENCODING_LZ4 && in_size == bytes) {
        memcpy(out, in, bytes); /* stored, not compressed */
        return true;
    }
    return variant->lz4_decode(in, in_size, image->payload + image->size, out, bytes,
                               NO_PERIOD, &written);
}

static enum reduce_status read_framed(const struct variant *variant,
                                      const struct image *image,
                                      const struct framing *framing,
                                      const struct sink *sink, uint8_t *scratch,
                                      struct reduce_fault *fault)
{
    const bool shuffled = is_shuffled(image);
    const uint8_t *at = framing->first;
    const uint8_t *const end = image->payload + image->size;
    const size_t bytes = blocked_bytes(image);
    size_t done = 0;

    fault->blocks = framing->blocks;
    for (fault->block = 0; fault->block < framing->blocks; fault->block++) {
        const size_t expected = min_size(bytes - done, framing->block_bytes);
        enum reduce_status status;
        size_t length;
        bool good;

        status = find_block(image, &at, expected, &length, fault);
        if (status != REDUCE_OK)
            return status;
        if (shuffled)
            good = read_planes_block(variant, image, at, length, scratch, expected,
                                     sink, done / image->itemsize);
        else
            good = read_lz4_block(variant, image, at, length, scratch + done, expected);
        if (!good) {
            fault->expected = expected;
            return REDUCE_CORRUPT_BLOCK;
        }
        at += length;
        done += expected;
    }
    fault->length = (size_t)(end - at);
    fault->expected = framing->tail_bytes;
    if (fault->length < framing->tail_bytes)
        return REDUCE_TRUNCATED_TAIL;
    if (fault->length > framing->tail_bytes) {
        fault->length -= framing->tail_bytes;
        return REDUCE_TRAILING_BYTES;
    }
    if (!shuffled)
        sink->take_pixels(sink->context, scratch, image->pixels, 0);
    else if (framing->tail_bytes > 0)
        sink->take_pixels(sink->context, at, image->pixels % 8, image->pixels / 8 * 8);
    return REDUCE_OK;
}

enum reduce_status read_blocks(const struct variant *variant, const struct image *image,
                               const struct sink *sink, uint8_t *scratch,
                               size_t scratch_size, struct reduce_fault *fault)
{
    const size_t expected = image_bytes(image);
    struct framing framing;
    enum reduce_status status;

    *fault = (struct reduce_fault){.length = image->size, .expected = expected};
    if (scratch_size < reduce_scratch_size(image)) {
        fault->length = scratch_size;
        fault->expected = reduce_scratch_size(image);
        return REDUCE_SMALL_SCRATCH;
    }
    switch (image->encoding) {
    case ENCODING_NONE:
        if (image->size != expected)
            return REDUCE_PAYLOAD_SIZE;
        sink->take_pixels(sink->context, image->payload, image->pixels, 0);
        return REDUCE_OK;
    case ENCODING_LZ4_BLOCK:
        fault->blocks = 1;
        if (!read_lz4_block(variant, image, image->payload, image->size, scratch,
                            expected))
            return REDUCE_CORRUPT_BLOCK;
        sink->take_pixels(sink->context, scratch, image->pixels, 0);
        return REDUCE_OK;
    case ENCODING_LZ4:
    case ENCODING_BSLZ4:
    case ENCODING_PLANES:
        break;
    }
    status = find_framing(image, &framing, fault);
    if (status != REDUCE_OK)
        return status;
    return read_framed(variant, image, &framing, sink, scratch, fault);
}

size_t reduce_scratch_size(const struct image *image)
{
    size_t block_bytes;

    if (image->encoding == ENCODING_NONE)
        return 0;
    if (!is_shuffled(image))
        return image_bytes(image) + BLOCK_PADDING;
    block_bytes = image->size < HEADER_BYTES ? 0 : load_be32(image->payload + 8);
    if (!legal_block(image, block_bytes) || block_bytes < DEFAULT_BLOCK)
        block_bytes = DEFAULT_BLOCK; /* also what is tried without a header */
    return min_size(block_bytes, blocked_bytes(image)) + BLOCK_PADDING;
}
