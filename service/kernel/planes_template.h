/* reduce_planes(), written once for all instruction sets.
 *
 * The including file defines
 *   vec                          a vector that & | ^ ~ + work on
 *   vec_load(p)                  unaligned
 *   vec_fill(bool)               all bits
 *   vec_any(v)                   is any bit set?
 *   vec_count(v)                 bits set in each 64-bit lane
 *   vec_sum(v)                   sum of the 64-bit lanes
 *
 * A column is one vector from each plane. Comparing with a limit runs bit-serially
 * from the top plane down, all pixels of a column at once: a pixel is greater as soon
 * as it has a 1 where the limit has a 0 and all bits above were equal.
 */

#define UNLIKELY(x) __builtin_expect((x), 0)
#define INLINE static inline __attribute__((always_inline))

/* In X-ray data, the upper planes are nearly always empty but for sentinel pixels.
 * Columns whose kept pixels fit into one of these are summed over so many planes. */
#define DIM_PLANES 8
#define FAINT_PLANES 4

#define COLUMNS (SLICE_BYTES / sizeof(vec))

/* One bit of each limit per plane, spread over a vector. Most columns need few. */
struct limits {
    uint32_t low_value;
    uint32_t high_value;
    bool ready; /* low and high are filled in */
    vec low[32];
    vec high[32];
    vec max[32]; /* of max_kept so far */
};

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

INLINE void spread_bits(uint32_t value, unsigned n_planes, vec bits[])
{
    for (unsigned b = 0; b < n_planes; b++)
        bits[b] = vec_fill((value >> b) & 1);
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

/* Sum of the pixels in `set`, as 64-bit lanes; none has a bit from plane n on. */
INLINE vec sum_planes(const struct rows *rows, size_t at, unsigned n, vec set)
{
    vec sum = vec_fill(false);

    for (unsigned b = n; b-- > 0;)
        sum = sum + sum + vec_count(vec_load(rows->plane[b] + at) & set);
    return sum;
}

/* Add the kept pixels of a column; none has a bit from plane n on. */
INLINE void add_kept(const struct rows *rows, size_t at, unsigned n, vec keep,
                     struct limits *limits, struct sums *sums)
{
    vec sum = vec_fill(false);
    vec equal = vec_fill(true);
    vec greater = vec_fill(false);

    if (n > DIM_PLANES)
        spread_bits(sums->max_kept, n, limits->max);
    for (unsigned b = n; b-- > 0;) {
        const vec ones = vec_load(rows->plane[b] + at) & keep;

        sum = sum + sum + vec_count(ones);
        greater = greater | (equal & ones & ~limits->max[b]);
        equal = equal & ~(ones ^ limits->max[b]);
    }
    sums->total = sums->total + sum;
    if (sums->max_kept >> (n - 1) > 1) /* has a bit that these pixels have not */
        return;
    if (UNLIKELY(vec_any(greater))) {
        sums->max_kept = max_of_planes(rows, at, greater);
        spread_bits(sums->max_kept, DIM_PLANES, limits->max);
    }
}

/* Split a column's valid pixels into below, above and the others. */
INLINE vec within_limits(const struct rows *rows, size_t at, unsigned n_planes,
                         vec valid, struct limits *limits, struct sums *sums)
{
    vec equal_low = vec_fill(true), equal_high = equal_low;
    vec below = vec_fill(false), above = below;

    if (!limits->ready) {
        spread_bits(limits->low_value, n_planes, limits->low);
        spread_bits(limits->high_value, n_planes, limits->high);
        limits->ready = true;
    }
    for (unsigned b = n_planes; b-- > 0;) {
        const vec plane = vec_load(rows->plane[b] + at);

        above = above | (equal_high & plane & ~limits->high[b]);
        equal_high = equal_high & ~(plane ^ limits->high[b]);
        below = below | (equal_low & ~plane & limits->low[b]);
        equal_low = equal_low & ~(plane ^ limits->low[b]);
    }
    sums->below = sums->below + vec_count(below & valid);
    sums->above = sums->above + vec_count(above & valid);
    return valid & ~below & ~above;
}

/* Classify the used pixels of a column and add them up. Returns how many planes, from
 * the lowest, hold all bits of the kept ones: FAINT_PLANES, DIM_PLANES or all. */
INLINE unsigned add_column(const struct rows *rows, size_t at, unsigned n_planes,
                           bool plain, vec used, struct limits *limits,
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
    sums->used = sums->used + vec_count(used);

    if (!plain || vec_any(bright & *keep)) {
        *keep = within_limits(rows, at, n_planes, *keep, limits, sums);
        if (n_planes > DIM_PLANES && vec_any(bright & *keep)) {
            add_kept(rows, at, n_planes, *keep, limits, sums);
            return n_planes;
        }
    }
    if (vec_any((dim | bright) & *keep)) {
        add_kept(rows, at, DIM_PLANES, *keep, limits, sums);
        return DIM_PLANES;
    }
    add_kept(rows, at, FAINT_PLANES, *keep, limits, sums);
    return FAINT_PLANES;
}

/* Add the part of one region that lies in the slice. */
INLINE void add_region(const struct rows *rows, size_t bytes, const uint8_t *bitmap,
                       unsigned top, const vec keep[], const vec sentinel[],
                       struct region_row *row)
{
    vec total = vec_fill(false), n_kept = total, n_sentinel = total;

    for (size_t i = 0, at = 0; at < bytes; i++, at += sizeof(vec)) {
        const vec region = load_bitmap(bitmap + at, bytes - at);
        const vec kept = region & keep[i];

        if (!vec_any(region))
            continue;
        n_kept = n_kept + vec_count(kept);
        n_sentinel = n_sentinel + vec_count(region & sentinel[i]);
        if (top == FAINT_PLANES)
            total = total + sum_planes(rows, at, FAINT_PLANES, kept);
        else if (top == DIM_PLANES)
            total = total + sum_planes(rows, at, DIM_PLANES, kept);
        else
            total = total + sum_planes(rows, at, rows->n, kept);
    }
    row->total += vec_sum(total);
    row->kept += (uint32_t)vec_sum(n_kept);
    row->sentinel += (uint32_t)vec_sum(n_sentinel);
}

INLINE void add_slice(const struct slice *slice, unsigned n_planes,
                      const struct selection *selection, struct tally *tally,
                      struct region_row *region_rows)
{
    const uint32_t all_ones = UINT32_MAX >> (32 - n_planes);
    const uint32_t low = min_u32(selection->low, all_ones); /* no more to select */
    const uint32_t high = min_u32(selection->high, all_ones);
    const bool plain = low == 0 && high >= min_u32(255, all_ones - 1);
    const size_t bytes = slice_bytes(slice);
    struct rows rows = {.n = n_planes, .distinct = slice->distinct};
    struct limits limits;
    struct sums sums = {.max_kept = tally->max_kept};
    vec keep[COLUMNS], sentinel[COLUMNS];
    unsigned top = FAINT_PLANES;

    for (unsigned b = 0; b < n_planes; b++)
        rows.plane[b] = slice->planes + min_u32(b, slice->distinct - 1) * slice->stride;
    limits.low_value = low;
    limits.high_value = high;
    limits.ready = false;
    spread_bits(tally->max_kept, DIM_PLANES, limits.max);

    for (size_t i = 0, at = 0; at < bytes; i++, at += sizeof(vec)) {
        vec used = vec_fill(true);
        unsigned column_top;

        if (selection->mask)
            used = load_bitmap(selection->mask + slice->position + at, bytes - at);
        if (slice->pixels - 8 * at < 8 * sizeof(vec))
            used = used & first_bits(slice->pixels - 8 * at);
        column_top = add_column(&rows, at, n_planes, plain, used, &limits, &sums,
                                &keep[i], &sentinel[i]);
        top = column_top > top ? column_top : top;
    }
    tally->total += vec_sum(sums.total);
    tally->below += vec_sum(sums.below);
    tally->above += vec_sum(sums.above);
    tally->sentinel += vec_sum(sums.sentinel);
    tally->used += vec_sum(sums.used);
    tally->max_kept = sums.max_kept;

    for (size_t r = 0; r < selection->n_regions; r++) {
        const uint8_t *bitmap = selection->regions + r * slice->bitmap_bytes;

        if (selection->extents &&
            (selection->extents[r].stop <= slice->position ||
             selection->extents[r].first >= slice->position + bytes))
            continue;
        add_region(&rows, bytes, bitmap + slice->position, top, keep, sentinel,
                   &region_rows[r]);
    }
}

static void reduce_planes(const struct slice *slice, unsigned itemsize,
                          const struct selection *selection, struct tally *tally,
                          struct region_row *region_rows)
{
    if (itemsize == 1)
        add_slice(slice, 8, selection, tally, region_rows);
    else if (itemsize == 2)
        add_slice(slice, 16, selection, tally, region_rows);
    else
        add_slice(slice, 32, selection, tally, region_rows);
}
