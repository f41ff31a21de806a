/* The sums of an image: its pixels, as planes, into the variant's reducer. */
#include "reduce.h"

#include "bits.h"
#include "blocks.h"

#include <string.h>

/* Pixels that are not bitshuffled are brought into planes this many at a time. */
#define SHUFFLED_PIXELS ((size_t)2048)

struct reduction {
    const struct variant *variant;
    unsigned itemsize;
    const struct selection *selection;
    struct tally tally;
    struct passed regions[REDUCE_MAX_REGIONS];
};

static void reduce_slices(struct reduction *to, const uint8_t *planes, size_t stride,
                          unsigned distinct, size_t pixels, size_t first)
{
    struct slice slice = {.stride = stride, .distinct = distinct};

    for (size_t done = 0; done < pixels; done += slice.pixels) {
        slice.planes = planes + done / 8;
        slice.first = first + done;
        slice.pixels = min_size(pixels - done, SLICE_PIXELS);
        to->variant->reduce_planes(&slice, to->itemsize, to->selection, &to->tally,
                                   to->regions);
    }
}

static void take_planes(void *context, uint8_t *planes, size_t plane_bytes,
                        unsigned distinct, size_t first)
{
    reduce_slices(context, planes, plane_bytes, distinct, 8 * plane_bytes, first);
}

/* Bring pixels into planes, with zeros for what is missing to a full byte. */
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

static void take_pixels(void *context, const uint8_t *in, size_t pixels, size_t first)
{
    struct reduction *const to = context;
    uint8_t planes[SHUFFLED_PIXELS * sizeof(uint32_t) + BLOCK_PADDING];

    for (size_t done = 0; done < pixels; done += SHUFFLED_PIXELS) {
        const size_t n = min_size(pixels - done, SHUFFLED_PIXELS);

        shuffle(in + done * to->itemsize, n, to->itemsize, planes, (n + 7) / 8);
        reduce_slices(to, planes, (n + 7) / 8, 8 * to->itemsize, n, first + done);
    }
}

/* Pass the edges at the end of the image. */
static void leave_regions(struct reduction *to)
{
    const struct passed passed = passed_by(&to->tally);

    while (to->tally.edges < to->selection->n_edges)
        pass_edge(&to->selection->edges[to->tally.edges++], passed, to->regions);
}

enum reduce_status reduce_image(const struct variant *variant,
                                const struct image *image,
                                const struct selection *selection,
                                struct counts *counts, struct region_row *rows,
                                uint8_t *scratch, size_t scratch_size,
                                struct reduce_fault *fault)
{
    struct reduction to;
    const struct sink sink = {take_planes, take_pixels, &to};
    const struct tally *const tally = &to.tally;
    enum reduce_status status;

    to.variant = variant;
    to.itemsize = image->itemsize;
    to.selection = selection;
    to.tally = (struct tally){0};
    memset(to.regions, 0, selection->n_regions * sizeof(to.regions[0]));
    status = read_blocks(variant, image, &sink, scratch, scratch_size, fault);
    if (status != REDUCE_OK)
        return status;
    *counts = (struct counts){
        .total = tally->total,
        .kept = tally_kept(tally),
        .below = (uint32_t)tally->below,
        .above = (uint32_t)tally->above,
        .sentinel = (uint32_t)tally->sentinel,
        .masked = (uint32_t)(image->pixels - tally->used),
        .max_kept = tally->max_kept,
    };
    leave_regions(&to);
    for (size_t i = 0; i < selection->n_regions; i++)
        rows[i] = (struct region_row){
            .total = to.regions[i].total,
            .kept = (uint32_t)to.regions[i].pixels,
            .sentinel = (uint32_t)(to.regions[i].pixels >> 32),
        };
    return REDUCE_OK;
}
