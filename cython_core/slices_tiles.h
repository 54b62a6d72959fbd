/* A projection run tile by tile; included by slices_kernel.h. */

/* Events of one plane before a unit. */
GX_INLINE int32_t GX_NAME(gx_rank)(const uint64_t *plus, const uint64_t *minus, const int32_t *rank, int32_t unit)
{
    const uint64_t below = ((uint64_t)1 << (unit & 63)) - 1;
    return rank[unit >> 6] + __builtin_popcountll((plus[unit >> 6] | minus[unit >> 6]) & below);
}

/* Rows that the events of one plane under the window select, in whole rounds; returns their number.
 * Rows and units both run (column, channel) innermost, so a window row is one run of the list. */
GX_INLINE int32_t GX_NAME(gx_select_window)(const gx_gates *g, const gx_planes *source, int32_t plane, int32_t top,
                                            int32_t left, uint32_t *out)
{
    const uint64_t *plus = source->plus + (size_t)plane * source->words;
    const uint64_t *minus = source->minus + (size_t)plane * source->words;
    const int32_t *rank = source->rank + (size_t)plane * (source->words + 1);
    const int32_t *list = source->list + (size_t)plane * source->capacity;
    const int32_t first_column = left < 0 ? 0 : left;
    const int32_t past = left + g->window_columns, last_column = past > g->width ? g->width : past;
    const int32_t scale = g->half_shift + 3;
    const uint32_t zero = 2 * (uint32_t)(g->slices.n_rows - 1) << scale;
    int32_t n = 0;
    if (first_column < last_column)
        for (int32_t r = 0; r < g->window_rows; r++) {
            const int32_t y = top + r;
            if (y < 0 || y >= g->height || g->row_at[r] < 0)
                continue;
            const int32_t line = y * g->width;
            const int32_t from = GX_NAME(gx_rank)(plus, minus, rank, (line + first_column) * g->channels);
            const int32_t to = GX_NAME(gx_rank)(plus, minus, rank, (line + last_column) * g->channels);
            const int32_t shift = 2 * (g->row_at[r] - (line + left) * g->channels);
            GX_NAME(gx_select)(list + from, to - from, shift, scale, out + n);
            n += to - from;
        }
    for (int32_t k = 0; k < GX_ROUND; k++)
        out[n + k] = zero;
    return (n + GX_ROUND - 1) / GX_ROUND * GX_ROUND;
}

/* A block's outputs to their pixels, ge and le OUT [pixels][pixel_words]; high and low may be read a word too far. */
GX_INLINE void GX_NAME(gx_place_bits)(const gx_gates *g, int32_t block, int32_t row, int32_t column, int32_t rows,
                                      int32_t columns, const uint64_t *high, const uint64_t *low, uint64_t *ge,
                                      uint64_t *le)
{
    const int32_t width = g->slices.width, words = g->pixel_words;
    if (g->tile_rows * g->tile_columns == 1) {
        const int32_t left = words - block * width, count = left < width ? left : width;
        const size_t at = (size_t)(row * g->out_width + column) * words + block * width;
        for (int32_t w = 0; w < count; w++) {
            ge[at + w] = high[w];
            le[at + w] = low[w];
        }
        return;
    }
    const uint64_t last = ~(uint64_t)0 >> (63 & -g->out_channels);
    for (int32_t y = 0; y < rows; y++) {
        const ptrdiff_t step = g->pixel_bytes, from = y * g->tile_columns * step;
        const char *h = (const char *)high + from, *l = (const char *)low + from;
        const size_t at = (size_t)((row + y) * g->out_width + column) * words;
        uint64_t *to_ge = ge + at, *to_le = le + at;
        for (int32_t x = 0; x < columns; x++, h += step, l += step, to_ge += words, to_le += words) {
            for (int32_t w = 0; w < words; w++) {
                memcpy(to_ge + w, h + 8 * w, 8);
                memcpy(to_le + w, l + 8 * w, 8);
            }
            to_ge[words - 1] &= last;
            to_le[words - 1] &= last;
        }
    }
}

/* A block's sums to their pixels [pixels][out_channels]. */
GX_INLINE void GX_NAME(gx_place_sums)(const gx_gates *g, int32_t block, int32_t row, int32_t column, int32_t rows,
                                      int32_t columns, const int32_t *lane, int32_t gain, int32_t *sums)
{
    const int32_t first = 64 * block * g->slices.width, lanes = 64 * g->slices.width;
    const int32_t count = g->out_channels - first < lanes ? g->out_channels - first : lanes;
    for (int32_t y = 0; y < rows; y++)
        for (int32_t x = 0; x < columns; x++) {
            const int32_t *from = lane + 8 * (y * g->tile_columns + x) * g->pixel_bytes;
            int32_t *to = sums + (size_t)((row + y) * g->out_width + column + x) * g->out_channels + first;
            for (int32_t i = 0; i < count; i++)
                to[i] += gain * from[i];
        }
}

/* Blocks first .. last - 1 of all tiles' blocks. With ge: outputs s >= hi and s <= lo, OUT [pixels][pixel_words]; else
 * sums INOUT [pixels][out_channels] += gain * s. scratch: [source planes][list_length]. */
GX_TARGET static void GX_NAME(gx_run_blocks)(const gx_gates *g, const gx_planes *source, int32_t first, int32_t last,
                                             uint32_t *scratch, uint64_t *ge, uint64_t *le, int32_t gain,
                                             int32_t *sums)
{
    gx_row_list lists[GX_MAX_PLANES];
    int32_t listed = -1;
    for (int32_t at = first; at < last; at++) {
        const int32_t block = at / g->tiles, tile = at % g->tiles;
        const int32_t row = tile / g->tiles_across * g->tile_rows, column = tile % g->tiles_across * g->tile_columns;
        const int32_t top = row * g->stride_rows - g->top, left = column * g->stride_columns - g->left;
        const int32_t rows = row + g->tile_rows > g->out_height ? g->out_height - row : g->tile_rows;
        const int32_t columns = column + g->tile_columns > g->out_width ? g->out_width - column : g->tile_columns;
        for (int32_t b = 0; b < source->planes && tile != listed; b++) {
            uint32_t *offset = scratch + (size_t)b * g->list_length;
            lists[b] = (gx_row_list){offset, GX_NAME(gx_select_window)(g, source, b, top, left, offset)};
        }
        listed = tile;
        if (ge) {
            uint64_t high[GX_MAX_WIDTH + 1], low[GX_MAX_WIDTH + 1];
            GX_NAME(gx_fire_block)(&g->slices, block, lists, source->planes, high, low);
            GX_NAME(gx_place_bits)(g, block, row, column, rows, columns, high, low, ge, le);
        } else {
            int32_t lane[64 * GX_MAX_WIDTH] = {0};
            GX_NAME(gx_sum_block)(&g->slices, block, lists, source->planes, lane);
            GX_NAME(gx_place_sums)(g, block, row, column, rows, columns, lane, gain, sums);
        }
    }
}

GX_INLINE void GX_NAME(gx_put)(uint64_t *plane, int64_t at, uint64_t bits, int32_t count)
{
    const int32_t shift = (int32_t)(at & 63);
    plane[at >> 6] |= bits << shift;
    if (shift + count > 64)
        plane[(at >> 6) + 1] |= bits >> (64 - shift);
}

/* plus is ge and minus le, or the other way round where flip is set. */
GX_INLINE void GX_NAME(gx_sign)(const uint64_t *restrict ge, const uint64_t *restrict le, const uint64_t *restrict flip,
                                int32_t words, uint64_t *restrict plus, uint64_t *restrict minus)
{
    for (int32_t w = 0; w < words; w++) {
        const uint64_t other = (ge[w] ^ le[w]) & flip[w];
        plus[w] = ge[w] ^ other;
        minus[w] = le[w] ^ other;
    }
}

GX_TARGET static void GX_NAME(gx_finish)(const gx_finish *f, const uint64_t *ge, const uint64_t *le, gx_planes *planes)
{
    const int32_t pixels = f->out_height * f->out_width;
    const int32_t words = f->pixel_words, aligned = f->channels % 64 == 0 || pixels == 1;
    if (aligned && f->window_rows * f->window_columns == 1 && pixels == f->height * f->width) {
        for (int32_t pixel = 0; pixel < pixels; pixel++)
            GX_NAME(gx_sign)(ge + (size_t)pixel * words, le + (size_t)pixel * words, f->flip, words,
                             planes->plus + (size_t)pixel * words, planes->minus + (size_t)pixel * words);
        return;
    }
    if (!aligned) {
        memset(planes->plus, 0, 8 * (size_t)planes->words);
        memset(planes->minus, 0, 8 * (size_t)planes->words);
    }
    for (int32_t y = 0; y < f->out_height; y++) {
        const int32_t in_y = y * f->stride_rows - f->top;
        const int32_t y0 = in_y < 0 ? 0 : in_y, past_y = in_y + f->window_rows;
        const int32_t y1 = past_y < f->height ? past_y : f->height;
        for (int32_t x = 0; x < f->out_width; x++) {
            const int32_t in_x = x * f->stride_columns - f->left;
            const int32_t x0 = in_x < 0 ? 0 : in_x, past_x = in_x + f->window_columns;
            const int32_t x1 = past_x < f->width ? past_x : f->width;
            const int64_t pixel = (int64_t)y * f->out_width + x;
            for (int32_t w = 0; w < words; w++) {
                uint64_t any = 0, all = ~(uint64_t)0;
                for (int32_t v = y0; v < y1; v++)
                    for (int32_t u = x0; u < x1; u++) {
                        any |= ge[((size_t)v * f->width + u) * words + w];
                        all &= le[((size_t)v * f->width + u) * words + w];
                    }
                const uint64_t flip = f->flip[w];
                const uint64_t plus = (any & ~flip) | (all & flip), minus = (all & ~flip) | (any & flip);
                if (aligned) {
                    planes->plus[pixel * words + w] = plus;
                    planes->minus[pixel * words + w] = minus;
                } else {
                    const int32_t left = f->channels - 64 * w, count = left < 64 ? left : 64;
                    GX_NAME(gx_put)(planes->plus, pixel * f->channels + 64 * w, plus, count);
                    GX_NAME(gx_put)(planes->minus, pixel * f->channels + 64 * w, minus, count);
                }
            }
        }
    }
}
