/* One instruction set's row kernels; included by rows.h with GX_SUFFIX and GX_TARGET set. See there for the idea. */

#define GX_JOIN_(a, b) a##b
#define GX_JOIN(a, b) GX_JOIN_(a, b)
#define GX_NAME(base) GX_JOIN(base##_, GX_SUFFIX)
#define GX_INLINE static inline __attribute__((always_inline)) GX_TARGET

GX_INLINE int32_t GX_NAME(gx_min)(int32_t a, int32_t b) { return a < b ? a : b; }

/* `vectors` is a literal at every call, so that the sums live in registers. */
GX_INLINE void GX_NAME(gx_unit_block)(const int8_t *rows, int32_t lanes, const int32_t *plus, int32_t n_plus,
                                      const int32_t *minus, int32_t n_minus, int32_t gain, int32_t *accumulators,
                                      const int vectors)
{
    int32_t p = 0, m = 0;
    while (p < n_plus || m < n_minus) {
        /* 127 rows in all: a lane may have +1 in every row added and -1 in every row subtracted. */
        const int32_t p_end = GX_NAME(gx_min)(n_plus, p + 127);
        const int32_t m_end = GX_NAME(gx_min)(n_minus, m + 127 - (p_end - p));
        gx_bytes sum[8];
        int8_t flat[8 * GX_LANES];
        for (int v = 0; v < vectors; v++)
            sum[v] = (gx_bytes){0};
        for (; p < p_end; p++) {
            const gx_bytes *row = (const gx_bytes *)(rows + (ptrdiff_t)plus[p] * lanes);
            for (int v = 0; v < vectors; v++)
                sum[v] += row[v];
        }
        for (; m < m_end; m++) {
            const gx_bytes *row = (const gx_bytes *)(rows + (ptrdiff_t)minus[m] * lanes);
            for (int v = 0; v < vectors; v++)
                sum[v] -= row[v];
        }
        for (int v = 0; v < vectors; v++)
            memcpy(flat + v * GX_LANES, &sum[v], GX_LANES);
        for (int lane = 0; lane < vectors * GX_LANES; lane++)
            accumulators[lane] += gain * flat[lane];
    }
}

GX_INLINE void GX_NAME(gx_graded_block)(const int8_t *rows, int32_t lanes, const int32_t *row, const int8_t *value,
                                        int32_t n, int32_t chunk, int32_t gain, int32_t *accumulators,
                                        const int vectors)
{
    for (int32_t e = 0; e < n;) {
        const int32_t end = GX_NAME(gx_min)(n, e + chunk);
        gx_words sum[4];
        int16_t flat[4 * GX_LANES];
        for (int v = 0; v < vectors; v++)
            sum[v] = (gx_words){0};
        for (; e < end; e++) {
            const gx_bytes *at = (const gx_bytes *)(rows + (ptrdiff_t)row[e] * lanes);
            const int16_t x = value[e];
            for (int v = 0; v < vectors; v++)
                sum[v] += __builtin_convertvector(at[v], gx_words) * x;
        }
        for (int v = 0; v < vectors; v++)
            memcpy(flat + v * GX_LANES, &sum[v], 2 * GX_LANES);
        for (int lane = 0; lane < vectors * GX_LANES; lane++)
            accumulators[lane] += gain * flat[lane];
    }
}

GX_TARGET static void GX_NAME(gx_add_unit_rows)(const int8_t *rows, int32_t lanes, const int32_t *plus, int32_t n_plus,
                                                const int32_t *minus, int32_t n_minus, int32_t gain,
                                                int32_t *accumulators)
{
    int32_t lane = 0;
#define GX_BLOCK(vectors)                                                                                             \
    for (; lanes - lane >= (vectors) * GX_LANES; lane += (vectors) * GX_LANES)                                        \
    GX_NAME(gx_unit_block)(rows + lane, lanes, plus, n_plus, minus, n_minus, gain, accumulators + lane, vectors)
    GX_BLOCK(8);
    GX_BLOCK(4);
    GX_BLOCK(2);
    GX_BLOCK(1);
#undef GX_BLOCK
}

GX_TARGET static void GX_NAME(gx_add_graded_rows)(const int8_t *rows, int32_t lanes, const int32_t *row,
                                                  const int8_t *value, int32_t n, int32_t chunk, int32_t gain,
                                                  int32_t *accumulators)
{
    int32_t lane = 0;
#define GX_BLOCK(vectors)                                                                                             \
    for (; lanes - lane >= (vectors) * GX_LANES; lane += (vectors) * GX_LANES)                                        \
    GX_NAME(gx_graded_block)(rows + lane, lanes, row, value, n, chunk, gain, accumulators + lane, vectors)
    GX_BLOCK(4);
    GX_BLOCK(2);
    GX_BLOCK(1);
#undef GX_BLOCK
}

#undef GX_INLINE
#undef GX_NAME
#undef GX_JOIN
#undef GX_JOIN_
