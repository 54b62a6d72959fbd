/* Into and out of lanes of output pixels; included by slices_kernel.h. See slices_pixels.h. */

/* Bits of a unit and of the 63 after it. */
GX_INLINE uint64_t GX_NAME(gx_from)(const uint64_t *bits, size_t at)
{
    const int32_t shift = (int32_t)(at & 63);
    const uint64_t next = bits[(at >> 6) + 1] << 1;
    return bits[at >> 6] >> shift | next << (63 - shift);
}

/* One sign of one plane, bits IN (pixel, channel), as maps OUT [64 channels a square][words] of pixels. */
GX_INLINE void GX_NAME(gx_make_maps)(const gx_pixel_gates *g, const uint64_t *bits, int32_t words, uint64_t *maps)
{
    const int32_t pixels = g->height * g->width, channels = g->channels;
    for (int32_t first = 0; first < channels; first += 64)
        for (int32_t chunk = 0; chunk < pixels; chunk += 256) {
            GX_NAME(gx_four_words) square[64];
            uint64_t *to = (uint64_t *)square;
            for (int32_t i = 0; i < 256; i++) {
                const int32_t pixel = chunk + i;
                to[i % 64 * 4 + i / 64] = pixel < pixels ? GX_NAME(gx_from)(bits, (size_t)pixel * channels + first) : 0;
            }
            GX_NAME(gx_transpose)(square);
            for (int32_t i = 0; i < 64 && first + i < channels; i++)
                memcpy(maps + (size_t)(first + i) * words + chunk / 64, &square[i], sizeof square[i]);
        }
}

/* The strip of one channel for one column of the kernel, from maps of its positive and negative bits. */
GX_INLINE void GX_NAME(gx_make_strip)(const gx_pixel_gates *g, const uint64_t *plus, const uint64_t *minus,
                                      int32_t shift, char *strip)
{
    for (int32_t line = 0; line < g->lines; line++) {
        const int32_t y = line - g->top;
        for (int32_t x = 0; x < 8 * g->line; x += 56) {     /* seven bytes of a word of eight */
            const int32_t column = x + shift, skipped = column < 0 ? -column : 0;
            const int32_t inside = g->width - column < g->out_width - x ? g->width - column : g->out_width - x;
            char *to = strip + (size_t)line * g->line + x / 8;
            uint64_t zero = ~(uint64_t)0, positive = 0;
            if (y >= 0 && y < g->height && inside > skipped && skipped < 56) {
                const size_t at = (size_t)y * g->width + column + skipped;
                const uint64_t mask = (inside < 64 ? ((uint64_t)1 << inside) - 1 : ~(uint64_t)0) >> skipped << skipped;
                positive = GX_NAME(gx_from)(plus, at) << skipped & mask;
                zero = ~(positive | (GX_NAME(gx_from)(minus, at) << skipped & mask));
            }
            memcpy(to, &zero, 8);
            memcpy(to + g->strip, &positive, 8);
        }
    }
}

/* Strips of all that the source sent, [planes][zero row, channels][taps][2][strip]. maps: scratch [2][channels][words]. */
GX_TARGET static void GX_NAME(gx_make_strips)(const gx_pixel_gates *g, const gx_planes *source, uint64_t *maps,
                                              char *strips)
{
    const int32_t words = (g->height * g->width + 255) / 256 * 4 + 1;
    for (int32_t b = 0; b < source->planes; b++) {
        const uint64_t *plus = source->plus + (size_t)b * source->words, *minus = source->minus + (size_t)b * source->words;
        const uint64_t *positive = plus, *negative = minus;
        char *strip = strips + b * g->plane;
        memset(strip, 0xff, (size_t)g->strip);
        memset(strip + g->strip, 0, (size_t)g->strip);
        if (g->channels > 1) {
            positive = maps, negative = maps + (size_t)g->channels * words;
            GX_NAME(gx_make_maps)(g, plus, words, maps);
            GX_NAME(gx_make_maps)(g, minus, words, maps + (size_t)g->channels * words);
        }
        for (int32_t channel = 0; channel < g->channels; channel++)
            for (int32_t tap = 0; tap < g->taps; tap++) {
                strip += 2 * (size_t)g->strip;
                GX_NAME(gx_make_strip)(g, positive + (size_t)channel * words, negative + (size_t)channel * words,
                                       tap * g->step - g->left, strip);
            }
    }
}

GX_TARGET static void GX_NAME(gx_fire_pixels)(const gx_pixel_gates *g, const char *strips, int32_t planes,
                                              int32_t first, int32_t last, uint64_t *high, uint64_t *low)
{
    for (int32_t part = 0; part < GX_PIXEL_WORDS; part += GX_SAMPLE_PART)
#if GX_ISA >= GX_AVX2
        GX_NAME(gx_fire_pixels4)(g, strips, planes, first, last, part, high, low);
#else
        GX_NAME(gx_fire_pixels2)(g, strips, planes, first, last, part, high, low);
#endif
}

/* A row of pixels a channel, IN [out_channels][chunks][GX_PIXEL_WORDS], becomes words of channels, OUT
 * [pixels][pixel_words]. */
GX_INLINE void GX_NAME(gx_turn_pixels)(const gx_pixel_gates *g, const uint64_t *lanes, uint64_t *out)
{
    for (int32_t word = 0; word < g->pixel_words; word++) {
        int32_t y = 0, x = 0;
        for (int32_t chunk = 0; chunk < g->chunks; chunk++) {
            GX_NAME(gx_four_words) square[64];
            for (int32_t i = 0; i < 64; i++) {
                const size_t at = ((size_t)(64 * word + i) * g->chunks + chunk) * GX_PIXEL_WORDS;
                square[i] = (GX_NAME(gx_four_words)){0};
                if (64 * word + i < g->out_channels)
                    memcpy(&square[i], lanes + at, sizeof square[i]);
            }
            GX_NAME(gx_transpose)(square);
            const uint64_t *from = (const uint64_t *)square;
            for (int32_t i = 0; i < 256 && y < g->out_height; i++) {
                if (x < g->out_width)
                    out[((size_t)y * g->out_width + x) * g->pixel_words + word] = from[i % 64 * 4 + i / 64];
                if (++x == 8 * g->line)
                    x = 0, y++;
            }
        }
    }
}

GX_TARGET static void GX_NAME(gx_place_pixels)(const gx_pixel_gates *g, const uint64_t *high, const uint64_t *low,
                                               uint64_t *ge, uint64_t *le)
{
    GX_NAME(gx_turn_pixels)(g, high, ge);
    GX_NAME(gx_turn_pixels)(g, low, le);
}

/* Turns first .. last - 1: sums INOUT [pixels][out_channels] += gain * s. */
GX_TARGET static void GX_NAME(gx_sum_pixels)(const gx_pixel_gates *g, const char *strips, int32_t planes,
                                             int32_t first, int32_t last, int32_t gain, int32_t *sums)
{
    for (int32_t turn = first; turn < last; turn++) {
        int32_t y = 0, x = 0, *to = sums + g->turns[3 * turn];
        for (int32_t lanes = 0; lanes < GX_PIXEL_WORDS * g->chunks; lanes += GX_SAMPLE_PART) {
            uint64_t counter[GX_MAX_BITS * GX_SAMPLE_PART];
            int32_t lane[64 * GX_SAMPLE_PART] = {0};
#if GX_ISA >= GX_AVX2
            GX_NAME(gx_sum_pixels4)(g, strips + 8 * (size_t)lanes, planes, turn, counter);
#else
            GX_NAME(gx_sum_pixels2)(g, strips + 8 * (size_t)lanes, planes, turn, counter);
#endif
            GX_NAME(gx_unslice)(counter, GX_SAMPLE_PART, g->bits, lane);
            for (int32_t i = 0; i < 64 * GX_SAMPLE_PART && y < g->out_height; i++) {
                if (x < g->out_width)
                    to[((size_t)y * g->out_width + x) * g->out_channels] += gain * lane[i];
                if (++x == 8 * g->line)
                    x = 0, y++;
            }
        }
    }
}
