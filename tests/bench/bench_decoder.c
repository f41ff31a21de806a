/* Compares the kernel with liblz4 on the blocks of one bslz4 payload.
 *
 *   bench_decoder FILE ITEMSIZE PIXELS [REPEATS [VARIANT]]
 *
 * prints, per variant, the least time [ms] of: decoding all blocks with liblz4, with
 * the variant's own decoder, and reducing the whole image. Runs take turns, so that a
 * noisy machine is noisy for all. */
#include "reduce.h"
#include "variant.h"

#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BLOCK (1 << 20)

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* Decode all blocks: with liblz4 where decode is NULL. */
static void decode_blocks(const struct image *image, lz4_decode_fn *decode,
                          uint8_t *out)
{
    const uint8_t *at = image->payload + 12, *end = image->payload + image->size;
    const size_t block = load_be32(image->payload + 8);
    size_t left = image->pixels / 8 * 8 * image->itemsize;

    while (left > 0) {
        const uint32_t length = load_be32(at);
        const size_t expected = left < block ? left : block;
        size_t written;

        at += 4;
        if (decode ? !decode(at, length, end, out, expected, NO_PERIOD, &written)
                   : LZ4_decompress_safe((const char *)at, (char *)out, (int)length,
                                         (int)expected) != (int)expected) {
            fprintf(stderr, "corrupt block\n");
            exit(1);
        }
        at += length;
        left -= expected;
    }
}

int main(int argc, char **argv)
{
    const struct variant *variants[8];
    size_t n = variants_supported(variants, 8);
    double lz4_ms = 1e9, decode_ms[8], reduce_ms[8];
    struct image image = {.encoding = ENCODING_BSLZ4};
    const struct selection selection = {.low = 0, .high = 65533};
    static uint8_t scratch[MAX_BLOCK + BLOCK_PADDING];
    struct counts counts;
    struct reduce_fault fault;
    uint8_t *payload;
    FILE *file;
    const int repeats = argc > 4 ? atoi(argv[4]) : 200;

    if (argc < 4 || !(file = fopen(argv[1], "rb"))) {
        fprintf(stderr, "usage: bench_decoder FILE ITEMSIZE PIXELS [REPEATS]\n");
        return 2;
    }
    fseek(file, 0, SEEK_END);
    image.size = (size_t)ftell(file);
    rewind(file);
    payload = malloc(image.size);
    if (!payload || fread(payload, 1, image.size, file) != image.size)
        return 2;
    fclose(file);
    image.payload = payload;
    image.itemsize = (unsigned)atoi(argv[2]);
    image.pixels = (size_t)atoll(argv[3]);
    for (size_t i = 0; argc > 5 && i < n; i++)
        if (strcmp(argv[5], variants[i]->name) == 0) {
            variants[0] = variants[i];
            n = 1;
        }
    for (size_t i = 0; i < n; i++)
        decode_ms[i] = reduce_ms[i] = 1e9;

    for (int r = 0; r < repeats; r++) {
        double t = now_ms();

        decode_blocks(&image, NULL, scratch);
        t = now_ms() - t;
        lz4_ms = t < lz4_ms ? t : lz4_ms;
        for (size_t i = 0; i < n; i++) {
            t = now_ms();
            decode_blocks(&image, variants[i]->lz4_decode, scratch);
            t = now_ms() - t;
            decode_ms[i] = t < decode_ms[i] ? t : decode_ms[i];
            t = now_ms();
            if (reduce_image(variants[i], &image, &selection, &counts, NULL, scratch,
                             sizeof(scratch), &fault) != REDUCE_OK)
                return 1;
            t = now_ms() - t;
            reduce_ms[i] = t < reduce_ms[i] ? t : reduce_ms[i];
        }
    }
    for (size_t i = 0; i < n; i++)
        printf(
            "%-9s liblz4 decode %6.3f  own decode %6.3f  reduce %6.3f  ratio %5.2f\n",
            variants[i]->name, lz4_ms, decode_ms[i], reduce_ms[i],
            lz4_ms / reduce_ms[i]);
    free(payload);
    return 0;
}
