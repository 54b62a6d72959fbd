/* Every kernel path of this machine beside sums taken one by one, without Python, so that it also runs where only a
 * cross compiler and an emulator are to be had (test_portable.py). Prints a line a path: its name and a hash of all that
 * it computed; exit status 1 where something is wrong.
 */
#include <stdio.h>
#include <stdlib.h>

#include "rows.h"
#include "slices.h"

static uint64_t state, hash;

static uint64_t draw(void)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state * 2685821657736338717u;
}

static int32_t below(int32_t n) { return (int32_t)((draw() >> 33) % (uint64_t)n); }

static void take_in(const void *memory, size_t size)
{
    for (const unsigned char *at = memory; size--; at++)
        hash = (hash ^ *at) * 1099511628211u;
}

static void *room(size_t size)
{
    void *memory = aligned_alloc(64, (size + 192) / 64 * 64);
    if (!memory)
        exit(2);
    return memset(memory, 0, (size + 192) / 64 * 64);
}

static void want(int right, const char *path, const char *what, int one)
{
    if (!right) {
        printf("%s: %s of case %d is wrong\n", path, what, one);
        exit(1);
    }
}

typedef struct {
    int32_t channels, height, width, out, kernel_rows, kernel_columns, stride, padding, tile_rows, tile_columns, words;
    int32_t source_planes, planes, density, pool;
} shape_t;

static const shape_t SHAPES[] = {
    {70, 1, 1, 200, 1, 1, 1, 0, 1, 1, 2, 1, 1, 30, 1},  {300, 1, 1, 130, 1, 1, 1, 0, 1, 1, 8, 1, 1, 100, 1},
    {1000, 1, 1, 520, 1, 1, 1, 0, 1, 1, 4, 1, 1, 60, 1}, {64, 1, 1, 40, 1, 1, 1, 0, 1, 1, 2, 3, 2, 50, 1},
    {3, 12, 11, 32, 3, 3, 1, 1, 2, 4, 4, 1, 1, 40, 2},   {5, 9, 9, 20, 5, 5, 1, 2, 2, 5, 8, 1, 1, 70, 1},
    {2, 13, 8, 64, 3, 2, 2, 1, 1, 2, 2, 1, 1, 20, 1},    {8, 8, 8, 128, 3, 3, 1, 1, 2, 2, 8, 1, 1, 3, 2},
    {4, 7, 7, 16, 3, 3, 1, 0, 1, 3, 2, 4, 1, 50, 1},     {6, 6, 6, 24, 3, 3, 1, 1, 2, 1, 2, 1, 3, 50, 2},
};

/* Product of an event (2 * unit + [negative]) in one lane, from the bits [w > 0] and [w < 0] of its row. */
static int32_t product(const gx_sliced *u, int32_t plane, int32_t block, int32_t row, int32_t lane)
{
    const size_t first = ((size_t)plane * u->blocks + block) * u->n_rows + row / 2;
    const uint64_t *at = u->rows + first * 2 * u->width + lane / 64;
    const int32_t weight = (int32_t)(at[0] >> (lane % 64) & 1) - (int32_t)(at[u->width] >> (lane % 64) & 1);
    return row % 2 ? -weight : weight;
}

/* A convolution of random tables: sums, thresholds, pools. */
static void convolution(const gx_slices *k, int one)
{
    const shape_t s = SHAPES[one];
    const int32_t size = s.channels * s.height * s.width, words = (size + 63) / 64;
    gx_gates g = {.channels = s.channels, .height = s.height, .width = s.width, .out_channels = s.out};
    g.out_height = (s.height + 2 * s.padding - s.kernel_rows) / s.stride + 1;
    g.out_width = (s.width + 2 * s.padding - s.kernel_columns) / s.stride + 1;
    g.stride_rows = g.stride_columns = s.stride, g.top = g.left = s.padding;
    g.tile_rows = s.tile_rows, g.tile_columns = s.tile_columns;
    g.tiles_across = (g.out_width + s.tile_columns - 1) / s.tile_columns;
    g.tiles = g.tiles_across * ((g.out_height + s.tile_rows - 1) / s.tile_rows);
    g.window_rows = (s.tile_rows - 1) * s.stride + s.kernel_rows;
    g.window_columns = (s.tile_columns - 1) * s.stride + s.kernel_columns;
    const int32_t pixels = g.out_height * g.out_width, units = g.window_rows * g.window_columns * s.channels;
    int32_t row_at[64];
    for (int32_t r = 0; r < g.window_rows; r++)
        row_at[r] = r * g.window_columns * s.channels;
    g.row_at = row_at, g.list_length = units + GX_LIST_SLACK;
    g.pixel_bytes = s.tile_rows * s.tile_columns > 1 ? (s.out + 7) / 8 : 0, g.pixel_words = (s.out + 63) / 64;

    gx_sliced *u = &g.slices;
    u->width = s.words, u->planes = s.planes, u->n_rows = units + 1, u->far = one % 2;
    u->blocks = g.pixel_bytes ? 1 : (s.out + 64 * s.words - 1) / (64 * s.words);
    for (g.half_shift = 0; 1 << g.half_shift < s.words; g.half_shift++)
        ;
    const int32_t bound = units * ((1 << s.planes) - 1) * ((1 << s.source_planes) - 1);
    for (u->bits = 2; (bound + 1) >> (u->bits - 2); u->bits++)
        ;
    uint64_t *rows = room(8 * (size_t)s.planes * u->blocks * u->n_rows * 2 * s.words);
    for (int32_t r = 0; r < s.planes * u->blocks * u->n_rows; r++)
        for (int32_t w = 0; w < s.words; w++) {
            const uint64_t zero = draw(), positive = draw();
            const int last = r % u->n_rows == u->n_rows - 1;
            rows[(size_t)r * 2 * s.words + w] = last ? 0 : positive & ~zero;
            rows[((size_t)r * 2 + 1) * s.words + w] = last ? 0 : ~positive & ~zero;
        }
    u->rows = rows;
    int32_t *hi = room(4 * (size_t)s.out), *above_lo = room(4 * (size_t)s.out);
    uint64_t *edges = room(8 * (size_t)u->blocks * u->bits * 2 * s.words);
    for (int32_t c = 0; c < s.out; c++)
        hi[c] = below(bound < 40 ? bound : 40) - 5, above_lo[c] = hi[c] - below(20);
    for (int32_t p = 0; p < s.tile_rows * s.tile_columns; p++)
        for (int32_t c = 0; c < s.out; c++) {
            const int32_t lane = 8 * p * g.pixel_bytes + c, block = lane / (64 * s.words), at = lane % (64 * s.words);
            const uint32_t offset = (uint32_t)1 << (u->bits - 1);
            for (int32_t b = 0; b < u->bits; b++) {
                uint64_t *to = edges + ((size_t)block * u->bits + b) * 2 * s.words + at / 64;
                to[0] |= (uint64_t)(((uint32_t)hi[c] + offset) >> b & 1) << (at % 64);
                to[s.words] |= (uint64_t)(((uint32_t)above_lo[c] + offset) >> b & 1) << (at % 64);
            }
        }
    u->edges = edges;

    int8_t *levels = room((size_t)size + 64);
    gx_planes source = {.words = words, .planes = s.source_planes, .capacity = size + GX_LIST_SLACK};
    source.plus = room(8 * ((size_t)s.source_planes * words + 1));
    source.minus = room(8 * ((size_t)s.source_planes * words + 1));
    source.list = room(4 * (size_t)s.source_planes * source.capacity);
    source.rank = room(4 * (size_t)s.source_planes * (words + 1));
    uint32_t *scratch = room(4 * (size_t)s.source_planes * g.list_length);
    uint64_t *ge = room(8 * (size_t)(pixels * g.pixel_words + 8)), *le = room(8 * (size_t)(pixels * g.pixel_words + 8));
    int32_t *sums = room(4 * (size_t)pixels * s.out), *expected = room(4 * (size_t)pixels * s.out);
    for (int32_t i = 0; i < size; i++)
        levels[i] = (int8_t)(below(100) < s.density ? (1 + below((1 << s.source_planes) - 1)) * (1 - 2 * below(2)) : 0);
    k->pack(levels, size, &source);
    k->list(&source);
    k->run_blocks(&g, &source, 0, g.tiles * u->blocks, scratch, NULL, NULL, 3, sums);
    k->run_blocks(&g, &source, 0, g.tiles * u->blocks, scratch, ge, le, 1, NULL);

    for (int32_t y = 0; y < g.out_height; y++)
        for (int32_t x = 0; x < g.out_width; x++) {
            const int32_t ty = y % s.tile_rows, tx = x % s.tile_columns, pixel = y * g.out_width + x;
            const int32_t top = (y - ty) * s.stride - s.padding, left = (x - tx) * s.stride - s.padding;
            for (int32_t c = 0; c < s.out; c++) {
                const int32_t lane = 8 * (ty * s.tile_columns + tx) * g.pixel_bytes + c;
                const int32_t block = lane / (64 * s.words), at = lane % (64 * s.words);
                int32_t sum = 0;
                for (int32_t r = 0; r < g.window_rows; r++)
                    for (int32_t q = 0; q < g.window_columns; q++)
                        for (int32_t i = 0; i < s.channels; i++) {
                            const int32_t in_y = top + r, in_x = left + q;
                            if (in_y < 0 || in_y >= s.height || in_x < 0 || in_x >= s.width)
                                continue;
                            const int32_t level = levels[(in_y * s.width + in_x) * s.channels + i], size_of = abs(level);
                            const int32_t row = 2 * (row_at[r] + q * s.channels + i) + (level < 0);
                            for (int32_t plane = 0; level && plane < s.planes; plane++)
                                sum += size_of * (1 << plane) * product(u, plane, block, row, at);
                        }
                expected[pixel * s.out + c] = sum;
                const size_t word = (size_t)pixel * g.pixel_words + c / 64;
                want(sums[pixel * s.out + c] == 3 * sum, k->name, "a sum", one);
                want((ge[word] >> (c % 64) & 1) == (sum >= hi[c]), k->name, "a unit at hi", one);
                want((le[word] >> (c % 64) & 1) == (sum < above_lo[c]), k->name, "a unit at lo", one);
            }
        }
    take_in(sums, 4 * (size_t)pixels * s.out);

    uint64_t *flip = room(8 * (size_t)g.pixel_words);
    for (int32_t w = 0; w < g.pixel_words; w++)
        flip[w] = draw();
    gx_finish f = {.height = g.out_height, .width = g.out_width, .channels = s.out, .pixel_words = g.pixel_words};
    f.out_height = f.height / s.pool, f.out_width = f.width / s.pool, f.flip = flip;
    f.window_rows = f.window_columns = f.stride_rows = f.stride_columns = s.pool;
    const int32_t fired = f.out_height * f.out_width * s.out;
    gx_planes made = {.words = (fired + 63) / 64, .planes = 1};
    made.plus = room(8 * (size_t)(made.words + 1)), made.minus = room(8 * (size_t)(made.words + 1));
    k->finish(&f, ge, le, &made);
    for (int32_t unit = 0; unit < fired; unit++) {
        const int32_t c = unit % s.out, x = unit / s.out % f.out_width, y = unit / s.out / f.out_width;
        int any = 0, all = 1;
        for (int32_t v = y * s.pool; v < (y + 1) * s.pool; v++)
            for (int32_t w = x * s.pool; w < (x + 1) * s.pool; w++) {
                any |= expected[(v * f.width + w) * s.out + c] >= hi[c];
                all &= expected[(v * f.width + w) * s.out + c] < above_lo[c];
            }
        const int turned = (int)(flip[c / 64] >> (c % 64) & 1);
        const int plus = turned ? all : any, minus = turned ? any : all;
        want((int)(made.plus[unit / 64] >> (unit % 64) & 1) == plus, k->name, "a +1 behind the pool", one);
        want((int)(made.minus[unit / 64] >> (unit % 64) & 1) == minus, k->name, "a -1 behind the pool", one);
    }
    take_in(made.plus, 8 * (size_t)made.words);
    take_in(made.minus, 8 * (size_t)made.words);

    int32_t *class = room(4 * (size_t)words);
    uint8_t more[3 * 2 * 64];
    int64_t opened = 0, events = 0, sent = 0;
    for (int32_t w = 0; w < words; w++)
        class[w] = below(3);
    for (size_t i = 0; i < sizeof more; i++)
        more[i] = (uint8_t)draw();
    const gx_opens opens = {.class = class, .more = more, .bytes = 2, .least = 7};
    for (int32_t i = 0; i < size; i++)
        if (levels[i]) {
            const uint8_t *at = more + 128 * class[i / 64] + i % 64;
            opened += 7 + at[0] + 256 * at[64], events++;
        }
    want(k->count_open(&source, &opens, &sent) == opened, k->name, "the open gates", one);
    want(sent == events, k->name, "the number of events", one);

    enum { TARGETS = 5 };
    uint64_t *heads = room(8 * (size_t)TARGETS * 2 * words);
    int32_t scores[TARGETS] = {0};
    for (int32_t i = 0; i < TARGETS * words; i++) {
        heads[i / words * 2 * words + i % words] = draw();
        heads[(i / words * 2 + 1) * words + i % words] = draw() & ~heads[i / words * 2 * words + i % words];
    }
    if (s.source_planes == 1) {
        k->head(&source, heads, TARGETS, -2, scores);
        for (int32_t t = 0; t < TARGETS; t++) {
            int32_t sum = 0;
            for (int32_t i = 0; i < size; i++)
                sum += levels[i] * ((int32_t)(heads[2 * t * words + i / 64] >> (i % 64) & 1) -
                                    (int32_t)(heads[(2 * t + 1) * words + i / 64] >> (i % 64) & 1));
            want(scores[t] == -2 * sum, k->name, "a score", one);
        }
    }
    take_in(scores, sizeof scores);
    void *used[] = {rows,  hi, above_lo, edges, levels, source.plus, source.minus, source.list, source.rank, scratch, ge,
                    le, sums, expected, flip, made.plus, made.minus, class, heads};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        free(used[i]);
}

/* Rows of int8 levels, ternary and graded. */
static void int8_rows(const gx_kernel *k, int one)
{
    enum { ROWS = 400, LISTED = 900 };
    const int32_t lanes = GX_LANES * (1 + one), graded = one % 2, top = graded ? 64 : 1;
    int8_t *rows = room((size_t)ROWS * lanes), value[LISTED];
    int32_t *sums = room(4 * (size_t)lanes), *expected = room(4 * (size_t)lanes), plus[LISTED], minus[LISTED];
    for (int32_t i = 0; i < ROWS * lanes; i++)
        rows[i] = (int8_t)(below(2 * top + 1) - top);
    for (int32_t e = 0; e < LISTED; e++)
        plus[e] = below(ROWS), minus[e] = below(ROWS), value[e] = (int8_t)(below(129) - 64);
    for (int32_t lane = 0; lane < lanes; lane++)
        for (int32_t e = 0; e < LISTED; e++)
            expected[lane] += graded ? 2 * value[e] * rows[plus[e] * lanes + lane]
                                     : 2 * (rows[plus[e] * lanes + lane] - rows[minus[e] * lanes + lane]);
    if (graded)
        k->add_graded_rows(rows, lanes, plus, value, LISTED, 32767 / (64 * 64), 2, sums);
    else
        k->add_unit_rows(rows, lanes, plus, LISTED, minus, LISTED, 2, sums);
    want(!memcmp(sums, expected, 4 * (size_t)lanes), k->name, "a sum of rows", one);
    take_in(sums, 4 * (size_t)lanes);
    free(rows), free(sums), free(expected);
}

int main(void)
{
    gx_slices slices[8];
    gx_kernel kernels[8];
    const int n_slices = gx_available_slices(slices), n_kernels = gx_available_kernels(kernels);
    for (int i = 0; i < n_slices; i++) {
        state = 88172645463325252u, hash = 14695981039346656037u;
        for (int one = 0; one < (int)(sizeof SHAPES / sizeof *SHAPES); one++)
            convolution(&slices[i], one);
        printf("slices %s %016llx\n", slices[i].name, (unsigned long long)hash);
    }
    for (int i = 0; i < n_kernels; i++) {
        state = 88172645463325252u, hash = 14695981039346656037u;
        for (int one = 0; one < 12; one++)
            int8_rows(&kernels[i], one);
        printf("rows %s %016llx\n", kernels[i].name, (unsigned long long)hash);
    }
    return 0;
}
