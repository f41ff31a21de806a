/* libFuzzer target: any bytes, in any encoding, through every variant.
 *
 * Beyond what the sanitizers see, it checks that a refused payload leaves the results
 * alone, that the classes add up to the image, that regions and bins add up to the
 * total, and that all variants agree. Payload, scratch, mask and results are heap
 * blocks of exactly their size, so that one byte read or written too far is found. See
 * run.sh; with files.c it runs without a fuzzer. */
#include "reduce.h"
#include "variant.h"

#include <stdlib.h>
#include <string.h>

#define OPTIONS 8 /* leading bytes of the input that choose the arguments */
#define N_REGIONS 2

struct result {
    enum reduce_status status;
    struct counts counts;
    struct region_row rows[N_REGIONS];
};

/* Two regions that share an edge and are the whole image together. */
static size_t make_edges(size_t pixels, size_t where, struct edge edges[])
{
    const uint32_t shared = (uint32_t)(where % (pixels + 1));
    const uint32_t end = (uint32_t)pixels;
    const struct edge all[] = {
        {0, 1, 1}, {shared, 1, 0}, {shared, 0, 1}, {end, 0, 0},
    };

    memcpy(edges, all, sizeof(all));
    return sizeof(all) / sizeof(all[0]);
}

static void *copy_of(const void *data, size_t size)
{
    void *const copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    memcpy(copy, data, size);
    return copy;
}

static void require(int holds)
{
    if (!holds)
        abort();
}

static void run(const struct variant *variant, const struct image *image,
                const struct selection *selection, struct result *result)
{
    const size_t scratch_size = reduce_scratch_size(image);
    uint8_t *const scratch = malloc(scratch_size ? scratch_size : 1);
    struct result untouched;
    struct reduce_fault fault;

    require(scratch != NULL);
    memset(result, 0xa5, sizeof(*result));
    memset(scratch, 0x5a, scratch_size);
    untouched = *result;
    result->status = reduce_image(variant, image, selection, &result->counts,
                                  result->rows, scratch, scratch_size, &fault);
    if (result->status == REDUCE_OK) {
        const struct counts *const c = &result->counts;

        require((uint64_t)c->kept + c->below + c->above + c->sentinel + c->masked ==
                image->pixels);
        require(c->max_kept <= selection->high);
        if (selection->n_regions > 0) {
            const struct region_row *const a = &result->rows[0], *const b = a + 1;

            require(a->total + b->total == c->total);
            require(a->kept + b->kept == c->kept);
            require(a->sentinel + b->sentinel == c->sentinel);
        }
    } else {
        require(memcmp(&result->counts, &untouched.counts, sizeof(struct counts)) == 0);
        require(memcmp(result->rows, untouched.rows, sizeof(result->rows)) == 0);
    }
    free(scratch);
}

static void decode(const struct variant *variant, const struct image *image,
                   enum reduce_status expected)
{
    const size_t scratch_size = reduce_scratch_size(image);
    uint8_t *const scratch = malloc(scratch_size ? scratch_size : 1);
    uint8_t *const out = malloc(image->pixels * image->itemsize);
    struct reduce_fault fault;

    require(scratch && out);
    require(decode_image(variant, image, out, scratch, scratch_size, &fault) ==
            expected);
    free(out);
    free(scratch);
}

static void bin(const struct variant *variant, const struct image *image,
                const struct selection *selection, size_t width, size_t factor,
                const struct result *expected)
{
    const size_t scratch_size = reduce_scratch_size(image);
    uint8_t *const scratch = malloc(scratch_size ? scratch_size : 1);
    const size_t height = image->pixels / width;
    const size_t n = ((width + factor - 1) / factor) * ((height + factor - 1) / factor);
    const struct bins bins = {
        .width = width,
        .factor = factor,
        .sums = malloc(n * sizeof(*bins.sums)),
        .kept = malloc(n * sizeof(*bins.kept)),
        .row_sums = malloc(2 * width * sizeof(*bins.row_sums)),
    };
    struct reduce_fault fault;

    require(scratch && bins.sums && bins.kept && bins.row_sums);
    require(bin_image(variant, image, selection, &bins, scratch, scratch_size,
                      &fault) == expected->status);
    if (expected->status == REDUCE_OK) {
        uint64_t sum = 0, kept = 0;

        for (size_t i = 0; i < n; i++) {
            sum += bins.sums[i];
            kept += bins.kept[i];
        }
        require(kept == expected->counts.kept);
        require(expected->counts.max_kept > UINT32_MAX / factor ||
                sum == expected->counts.total);
    }
    free(bins.row_sums);
    free(bins.kept);
    free(bins.sums);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned itemsizes[] = {1, 2, 4, 2};
    static const enum encoding encodings[] = {
        ENCODING_NONE,  ENCODING_LZ4_BLOCK, ENCODING_LZ4,   ENCODING_BSLZ4,
        ENCODING_BSLZ4, ENCODING_PLANES,    ENCODING_BSLZ4, ENCODING_BSLZ4,
    };
    const struct variant *variants[8];
    const size_t n_variants = variants_supported(variants, 8);
    struct image image;
    struct selection selection = {0};
    struct edge edges[4];
    struct result first, other;
    uint8_t *payload, *mask = NULL;
    size_t width;

    if (size < OPTIONS)
        return 0;
    image.encoding = encodings[data[0] & 7];
    image.itemsize = itemsizes[data[0] >> 3 & 3];
    image.pixels = 1 + (size_t)(data[1] | (data[2] & 0x7f) << 8);
    selection.low = data[4] & 7;
    selection.high = selection.low + ((uint32_t)data[5] << (data[6] & 15));
    payload = copy_of(data + OPTIONS, size - OPTIONS);
    image.payload = payload;
    image.size = size - OPTIONS;

    if (data[3] & 1) {
        const size_t mask_bytes = (image.pixels + 7) / 8;

        mask = malloc(mask_bytes);
        require(mask != NULL);
        for (size_t i = 0; i < mask_bytes; i++)
            mask[i] = (uint8_t)(data[7] * (i + 1));
        selection.mask = mask;
    }
    if (data[3] & 2) {
        selection.n_edges = make_edges(image.pixels, data[7] * 251u + data[4], edges);
        selection.edges = edges;
        selection.n_regions = N_REGIONS;
    }
    width = 1 + (data[7] & 63);
    run(variants[0], &image, &selection, &first);
    for (size_t i = 0; i < n_variants; i++) {
        run(variants[i], &image, &selection, &other);
        require(memcmp(&first, &other, sizeof(first)) == 0);
        if (i == (size_t)(data[3] >> 2 & 3))
            decode(variants[i], &image, first.status);
        if (i == (size_t)(data[3] >> 4 & 3) && image.pixels % width == 0)
            bin(variants[i], &image, &selection, width, 1 + (data[3] >> 6), &first);
    }
    free(mask);
    free(payload);
    return 0;
}
