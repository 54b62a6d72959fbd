/* The lanes `part` .. `part` + GX_WORDS - 1 of a dense layer of many samples; included by slices_adders.h. */

/* Add a list's rows at c[0]; n is in whole rounds. What is over whole 32s comes first. */
GX_INLINE void GX_W(gx_add_samples)(GX_V *c, GX_V *counter, int32_t bits, const char *rows, const uint16_t *list,
                                    int32_t n)
{
    GX_V carry = {0};
    if (n & 8) {
        carry = GX_W(gx_half)(c + 4, GX_W(gx_eight_samples)(c, rows, list, 8 * GX_SAMPLE_WORDS));
        list += 8;
    }
    if (n & 16) {
        carry = GX_W(gx_join)(c + 5, carry, GX_W(gx_sixteen_samples)(c, rows, list, 8 * GX_SAMPLE_WORDS));
        list += 16;
    } else {
        carry = GX_W(gx_half)(c + 5, carry);
    }
    if (n & 32) {
        carry = GX_W(gx_join)(c + 6, carry, GX_W(gx_thirtytwo_samples)(c, rows, list, 8 * GX_SAMPLE_WORDS));
        list += 32;
    } else {
        carry = GX_W(gx_half)(c + 6, carry);
    }
    GX_W(gx_ripple)(c, counter, 7, bits, carry);
    for (n >>= 6; n > 0; n--, list += 64) {
        const GX_V x = GX_W(gx_thirtytwo_samples)(c, rows, list, 8 * GX_SAMPLE_WORDS);
        const GX_V y = GX_W(gx_thirtytwo_samples)(c, rows, list + 32, 8 * GX_SAMPLE_WORDS);
        GX_W(gx_ripple)(c, counter, 7, bits, GX_W(gx_join)(c + 6, x, y));
    }
}

GX_INLINE void GX_W(gx_complement)(GX_V *c, GX_V *counter, int32_t bits)
{
    for (int32_t k = 0; k < GX_KEPT; k++)
        c[k] = ~c[k];
    for (int32_t k = GX_KEPT; k < bits; k++)
        counter[k] = ~counter[k];
}

/* The outputs of one unit: its row of `out`. */
GX_INLINE void GX_W(gx_fire_samples)(const gx_sample_gates *g, int32_t output, const GX_V *counter, uint64_t *out)
{
    GX_V below_hi = {0}, at_most_lo = {0};
    for (int32_t k = 0; k < g->bits; k++) {
        const GX_V hi = (GX_V){0} - (uint64_t)(g->edges[2 * output] >> k & 1);
        const GX_V lo = (GX_V){0} - (uint64_t)(g->edges[2 * output + 1] >> k & 1);
        below_hi = GX_BORROW(counter[k], hi, below_hi);
        at_most_lo = GX_BORROW(counter[k], lo, at_most_lo);
    }
    const GX_V zero = below_hi & ~at_most_lo, plus = g->flip[output] ? at_most_lo : ~below_hi;
    memcpy(out + (size_t)(output + 1) * GX_SAMPLE_ROW, &zero, sizeof zero);
    memcpy(out + (size_t)(output + 1) * GX_SAMPLE_ROW + GX_SAMPLE_WORDS, &plus, sizeof plus);
}

/* counters: [outputs][GX_SAMPLE_BITS][GX_WORDS], where they wait between tiles and, without edges, end. */
GX_TARGET static void GX_W(gx_run_samples)(const gx_sample_gates *g, const uint64_t *rows, uint64_t *counters,
                                           uint64_t *out, int32_t part)
{
    const uint16_t *list = g->list;
    const int32_t *turn = g->turns;
    for (int32_t tile = 0; tile < g->tiles; tile++)
        for (int32_t i = 0; i < g->outputs; i++, turn += 3) {
            GX_V *counter = (GX_V *)counters + (size_t)turn[0] * GX_SAMPLE_BITS, c[GX_KEPT];
            if (tile == 0)
                for (int32_t k = 0; k < GX_SAMPLE_BITS; k++)
                    counter[k] = (GX_V){0} - (uint64_t)(g->seeds[turn[0]] >> k & 1);
            for (int32_t k = 0; k < GX_KEPT; k++)
                c[k] = counter[k];
            GX_W(gx_add_samples)(c, counter, g->bits, (const char *)(rows + part), list, turn[1]);
            GX_W(gx_complement)(c, counter, g->bits);
            GX_W(gx_add_samples)(c, counter, g->bits, (const char *)(rows + part), list + turn[1], turn[2]);
            GX_W(gx_complement)(c, counter, g->bits);
            list += turn[1] + turn[2];
            for (int32_t k = 0; k < GX_KEPT; k++)
                counter[k] = c[k];
            if (g->edges && tile == g->tiles - 1)
                GX_W(gx_fire_samples)(g, turn[0], counter, out + part);
        }
}
