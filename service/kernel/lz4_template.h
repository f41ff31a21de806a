/* lz4_decode(), written once for all instruction sets.
 *
 * Where the instruction set can choose the bytes of a vector by those of another, the
 * including file defines BYTE_SHUFFLE and
 *   bytes16                      a vector of 16 bytes
 *   bytes16_load(p), bytes16_store(p, v)     unaligned
 *   bytes16_choose(v, i)         byte n is byte i[n] of v; all i are below 16
 *
 * An LZ4 block is a list of sequences: a token, literals, the offset of a match that
 * repeats earlier output. In bit planes most are short: a few literals, a match of 4
 * to 8 bytes, often nearer than its length. So the loop copies 16 bytes, whatever the
 * lengths are, and the next sequence overwrites what was too much; offsets below 16
 * go through a shuffle table instead of a branch. What does not fit (long lengths, the
 * ends of the buffers) takes a slower way.
 *
 * Invalid data may come any time: nothing is read before `out` or acted upon beyond
 * the input's end, and nothing is written beyond the padding.
 */

/* The format's rules for the end of a block: its last sequence has no match, at least
 * its last 5 bytes are literals, and no match starts within its last 12 bytes. */
#define LAST_LITERALS 5
#define MATCH_START_LIMIT 12
#define MIN_MATCH 4

#define COPY_BYTES 16

/* After the literals of a sequence that is not the last: offset, token, literals. */
#define REST_AFTER_LITERALS (2 + 1 + LAST_LITERALS)

/* A sequence with short lengths is read up to here, whatever they are. */
#define SHORT_SEQUENCE (1 + COPY_BYTES + 2)

#define LIKELY(x) __builtin_expect((x), 1)

static inline void copy16(uint8_t *to, const uint8_t *from)
{
    memcpy(to, from, COPY_BYTES);
}

#if defined(BYTE_SHUFFLE)

/* Row n repeats the first n bytes of a vector; from 16 on, nothing repeats. */
static const uint8_t repeat_table[17][16] __attribute__((aligned(64))) = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1},
    {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0},
    {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3},
    {0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0},
    {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3},
    {0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 0, 1},
    {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5, 6},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 1, 2, 3, 4},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 1, 2},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0, 1},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
};

/* Row n goes on from there: bytes 16 to 31 of the repetition. */
static const uint8_t continue_table[16][16] __attribute__((aligned(64))) = {
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
    {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1},
    {1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1},
    {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3},
    {1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1},
    {4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1},
    {2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3},
    {0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7},
    {7, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4},
    {6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1},
    {5, 6, 7, 8, 9, 10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
    {4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7},
    {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 1, 2, 3, 4, 5},
    {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0, 1, 2, 3},
    {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 1},
};

/* Write 16 bytes that continue the output with its last `offset` bytes repeated. */
static inline void repeat16(uint8_t *op, size_t offset)
{
    const uint8_t *const row = repeat_table[offset < COPY_BYTES ? offset : COPY_BYTES];

    bytes16_store(op, bytes16_choose(bytes16_load(op - offset), bytes16_load(row)));
}

/* Write at least n bytes in the same way, at most n + 31, for an offset below 16: a
 * pattern of 32 bytes again and again, each time as much of it as is whole
 * repetitions. */
static inline void repeat_pattern(uint8_t *op, size_t offset, size_t n)
{
    static const uint8_t whole[COPY_BYTES] = {32, 32, 32, 30, 32, 30, 30, 28,
                                              32, 27, 30, 22, 24, 26, 28, 30};
    const bytes16 last = bytes16_load(op - offset);
    const bytes16 pattern = bytes16_choose(last, bytes16_load(repeat_table[offset]));
    const bytes16 rest = bytes16_choose(last, bytes16_load(continue_table[offset]));
    uint8_t *const end = op + n;

    do {
        bytes16_store(op, pattern);
        bytes16_store(op + COPY_BYTES, rest);
        op += whole[offset];
    } while (op < end);
}

#else

static inline void repeat16(uint8_t *op, size_t offset)
{
    const uint8_t *const from = op - offset;

    if (offset >= COPY_BYTES)
        copy16(op, from);
    else
        for (size_t i = 0; i < COPY_BYTES; i++)
            op[i] = from[i];
}

static inline void repeat_pattern(uint8_t *op, size_t offset, size_t n)
{
    static const uint8_t whole[COPY_BYTES] = {16, 16, 16, 15, 16, 15, 12, 14,
                                              16, 9,  10, 11, 12, 13, 14, 15};
    uint8_t *const end = op + n;
    uint8_t pattern[COPY_BYTES];

    repeat16(op, offset);
    memcpy(pattern, op, COPY_BYTES);
    for (op += whole[offset]; op < end; op += whole[offset])
        copy16(op, pattern);
}

#endif

/* Copy at least n bytes, at most n + 31; forward, if the buffers overlap. */
static inline void copy_long(uint8_t *op, const uint8_t *from, size_t n)
{
    uint8_t *const end = op + n;

    do {
        memcpy(op, from, 2 * COPY_BYTES);
        op += 2 * COPY_BYTES;
        from += 2 * COPY_BYTES;
    } while (op < end);
}

/* Write at least n bytes, at most n + 31, that continue the repetition. */
static inline void repeat_long(uint8_t *op, size_t offset, size_t n)
{
    const uint8_t *from = op - offset;
    uint8_t *const end = op + n;

    if (offset >= 2 * COPY_BYTES) {
        copy_long(op, from, n);
    } else if (offset >= COPY_BYTES) {
        do {
            copy16(op, from);
            copy16(op + COPY_BYTES, from + COPY_BYTES);
            op += 2 * COPY_BYTES;
            from += 2 * COPY_BYTES;
        } while (op < end);
    } else {
        repeat_pattern(op, offset, n);
    }
}

/* Read the rest of a length: bytes are added up to and including the first that is
 * not 255. False if the block ends before, or the length is beyond `limit`. */
static inline bool read_length(const uint8_t **in, const uint8_t *end, size_t limit,
                               size_t *length)
{
    const uint8_t *ip = *in;
    uint8_t byte;

    do {
        if (ip >= end || *length > limit)
            return false;
        byte = *ip++;
        *length += byte;
    } while (byte == 255);
    *in = ip;
    return true;
}

/* Is the sequence at ip the last, and do its literals only go on repeating what a
 * match of n bytes does at op? */
static inline bool repeats_to_the_end(const uint8_t *ip, const uint8_t *in_end,
                                      const uint8_t *op, size_t offset, size_t n,
                                      const uint8_t *out_end)
{
    const uint8_t *const repeated = op - offset;
    const size_t literals = (size_t)(out_end - op) - n;
    size_t phase = n % offset;

    if (literals >= 15 || in_end - ip != (ptrdiff_t)(1 + literals) ||
        ip[0] >> 4 != literals)
        return false;
    for (size_t i = 0; i < literals; i++) {
        if (ip[1 + i] != repeated[phase])
            return false;
        phase = phase + 1 < offset ? phase + 1 : 0;
    }
    return true;
}

static bool lz4_decode(const uint8_t *in, size_t in_size, const uint8_t *readable,
                       uint8_t *out, size_t out_size, size_t period, size_t *written)
{
    const uint8_t *ip = in;
    const uint8_t *const in_end = in + in_size;
    uint8_t *op = out;
    uint8_t *const out_end = out + out_size;

    *written = out_size;
    for (;;) {
        size_t literals, match, offset;
        uint8_t token;

        if (UNLIKELY(ip >= in_end))
            return false;
        token = *ip++;
        literals = token >> 4;
        match = (size_t)(token & 15) + MIN_MATCH;

        if (LIKELY(literals < 15 && readable - ip >= SHORT_SEQUENCE)) {
            copy16(op, ip);
        } else {
            if (literals == 15 && !read_length(&ip, in_end, out_size, &literals))
                return false;
            if (literals > (size_t)(in_end - ip) || literals > (size_t)(out_end - op))
                return false;
            if (LIKELY((size_t)(readable - ip) >= literals + 2 * COPY_BYTES))
                copy_long(op, ip, literals);
            else
                memcpy(op, ip, literals);
        }
        ip += literals;
        op += literals;
        if (UNLIKELY(in_end - ip < REST_AFTER_LITERALS))
            return ip == in_end && op == out_end;
        if (UNLIKELY(out_end - op < MATCH_START_LIMIT))
            return false;

        offset = (size_t)(ip[0] | ip[1] << 8);
        ip += 2;
        if (UNLIKELY(offset - 1 >= (size_t)(op - out)))
            return false;
        if (LIKELY(match <= COPY_BYTES)) {
            repeat16(op, offset);
            op += match;
            if (UNLIKELY(out_end - op < LAST_LITERALS))
                return false;
        } else {
            if (match == 15 + MIN_MATCH && !read_length(&ip, in_end, out_size, &match))
                return false;
            if (match + LAST_LITERALS > (size_t)(out_end - op))
                return false;
            if (match / 2 >= period && period % offset == 0 &&
                repeats_to_the_end(ip, in_end, op, offset, match, out_end)) {
                const size_t done = (size_t)(op - out);

                *written = (done + 2 * period - offset - 1) / period * period;
                repeat_long(op, offset, *written - done);
                return true;
            }
            repeat_long(op, offset, match);
            op += match;
        }
    }
}
