/* The pixels of an image: all of them, or their sums in bins. */
#include "blocks.h"

#include <string.h>

struct copy {
    const struct variant *variant;
    unsigned itemsize;
    uint8_t *out;
};

/* Write values as elements of itemsize bytes. */
static void narrow(const uint32_t *values, size_t n, unsigned itemsize, uint8_t *out)
{
    if (itemsize == 4) {
        memcpy(out, values, n * sizeof(*values));
    } else if (itemsize == 2) {
        for (size_t i = 0; i < n; i++) {
            const uint16_t value = (uint16_t)values[i];

            memcpy(out + 2 * i, &value, sizeof(value));
        }
    } else {
        for (size_t i = 0; i < n; i++)
            out[i] = (uint8_t)values[i];
    }
}

static void widen(const uint8_t *in, size_t n, unsigned itemsize, uint32_t *values)
{
    for (size_t i = 0; i < n; i++) {
        values[i] = 0;
        memcpy(&values[i], in + i * itemsize, itemsize);
    }
}

static void copy_planes(void *context, uint8_t *planes, size_t plane_bytes,
                        unsigned distinct, size_t first)
{
    const struct copy *const to = context;
    uint32_t values[SLICE_PIXELS];
    struct slice slice = {.stride = plane_bytes, .distinct = distinct};

    for (size_t done = 0; done < 8 * plane_bytes; done += slice.pixels) {
        slice.planes = planes + done / 8;
        slice.pixels = min_size(8 * plane_bytes - done, SLICE_PIXELS);
        to->variant->read_planes(&slice, to->itemsize, values);
        narrow(values, slice.pixels, to->itemsize,
               to->out + (first + done) * to->itemsize);
    }
}

static void copy_pixels(void *context, const uint8_t *in, size_t n, size_t first)
{
    const struct copy *const to = context;

    memcpy(to->out + first * to->itemsize, in, n * to->itemsize);
}

enum reduce_status decode_image(const struct variant *variant,
                                const struct image *image, uint8_t *out,
                                uint8_t *scratch, size_t scratch_size,
                                struct reduce_fault *fault)
{
    struct copy to = {variant, image->itemsize, out};
    const struct sink sink = {copy_planes, copy_pixels, &to};

    return read_blocks(variant, image, &sink, scratch, scratch_size, fault);
}

/* Rows of pixels are added up column by column; a row of bins is made of that. */
struct binning {
    const struct variant *variant;
    unsigned itemsize;
    const struct selection *selection;
    const struct bins *bins;
    uint32_t high; /* the sentinel is beyond it */
    size_t height; /* pixels in a column of the image */
};

static void end_bin_row(struct binning *to, size_t row)
{
    const struct bins *const bins = to->bins;
    const size_t columns = (bins->width + bins->factor - 1) / bins->factor;
    uint32_t *const row_sums = bins->row_sums;
    uint32_t *const row_kept = row_sums + bins->width;

    for (size_t column = 0; column < columns; column++) {
        const size_t first = column * bins->factor;
        const size_t stop = min_size(first + bins->factor, bins->width);
        uint64_t sum = 0;
        uint32_t kept = 0;

        for (size_t x = first; x < stop; x++) {
            sum += row_sums[x];
            kept += row_kept[x];
        }
        bins->sums[row * columns + column] = sum;
        bins->kept[row * columns + column] = kept;
    }
    memset(row_sums, 0, 2 * bins->width * sizeof(*row_sums));
}

static void bin_values(struct binning *to, const uint32_t *values, size_t n,
                       size_t first)
{
    const struct bins *const bins = to->bins;
    const uint32_t most = (uint32_t)(UINT32_MAX / bins->factor);

    while (n > 0) {
        const size_t y = first / bins->width, x = first % bins->width;
        const size_t part = min_size(n, bins->width - x);

        to->variant->add_values(values, part, to->selection->low, to->high, most,
                                bins->row_sums + x, bins->row_sums + bins->width + x);
        values += part;
        n -= part;
        first += part;
        if (x + part == bins->width &&
            ((y + 1) % bins->factor == 0 || y + 1 == to->height))
            end_bin_row(to, y / bins->factor);
    }
}

static void bin_planes(void *context, uint8_t *planes, size_t plane_bytes,
                       unsigned distinct, size_t first)
{
    struct binning *const to = context;
    const uint8_t *const mask = to->selection->mask;
    uint32_t values[SLICE_PIXELS];
    struct slice slice = {.stride = plane_bytes, .distinct = distinct};

    if (mask) /* what is masked becomes sentinel */
        for (unsigned b = 0; b < distinct; b++)
            for (size_t i = 0; i < plane_bytes; i++)
                planes[b * plane_bytes + i] |= (uint8_t)~mask[first / 8 + i];
    for (size_t done = 0; done < 8 * plane_bytes; done += slice.pixels) {
        slice.planes = planes + done / 8;
        slice.pixels = min_size(8 * plane_bytes - done, SLICE_PIXELS);
        to->variant->read_planes(&slice, to->itemsize, values);
        bin_values(to, values, slice.pixels, first + done);
    }
}

static void bin_pixels(void *context, const uint8_t *in, size_t n, size_t first)
{
    struct binning *const to = context;
    const uint8_t *const mask = to->selection->mask;
    uint32_t values[SLICE_PIXELS];

    for (size_t done = 0; done < n; done += SLICE_PIXELS) {
        const size_t part = min_size(n - done, SLICE_PIXELS);

        widen(in + done * to->itemsize, part, to->itemsize, values);
        for (size_t i = 0; mask && i < part; i++)
            if (!(mask[(first + done + i) / 8] >> (first + done + i) % 8 & 1))
                values[i] = UINT32_MAX;
        bin_values(to, values, part, first + done);
    }
}

enum reduce_status bin_image(const struct variant *variant, const struct image *image,
                             const struct selection *selection, const struct bins *bins,
                             uint8_t *scratch, size_t scratch_size,
                             struct reduce_fault *fault)
{
    const uint32_t sentinel = UINT32_MAX >> (32 - 8 * image->itemsize);
    struct binning to = {
        .variant = variant,
        .itemsize = image->itemsize,
        .selection = selection,
        .bins = bins,
        .high = selection->high < sentinel ? selection->high : sentinel - 1,
        .height = image->pixels / bins->width,
    };
    const struct sink sink = {bin_planes, bin_pixels, &to};

    memset(bins->row_sums, 0, 2 * bins->width * sizeof(*bins->row_sums));
    return read_blocks(variant, image, &sink, scratch, scratch_size, fault);
}
