/* Dense layers of many samples: the weights are the events, and the lanes are 256 samples.
 *
 * Where most units are active, an event list says little: then every nonzero weight w of a unit selects a row of its
 * source's outputs x, one bit lane a sample, and the rows are added as slices.h does it:
 *
 *        weights of unit 0:  +3  +9 ...  -5 ...        row of source 3:  [x == 0]  lanes of 256 samples
 *                             |   |       |                              [x  > 0]
 *        counter of unit 0 <--+---+--  ~  +---  ~
 *
 * Rows of weights of -1 are added to the counters' complement, which subtracts them. Sources are cut into tiles whose
 * rows stay in the first-level cache while all units pass by; counters wait in memory between tiles. In each tile the
 * units are ordered by the lengths of their lists, which branches then predict. Time does not depend on the activity:
 * this form is for many samples of high activity, chosen batch by batch.
 */
#define GX_SAMPLE_WORDS 4       /* 256 samples */
#define GX_SAMPLES (64 * GX_SAMPLE_WORDS)
#define GX_SAMPLE_ROW (2 * GX_SAMPLE_WORDS)
#define GX_SAMPLE_ROUND 8       /* lists are padded to whole rounds with row 0, which is of zeros */
#define GX_SAMPLE_BITS 16       /* most bits of a counter, all of them stored */

/* A ternary dense layer. Rows: [1 + units][2][GX_SAMPLE_WORDS] bits x == 0, x > 0; unit u is row u + 1. */
typedef struct {
    const uint16_t *list;       /* rows, in words, that each turn's weights of +1 select, then those of -1 */
    const int32_t *turns;       /* [tiles][outputs][3] output and how many rows of +1, of -1 it selects */
    const int32_t *edges;       /* [outputs][2] hi, lo + 1 in offset binary; NULL: sums only */
    const int32_t *seeds;       /* [outputs] where counters begin: 2^(bits - 1) less the +1 of all rows added */
    const uint8_t *flip;        /* [outputs] 1 for negative polarity */
    int32_t outputs, tiles, bits, gain;
} gx_sample_gates;
