/* The loops of winograd.h: a tile's transforms, eight channels at a time, and the products of matrices between them. */
#include <immintrin.h>

#define GX_FMA __attribute__((target("avx2,fma")))
#define GX_FMA_INLINE static inline __attribute__((always_inline, target("avx2,fma")))

typedef float gx_float8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float gx_lanes __attribute__((vector_size(32)));

GX_FMA_INLINE gx_lanes gx_load8(const float *from) { return *(const gx_float8 *)from; }
GX_FMA_INLINE void gx_store8(float *to, gx_lanes value) { *(gx_float8 *)to = value; }

/* B' of six inputs. */
GX_FMA_INLINE void gx_inputs(const gx_lanes *d, ptrdiff_t step, gx_lanes *v, ptrdiff_t to)
{
    const gx_lanes d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
    const gx_lanes even = d4 - 4.0f * d2, odd = d3 - 4.0f * d1, near = d4 - d2, far = 2.0f * (d3 - d1);
    v[0] = 4.0f * d[0] - 5.0f * d2 + d4;
    v[to] = even + odd;
    v[2 * to] = even - odd;
    v[3 * to] = near + far;
    v[4 * to] = near - far;
    v[5 * to] = 4.0f * d1 - 5.0f * d3 + d[5 * step];
}

/* B of six: what gx_inputs does, read from behind. */
GX_FMA_INLINE void gx_inputs_back(const gx_lanes *v, ptrdiff_t step, gx_lanes *d, ptrdiff_t to)
{
    const gx_lanes v0 = v[0], v5 = v[5 * step];
    const gx_lanes s = v[step] + v[2 * step], t = v[step] - v[2 * step];
    const gx_lanes p = v[3 * step] + v[4 * step], q = 2.0f * (v[3 * step] - v[4 * step]);
    d[0] = 4.0f * v0;
    d[to] = 4.0f * (v5 - t) - q;
    d[2 * to] = -5.0f * v0 - 4.0f * s - p;
    d[3 * to] = t + q - 5.0f * v5;
    d[4 * to] = v0 + s + p;
    d[5 * to] = v5;
}

/* A' of six: edge outputs. */
GX_FMA_INLINE void gx_outputs(const gx_lanes *m, ptrdiff_t step, gx_lanes *y, ptrdiff_t to, const int edge)
{
    const gx_lanes s = m[step] + m[2 * step], d = m[step] - m[2 * step];
    const gx_lanes p = m[3 * step] + m[4 * step], q = m[3 * step] - m[4 * step];
    y[0] = m[0] + s + p;
    if (edge == 2) {
        y[to] = d + 2.0f * q + m[5 * step];
        return;
    }
    y[to] = d + 2.0f * q;
    y[2 * to] = s + 4.0f * p;
    y[3 * to] = d + 8.0f * q + m[5 * step];
}

/* A of edge outputs' gradients: six. */
GX_FMA_INLINE void gx_outputs_back(const gx_lanes *g, ptrdiff_t step, gx_lanes *m, ptrdiff_t to, const int edge)
{
    gx_lanes near = g[0], odd = g[step], wide = g[0], steep = 2.0f * g[step];
    if (edge == 4) {
        near += g[2 * step];
        odd += g[3 * step];
        wide += 4.0f * g[2 * step];
        steep += 8.0f * g[3 * step];
    }
    m[0] = g[0];
    m[to] = near + odd;
    m[2 * to] = near - odd;
    m[3 * to] = wide + steep;
    m[4 * to] = wide - steep;
    m[5 * to] = g[(edge - 1) * step];
}

/* Where a block's matrix has channel c of its first tile: panels of 16 channels, [channels / 16][tiles][16]. */
GX_FMA_INLINE ptrdiff_t gx_place(gx_winograd_shape s, ptrdiff_t c)
{
    return c / GX_PANEL * GX_PANEL * s.block + c % GX_PANEL;
}

/* Where a tile lies: of which frame, and its first row and column of tiles. */
typedef struct {
    ptrdiff_t frame, row, col;
} gx_tile;

GX_FMA_INLINE gx_tile gx_tile_at(gx_winograd_shape s, ptrdiff_t tile)
{
    const ptrdiff_t across = (s.out_cols + s.edge - 1) / s.edge, down = (s.out_rows + s.edge - 1) / s.edge;
    const gx_tile found = {tile / (across * down), tile / across % down, tile % across};
    return found;
}

/* Where the 36 pixels of a tile lie in a frame (step floats a pixel); those outside are elsewhere. */
GX_FMA_INLINE void gx_tile_pixels(gx_winograd_shape s, const float *frames, gx_tile at, const float *outside,
                                  const float *pixels[GX_POINTS])
{
    const ptrdiff_t top = at.row * s.edge - s.padding, left = at.col * s.edge - s.padding;
    const float *frame = frames + at.frame * s.rows * s.cols * s.channels;
    for (ptrdiff_t i = 0; i < 6; i++)
        for (ptrdiff_t j = 0; j < 6; j++) {
            const ptrdiff_t row = top + i, col = left + j;
            const int inside = row >= 0 && row < s.rows && col >= 0 && col < s.cols;
            pixels[6 * i + j] = inside ? frame + (row * s.cols + col) * s.channels : outside;
        }
}

/* V of one tile: channel c of point k to v[k * plane + gx_place(c)]; outside: as many zeros as there are channels. */
GX_FMA static void gx_tile_inputs(gx_winograd_shape s, const float *x, gx_tile at, const float *outside, float *v,
                                  ptrdiff_t plane)
{
    const float *pixels[GX_POINTS];
    gx_tile_pixels(s, x, at, outside, pixels);
    for (ptrdiff_t c = 0; c < s.channels; c += 8) {
        gx_lanes d[36], half[36];
        for (int k = 0; k < GX_POINTS; k++)
            d[k] = gx_load8(pixels[k] + c);
        for (int j = 0; j < 6; j++)
            gx_inputs(d + j, 6, half + j, 6);
        for (int i = 0; i < 6; i++)
            gx_inputs(half + 6 * i, 1, d + 6 * i, 1);
        float *to = v + gx_place(s, c);
        for (int k = 0; k < GX_POINTS; k++)
            gx_store8(to + k * plane, d[k]);
    }
}

/* Add dd of one tile to dx, given its dV; outside: floats for as many channels, which nobody reads. */
GX_FMA static void gx_tile_inputs_back(gx_winograd_shape s, const float *v, ptrdiff_t plane, gx_tile at,
                                       float *outside, float *dx)
{
    const float *pixels[GX_POINTS];
    gx_tile_pixels(s, dx, at, outside, pixels);
    for (ptrdiff_t c = 0; c < s.channels; c += 8) {
        gx_lanes d[36], half[36];
        const float *from = v + gx_place(s, c);
        for (int k = 0; k < GX_POINTS; k++)
            d[k] = gx_load8(from + k * plane);
        for (int j = 0; j < 6; j++)
            gx_inputs_back(d + j, 6, half + j, 6);
        for (int i = 0; i < 6; i++)
            gx_inputs_back(half + 6 * i, 1, d + 6 * i, 1);
        for (int k = 0; k < GX_POINTS; k++)
            if (pixels[k] != outside)
                gx_store8((float *)pixels[k] + c, gx_load8(pixels[k] + c) + d[k]);
    }
}

/* y of one tile, given its M. */
GX_FMA_INLINE void gx_tile_outputs(gx_winograd_shape s, const float *m, ptrdiff_t plane, gx_tile at, float *y,
                                   const int edge)
{
    float *frame = y + at.frame * s.out_rows * s.out_cols * s.outputs;
    for (ptrdiff_t c = 0; c < s.outputs; c += 8) {
        gx_lanes all[36], half[24], found[16];
        for (int k = 0; k < GX_POINTS; k++)
            all[k] = gx_load8(m + gx_place(s, c) + k * plane);
        for (int j = 0; j < 6; j++)
            gx_outputs(all + j, 6, half + j, 6, edge);
        for (int i = 0; i < edge; i++)
            gx_outputs(half + 6 * i, 1, found + edge * i, 1, edge);
        for (ptrdiff_t i = 0; i < edge; i++)
            for (ptrdiff_t j = 0; j < edge; j++) {
                const ptrdiff_t row = at.row * edge + i, col = at.col * edge + j;
                if (row < s.out_rows && col < s.out_cols)
                    gx_store8(frame + (row * s.out_cols + col) * s.outputs + c, found[edge * i + j]);
            }
    }
}

/* dM of one tile, given dy. */
GX_FMA_INLINE void gx_tile_outputs_back(gx_winograd_shape s, const float *dy, gx_tile at, float *m, ptrdiff_t plane,
                                        const int edge)
{
    const float *frame = dy + at.frame * s.out_rows * s.out_cols * s.outputs;
    for (ptrdiff_t c = 0; c < s.outputs; c += 8) {
        gx_lanes all[36], half[24], given[16];
        for (ptrdiff_t i = 0; i < edge; i++)
            for (ptrdiff_t j = 0; j < edge; j++) {
                const ptrdiff_t row = at.row * edge + i, col = at.col * edge + j;
                const int inside = row < s.out_rows && col < s.out_cols;
                given[edge * i + j] =
                    inside ? gx_load8(frame + (row * s.out_cols + col) * s.outputs + c) : (gx_lanes){0};
            }
        for (int i = 0; i < edge; i++)
            gx_outputs_back(given + edge * i, 1, half + 6 * i, 1, edge);
        for (int j = 0; j < 6; j++)
            gx_outputs_back(half + j, 6, all + j, 6, edge);
        for (int k = 0; k < GX_POINTS; k++)
            gx_store8(m + gx_place(s, c) + k * plane, all[k]);
    }
}

/* sum[i] of 16 += over k < count of a[i * a_row + k * a_step] * b[16 * k + 0:16], i < rows. */
GX_FMA_INLINE void gx_multiply(const int rows, const float *a, ptrdiff_t a_row, ptrdiff_t a_step, const float *b,
                               ptrdiff_t count, __m256 sum[GX_TILE_ROWS][2])
{
    for (ptrdiff_t k = 0; k < count; k++) {
        const __m256 b0 = _mm256_loadu_ps(b + GX_PANEL * k), b1 = _mm256_loadu_ps(b + GX_PANEL * k + 8);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            const __m256 value = _mm256_broadcast_ss(a + i * a_row + k * a_step);
            sum[i][0] = _mm256_fmadd_ps(value, b0, sum[i][0]);
            sum[i][1] = _mm256_fmadd_ps(value, b1, sum[i][1]);
        }
    }
}

/* out[t][o] = sum over c of in[t][c] * u[c][o] for a block's tiles; in, out in panels of block tiles, u in panels of 16
 * outputs: [outputs / 16][c][16]. */
GX_FMA static void gx_products_of_tiles(ptrdiff_t block, const float *in, ptrdiff_t channels, const float *u,
                                        float *out, ptrdiff_t outputs, ptrdiff_t tiles)
{
    for (ptrdiff_t o = 0; o < outputs; o += GX_PANEL)
        for (ptrdiff_t t = 0; t < tiles; t += GX_TILE_ROWS) {
            __m256 sum[GX_TILE_ROWS][2] = {0};
            for (ptrdiff_t c = 0; c < channels; c += GX_PANEL)
                gx_multiply(GX_TILE_ROWS, in + c * block + t * GX_PANEL, GX_PANEL, 1, u + o * channels + c * GX_PANEL,
                            GX_PANEL, sum);
#pragma GCC unroll 6
            for (int i = 0; i < GX_TILE_ROWS; i++) {
                _mm256_storeu_ps(out + o * block + (t + i) * GX_PANEL, sum[i][0]);
                _mm256_storeu_ps(out + o * block + (t + i) * GX_PANEL + 8, sum[i][1]);
            }
        }
}

/* Rows of du from channel c on: the channels v points to. */
GX_FMA_INLINE void gx_rows_over_tiles(const int rows, const float *v, const float *m, ptrdiff_t tiles, float *du,
                                      ptrdiff_t outputs)
{
    __m256 sum[GX_TILE_ROWS][2] = {0};
    gx_multiply(rows, v, 1, GX_PANEL, m, tiles, sum);
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        float *to = du + i * outputs;
        _mm256_storeu_ps(to, _mm256_add_ps(sum[i][0], _mm256_loadu_ps(to)));
        _mm256_storeu_ps(to + 8, _mm256_add_ps(sum[i][1], _mm256_loadu_ps(to + 8)));
    }
}

/* du[c][o] += sum over tiles of v[t][c] * m[t][o]; v, m in panels of block tiles. */
GX_FMA static void gx_products_over_tiles(ptrdiff_t block, const float *v, ptrdiff_t channels, const float *m,
                                          ptrdiff_t outputs, ptrdiff_t tiles, float *du)
{
    for (ptrdiff_t o = 0; o < outputs; o += GX_PANEL)
        for (ptrdiff_t c = 0; c < channels; c += GX_PANEL) {
            const float *vc = v + c * block, *mo = m + o * block;
            float *to = du + c * outputs + o;
            gx_rows_over_tiles(6, vc, mo, tiles, to, outputs);
            gx_rows_over_tiles(6, vc + 6, mo, tiles, to + 6 * outputs, outputs);
            gx_rows_over_tiles(4, vc + 12, mo, tiles, to + 12 * outputs, outputs);
        }
}

GX_FMA_INLINE ptrdiff_t gx_tiles(gx_winograd_shape s, ptrdiff_t frames)
{
    return frames * ((s.out_rows + s.edge - 1) / s.edge) * ((s.out_cols + s.edge - 1) / s.edge);
}

GX_FMA_INLINE ptrdiff_t gx_whole_rows(ptrdiff_t tiles)
{
    return (tiles + GX_TILE_ROWS - 1) / GX_TILE_ROWS * GX_TILE_ROWS;
}

/* Zeros for the tiles that a last block lacks to whole rows, or what is there would be multiplied again and again. */
GX_FMA static void gx_fill_rows(float *matrices, ptrdiff_t plane, ptrdiff_t channels, ptrdiff_t block, ptrdiff_t tiles)
{
    const ptrdiff_t lacking = gx_whole_rows(tiles) - tiles;
    for (ptrdiff_t k = 0; lacking && k < GX_POINTS; k++)
        for (ptrdiff_t c = 0; c < channels; c += GX_PANEL)
            memset(matrices + k * plane + c * block + tiles * GX_PANEL, 0,
                   sizeof(float) * (size_t)(lacking * GX_PANEL));
}

/* x: IN [frames][rows][cols][channels]; u: IN [36][outputs / 16][channels][16]; y: OUT [frames][out_rows][out_cols]
 * [outputs]; work: gx_winograd_work floats. */
GX_FMA static void gx_winograd_forward(gx_winograd_shape s, const float *x, const float *u, float *y, ptrdiff_t frames,
                                       float *work)
{
    const ptrdiff_t v_plane = gx_winograd_plane(s.block, s.channels), m_plane = gx_winograd_plane(s.block, s.outputs);
    float *v = work, *m = v + GX_POINTS * v_plane, *zeros = m + GX_POINTS * m_plane;
    memset(zeros, 0, sizeof(float) * (size_t)s.channels);
    const ptrdiff_t all = gx_tiles(s, frames);
    for (ptrdiff_t begin = 0; begin < all; begin += s.block) {
        const ptrdiff_t tiles = all - begin < s.block ? all - begin : s.block;
        for (ptrdiff_t t = 0; t < tiles; t++)
            gx_tile_inputs(s, x, gx_tile_at(s, begin + t), zeros, v + t * GX_PANEL, v_plane);
        gx_fill_rows(v, v_plane, s.channels, s.block, tiles);
        for (ptrdiff_t k = 0; k < GX_POINTS; k++)
            gx_products_of_tiles(s.block, v + k * v_plane, s.channels, u + k * s.channels * s.outputs, m + k * m_plane,
                                 s.outputs, gx_whole_rows(tiles));
        for (ptrdiff_t t = 0; t < tiles; t++) {
            const gx_tile at = gx_tile_at(s, begin + t);
            if (s.edge == 4)
                gx_tile_outputs(s, m + t * GX_PANEL, m_plane, at, y, 4);
            else
                gx_tile_outputs(s, m + t * GX_PANEL, m_plane, at, y, 2);
        }
    }
}

/* x as above, dy: IN, shaped as y; u: IN [36][channels / 16][outputs][16], what dx needs; dx: OUT, shaped as x, or NULL;
 * du: INOUT [36][channels][outputs], added to. */
GX_FMA static void gx_winograd_backward(gx_winograd_shape s, const float *x, const float *dy, const float *u, float *dx,
                                        float *du, ptrdiff_t frames, float *work)
{
    const ptrdiff_t v_plane = gx_winograd_plane(s.block, s.channels), m_plane = gx_winograd_plane(s.block, s.outputs);
    float *v = work, *m = v + GX_POINTS * v_plane, *zeros = m + GX_POINTS * m_plane;
    memset(zeros, 0, sizeof(float) * (size_t)s.channels);
    const ptrdiff_t all = gx_tiles(s, frames), pair = s.channels * s.outputs;
    if (dx)
        memset(dx, 0, sizeof(float) * (size_t)(frames * s.rows * s.cols * s.channels));
    for (ptrdiff_t begin = 0; begin < all; begin += s.block) {
        const ptrdiff_t tiles = all - begin < s.block ? all - begin : s.block;
        for (ptrdiff_t t = 0; t < tiles; t++) {
            const gx_tile at = gx_tile_at(s, begin + t);
            gx_tile_inputs(s, x, at, zeros, v + t * GX_PANEL, v_plane);
            if (s.edge == 4)
                gx_tile_outputs_back(s, dy, at, m + t * GX_PANEL, m_plane, 4);
            else
                gx_tile_outputs_back(s, dy, at, m + t * GX_PANEL, m_plane, 2);
        }
        gx_fill_rows(m, m_plane, s.outputs, s.block, tiles);
        for (ptrdiff_t k = 0; k < GX_POINTS; k++) {
            float *vk = v + k * v_plane, *mk = m + k * m_plane;
            gx_products_over_tiles(s.block, vk, s.channels, mk, s.outputs, tiles, du + k * pair);
            if (dx) /* v is not needed any more: dV takes its place */
                gx_products_of_tiles(s.block, mk, s.outputs, u + k * pair, vk, s.channels, gx_whole_rows(tiles));
        }
        for (ptrdiff_t t = 0; dx && t < tiles; t++)
            gx_tile_inputs_back(s, v + t * GX_PANEL, v_plane, gx_tile_at(s, begin + t), zeros, dx);
    }
}
