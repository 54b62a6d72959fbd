/* Decoding event files: byte after byte in, events out, nothing else.
 *
 * Every format is one function of the same shape. It reads whole words, packets or events from `data`, writes at most
 * `room` events to `out`, and returns how many bytes it took; a rest that is no whole word yet stays with the caller,
 * who passes it again with what follows. All that is known between two calls (times, rows, packets begun) is in
 * gx_decoder, a plain value that may be copied. No input, however damaged, makes a function read or write beyond
 * what it was given.
 *
 * The layouts are those of the makers' documents: Prophesee DAT, EVT2 and EVT3; jAER's AEDAT 2; inivation's AEDAT
 * 3.1 and 4; Event Stream 2 (neuromorphic-paris); N-MNIST .bin (Orchard et al. 2015).
 */
#ifndef GXEVENT_DECODE_H
#define GXEVENT_DECODE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "events are stored as little-endian records"
#endif

#pragma pack(push, 1)
typedef struct {
    int64_t t;
    uint16_t x, y;
    uint8_t p;
} gx_event; /* gxevent.EVENT_DTYPE: 13 bytes */
#pragma pack(pop)

enum { GX_COUNTS = 8 };

typedef struct {
    uint32_t limit;   /* 0x8000 - height, 0x8000 - width in the upper and lower half */
    uint32_t outside; /* bit 31 or 15 set: some y or x was too large */
    uint64_t falls;   /* bit 63 set: some time was earlier than the one before */
    int64_t previous;
} gx_check;

typedef struct {
    gx_check check;
    int64_t epoch;             /* added to times: whole turns of the counter */
    int64_t last;              /* counter (DAT, AEDAT 2), time high (EVT); -1: none seen yet */
    int64_t low, time;         /* EVT3 time low; the time of what comes next */
    int32_t y, base, on;       /* EVT3 row and vector base */
    int32_t x_last, y_last;    /* AEDAT 2: coordinates count from the last column and row */
    int64_t left, skip, size;  /* AEDAT 3.1: events left in the packet, bytes to pass over, bytes of an event */
    int32_t error;             /* 1: a packet header that cannot be */
    int64_t counts[GX_COUNTS]; /* what was passed over, by the kinds that the Python side names */
} gx_decoder;

typedef size_t (*gx_decode_fn)(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room,
                               size_t *made);

static inline uint16_t gx_u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t gx_u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline int64_t gx_i64(const uint8_t *p) { int64_t v; memcpy(&v, p, 8); return v; }
static inline uint32_t gx_big32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* One event, and its checks as sums whose top bits say that some event was wrong: no branch, no second pass. */
static inline void gx_put(gx_check *c, gx_event *e, int64_t t, uint32_t x, uint32_t y, uint32_t p)
{
    uint32_t pixel = y << 16 | (x & 0xffff);
    c->outside |= pixel | (pixel + c->limit);
    c->falls |= (uint64_t)t - (uint64_t)c->previous;
    c->previous = t;
    e->t = t;
    e->x = (uint16_t)x;
    e->y = (uint16_t)y;
    e->p = (uint8_t)p;
}

/* Time of a counter of 32 bits: a fall by more than half its range is a new turn, a smaller one a step back. */
static inline int64_t gx_turn32(gx_decoder *d, uint32_t t)
{
    if ((int64_t)t < d->last - (1LL << 31))
        d->epoch += 1LL << 32;
    d->last = t;
    return d->epoch + t;
}

static size_t gx_dat(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room, size_t *made)
{
    size_t n = size / 8 < room ? size / 8 : room;
    int64_t epoch = d->epoch, last = d->last;
    gx_check c = d->check;
    for (size_t i = 0; i < n; i++) {
        uint64_t pair = (uint64_t)gx_i64(data + 8 * i);
        int64_t t = (int64_t)(pair & 0xffffffff);
        if (__builtin_expect(t < last - (1LL << 31), 0)) /* as gx_turn32 */
            epoch += 1LL << 32;
        last = t;
        gx_put(&c, out + i, epoch + t, pair >> 32 & 16383, pair >> 46 & 16383, pair >> 60 != 0);
    }
    d->epoch = epoch, d->last = last;
    d->check = c;
    *made = n;
    return 8 * n;
}

/* counts: 0 triggers, 1 others, 2 continuation, 3 unknown words, 4 events before the first time high */
static size_t gx_evt2(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room, size_t *made)
{
    size_t words = size / 4, i, n = 0;
    int64_t time = d->time;
    gx_check c = d->check;
    int timed = d->last >= 0;
    for (i = 0; i < words; i++) {
        if (timed) { /* runs of events between two time words */
            size_t end = words - i < room - n ? words : i + (room - n);
            for (uint32_t w; i < end && (w = gx_u32(data + 4 * i)) >> 29 == 0; i++)
                gx_put(&c, out + n++, time | (w >> 22 & 63), w >> 11 & 2047, w & 2047, w >> 28);
        }
        if (i == words)
            break;
        uint32_t w = gx_u32(data + 4 * i), type = w >> 28;
        if (type <= 1) {
            if (!timed) {
                d->counts[4]++;
                continue;
            }
            if (n == room)
                break;
            gx_put(&c, out + n++, time | (w >> 22 & 63), w >> 11 & 2047, w & 2047, type);
        } else if (type == 8) {
            int64_t high = w & 0xfffffff;
            if (high < d->last - (1LL << 27))
                d->epoch += 1LL << 34;
            d->last = high;
            time = d->epoch + (high << 6);
            timed = 1;
        } else {
            d->counts[type == 10 ? 0 : type == 14 ? 1 : type == 15 ? 2 : 3]++;
        }
    }
    d->time = time;
    d->check = c;
    *made = n;
    return 4 * i;
}

/* counts as for EVT2 */
static size_t gx_evt3(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room, size_t *made)
{
    size_t words = size / 2, i, n = 0;
    gx_decoder s = *d;
    gx_check c = d->check;
    for (i = 0; i < words; i++) {
        uint32_t w = gx_u16(data + 2 * i), type = w >> 12;
        if (type == 2) {
            if (s.last < 0) {
                s.counts[4]++;
                continue;
            }
            if (n == room)
                break;
            gx_put(&c, out + n++, s.time, w & 2047, s.y, w >> 11 & 1);
        } else if (type == 0) {
            s.y = w & 2047;
        } else if (type == 6) { /* steps back within one time high are jitter, never an overflow */
            s.low = w & 4095;
            s.time = s.epoch + s.last * 4096 + s.low;
        } else if (type == 8) {
            int64_t high = w & 4095;
            if (high < s.last - 2048)
                s.epoch += 1 << 24;
            s.last = high;
            s.time = s.epoch + (high << 12) + s.low;
        } else if (type == 3) {
            s.base = w & 2047;
            s.on = w >> 11 & 1;
        } else if (type == 4 || type == 5) {
            uint32_t bits = w & (type == 4 ? 4095 : 255);
            uint32_t each = (uint32_t)__builtin_popcount(bits);
            if (s.last < 0) {
                s.counts[4] += each;
                bits = 0;
            } else if (each > room - n) {
                break;
            }
            for (; bits; bits &= bits - 1)
                gx_put(&c, out + n++, s.time, s.base + __builtin_ctz(bits), s.y, s.on);
            if (s.base < 65000) /* far outside any sensor: stays there instead of coming round */
                s.base += type == 4 ? 12 : 8;
        } else {
            s.counts[type == 10 ? 0 : type == 14 ? 1 : type == 7 || type == 15 ? 2 : 3]++;
        }
    }
    *d = s;
    d->check = c;
    *made = n;
    return 2 * i;
}

/* counts: 0 special events */
static size_t gx_aedat2_dvs(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room, size_t *made)
{
    size_t i = 0, n = 0;
    gx_decoder s = *d;
    gx_check c = d->check;
    for (; 8 * i + 8 <= size && n < room; i++) {
        uint32_t a = gx_big32(data + 8 * i);
        int64_t t = gx_turn32(&s, gx_big32(data + 8 * i + 4));
        if (a & 1u << 15)
            s.counts[0]++;
        else
            gx_put(&c, out + n++, t, 127 - (a >> 1 & 127), 127 - (a >> 8 & 127), !(a & 1));
    }
    *d = s;
    d->check = c;
    *made = n;
    return 8 * i;
}

/* counts: 0 external events, 1 APS and IMU words */
static size_t gx_aedat2_davis(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room,
                              size_t *made)
{
    size_t i = 0, n = 0;
    gx_decoder s = *d;
    gx_check c = d->check;
    for (; 8 * i + 8 <= size && n < room; i++) {
        uint32_t a = gx_big32(data + 8 * i);
        int64_t t = gx_turn32(&s, gx_big32(data + 8 * i + 4));
        if (a & (1u << 31 | 1u << 10))
            s.counts[a >> 31]++;
        else
            gx_put(&c, out + n++, t, s.x_last - (a >> 12 & 1023), s.y_last - (a >> 22 & 511), a >> 11 & 1);
    }
    *d = s;
    d->check = c;
    *made = n;
    return 8 * i;
}

/* counts: 0 special, 1 invalid polarity, 2 frames, 3 IMU 6, 4 of other packets */
static size_t gx_aedat31(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room, size_t *made)
{
    size_t at = 0, n = 0;
    gx_decoder s = *d;
    gx_check c = d->check;
    while (!s.error) {
        if (s.skip > 0) {
            size_t step = (uint64_t)s.skip < size - at ? (size_t)s.skip : size - at;
            s.skip -= (int64_t)step;
            at += step;
        }
        for (; s.left > 0 && size - at >= (size_t)s.size && n < room; s.left--, at += (size_t)s.size) {
            uint32_t a = gx_u32(data + at);
            if (a & 1)
                gx_put(&c, out + n++, s.epoch | (gx_u32(data + at + 4) & 0x7fffffff), a >> 17, a >> 2 & 32767, a >> 1 & 1);
            else
                s.counts[1]++;
        }
        if (s.skip > 0 || s.left > 0 || size - at < 28)
            break;
        const uint8_t *head = data + at;
        uint32_t type = gx_u16(head) & 0x7fff, offset = gx_u32(head + 8), turns = gx_u32(head + 12);
        int32_t each = (int32_t)gx_u32(head + 4), number = (int32_t)gx_u32(head + 20);
        if (each < 1 || number < 0 || turns > 1 << 20 || (type == 1 && (each < 8 || each > 4096 || offset != 4))) {
            s.error = 1;
            break;
        }
        if (type == 1) {
            s.left = number;
            s.size = each;
            s.epoch = (int64_t)turns << 31;
        } else {
            s.skip = (int64_t)number * each;
            s.counts[type == 0 || type == 2 || type == 3 ? type : 4] += number;
        }
        at += 28;
    }
    *d = s;
    d->check = c;
    *made = n;
    return at;
}

/* The vector of events inside an AEDAT 4 packet: i64 time, i16 x, i16 y, bool, 3 bytes of padding. */
static size_t gx_aedat4(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room, size_t *made)
{
    size_t n = size / 16 < room ? size / 16 : room;
    gx_check c = d->check;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *e = data + 16 * i;
        gx_put(&c, out + i, gx_i64(e), gx_u16(e + 8), gx_u16(e + 10), e[12] != 0);
    }
    d->check = c;
    *made = n;
    return 16 * n;
}

/* counts: 0 resets */
static size_t gx_es_dvs(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room, size_t *made)
{
    size_t at = 0, n = 0;
    int64_t time = d->time;
    gx_check c = d->check;
    while (at < size) {
        uint32_t b = data[at];
        if (b < 0xfe) {
            if (size - at < 5 || n == room)
                break;
            time += b >> 1;
            gx_put(&c, out + n++, time, gx_u16(data + at + 1), gx_u16(data + at + 3), b & 1);
            at += 5;
        } else {
            time += b == 0xff ? 127 : 0;
            d->counts[0] += b == 0xfe;
            at++;
        }
    }
    d->time = time;
    d->check = c;
    *made = n;
    return at;
}

/* counts: 0 resets, 1 exposure measurements (threshold crossings), which are no changes of brightness */
static size_t gx_es_atis(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room, size_t *made)
{
    size_t at = 0, n = 0;
    int64_t time = d->time;
    gx_check c = d->check;
    while (at < size) {
        uint32_t b = data[at];
        if (b < 0xfc) {
            if (size - at < 5 || n == room)
                break;
            time += b >> 2;
            if (b & 1)
                d->counts[1]++;
            else
                gx_put(&c, out + n++, time, gx_u16(data + at + 1), gx_u16(data + at + 3), b >> 1 & 1);
            at += 5;
        } else {
            time += 63 * (b & 3);
            d->counts[0] += b == 0xfc;
            at++;
        }
    }
    d->time = time;
    d->check = c;
    *made = n;
    return at;
}

/* counts: 0 overflow entries */
static size_t gx_nmnist(gx_decoder *d, const uint8_t *data, size_t size, gx_event *out, size_t room, size_t *made)
{
    size_t at = 0, n = 0;
    int64_t epoch = d->epoch;
    gx_check c = d->check;
    for (; size - at >= 5 && n < room; at += 5) {
        const uint8_t *e = data + at;
        if (e[1] == 240) {
            epoch += 1 << 13;
            d->counts[0]++;
        } else {
            int64_t t = (int64_t)(e[2] & 127) << 16 | (int64_t)e[3] << 8 | e[4];
            gx_put(&c, out + n++, epoch + t, e[0], e[1], e[2] >> 7);
        }
    }
    d->epoch = epoch;
    d->check = c;
    *made = n;
    return at;
}

/* The first event outside width x height, beyond +-far, or earlier than the one before it (`previous` for the first);
 * n where there is none. */
static size_t gx_first_bad(const gx_event *e, size_t n, uint32_t width, uint32_t height, int64_t previous, int64_t far)
{
    const uint8_t *bytes = (const uint8_t *)e;
    for (size_t a = 0; a < n; a += 512) {
        size_t b = n - a < 512 ? n : a + 512;
        int64_t before = previous;
        uint32_t bad = 0;
        for (size_t i = a; i < b; i++) { /* no branch in the common case: only whether this block has any */
            int64_t t = gx_i64(bytes + 13 * i);
            uint32_t pixel = gx_u32(bytes + 13 * i + 8);
            bad |= ((pixel & 0xffff) >= width) | (pixel >> 16 >= height) | (t < before);
            before = t;
        }
        if (!bad && before <= far && e[a].t >= -far) { /* times rise: only the ends can be far */
            previous = before;
            continue;
        }
        for (size_t i = a; i < b; i++) {
            if (e[i].x >= width || e[i].y >= height || e[i].t < previous || e[i].t > far || e[i].t < -far)
                return i;
            previous = e[i].t;
        }
    }
    return n;
}

static void gx_extent(const gx_event *e, size_t n, uint32_t *x, uint32_t *y)
{
    uint32_t x_max = 0, y_max = 0;
    for (size_t i = 0; i < n; i++) {
        x_max = e[i].x > x_max ? e[i].x : x_max;
        y_max = e[i].y > y_max ? e[i].y : y_max;
    }
    *x = x_max;
    *y = y_max;
}

#endif
