/* The lanes `part` .. `part` + GX_WORDS - 1 of every chunk of output pixels; included by slices_adders.h. */

/* The counters of one channel's sums in a chunk, OUT; strips: the first plane's, from the chunk's lanes on. */
GX_INLINE void GX_W(gx_count_pixels)(const gx_pixel_gates *g, int32_t turn, const char *strips, int32_t planes,
                                     GX_V *counter)
{
    const uint32_t *list = g->list + g->begins[turn];
    for (int32_t k = 0; k < g->bits + GX_KEPT; k++)
        counter[k] = (GX_V){0} - (uint64_t)((int64_t)g->seeds[turn] >> k & 1);
    for (int32_t sign = 1; sign < 3; sign++) {
        const int32_t n = g->turns[3 * turn + sign];
        for (int32_t b = 0; b < planes; b++)
            GX_W(gx_add_strips)(counter + b, g->bits - b, strips + b * g->plane, list, n, g->strip);
        list += n;
        for (int32_t k = 0; k < g->bits; k++)
            counter[k] = ~counter[k];
    }
}

/* Turns first .. last - 1: s >= hi and s <= lo, OUT [out_channels][chunks][GX_PIXEL_WORDS]. */
GX_TARGET static void GX_W(gx_fire_pixels)(const gx_pixel_gates *g, const char *strips, int32_t planes, int32_t first,
                                           int32_t last, int32_t part, uint64_t *high, uint64_t *low)
{
    for (int32_t turn = first; turn < last; turn++) {
        const int32_t channel = g->turns[3 * turn], *edge = g->edges + 2 * channel;
        for (int32_t chunk = 0; chunk < g->chunks; chunk++) {
            const size_t lanes = GX_PIXEL_WORDS * (size_t)chunk + (size_t)part;
            const size_t at = (size_t)channel * g->chunks * GX_PIXEL_WORDS + lanes;
            GX_V counter[GX_MAX_BITS + GX_KEPT], below_hi = {0}, at_most_lo = {0};
            GX_W(gx_count_pixels)(g, turn, strips + 8 * lanes, planes, counter);
            for (int32_t k = 0; k < g->bits; k++) {
                below_hi = GX_BORROW(counter[k], (GX_V){0} - (uint64_t)(edge[0] >> k & 1), below_hi);
                at_most_lo = GX_BORROW(counter[k], (GX_V){0} - (uint64_t)(edge[1] >> k & 1), at_most_lo);
            }
            below_hi = ~below_hi;
            memcpy(high + at, &below_hi, sizeof below_hi);
            memcpy(low + at, &at_most_lo, sizeof at_most_lo);
        }
    }
}

/* counter OUT [bits][GX_WORDS] of one channel in one chunk. */
GX_TARGET static void GX_W(gx_sum_pixels)(const gx_pixel_gates *g, const char *strips, int32_t planes, int32_t turn,
                                          uint64_t *out)
{
    GX_V counter[GX_MAX_BITS + GX_KEPT];
    GX_W(gx_count_pixels)(g, turn, strips, planes, counter);
    memcpy(out, counter, sizeof(GX_V) * (size_t)g->bits);
}
