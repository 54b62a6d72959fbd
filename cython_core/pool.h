/* A pool of threads that take chunk after chunk of a range until none is left. POSIX threads alone: no OpenMP runtime
 * that would meet another library's, nothing to install. The caller is worker 0.
 *
 * A thread that found nothing more to take looks out for the next range for some tens of microseconds, then it sleeps:
 * layers of one sample follow each other faster than a thread wakes up. A range ends when those threads have left that
 * joined it, so one that wakes too late delays nobody.
 *
 *        caller: describe the range, open, take chunks, close, wait until nobody is inside
 *        thread: join (inside + 1), take chunks if it is open by then, leave (inside - 1)
 */
#ifndef GXEVENT_POOL_H
#define GXEVENT_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GX_LOOK_OUT_NS 50000

typedef void (*gx_work)(void *context, int32_t worker, int64_t begin, int64_t end);

typedef struct gx_pool {
    pthread_mutex_t lock;       /* of going to sleep and waking up */
    pthread_cond_t begun, ended;
    pthread_t *threads;
    int32_t workers, started;
    pid_t owner;                /* threads do not live on in a forked child */
    gx_work work;               /* these four stay as they are while the range is open or anybody inside */
    void *context;
    int64_t end, chunk;
    int64_t ranges;             /* begun so far */
    _Alignas(64) _Atomic int64_t next;
    _Alignas(64) _Atomic int64_t open;      /* number of the range that is open, or 0 */
    _Atomic int32_t inside, sleeping, waiting, closing;
} gx_pool;

typedef struct {
    gx_pool *pool;
    int32_t worker;
} gx_seat;

static inline int64_t gx_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void gx_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static inline void gx_take_chunks(gx_pool *pool, int32_t worker)
{
    for (;;) {
        const int64_t begin = atomic_fetch_add(&pool->next, pool->chunk);
        if (begin >= pool->end)
            return;
        pool->work(pool->context, worker, begin, begin + pool->chunk < pool->end ? begin + pool->chunk : pool->end);
    }
}

static inline int gx_is_new(gx_pool *pool, int64_t seen)
{
    const int64_t open = atomic_load(&pool->open);
    return (open && open != seen) || atomic_load(&pool->closing);
}

/* Until a range is open that was not seen yet, or the pool closes. */
static inline void gx_look_out(gx_pool *pool, int64_t seen)
{
    const int64_t until = gx_clock() + GX_LOOK_OUT_NS;
    do {
        for (int i = 0; i < 16; i++, gx_pause())
            if (gx_is_new(pool, seen))
                return;
    } while (gx_clock() < until);
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleeping, 1);
    while (!gx_is_new(pool, seen))
        pthread_cond_wait(&pool->begun, &pool->lock);
    atomic_fetch_sub(&pool->sleeping, 1);
    pthread_mutex_unlock(&pool->lock);
}

static inline void *gx_worker(void *argument)
{
    const gx_seat seat = *(gx_seat *)argument;
    gx_pool *pool = seat.pool;
    int64_t seen = 0;
    free(argument);
    for (gx_look_out(pool, 0); !atomic_load(&pool->closing); gx_look_out(pool, seen)) {
        atomic_fetch_add(&pool->inside, 1);
        seen = atomic_load(&pool->open);
        if (seen)
            gx_take_chunks(pool, seat.worker);
        if (atomic_fetch_sub(&pool->inside, 1) == 1 && atomic_load(&pool->waiting)) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->ended);
            pthread_mutex_unlock(&pool->lock);
        }
    }
    return NULL;
}

static inline gx_pool *gx_pool_new(int32_t workers)
{
    void *memory = NULL;
    gx_pool *pool;
    if (posix_memalign(&memory, 64, sizeof(gx_pool)))
        return NULL;
    pool = (gx_pool *)memory;
    memset(pool, 0, sizeof(gx_pool));
    if (!(pool->threads = (pthread_t *)calloc((size_t)workers, sizeof(pthread_t)))) {
        free(pool);
        return NULL;
    }
    pool->workers = workers;
    return pool;
}

/* Start the threads that are not there yet; where the machine gives fewer, fewer work. Before a range is run. */
static inline void gx_pool_start(gx_pool *pool)
{
    if (pool->owner != getpid()) {
        pthread_mutex_init(&pool->lock, NULL);
        pthread_cond_init(&pool->begun, NULL);
        pthread_cond_init(&pool->ended, NULL);
        pool->started = 0;
        pool->inside = pool->sleeping = pool->waiting = 0;
        pool->owner = getpid();
    }
    while (pool->started < pool->workers - 1) {
        gx_seat *seat = (gx_seat *)malloc(sizeof(gx_seat));
        if (!seat)
            return;
        *seat = (gx_seat){pool, pool->started + 1};
        if (pthread_create(&pool->threads[pool->started], NULL, gx_worker, seat)) {
            free(seat);
            return;
        }
        pool->started++;
    }
}

/* Wait until nobody is inside: soon, as nothing is left to take, or asleep where the last chunk is long. */
static inline void gx_pool_wait(gx_pool *pool)
{
    const int64_t until = gx_clock() + GX_LOOK_OUT_NS;
    do {
        for (int i = 0; i < 16; i++, gx_pause())
            if (!atomic_load(&pool->inside))
                return;
    } while (gx_clock() < until);
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->waiting, 1);
    while (atomic_load(&pool->inside))
        pthread_cond_wait(&pool->ended, &pool->lock);
    atomic_store(&pool->waiting, 0);
    pthread_mutex_unlock(&pool->lock);
}

/* work(context, worker, begin, end) over chunks of 0 .. n - 1 by the threads started; returns when all is done. */
static inline void gx_pool_run(gx_pool *pool, gx_work work, void *context, int64_t n, int64_t chunk)
{
    pool->work = work;
    pool->context = context;
    pool->end = n;
    pool->chunk = chunk;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->open, ++pool->ranges);
    if (atomic_load(&pool->sleeping)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->begun);
        pthread_mutex_unlock(&pool->lock);
    }
    gx_take_chunks(pool, 0);
    atomic_store(&pool->open, 0);
    gx_pool_wait(pool);
}

static inline void gx_pool_free(gx_pool *pool)
{
    if (!pool)
        return;
    if (pool->owner == getpid()) {
        pthread_mutex_lock(&pool->lock);
        atomic_store(&pool->closing, 1);
        pthread_cond_broadcast(&pool->begun);
        pthread_mutex_unlock(&pool->lock);
        for (int32_t i = 0; i < pool->started; i++)
            pthread_join(pool->threads[i], NULL);
        pthread_cond_destroy(&pool->begun);
        pthread_cond_destroy(&pool->ended);
        pthread_mutex_destroy(&pool->lock);
    }
    free(pool->threads);
    free(pool);
}

#endif
