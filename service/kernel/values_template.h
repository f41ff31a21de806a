/* read_planes() and add_values(), written once for all instruction sets: loops that
 * the compiler turns into vectors. The including file has included planes_template.h.
 */

/* The bytes of 8 pixels that planes 8 * byte ... 8 * byte + 7 hold. */
INLINE uint64_t bytes_of_planes(const struct slice *slice, unsigned byte, size_t group)
{
    const uint8_t *const planes = slice->planes + group;
    uint64_t bits = 0;

    for (unsigned b = 0; b < 8; b++) {
        const unsigned plane = min_u32(8 * byte + b, slice->distinct - 1);

        bits |= (uint64_t)planes[plane * slice->stride] << 8 * b;
    }
    return transpose_bits(bits);
}

INLINE void read_slice(const struct slice *slice, unsigned itemsize, uint32_t *values)
{
    for (size_t group = 0; group < slice_bytes(slice); group++) {
        uint64_t bytes[sizeof(uint32_t)];

        for (unsigned byte = 0; byte < itemsize; byte++)
            if (byte > 0 && 8 * (byte - 1) >= slice->distinct - 1)
                bytes[byte] = bytes[byte - 1]; /* both are of one plane, repeated */
            else
                bytes[byte] = bytes_of_planes(slice, byte, group);
        for (unsigned i = 0; i < 8; i++) {
            uint32_t value = 0;

            for (unsigned byte = 0; byte < itemsize; byte++)
                value |= (uint32_t)(uint8_t)(bytes[byte] >> 8 * i) << 8 * byte;
            values[8 * group + i] = value;
        }
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

static void add_values(const uint32_t *values, size_t n, uint32_t low, uint32_t high,
                       uint32_t most, uint32_t *restrict sums, uint32_t *restrict kept)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t keep = -(uint32_t)((low <= values[i]) & (values[i] <= high));

        sums[i] += min_u32(values[i], most) & keep;
        kept[i] -= keep;
    }
}
