/* read_planes() and add_values(), written once for all instruction sets: loops that
 * the compiler turns into vectors. The including file has included planes_template.h.
 */

/* So many bytes of each plane are brought into order at a time, in the L1 cache. */
#define STRIP_BYTES ((size_t)128)
#define STRIP_PIXELS (8 * STRIP_BYTES)

/* One byte of each pixel of a strip, or what leads there, in units of any size. */
union strip {
    uint8_t ones[STRIP_PIXELS];
    uint16_t twos[STRIP_PIXELS / 2];
    uint32_t fours[STRIP_PIXELS / 4];
    uint64_t eights[STRIP_PIXELS / 8];
};

/* a0 b0 a1 b1 ..., in units of one, two and four bytes. */
INLINE void interleave1(const uint8_t *restrict a, const uint8_t *restrict b,
                        union strip *restrict out)
{
    for (size_t i = 0; i < STRIP_BYTES; i++) {
        out->ones[2 * i] = a[i];
        out->ones[2 * i + 1] = b[i];
    }
}

INLINE void interleave2(const union strip *restrict a, const union strip *restrict b,
                        union strip *restrict out)
{
    for (size_t i = 0; i < STRIP_BYTES; i++) {
        out->twos[2 * i] = a->twos[i];
        out->twos[2 * i + 1] = b->twos[i];
    }
}

INLINE void interleave4(const union strip *restrict a, const union strip *restrict b,
                        union strip *restrict out)
{
    for (size_t i = 0; i < STRIP_BYTES; i++) {
        out->fours[2 * i] = a->fours[i];
        out->fours[2 * i + 1] = b->fours[i];
    }
}

/* Of each pixel of a strip, the byte that planes first ... first + 7 hold: eight
 * planes side by side are eight pixels once each 8 x 8 bits are transposed. */
INLINE void read_bytes(const struct slice *slice, size_t at, unsigned first,
                       union strip *out)
{
    union strip pairs[4], fours[2];

    for (unsigned i = 0; i < 4; i++) {
        const unsigned last = slice->distinct - 1;
        const unsigned even = min_u32(first + 2 * i, last);
        const unsigned odd = min_u32(first + 2 * i + 1, last);

        interleave1(slice->planes + even * slice->stride + at,
                    slice->planes + odd * slice->stride + at, &pairs[i]);
    }
    interleave2(&pairs[0], &pairs[1], &fours[0]);
    interleave2(&pairs[2], &pairs[3], &fours[1]);
    interleave4(&fours[0], &fours[1], out);
    for (size_t i = 0; i < STRIP_BYTES; i++)
        out->eights[i] = transpose_bits(out->eights[i]);
}

INLINE void read_strip(const struct slice *slice, size_t at, unsigned itemsize,
                       uint32_t *values)
{
    union strip strips[sizeof(*values)];
    const uint8_t *bytes[sizeof(*values)];

    for (unsigned i = 0; i < itemsize; i++) {
        bytes[i] = strips[i].ones;
        if (i > 0 && 8 * (i - 1) >= slice->distinct - 1)
            bytes[i] = bytes[i - 1]; /* both are of one plane, repeated */
        else
            read_bytes(slice, at, 8 * i, &strips[i]);
    }
    for (size_t i = 0; i < STRIP_PIXELS; i++) {
        values[i] = bytes[0][i];
        if (itemsize > 1)
            values[i] |= (uint32_t)bytes[1][i] << 8;
        if (itemsize > 2)
            values[i] |= (uint32_t)bytes[2][i] << 16 | (uint32_t)bytes[3][i] << 24;
    }
}

/* The whole slice, in strips; what is less than a strip in a copy, so that nothing is
 * read beyond the padding or written beyond the slice. */
INLINE void read_slice(const struct slice *slice, unsigned itemsize, uint32_t *values)
{
    const size_t bytes = slice_bytes(slice);
    size_t at = 0;

    for (; bytes - at >= STRIP_BYTES; at += STRIP_BYTES)
        read_strip(slice, at, itemsize, values + 8 * at);
    if (at < bytes) {
        uint8_t planes[32 * STRIP_BYTES];
        uint32_t strip[STRIP_PIXELS];
        struct slice rest = *slice;

        memset(planes, 0, sizeof(planes));
        for (unsigned b = 0; b < slice->distinct; b++)
            memcpy(planes + b * STRIP_BYTES, slice->planes + b * slice->stride + at,
                   bytes - at);
        rest.planes = planes;
        rest.stride = STRIP_BYTES;
        read_strip(&rest, 0, itemsize, strip);
        memcpy(values + 8 * at, strip, (slice->pixels - 8 * at) * sizeof(*values));
    }
}

static void read_planes(const struct slice *slice, unsigned itemsize, uint32_t *values)
{
    if (itemsize == 1)
        read_slice(slice, 1, values);
    else if (itemsize == 2)
        read_slice(slice, 2, values);
    else
        read_slice(slice, 4, values);
}

static void add_values(const uint32_t *restrict values, size_t n, uint32_t low,
                       uint32_t high, uint32_t most, uint32_t *restrict sums,
                       uint32_t *restrict kept)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t keep = -(uint32_t)((low <= values[i]) & (values[i] <= high));

        sums[i] += min_u32(values[i], most) & keep;
        kept[i] -= keep;
    }
}
