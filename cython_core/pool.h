/* A pool of threads that take chunk after chunk of a range until none is left. POSIX threads alone: no OpenMP runtime
 * that would meet another library's, nothing to install. The caller is worker 0; the others sleep between ranges.
 */
#ifndef GXEVENT_POOL_H
#define GXEVENT_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

typedef void (*gx_work)(void *context, int32_t worker, int64_t begin, int64_t end);

typedef struct gx_pool {
    pthread_mutex_t lock;       /* of all below but next */
    pthread_cond_t begun, ended;
    pthread_t *threads;
    int32_t workers, started, busy;
    int64_t round;              /* ranges begun so far */
    int closing;
    pid_t owner;                /* threads do not live on in a forked child */
    gx_work work;
    void *context;
    int64_t end, chunk;
    _Atomic int64_t next;
} gx_pool;

typedef struct {
    gx_pool *pool;
    int32_t worker;
    int64_t round;              /* the last one before this thread began */
} gx_seat;

static void gx_take_chunks(gx_pool *pool, int32_t worker)
{
    for (;;) {
        const int64_t begin = atomic_fetch_add(&pool->next, pool->chunk);
        if (begin >= pool->end)
            return;
        pool->work(pool->context, worker, begin, begin + pool->chunk < pool->end ? begin + pool->chunk : pool->end);
    }
}

static void *gx_worker(void *argument)
{
    gx_seat seat = *(gx_seat *)argument;
    gx_pool *pool = seat.pool;
    free(argument);
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->round == seat.round && !pool->closing)
            pthread_cond_wait(&pool->begun, &pool->lock);
        if (pool->closing)
            break;
        seat.round = pool->round;
        pthread_mutex_unlock(&pool->lock);
        gx_take_chunks(pool, seat.worker);
        pthread_mutex_lock(&pool->lock);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->ended);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static gx_pool *gx_pool_new(int32_t workers)
{
    gx_pool *pool = (gx_pool *)calloc(1, sizeof(gx_pool));
    if (!pool || !(pool->threads = (pthread_t *)calloc((size_t)workers, sizeof(pthread_t)))) {
        free(pool);
        return NULL;
    }
    pool->workers = workers;
    return pool;
}

/* Start the threads that are not there yet; where the machine gives fewer, fewer work. */
static void gx_pool_start(gx_pool *pool)
{
    if (pool->owner != getpid()) {
        pthread_mutex_init(&pool->lock, NULL);
        pthread_cond_init(&pool->begun, NULL);
        pthread_cond_init(&pool->ended, NULL);
        pool->started = 0;
        pool->owner = getpid();
    }
    while (pool->started < pool->workers - 1) {
        gx_seat *seat = (gx_seat *)malloc(sizeof(gx_seat));
        if (!seat)
            return;
        *seat = (gx_seat){pool, pool->started + 1, pool->round};
        if (pthread_create(&pool->threads[pool->started], NULL, gx_worker, seat)) {
            free(seat);
            return;
        }
        pool->started++;
    }
}

/* work(context, worker, begin, end) over chunks of 0 .. n - 1; returns when all is done. */
static void gx_pool_run(gx_pool *pool, gx_work work, void *context, int64_t n, int64_t chunk)
{
    if (pool->workers < 2 || n <= chunk) {
        if (n > 0)
            work(context, 0, 0, n);
        return;
    }
    gx_pool_start(pool);
    pthread_mutex_lock(&pool->lock);
    pool->work = work;
    pool->context = context;
    pool->end = n;
    pool->chunk = chunk;
    atomic_store(&pool->next, 0);
    pool->busy = pool->started;
    pool->round++;
    pthread_cond_broadcast(&pool->begun);
    pthread_mutex_unlock(&pool->lock);
    gx_take_chunks(pool, 0);
    pthread_mutex_lock(&pool->lock);
    while (pool->busy)
        pthread_cond_wait(&pool->ended, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void gx_pool_free(gx_pool *pool)
{
    if (!pool)
        return;
    if (pool->owner == getpid()) {
        pthread_mutex_lock(&pool->lock);
        pool->closing = 1;
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
