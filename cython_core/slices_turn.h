/* Between samples as rows of units and units as rows of samples; included by slices_kernel.h. See slices_samples.h. */

typedef uint64_t GX_NAME(gx_four_words) __attribute__((vector_size(8 * GX_SAMPLE_WORDS)));

/* Transpose GX_SAMPLE_WORDS squares of 64 bits by 64 side by side: bit j of word i becomes bit i of word j. */
GX_INLINE void GX_NAME(gx_transpose)(GX_NAME(gx_four_words) *x)
{
    uint64_t mask = 0x00000000ffffffffu;
    for (int32_t half = 32; half; half >>= 1, mask ^= mask << half)
        for (int32_t i = 0; i < 64; i += 2 * half)
            for (int32_t k = i; k < i + half; k++) {
                const GX_NAME(gx_four_words) swapped = ((x[k] >> half) ^ x[k + half]) & mask;
                x[k] ^= swapped << half;
                x[k + half] ^= swapped;
            }
}

/* planes: IN [n][2][words] bits of +1 and of -1 of each sample; rows: OUT as slices_samples.h lays them out. */
GX_TARGET static void GX_NAME(gx_turn_in)(const uint64_t *planes, int32_t n, int32_t words, uint64_t *rows)
{
    GX_NAME(gx_four_words) square[2][64];
    for (int32_t word = 0; word < words; word++) {
        for (int32_t sign = 0; sign < 2; sign++) {
            uint64_t *to = (uint64_t *)square[sign];
            for (int32_t s = 0; s < GX_SAMPLES; s++)
                to[s % 64 * GX_SAMPLE_WORDS + s / 64] = s < n ? planes[(2 * (size_t)s + sign) * words + word] : 0;
            GX_NAME(gx_transpose)(square[sign]);
        }
        for (int32_t i = 0; i < 64; i++) {
            const GX_NAME(gx_four_words) zero = ~(square[0][i] | square[1][i]);
            uint64_t *row = rows + (size_t)(64 * word + i + 1) * GX_SAMPLE_ROW;
            memcpy(row, &zero, sizeof zero);
            memcpy(row + GX_SAMPLE_WORDS, &square[0][i], sizeof zero);
        }
    }
}

/* The way back: planes OUT [n][2][words]; rows beyond the last unit are of zeros. */
GX_TARGET static void GX_NAME(gx_turn_out)(const uint64_t *rows, int32_t n, int32_t words, uint64_t *planes)
{
    GX_NAME(gx_four_words) square[2][64];
    for (int32_t word = 0; word < words; word++) {
        for (int32_t i = 0; i < 64; i++) {
            const uint64_t *row = rows + (size_t)(64 * word + i + 1) * GX_SAMPLE_ROW;
            memcpy(&square[1][i], row, sizeof square[1][i]);
            memcpy(&square[0][i], row + GX_SAMPLE_WORDS, sizeof square[0][i]);
            square[1][i] = ~(square[1][i] | square[0][i]);
        }
        for (int32_t sign = 0; sign < 2; sign++) {
            GX_NAME(gx_transpose)(square[sign]);
            const uint64_t *from = (const uint64_t *)square[sign];
            for (int32_t s = 0; s < n; s++)
                planes[(2 * (size_t)s + sign) * words + word] = from[s % 64 * GX_SAMPLE_WORDS + s / 64];
        }
    }
}

/* A dense layer of GX_SAMPLES samples. counters: scratch [outputs][GX_SAMPLE_BITS][GX_SAMPLE_WORDS]. With edges: out
 * OUT, rows of the outputs; else sums OUT [outputs][GX_SAMPLES]. */
GX_TARGET static void GX_NAME(gx_run_samples)(const gx_sample_gates *g, const uint64_t *rows, uint64_t *counters,
                                              uint64_t *out, int32_t *sums)
{
    for (int32_t part = 0; part < GX_SAMPLE_WORDS; part += GX_SAMPLE_PART) {
#if GX_ISA >= GX_AVX2
        GX_NAME(gx_run_samples4)(g, rows, counters, out, part);
#else
        GX_NAME(gx_run_samples2)(g, rows, counters, out, part);
#endif
        for (int32_t output = 0; output < g->outputs && !g->edges; output++) {
            int32_t *lane = sums + (size_t)output * GX_SAMPLES + 64 * part;
            const uint64_t *counter = counters + (size_t)output * GX_SAMPLE_BITS * GX_SAMPLE_PART;
            memset(lane, 0, 4 * 64 * GX_SAMPLE_PART);
            GX_NAME(gx_unslice)(counter, GX_SAMPLE_PART, g->bits, lane);
        }
    }
}
