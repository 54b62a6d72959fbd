/* A frame's levels from (channel, pixel) order, as they come, to (pixel, channel), as units lie inside the core. */
#ifndef GXEVENT_ORDER_H
#define GXEVENT_ORDER_H

#include <stdint.h>
#include <string.h>

/* Channels c .. c + n - 1 of pixels first .. pixels - 1, pixel by pixel: with n and channels constant, compilers make
 * vectors of it. */
static inline __attribute__((always_inline)) void gx_order_few(const int8_t *restrict planes, int64_t channels,
                                                               int64_t pixels, int64_t c, int64_t n, int64_t first,
                                                               int8_t *restrict levels)
{
    for (int64_t p = first; p < pixels; p++)
        for (int64_t k = 0; k < n; k++)
            levels[p * channels + c + k] = planes[(c + k) * pixels + p];
}

/* Bytes of words k and k + far change places, those that `low` covers of one with the others of the other. */
static inline __attribute__((always_inline)) void gx_swap_bytes(uint64_t word[8], int far, uint64_t low)
{
    for (int k = 0; k < 8; k++)
        if (!(k & far)) {
            const uint64_t other = ((word[k] >> (8 * far)) ^ word[k + far]) & low;
            word[k] ^= other << (8 * far);
            word[k + far] ^= other;
        }
}

/* levels OUT [pixels][channels] from planes [channels][pixels]. */
static inline void gx_order_pixels(const int8_t *restrict planes, int64_t channels, int64_t pixels,
                                   int8_t *restrict levels)
{
    int64_t c = 0;
    if (channels == 2)
        gx_order_few(planes, 2, pixels, 0, 2, 0, levels);
    else if (channels == 3)
        gx_order_few(planes, 3, pixels, 0, 3, 0, levels);
    else if (channels == 4)
        gx_order_few(planes, 4, pixels, 0, 4, 0, levels);
    if (2 <= channels && channels <= 4)
        return;
    for (; c + 8 <= channels; c += 8) {
        int64_t p = 0;
        for (; p + 8 <= pixels; p += 8) {
            uint64_t word[8];
            for (int k = 0; k < 8; k++)
                memcpy(word + k, planes + (c + k) * pixels + p, 8);
            gx_swap_bytes(word, 4, 0x00000000ffffffffu);
            gx_swap_bytes(word, 2, 0x0000ffff0000ffffu);
            gx_swap_bytes(word, 1, 0x00ff00ff00ff00ffu);
            for (int k = 0; k < 8; k++)
                memcpy(levels + (p + k) * channels + c, word + k, 8);
        }
        gx_order_few(planes, channels, pixels, c, 8, p, levels);
    }
    for (; c + 4 <= channels; c += 4)
        gx_order_few(planes, channels, pixels, c, 4, 0, levels);
    for (; c < channels; c++)
        gx_order_few(planes, channels, pixels, c, 1, 0, levels);
}

#endif
