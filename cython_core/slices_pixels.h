/* Convolutions of busy sources: the weights are the events, and the lanes are output pixels.
 *
 * All output pixels of a channel see the same weights, each at another place. So every nonzero weight of tap (ky, kx)
 * selects one row of bits, its source channel moved by (ky, kx), and a channel's rows are added as slices.h does it:
 *
 *        source channel, moved by kx:     line 0 | line 1 | line 2 | ...       a "strip", lines of whole bytes;
 *        row of tap (0, kx)                ^------------------------           a tap's ky says at which line its
 *        row of tap (1, kx)                         ^---------------           row begins, so that rows overlap
 *
 * A strip is made once a sample for each kx: bits [x == 0] of all its lines, then bits [x > 0]; beyond the image x is 0.
 * Weights of -1 add their rows to the counters' complement, which subtracts. Bit planes of graded sources have strips
 * of their own. Time does not depend on the activity, nor do the two thirds of the weights that are nonzero share lanes
 * with zeros, as they do where units are the lanes: this is for busy sources of any number of channels, for groups and
 * for depthwise layers. Strides are 1.
 */
#define GX_PIXEL_WORDS 4        /* 256 output pixels are a chunk of lanes */
#define GX_PIXEL_ROUND 4        /* lists are padded to whole rounds with the row of zeros at offset 0 */

typedef struct {
    const uint32_t *list;       /* rows, in bytes, that each turn's weights of +1 select, then those of -1 */
    const int32_t *turns;       /* [out_channels][3] channel and how many rows of +1, of -1 it selects */
    const int64_t *begins;      /* [out_channels] where each turn's list begins */
    const int32_t *seeds;       /* [out_channels] where counters begin: 2^(bits - 1) less the +1 of all rows added */
    const int32_t *edges;       /* [out_channels][2] hi, lo + 1 in offset binary; NULL: sums only */
    int32_t channels, height, width;            /* of the source, as (height, width, channels) */
    int32_t out_channels, out_height, out_width;
    int32_t top, left, taps, step;              /* padding; kernel columns and their distance */
    int32_t lines, line;        /* of a strip, and bytes of one */
    int32_t strip;              /* bytes of a strip's bits [x == 0] */
    int32_t chunks, bits, pixel_words;
    int64_t plane;              /* bytes of the strips of one plane of the source */
} gx_pixel_gates;
