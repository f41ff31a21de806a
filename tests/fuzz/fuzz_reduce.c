/* libFuzzer target: any bytes, in any encoding, through every variant.
 *
 * Beyond what the sanitizers see, it checks that a refused payload leaves the results
 * alone, that the classes add up to the image, and that all variants agree. Payload,
 * scratch and bitmaps are heap blocks of exactly their size, so that one byte read or
 * written too far is found. See run.sh. */
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
    } else {
        require(memcmp(&result->counts, &untouched.counts, sizeof(struct counts)) == 0);
        require(memcmp(result->rows, untouched.rows, sizeof(result->rows)) == 0);
    }
    free(scratch);
}

static void decode(const struct variant *variant, const struct image *image)
{
    const size_t scratch_size = reduce_scratch_size(image);
    uint8_t *const scratch = malloc(scratch_size ? scratch_size : 1);
    uint8_t *const out = malloc(image->pixels * image->itemsize);
    struct reduce_fault fault;

    require(scratch && out);
    decode_image(variant, image, out, scratch, scratch_size, &fault);
    free(out);
    free(scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned itemsizes[] = {1, 2, 4, 2};
    const struct variant *variants[8];
    const size_t n_variants = variants_supported(variants, 8);
    struct image image;
    struct selection selection = {0};
    struct result first, other;
    uint8_t *payload, *bitmaps;
    size_t bitmap_bytes;

    if (size < OPTIONS)
        return 0;
    image.encoding = (enum encoding)(data[0] & 3);
    image.itemsize = itemsizes[data[0] >> 2 & 3];
    image.pixels = 1 + (size_t)(data[1] | (data[2] & 0x7f) << 8);
    selection.low = data[4] & 7;
    selection.high = selection.low + (data[5] << (data[6] & 15));
    payload = copy_of(data + OPTIONS, size - OPTIONS);
    image.payload = payload;
    image.size = size - OPTIONS;

    bitmap_bytes = (image.pixels + 7) / 8;
    bitmaps = malloc(N_REGIONS * bitmap_bytes);
    require(bitmaps != NULL);
    for (size_t i = 0; i < N_REGIONS * bitmap_bytes; i++)
        bitmaps[i] = (uint8_t)(data[7] * (i + 1));
    if (data[3] & 1)
        selection.mask = bitmaps;
    if (data[3] & 2) {
        selection.regions = bitmaps;
        selection.n_regions = N_REGIONS;
    }
    run(variants[0], &image, &selection, &first);
    for (size_t i = 1; i < n_variants; i++) {
        run(variants[i], &image, &selection, &other);
        require(memcmp(&first, &other, sizeof(first)) == 0);
    }
    decode(variants[data[3] >> 2 & 3 ? 0 : n_variants - 1], &image);
    free(bitmaps);
    free(payload);
    return 0;
}
