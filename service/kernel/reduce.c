/* Framing: from a payload to blocks, every length checked, and the results. */
#include "reduce.h"

#include "bits.h"
#include "variant.h"

#include <stdbool.h>
#include <string.h>

#define HEADER_BYTES 12 /* u64 size, u32 block size, big-endian */
#define LENGTH_BYTES 4  /* u32, big-endian */
#define DEFAULT_BLOCK 8192

/* Pixels that are not bitshuffled are brought into planes this many at a time. */
#define SHUFFLED_PIXELS ((size_t)2048)

/* How an image is cut into blocks, and where the first one is. */
struct framing {
    const uint8_t *first;
    size_t block_bytes;
    size_t blocks;
    size_t tail_bytes; /* raw, after the last block */
};

/* What decoded data goes into. */
struct sink {
    const struct variant *variant;
    const struct image *image;
    const struct selection *selection; /* NULL: decode only */
    struct tally tally;
    struct region_row *rows;
    uint8_t *out; /* decode only */
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

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t image_bytes(const struct image *image)
{
    return image->pixels * image->itemsize;
}

/* Bytes that are in blocks: bitshuffle leaves the last n mod 8 pixels out. */
static size_t blocked_bytes(const struct image *image)
{
    return image->encoding == ENCODING_BSLZ4 ? image->pixels / 8 * 8 * image->itemsize
                                             : image_bytes(image);
}

static bool legal_block(const struct image *image, size_t block_bytes)
{
    if (image->encoding == ENCODING_BSLZ4)
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

/* Classify and sum a part of the planes of a block that starts at pixel `first`. */
static void take_planes(struct sink *sink, const uint8_t *planes, size_t plane_bytes,
                        unsigned distinct, size_t pixels, size_t first)
{
    struct slice slice = {
        .stride = plane_bytes,
        .distinct = distinct,
        .bitmap_bytes = (sink->image->pixels + 7) / 8,
    };

    for (size_t done = 0; done < pixels; done += slice.pixels) {
        slice.planes = planes + done / 8;
        slice.position = (first + done) / 8;
        slice.pixels = min_size(pixels - done, 8 * SLICE_BYTES);
        sink->variant->reduce_planes(&slice, sink->image->itemsize, sink->selection,
                                     &sink->tally, sink->rows);
    }
}

/* Write the planes' pixels, a multiple of 8, to `out`. */
static void unshuffle(const uint8_t *planes, size_t plane_bytes, unsigned itemsize,
                      uint8_t *out)
{
    for (size_t group = 0; group < plane_bytes; group++)
        for (unsigned byte = 0; byte < itemsize; byte++) {
            uint64_t bits = 0;

            for (unsigned b = 0; b < 8; b++)
                bits |= (uint64_t)planes[(8 * byte + b) * plane_bytes + group] << 8 * b;
            bits = transpose_bits(bits);
            for (unsigned i = 0; i < 8; i++)
                out[(8 * group + i) * itemsize + byte] = (uint8_t)(bits >> 8 * i);
        }
}

/* The other way round; the planes get zeros for what is missing to a full byte. */
static void shuffle(const uint8_t *in, size_t pixels, unsigned itemsize,
                    uint8_t *planes, size_t plane_bytes)
{
    for (size_t group = 0; group < plane_bytes; group++) {
        const size_t n = min_size(pixels - 8 * group, 8);

        for (unsigned byte = 0; byte < itemsize; byte++) {
            uint64_t bits = 0;

            for (unsigned i = 0; i < n; i++)
                bits |= (uint64_t)in[(8 * group + i) * itemsize + byte] << 8 * i;
            bits = transpose_bits(bits);
            for (unsigned b = 0; b < 8; b++)
                planes[(8 * byte + b) * plane_bytes + group] = (uint8_t)(bits >> 8 * b);
        }
    }
}

/* Take pixels that are not bitshuffled; `first` is a multiple of 8. */
static void take_pixels(struct sink *sink, const uint8_t *in, size_t pixels,
                        size_t first)
{
    const unsigned itemsize = sink->image->itemsize;
    uint8_t planes[SHUFFLED_PIXELS * sizeof(uint32_t) + BLOCK_PADDING];

    if (!sink->selection) {
        memcpy(sink->out + first * itemsize, in, pixels * itemsize);
        return;
    }
    for (size_t done = 0; done < pixels; done += SHUFFLED_PIXELS) {
        const size_t n = min_size(pixels - done, SHUFFLED_PIXELS);

        shuffle(in + done * itemsize, n, itemsize, planes, (n + 7) / 8);
        take_planes(sink, planes, (n + 7) / 8, 8 * itemsize, n, first + done);
    }
}

/* Decode and take one bitshuffled block that starts at pixel `first`. */
static bool take_block(struct sink *sink, const uint8_t *in, size_t in_size,
                       uint8_t *block, size_t bytes, size_t first)
{
    const unsigned itemsize = sink->image->itemsize;
    const size_t plane_bytes = bytes / (8 * itemsize);
    const uint8_t *const readable = sink->image->payload + sink->image->size;
    size_t written;

    if (!sink->variant->lz4_decode(in, in_size, readable, block, bytes,
                                   sink->selection ? plane_bytes : NO_PERIOD, &written))
        return false;
    if (sink->selection)
        take_planes(sink, block, plane_bytes, (unsigned)(written / plane_bytes),
                    8 * plane_bytes, first);
    else
        unshuffle(block, plane_bytes, itemsize, sink->out + first * itemsize);
    return true;
}

/* Decode a part of an image that is LZ4 only. */
static bool decode_part(const struct sink *sink, const uint8_t *in, size_t in_size,
                        uint8_t *out, size_t bytes)
{
    const uint8_t *const readable = sink->image->payload + sink->image->size;
    size_t written;

    return sink->variant->lz4_decode(in, in_size, readable, out, bytes, NO_PERIOD,
                                     &written);
}

/* Decode block by block. Bitshuffled ones are taken one at a time, while they are in
 * the L1 cache; LZ4 data may be cut anywhere, so that is taken when it is complete. */
static enum reduce_status take_blocks(struct sink *sink, const struct framing *framing,
                                      uint8_t *scratch, struct reduce_fault *fault)
{
    const struct image *const image = sink->image;
    const bool shuffled = image->encoding == ENCODING_BSLZ4;
    const uint8_t *at = framing->first;
    const uint8_t *const end = image->payload + image->size;
    const size_t bytes = blocked_bytes(image);
    size_t done = 0;

    fault->blocks = framing->blocks;
    for (fault->block = 0; fault->block < framing->blocks; fault->block++) {
        const size_t expected = min_size(bytes - done, framing->block_bytes);
        uint32_t length;
        bool good = true;

        if ((size_t)(end - at) < LENGTH_BYTES)
            return REDUCE_TRUNCATED_FRAME;
        length = load_be32(at);
        at += LENGTH_BYTES;
        fault->length = length;
        if (length > (size_t)(end - at)) {
            fault->expected = (size_t)(end - at);
            return REDUCE_TRUNCATED_BLOCK;
        }
        if (shuffled)
            good =
                take_block(sink, at, length, scratch, expected, done / image->itemsize);
        else if (length == expected) /* stored, not compressed */
            memcpy(scratch + done, at, length);
        else
            good = decode_part(sink, at, length, scratch + done, expected);
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
        take_pixels(sink, scratch, image->pixels, 0);
    else if (framing->tail_bytes > 0)
        take_pixels(sink, at, image->pixels % 8, image->pixels / 8 * 8);
    return REDUCE_OK;
}

static enum reduce_status take_image(struct sink *sink, uint8_t *scratch,
                                     size_t scratch_size, struct reduce_fault *fault)
{
    const struct image *const image = sink->image;
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
        take_pixels(sink, image->payload, image->pixels, 0);
        return REDUCE_OK;
    case ENCODING_LZ4_BLOCK:
        fault->blocks = 1;
        if (!decode_part(sink, image->payload, image->size, scratch, expected))
            return REDUCE_CORRUPT_BLOCK;
        take_pixels(sink, scratch, image->pixels, 0);
        return REDUCE_OK;
    case ENCODING_LZ4:
    case ENCODING_BSLZ4:
        break;
    }
    status = find_framing(image, &framing, fault);
    if (status != REDUCE_OK)
        return status;
    return take_blocks(sink, &framing, scratch, fault);
}

size_t reduce_scratch_size(const struct image *image)
{
    size_t block_bytes;

    if (image->encoding == ENCODING_NONE)
        return 0;
    if (image->encoding != ENCODING_BSLZ4)
        return image_bytes(image) + BLOCK_PADDING;
    block_bytes = image->size < HEADER_BYTES ? 0 : load_be32(image->payload + 8);
    if (!legal_block(image, block_bytes) || block_bytes < DEFAULT_BLOCK)
        block_bytes = DEFAULT_BLOCK; /* also what is tried without a header */
    return min_size(block_bytes, blocked_bytes(image)) + BLOCK_PADDING;
}

enum reduce_status reduce_image(const struct variant *variant,
                                const struct image *image,
                                const struct selection *selection,
                                struct counts *counts, struct region_row *rows,
                                uint8_t *scratch, size_t scratch_size,
                                struct reduce_fault *fault)
{
    struct region_row row_sums[REDUCE_MAX_REGIONS];
    struct sink sink = {
        .variant = variant, .image = image, .selection = selection, .rows = row_sums};
    const struct tally *const tally = &sink.tally;
    enum reduce_status status;

    memset(row_sums, 0, selection->n_regions * sizeof(row_sums[0]));
    status = take_image(&sink, scratch, scratch_size, fault);
    if (status != REDUCE_OK)
        return status;
    *counts = (struct counts){
        .total = tally->total,
        .kept = (uint32_t)(tally->used - tally->sentinel - tally->below - tally->above),
        .below = (uint32_t)tally->below,
        .above = (uint32_t)tally->above,
        .sentinel = (uint32_t)tally->sentinel,
        .masked = (uint32_t)(image->pixels - tally->used),
        .max_kept = tally->max_kept,
    };
    if (selection->n_regions > 0)
        memcpy(rows, row_sums, selection->n_regions * sizeof(row_sums[0]));
    return REDUCE_OK;
}

enum reduce_status decode_image(const struct variant *variant,
                                const struct image *image, uint8_t *out,
                                uint8_t *scratch, size_t scratch_size,
                                struct reduce_fault *fault)
{
    struct sink sink = {.variant = variant, .image = image, .out = out};

    return take_image(&sink, scratch, scratch_size, fault);
}

struct extent bitmap_extent(const uint8_t *bitmap, size_t n)
{
    size_t first = 0, stop = n;

    while (first < n && bitmap[first] == 0)
        first++;
    while (stop > first && bitmap[stop - 1] == 0)
        stop--;
    return (struct extent){(uint32_t)first, (uint32_t)stop};
}
