/* Incremental inference for one instruction set and one type of sum (GX_SUM_T); included by stream.h, see there. */

#define GX_JOIN_(a, b) a##b
#define GX_JOIN(a, b) GX_JOIN_(a, b)
#define GX_NAME(base) GX_JOIN(base##_, GX_SUFFIX)
#define GX_INLINE static inline __attribute__((always_inline)) GX_TARGET

typedef GX_SUM_T GX_NAME(gx_sums)
    __attribute__((vector_size(16 * sizeof(GX_SUM_T)), aligned(sizeof(GX_SUM_T)), may_alias));

/* sums[lane] += factor * row[lane]; lanes is a multiple of 32. Rows end in zeros, so what they touch beyond the
 * pixel's channels stays as it is. */
GX_INLINE void GX_NAME(gx_add_row)(GX_SUM_T *sums, const int8_t *row, int32_t lanes, int32_t factor)
{
#define GX_EACH(operation)                                                                                             \
    for (int32_t lane = 0; lane < lanes; lane += 16) {                                                                \
        GX_NAME(gx_sums) *at = (GX_NAME(gx_sums) *)(sums + lane);                                                     \
        const GX_NAME(gx_sums) weights = __builtin_convertvector(*(const gx_row *)(row + lane), GX_NAME(gx_sums));   \
        *at operation;                                                                                                \
    }
    if (factor == 1)
        GX_EACH(+= weights)
    else if (factor == -1)
        GX_EACH(-= weights)
    else
        GX_EACH(+= weights * (GX_SUM_T)factor)
#undef GX_EACH
}

GX_TARGET static void GX_NAME(gx_spread_conv)(gx_stream_projection *j, const gx_stream_population *source,
                                              gx_stream_population *target, gx_stream_population *marks)
{
    /* Everything the loops need in locals: stores of sums and flags could be to anything, as far as C knows. */
    const gx_window w = j->window;
    const int32_t inputs = w.channels / j->groups, outputs = w.out_channels / j->groups, lanes = j->lanes;
    const int32_t groups = j->groups, n_changed = source->n_changed, gain = j->gain;
    const int32_t *const changed = source->changed, *const pooled = j->pooled;
    const int16_t *const change = source->change;
    const ptrdiff_t next_row = (ptrdiff_t)inputs * lanes; /* from one kernel position to the next */
    const int plain = w.stride_columns == 1 && w.dilation_columns == 1; /* columns that reach an output form a run */
    GX_SUM_T *const sums = target->linear;
    uint8_t *const is_dirty = marks->is_dirty;
    int32_t *const dirty = marks->dirty;
    int32_t n_dirty = marks->n_dirty;
    int64_t touched = 0;
    for (int32_t e = 0; e < n_changed; e++) {
        const int32_t unit = changed[e], pixel = unit / w.channels, channel = unit - pixel * w.channels;
        const int32_t y = pixel / w.width, x = pixel - y * w.width, group = groups == 1 ? 0 : channel / inputs;
        const int32_t factor = gain * change[e];
        const int8_t *rows = j->rows + group * w.kernel_rows * w.kernel_columns * next_row +
                             (ptrdiff_t)(channel - group * inputs) * lanes;
        const int32_t shift = x + w.left;
        const int32_t first = plain && shift >= w.out_width ? shift - w.out_width + 1 : 0;
        const int32_t last = plain && shift < w.kernel_columns - 1 ? shift : w.kernel_columns - 1;
        for (int32_t row = 0; row < w.kernel_rows; row++) {
            const int32_t out_y = gx_output_at(y, w.top, row, w.dilation_rows, w.stride_rows, w.out_height);
            if (out_y < 0)
                continue;
            for (int32_t column = first; column <= last; column++) {
                const int32_t out_x = plain ? shift - column
                                            : gx_output_at(x, w.left, column, w.dilation_columns, w.stride_columns,
                                                           w.out_width);
                if (out_x < 0)
                    continue;
                const int32_t out = out_y * w.out_width + out_x;
                const int32_t mark = pooled ? pooled[out] : out;
                GX_NAME(gx_add_row)(sums + (ptrdiff_t)out * w.out_channels + group * outputs,
                                    rows + (row * w.kernel_columns + column) * next_row, lanes, factor);
                if (mark >= 0) { /* written always, kept if new: branches here are hard to foresee */
                    dirty[n_dirty] = mark;
                    n_dirty += !is_dirty[mark];
                    is_dirty[mark] = 1;
                }
                touched++;
            }
        }
    }
    marks->n_dirty = n_dirty;
    j->updates += touched * outputs;
}

GX_TARGET static void GX_NAME(gx_spread_dense)(gx_stream_projection *j, const gx_stream_population *source,
                                               gx_stream_population *target)
{
    if (!source->n_changed)
        return;
    for (int32_t e = 0; e < source->n_changed; e++)
        GX_NAME(gx_add_row)(target->linear, j->rows + (ptrdiff_t)source->changed[e] * j->lanes, j->lanes, j->gain * source->change[e]);
    for (int32_t pixel = 0; pixel < target->pixels; pixel++)
        gx_mark(target, pixel);
    j->updates += (int64_t)source->n_changed * target->size;
}

/* Bring a projection's share of the source's changes into the target. */
GX_TARGET static void GX_NAME(gx_spread)(gx_stream_projection *j, const gx_stream_population *source,
                                         gx_stream_population *target, gx_stream_population *marks)
{
    GX_SUM_T *sums = target->linear;
    if (!j->linear) { /* only mark what must be taken again */
        const int32_t n = source->role == GX_SUM ? source->n_dirty : source->n_changed;
        for (int32_t e = 0; e < n; e++) {
            const int32_t pixel = source->role == GX_SUM ? source->dirty[e] : source->changed[e] / source->channels;
            if (j->kind == GX_IDENTITY)
                gx_mark(target, pixel);
            else
                gx_mark_windows(&j->window, target, pixel);
        }
        return;
    }
    switch (j->kind) {
    case GX_CONV:
        GX_NAME(gx_spread_conv)(j, source, target, marks);
        break;
    case GX_DENSE:
        GX_NAME(gx_spread_dense)(j, source, target);
        break;
    case GX_IDENTITY:
        for (int32_t e = 0; e < source->n_changed; e++) {
            sums[source->changed[e]] += (GX_SUM_T)(j->gain * source->change[e]);
            gx_mark(target, source->changed[e] / target->channels);
        }
        j->updates += source->n_changed;
        break;
    case GX_SPARSE:
        for (int32_t e = 0; e < source->n_changed; e++) {
            const int32_t factor = j->gain * source->change[e], unit = source->changed[e];
            for (int64_t i = j->start[unit]; i < j->start[unit + 1]; i++) {
                sums[j->to[i]] += (GX_SUM_T)(factor * j->level[i]);
                gx_mark(target, j->to[i] / target->channels);
            }
            j->updates += j->start[unit + 1] - j->start[unit];
        }
        break;
    }
}

/* Add to `total` (one pixel, all channels) what a pool or an identity of sums brings there, taken afresh. */
GX_TARGET static void GX_NAME(gx_take_again)(gx_stream_projection *j, const gx_stream_population *source, int32_t pixel,
                                             GX_SUM_T *restrict total, int32_t channels)
{
    const GX_SUM_T *sums = source->sums;
    GX_SUM_T pooled[64];
    if (j->kind == GX_IDENTITY) {
        for (int32_t c = 0; c < channels; c++)
            total[c] += (GX_SUM_T)(j->gain * sums[(ptrdiff_t)pixel * channels + c]);
        return;
    }
    const gx_window *w = &j->window;
    const int maximum = j->kind == GX_POOL_MAX, of_sums = source->role == GX_SUM;
    const int32_t in_y = pixel / w->out_width * w->stride_rows - w->top;
    const int32_t in_x = pixel % w->out_width * w->stride_columns - w->left;
    for (int32_t first = 0; first < channels; first += 64) {
        const int32_t n = channels - first < 64 ? channels - first : 64;
        for (int32_t c = 0; c < n; c++)
            pooled[c] = maximum ? (GX_SUM_T)(sizeof(GX_SUM_T) == 2 ? INT16_MIN : INT32_MIN) : 0;
        for (int32_t row = 0; row < w->kernel_rows; row++) {
            for (int32_t column = 0; column < w->kernel_columns; column++) {
                const int32_t y = in_y + row, x = in_x + column;
                if (y < 0 || y >= w->height || x < 0 || x >= w->width)
                    continue;
                const ptrdiff_t at = ((ptrdiff_t)y * w->width + x) * channels + first;
                if (of_sums && maximum)
                    for (int32_t c = 0; c < n; c++)
                        pooled[c] = pooled[c] > sums[at + c] ? pooled[c] : sums[at + c];
                else if (of_sums)
                    for (int32_t c = 0; c < n; c++)
                        pooled[c] += sums[at + c];
                else if (maximum)
                    for (int32_t c = 0; c < n; c++)
                        pooled[c] = pooled[c] > source->levels[at + c] ? pooled[c] : source->levels[at + c];
                else
                    for (int32_t c = 0; c < n; c++)
                        pooled[c] += source->levels[at + c];
            }
        }
        for (int32_t c = 0; c < n; c++)
            total[first + c] += (GX_SUM_T)(j->gain * pooled[c]);
    }
}

/* Levels of one pixel from its sums; those that differ from before become changes. */
GX_TARGET static void GX_NAME(gx_fire_pixel)(gx_stream_population *p, int32_t pixel, const GX_SUM_T *restrict sums,
                                             int8_t *restrict fired)
{
    const int32_t channels = p->channels, base = pixel * channels, first = base % p->period;
    const GX_SUM_T *restrict hi = (const GX_SUM_T *)p->hi + first, *restrict lo = (const GX_SUM_T *)p->lo + first;
    const int8_t *restrict polarity = p->polarity + first;
    int8_t *before = p->levels + base;
    for (int32_t c = 0; c < channels; c++)
        fired[c] = (int8_t)((sums[c] >= hi[c]) - (sums[c] <= lo[c]));
    for (int32_t k = 1; k < p->steps; k++)
        for (int32_t c = 0; c < channels; c++)
            fired[c] += (int8_t)((sums[c] >= hi[k * p->period + c]) - (sums[c] <= lo[k * p->period + c]));
    for (int32_t c = 0; c < channels; c++)
        fired[c] = (int8_t)(fired[c] * polarity[c]);
    int32_t *const changed = p->changed;
    int16_t *const change = p->change;
    int32_t n = p->n_changed;
    int64_t active = p->active;
    for (int32_t c = 0; c < channels;) {
        uint64_t now, old;
        if (channels - c >= 8) { /* eight levels at a time: most stay as they were */
            memcpy(&now, fired + c, 8);
            memcpy(&old, before + c, 8);
            if (now == old) {
                c += 8;
                continue;
            }
        }
        const int32_t end = channels - c >= 8 ? c + 8 : channels;
        for (; c < end; c++) {
            const int32_t difference = fired[c] - before[c];
            if (difference) {
                changed[n] = base + c;
                change[n++] = (int16_t)difference;
                active += (fired[c] != 0) - (before[c] != 0);
                before[c] = fired[c];
            }
        }
    }
    p->n_changed = n;
    p->active = active;
}

/* The largest of four rows, the 2x2 max pool of nearly every network: row[c] = max over the window. */
GX_INLINE void GX_NAME(gx_pool_four)(GX_SUM_T *restrict row, const GX_SUM_T *restrict a, const GX_SUM_T *restrict b,
                                     const GX_SUM_T *restrict c, const GX_SUM_T *restrict d, int32_t channels)
{
    for (int32_t i = 0; i < channels; i++) {
        const GX_SUM_T ab = a[i] > b[i] ? a[i] : b[i], cd = c[i] > d[i] ? c[i] : d[i];
        row[i] = ab > cd ? ab : cd;
    }
}

/* Total sums of one pixel of a retaken population: the linear ones, and what its pools and identities bring now. */
GX_TARGET static const GX_SUM_T *GX_NAME(gx_total)(gx_stream *stream, int32_t i, int32_t pixel, int32_t first_projection)
{
    const gx_stream_population *p = &stream->populations[i];
    GX_SUM_T *total = stream->row;
    if (p->only_pool >= 0) {
        const gx_stream_projection *j = &stream->projections[p->only_pool];
        const gx_window *w = &j->window;
        const int32_t out_y = pixel / w->out_width, out_x = pixel - out_y * w->out_width;
        const int32_t y = out_y * w->stride_rows - w->top, x = out_x * w->stride_columns - w->left;
        if (w->kernel_rows == 2 && w->kernel_columns == 2 && y >= 0 && x >= 0 && y + 1 < w->height && x + 1 < w->width) {
            const GX_SUM_T *a = (const GX_SUM_T *)stream->populations[j->source].sums + ((ptrdiff_t)y * w->width + x) * p->channels;
            const GX_SUM_T *c = a + (ptrdiff_t)w->width * p->channels;
            GX_NAME(gx_pool_four)(total, a, a + p->channels, c, c + p->channels, p->channels);
            return total;
        }
    }
    memcpy(total, (const GX_SUM_T *)p->linear + (ptrdiff_t)pixel * p->channels, p->channels * sizeof(GX_SUM_T));
    for (int32_t j = first_projection; j < stream->n_projections && stream->projections[j].target == i; j++)
        if (!stream->projections[j].linear)
            GX_NAME(gx_take_again)(&stream->projections[j], &stream->populations[stream->projections[j].source], pixel,
                                   total, p->channels);
    return total;
}

/* Look again at the dirty pixels of population i; its level changes are then listed in `changed`. */
GX_TARGET static void GX_NAME(gx_settle)(gx_stream *stream, int32_t i, int32_t first_projection)
{
    gx_stream_population *p = &stream->populations[i];
    const int32_t channels = p->channels;
    p->n_changed = 0;
    for (int32_t d = 0; d < p->n_dirty; d++) {
        const int32_t pixel = p->dirty[d];
        const GX_SUM_T *at = (const GX_SUM_T *)p->linear + (ptrdiff_t)pixel * channels;
        if (p->retaken) {
            at = GX_NAME(gx_total)(stream, i, pixel, first_projection);
            if (p->role != GX_FIRE)
                memcpy((GX_SUM_T *)p->sums + (ptrdiff_t)pixel * channels, at, channels * sizeof(GX_SUM_T));
        }
        if (p->role == GX_FIRE)
            GX_NAME(gx_fire_pixel)(p, pixel, at, stream->row_levels);
    }
    p->flips += p->n_changed;
}

GX_TARGET static void GX_NAME(gx_propagate)(gx_stream *stream)
{
    int32_t j = 0;
    for (int32_t i = 0; i < stream->n_populations; i++) {
        gx_stream_population *p = &stream->populations[i];
        if (p->role == GX_INPUT)
            continue;
        const int32_t first = j;
        for (; j < stream->n_projections && stream->projections[j].target == i; j++)
            GX_NAME(gx_spread)(&stream->projections[j], &stream->populations[stream->projections[j].source], p,
                               &stream->populations[stream->projections[j].marks]);
        GX_NAME(gx_settle)(stream, i, first);
    }
    for (int32_t i = 0; i < stream->n_populations; i++) {
        gx_stream_population *p = &stream->populations[i];
        for (int32_t d = 0; d < p->n_dirty; d++)
            p->is_dirty[p->dirty[d]] = 0;
        p->n_dirty = 0;
        p->n_changed = 0;
    }
}

/* Take over population i's total sums from a frame evaluation; earlier populations have been taken over before. */
GX_TARGET static void GX_NAME(gx_take_over)(gx_stream *stream, int32_t i, const int32_t *totals)
{
    gx_stream_population *p = &stream->populations[i];
    GX_SUM_T *sums = p->sums, *linear = p->linear, *again = stream->row;
    for (int32_t unit = 0; unit < p->size; unit++)
        sums[unit] = (GX_SUM_T)totals[unit];
    if (!p->retaken || p->only_pool >= 0)
        return;
    for (int32_t pixel = 0; pixel < p->pixels; pixel++) {
        memset(again, 0, p->channels * sizeof(GX_SUM_T));
        for (int32_t j = 0; j < stream->n_projections; j++)
            if (stream->projections[j].target == i && !stream->projections[j].linear)
                GX_NAME(gx_take_again)(&stream->projections[j], &stream->populations[stream->projections[j].source],
                                       pixel, again, p->channels);
        for (int32_t c = 0; c < p->channels; c++)
            linear[(ptrdiff_t)pixel * p->channels + c] =
                (GX_SUM_T)(sums[(ptrdiff_t)pixel * p->channels + c] - again[c]);
    }
}

/* Copy a population's total sums, taking again those that are not kept. out: OUT [size]. */
GX_TARGET static void GX_NAME(gx_look)(gx_stream *stream, int32_t i, int32_t *out)
{
    const gx_stream_population *p = &stream->populations[i];
    int32_t first = 0;
    while (first < stream->n_projections && stream->projections[first].target != i)
        first++;
    for (int32_t pixel = 0; pixel < p->pixels; pixel++) {
        const GX_SUM_T *at = p->retaken ? GX_NAME(gx_total)(stream, i, pixel, first)
                                        : (const GX_SUM_T *)p->sums + (ptrdiff_t)pixel * p->channels;
        for (int32_t c = 0; c < p->channels; c++)
            out[(ptrdiff_t)pixel * p->channels + c] = at[c];
    }
}

#undef GX_INLINE
#undef GX_NAME
#undef GX_JOIN
#undef GX_JOIN_
