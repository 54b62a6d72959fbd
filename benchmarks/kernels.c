/* Cycles of the bit-sliced adders beside what the machine can do, and of whole dense layers; see kernels.py.
 *
 * Everything is timed once a round, in turn, by the processor time of the thread, so that a busy neighbour slows the
 * bound as well as the kernel. One line a measurement and round: name, picoseconds of one unit of it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "slices.h"

static uint64_t state = 88172645463325252u;

static uint64_t draw(void)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state * 2685821657736338717u;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *room(size_t size)
{
    void *memory = aligned_alloc(64, (size + 4096 + 63) / 64 * 64);
    if (!memory)
        exit(2);
    return memset(memory, 0, (size + 4096 + 63) / 64 * 64);
}

/* Picoseconds of one unit. */
static void say(const char *name, int64_t ns, int64_t units) { printf("%s %lld\n", name, (long long)(1000 * ns / units)); }

/* ---- the adders alone ---- */

enum { EVENTS = 512, CALLS = 48 };

/* A table of `bytes`, its rows in a random order EVENTS at a time, lists of them. */
typedef struct {
    gx_sliced slices;
    uint32_t *lists;
    int32_t n_lists;
} table_t;

static table_t table(int32_t width, size_t bytes)
{
    table_t t = {.slices = {.width = width, .blocks = 1, .planes = 1, .bits = 12}};
    t.slices.n_rows = (int32_t)(bytes / (16 * (size_t)width));
    uint64_t *rows = room(bytes), *edges = room(8 * 12 * 2 * (size_t)width);
    for (size_t i = 0; i < bytes / 8; i++)
        rows[i] = draw();
    for (int32_t r = 0; r < t.slices.n_rows; r++)
        for (int32_t w = 0; w < width; w++)
            rows[((size_t)r * 2 + 1) * width + w] &= ~rows[(size_t)r * 2 * width + w];
    for (int32_t i = 0; i < 24 * width; i++)
        edges[i] = draw();
    t.slices.rows = rows, t.slices.edges = edges;
    t.n_lists = t.slices.n_rows / EVENTS + 1;
    t.lists = room(4 * ((size_t)t.n_lists * EVENTS + 64));
    for (int32_t i = 0; i < t.n_lists * EVENTS; i++)
        t.lists[i] = (uint32_t)(draw() % (2 * (uint64_t)t.slices.n_rows)) * 8 * (uint32_t)width;
    return t;
}

typedef void (*block_fn)(const gx_sliced *, int32_t, const gx_row_list *, int32_t, uint64_t *, uint64_t *);

static void adders(const char *name, block_fn fire, table_t *t)
{
    uint64_t ge[GX_MAX_WIDTH + 1], le[GX_MAX_WIDTH + 1];
    int64_t begun = 0;
    for (int32_t i = -t->n_lists; i < CALLS; i++) { /* the first pass brings the rows near */
        const gx_row_list list = {t->lists + (size_t)(i < 0 ? -1 - i : i % t->n_lists) * EVENTS, EVENTS};
        if (i == 0)
            begun = now();
        fire(&t->slices, 0, &list, 1, ge, le);
    }
    say(name, now() - begun, (int64_t)CALLS * EVENTS);
}

#if defined(__x86_64__)
/* ---- what the machine can do ---- */

enum { LOOPS = 4000 };

/* A chain of additions: one cycle each. */
static void cycles(void)
{
    uint64_t x = 1;
    const int64_t begun = now();
    for (int i = 0; i < LOOPS; i++)
        __asm__ volatile(".rept 64\n add $1, %0\n .endr" : "+r"(x));
    say("cycle", now() - begun, 64 * LOOPS);
}

/* Independent logic on registers: per instruction. */
#define LOGIC(name, isa, text)                                                                                        \
    __attribute__((target(isa))) static void name(void)                                                            \
    {                                                                                                                 \
        const int64_t begun = now();                                                                                  \
        for (int i = 0; i < LOOPS; i++)                                                                               \
            __asm__ volatile(text ::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");                \
        say(#name, now() - begun, 32 * LOOPS);                                                                        \
    }
#define EIGHT(form) ".rept 4\n" form(0) form(1) form(2) form(3) form(4) form(5) form(6) form(7) ".endr"
#define SSE(i) "pxor %%xmm8, %%xmm" #i "\n"
#define AVX(i) "vpxor %%ymm8, %%ymm9, %%ymm" #i "\n"
#define ZMM(i) "vpternlogq $0x96, %%zmm8, %%zmm9, %%zmm" #i "\n"
LOGIC(logic128, "sse2", EIGHT(SSE))
LOGIC(logic256, "avx2", EIGHT(AVX))
LOGIC(logic512, "avx512f", EIGHT(ZMM))

/* Reading the rows of the lists and nothing else: per row. */
#define READ(name, isa, type, words)                                                                                  \
    typedef uint64_t type __attribute__((vector_size(8 * words)));                                                    \
    __attribute__((target(isa))) static void name(const char *label, table_t *t)                                      \
    {                                                                                                                 \
        type x = {0}, y = {0}, z = {0}, v = {0};                                                                      \
        int64_t begun = 0;                                                                                            \
        for (int32_t i = -t->n_lists; i < CALLS; i++) { /* the first pass brings the rows near */                     \
            const uint32_t *list = t->lists + (size_t)(i < 0 ? -1 - i : i % t->n_lists) * EVENTS;                     \
            if (i == 0)                                                                                               \
                begun = now();                                                                                        \
            for (int32_t e = 0; e < EVENTS; e += 2) {                                                                 \
                const char *rows = (const char *)t->slices.rows, *a = rows + list[e], *b = rows + list[e + 1];        \
                x |= *(const type *)a, y |= *(const type *)(rows + (list[e] ^ 8 * words));                            \
                z |= *(const type *)b, v |= *(const type *)(rows + (list[e + 1] ^ 8 * words));                        \
            }                                                                                                         \
        }                                                                                                             \
        say(label, now() - begun, (int64_t)CALLS * EVENTS);                                                           \
        const type all = x | y | z | v;                                                                               \
        __asm__ volatile("" ::"m"(all));                                                                              \
    }
READ(read128, "sse2", two_t, 2)
READ(read256, "avx2", four_t, 4)
READ(read512, "avx512f", eight_t, 8)
#endif

/* ---- a dense layer: ternary planes in, thresholds, ternary planes and their list out ---- */

enum { INPUTS_OF = 64 };

typedef struct {
    char name[64];
    const gx_slices *kernel;
    gx_gates gates;
    gx_finish finish;
    gx_planes source[INPUTS_OF], made;
    uint32_t *scratch;
    uint64_t *ge, *le;
} layer_t;

static gx_planes planes_of(int32_t units)
{
    gx_planes p = {.words = (units + 63) / 64, .planes = 1, .capacity = units + GX_LIST_SLACK};
    p.plus = room(8 * ((size_t)p.words + 1)), p.minus = room(8 * ((size_t)p.words + 1));
    p.list = room(4 * (size_t)p.capacity), p.rank = room(4 * ((size_t)p.words + 1));
    return p;
}

static layer_t *layer(const gx_slices *kernel, const char *path, int32_t inputs, int32_t outputs, int32_t width,
                      int32_t percent)
{
    layer_t *l = room(sizeof *l);
    gx_gates *g = &l->gates;
    static int32_t row_at[1] = {0};
    l->kernel = kernel;
    snprintf(l->name, sizeof l->name, "layer/%s/%dx%d/%d", path, inputs, outputs, percent);
    table_t t = table(width, 16 * (size_t)width * ((size_t)inputs + 1) * ((outputs + 64 * width - 1) / (64 * width)));
    g->slices = t.slices, g->slices.n_rows = inputs + 1, g->slices.bits = 13;
    g->slices.blocks = (outputs + 64 * width - 1) / (64 * width);
    g->slices.far = 16 * (size_t)width * (size_t)g->slices.n_rows * g->slices.blocks > 1 << 19;
    uint64_t *edges = room(8 * (size_t)g->slices.blocks * g->slices.bits * 2 * width);
    for (int32_t i = 0; i < g->slices.blocks * g->slices.bits * 2 * width; i++)
        edges[i] = draw();
    g->slices.edges = edges;
    g->channels = inputs, g->height = g->width = 1, g->out_channels = outputs, g->out_height = g->out_width = 1;
    g->stride_rows = g->stride_columns = g->tile_rows = g->tile_columns = g->tiles_across = g->tiles = 1;
    g->window_rows = g->window_columns = 1, g->row_at = row_at;
    for (g->half_shift = 0; 1 << g->half_shift < width; g->half_shift++)
        ;
    g->list_length = inputs + GX_LIST_SLACK, g->pixel_words = (outputs + 63) / 64;
    l->finish = (gx_finish){1, 1, outputs, 1, 1, 1, 1, 1, 1, 0, 0, g->pixel_words, room(8 * (size_t)g->pixel_words)};
    l->made = planes_of(outputs), l->scratch = room(4 * (size_t)g->list_length);
    l->ge = room(8 * (size_t)(g->pixel_words + 8)), l->le = room(8 * (size_t)(g->pixel_words + 8));
    for (int32_t i = 0; i < INPUTS_OF; i++) {
        l->source[i] = planes_of(inputs);
        for (int32_t u = 0; u < inputs; u++)
            if ((int32_t)(draw() >> 40) % 100 < percent)
                (draw() >> 60 & 1 ? l->source[i].plus : l->source[i].minus)[u / 64] |= (uint64_t)1 << (u % 64);
    }
    return l;
}

static void run_layer(layer_t *l)
{
    const int64_t begun = now();
    for (int32_t i = 0; i < INPUTS_OF; i++) {
        l->kernel->list(&l->source[i]);
        l->kernel->run_blocks(&l->gates, &l->source[i], 0, l->gates.slices.blocks, l->scratch, l->ge, l->le, 1, NULL);
        l->kernel->finish(&l->finish, l->ge, l->le, &l->made);
    }
    say(l->name, now() - begun, INPUTS_OF);
}

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? atoi(argv[1]) : 41;
    static const int32_t sizes[][2] = {{784, 512}, {512, 512}, {1024, 1024}, {4096, 4096}}, shares[] = {5, 20, 50, 100};
    gx_slices found[8];
    layer_t *layers[64];
    int n_layers = 0;
    gx_available_slices(found);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof shares / sizeof *shares; k++) /* the portable path, which comes first */
            layers[n_layers++] = layer(&found[0], found[0].name, sizes[i][0], sizes[i][1], 2, shares[k]);
#if defined(__x86_64__)
    static const char *const where[] = {"L1", "L2", "L3"};
    static const size_t bytes[] = {16 << 10, 256 << 10, 4 << 20};
    table_t tables[3][9];
    for (int i = 0; i < 3; i++)
        for (int32_t width = 2; width <= 8; width *= 2)
            tables[i][width] = table(width, bytes[i]);
    const int avx2 = __builtin_cpu_supports("avx2"), avx512 = __builtin_cpu_supports("avx512dq");
#endif
    for (int round = -1; round < rounds; round++) {
        if (round == 0)
            printf("begin 0\n"); /* what came before only warmed up */
#if defined(__x86_64__)
        char name[64];
        cycles();
        logic128();
        if (avx2)
            logic256();
        if (avx512)
            logic512();
        for (int i = 0; i < 3; i++) {
#define BOTH(words, isa)                                                                                              \
    snprintf(name, sizeof name, "read/%s/%d/%s", #isa, 64 * words, where[i]);                                         \
    READER(words)(name, &tables[i][words]);                                                                           \
    snprintf(name, sizeof name, "adders/%s/%d/%s", #isa, 64 * words, where[i]);                                       \
    adders(name, gx_fire_block_##isa, &tables[i][words]);
#define READER(words) READER_##words
#define READER_2 read128
#define READER_4 read256
#define READER_8 read512
            BOTH(2, generic)
            if (avx2) {
                BOTH(4, avx2)
            }
            if (avx512) {
                BOTH(4, avx512)
                BOTH(8, avx512)
            }
        }
#endif
        for (int i = 0; i < n_layers; i++)
            run_layer(layers[i]);
    }
    return 0;
}
