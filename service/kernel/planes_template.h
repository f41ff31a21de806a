/* reduce_planes(), written once for all instruction sets.
 *
 * The including file defines
 *   vec                          a vector of 64-bit lanes that & | ^ ~ + << work on
 *   vec_load(p)                  unaligned
 *   vec_fill(bool)               all bits
 *   vec_any(v)                   is any bit set?
 *   vec_count(v)                 bits set in each 64-bit lane
 *   vec_weigh(p0, p1, p2, p3)    the same, those of p1 count 2, of p2 4, of p3 8
 *   vec_sum(v)                   sum of the 64-bit lanes
 *
 * A column is one vector from each plane. Comparing with a limit runs bit-serially
 * from the top plane down, all pixels of a column at once: a pixel is greater as soon
 * as it has a 1 where the limit has a 0, and a 1 in all bits above where the limit has
 * one. The limits change rarely, so a branch per bit costs less than masks would.
 */

#include "bits.h"

#define UNLIKELY(x) __builtin_expect((x), 0)
#define INLINE static inline __attribute__((always_inline))

/* In X-ray data, the upper planes are nearly always empty but for sentinel pixels.
 * Columns whose kept pixels fit into one of these are summed over so many planes. */
#define DIM_PLANES 8
#define FAINT_PLANES 4

#define COLUMNS (SLICE_BYTES / sizeof(vec))

struct sums {
    vec total;
    vec below;
    vec above;
    vec sentinel;
    vec used;
    uint32_t max_kept;
};

INLINE uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Load n < sizeof(vec) bytes, the others are zero. */
INLINE vec load_part(const uint8_t *from, size_t n)
{
    uint8_t part[sizeof(vec)] = {0};

    memcpy(part, from, n);
    return vec_load(part);
}

INLINE vec load_bitmap(const uint8_t *from, size_t n)
{
    return n >= sizeof(vec) ? vec_load(from) : load_part(from, n);
}

/* The lowest n bits, less than a vector has. */
INLINE vec first_bits(size_t n)
{
    uint8_t bits[sizeof(vec)] = {0};

    memset(bits, 0xff, n / 8);
    bits[n / 8] = (uint8_t)((1u << n % 8) - 1);
    return vec_load(bits);
}

/* Where the planes are: those that repeat share one place. */
struct rows {
    const uint8_t *plane[32];
    unsigned n;        /* planes */
    unsigned distinct; /* the others repeat the last of these */
};

/* Largest pixel in `set`, which is not empty. */
static uint32_t max_of_planes(const struct rows *rows, size_t at, vec set)
{
    uint32_t max = 0;

    for (unsigned b = rows->n; b-- > 0;) {
        const vec ones = vec_load(rows->plane[b] + at) & set;

        if (vec_any(ones)) {
            set = ones;
            max |= UINT32_C(1) << b;
        }
    }
    return max;
}

/* Add the kept pixels of a column and return their sum, as 64-bit lanes; none has a bit
 * from plane n on. */
INLINE vec add_kept(const struct rows *rows, size_t at, unsigned n, vec keep,
                    struct sums *sums)
{
    const uint32_t max = sums->max_kept;
    vec sum = vec_fill(false);
    vec reaching = keep; /* the bits of max above, and maybe others */
    vec greater = sum;

    for (unsigned b = n; b > 0; b -= 4) {
        vec ones[4];

        for (unsigned i = 4; i-- > 0;) {
            ones[i] = vec_load(rows->plane[b - 4 + i] + at) & keep;
            if (max >> (b - 4 + i) & 1)
                reaching = reaching & ones[i];
            else
                greater = greater | (reaching & ones[i]);
        }
        sum = (sum << 4) + vec_weigh(ones[0], ones[1], ones[2], ones[3]);
    }
    sums->total = sums->total + sum;
    if (max >> (n - 1) <= 1 && UNLIKELY(vec_any(greater))) /* else max has more bits */
        sums->max_kept = max_of_planes(rows, at, greater);
    return sum;
}

/* Split a column's valid pixels into below, above and the others. */
INLINE vec within_limits(const struct rows *rows, size_t at, unsigned n_planes,
                         uint32_t low, uint32_t high, vec valid, struct sums *sums)
{
    vec reaching_low = valid, reaching_high = valid;
    vec below = vec_fill(false), above = below;

    for (unsigned b = n_planes; b-- > 0;) {
        const vec plane = vec_load(rows->plane[b] + at);

        if (high >> b & 1)
            reaching_high = reaching_high & plane;
        else
            above = above | (reaching_high & plane);
        if (low >> b & 1) /* the same with all bits inverted */
            below = below | (reaching_low & ~plane);
        else
            reaching_low = reaching_low & ~plane;
    }
    sums->below = sums->below + vec_count(below);
    sums->above = sums->above + vec_count(above);
    return valid & ~below & ~above;
}

/* Classify the used pixels of a column and add the kept ones up, over as many planes,
 * from the lowest, as hold all their bits: FAINT_PLANES, DIM_PLANES or all. */
INLINE vec add_column(const struct rows *rows, size_t at, unsigned n_planes,
                      const struct selection *limits, bool plain, vec used,
                      struct sums *sums, vec *keep, vec *sentinel)
{
    vec all = used;
    vec dim = vec_load(rows->plane[rows->distinct - 1] + at);
    vec bright = n_planes > DIM_PLANES ? dim : vec_fill(false);
    unsigned b = rows->distinct;

    while (b > DIM_PLANES) {
        const vec plane = vec_load(rows->plane[--b] + at);

        all = all & plane;
        bright = bright | plane;
    }
    while (b > FAINT_PLANES) {
        const vec plane = vec_load(rows->plane[--b] + at);

        all = all & plane;
        dim = dim | plane;
    }
    while (b > 0)
        all = all & vec_load(rows->plane[--b] + at);
    *sentinel = all;
    *keep = used & ~all;
    sums->sentinel = sums->sentinel + vec_count(all);

    if (!plain || vec_any(bright & *keep)) {
        *keep =
            within_limits(rows, at, n_planes, limits->low, limits->high, *keep, sums);
        if (n_planes > DIM_PLANES && vec_any(bright & *keep))
            return add_kept(rows, at, n_planes, *keep, sums);
    }
    if (vec_any((dim | bright) & *keep))
        return add_kept(rows, at, DIM_PLANES, *keep, sums);
    return add_kept(rows, at, FAINT_PLANES, *keep, sums);
}

/* Pass the edges inside a slice of which the columns are known; max is no less than
 * any of its kept pixels. */
INLINE void pass_edges(const struct slice *slice, const struct rows *rows, uint32_t max,
                       const vec total[], const vec keep[], const vec sentinel[],
                       const struct selection *selection, struct tally *tally,
                       struct passed *regions)
{
    const struct edge *edge = selection->edges + tally->edges;
    const struct edge *const end = selection->edges + selection->n_edges;
    struct passed words[SLICE_BYTES / sizeof(uint64_t) + 1]; /* before each word */
    vec pixels[COLUMNS];
    unsigned n = 0;

    for (size_t i = 0; i * sizeof(vec) < slice_bytes(slice); i++)
        pixels[i] = vec_count(keep[i]) + (vec_count(sentinel[i]) << 32);
    words[0] = passed_by(tally);
    for (size_t word = 0; word < (slice->pixels + 63) / 64; word++) {
        words[word + 1].total = words[word].total + load_word(total, word);
        words[word + 1].pixels = words[word].pixels + load_word(pixels, word);
    }
    while (n < rows->n && max >> n > 0)
        n++;
    while (edge < end && edge->pixel - slice->first < slice->pixels) {
        const uint32_t pixel = edge->pixel;
        const size_t at = pixel - slice->first, word = at / 64;
        const uint64_t before = (UINT64_C(1) << at % 64) - 1;
        const uint64_t kept = load_word(keep, word) & before;
        const uint64_t n_sentinel = count_bits(load_word(sentinel, word) & before);
        struct passed passed = {0};

        for (unsigned b = n; b-- > 0;)
            passed.total =
                2 * passed.total + count_bits(load_word(rows->plane[b], word) & kept);
        passed.total += words[word].total;
        passed.pixels = words[word].pixels + (n_sentinel << 32) + count_bits(kept);
        for (; edge < end && edge->pixel == pixel; edge++)
            pass_edge(edge, passed, regions);
    }
    tally->edges = (size_t)(edge - selection->edges);
}

INLINE void add_slice(const struct slice *slice, unsigned n_planes, bool masked,
                      const struct selection *selection, struct tally *tally,
                      struct passed *regions)
{
    const uint32_t all_ones = UINT32_MAX >> (32 - n_planes);
    struct selection limits = {
        .low = min_u32(selection->low, all_ones), /* there is no more to compare */
        .high = min_u32(selection->high, all_ones),
    };
    /* Then pixels without a bit from DIM_PLANES on are neither below nor above. */
    const bool plain = limits.low == 0 && limits.high >= min_u32(255, all_ones - 1);
    const size_t bytes = slice_bytes(slice);
    struct rows rows = {.n = n_planes, .distinct = slice->distinct};
    struct sums sums = {.max_kept = tally->max_kept};
    vec total[COLUMNS], keep[COLUMNS], sentinel[COLUMNS];

    for (unsigned b = 0; b < n_planes; b++)
        rows.plane[b] = slice->planes + min_u32(b, slice->distinct - 1) * slice->stride;

    for (size_t i = 0, at = 0; at < bytes; i++, at += sizeof(vec)) {
        vec used = vec_fill(true);

        if (masked)
            used = load_bitmap(selection->mask + slice->first / 8 + at, bytes - at);
        if (slice->pixels - 8 * at < 8 * sizeof(vec))
            used = used & first_bits(slice->pixels - 8 * at);
        if (masked)
            sums.used = sums.used + vec_count(used);
        total[i] = add_column(&rows, at, n_planes, &limits, plain, used, &sums,
                              &keep[i], &sentinel[i]);
    }
    if (tally->edges < selection->n_edges &&
        selection->edges[tally->edges].pixel - slice->first < slice->pixels)
        pass_edges(slice, &rows, sums.max_kept, total, keep, sentinel, selection, tally,
                   regions);
    tally->total += vec_sum(sums.total);
    tally->below += vec_sum(sums.below);
    tally->above += vec_sum(sums.above);
    tally->sentinel += vec_sum(sums.sentinel);
    tally->used += masked ? vec_sum(sums.used) : slice->pixels;
    tally->max_kept = sums.max_kept;
}

INLINE void reduce_slice(const struct slice *slice, unsigned n_planes,
                         const struct selection *selection, struct tally *tally,
                         struct passed *regions)
{
    if (selection->mask)
        add_slice(slice, n_planes, true, selection, tally, regions);
    else
        add_slice(slice, n_planes, false, selection, tally, regions);
}

static void reduce_planes(const struct slice *slice, unsigned itemsize,
                          const struct selection *selection, struct tally *tally,
                          struct passed *regions)
{
    if (itemsize == 1)
        reduce_slice(slice, 8, selection, tally, regions);
    else if (itemsize == 2)
        reduce_slice(slice, 16, selection, tally, regions);
    else
        reduce_slice(slice, 32, selection, tally, regions);
}
